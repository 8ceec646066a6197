# kill -9 in the middle of a storm of changes, of backends and of the whole server: what was answered with
# 200 is there, once, and the ledger agrees with the balances.  fsync is on, commits are not waited for by
# default: the functions see to it themselves.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = AuthService->start('crash', fsync => 1, conf => "restart_after_crash = on\n", arguments => [ '--pool-size=12' ]);
$s->sql('ALTER DATABASE auth_service SET synchronous_commit = off');
my @tokens = map { $s->register("user$_\@example.com"); $s->login("user$_\@example.com")->{access_token} } 1 .. 4;

# A storm for so many seconds; the list of [user, key, status], in which a key is used again after a
# failure, as a client does it.
sub storm
{
    my ($seconds, $round, $meanwhile) = @_;
    my @lines = $s->parallel(9, sub {
        my ($i) = @_;
        if ($i == 9) { $meanwhile->(); return '' }
        my ($user, $end, $n, @done) = ($i % 4, time + $seconds, 0);
        while (time < $end)
        {
            my $key = "$round.$i." . ++$n;
            my $status = 0;
            foreach (1 .. 3)
            {
                $status = $s->request('PUT', '/users/balance', token => $tokens[$user], json => { amount => 1 }, headers => { 'Idempotency-Key' => $key })->{status};
                last if $status == 200;
                sleep 0.05;
            }
            push @done, "$user/$key/$status";
        }
        return join ' ', @done;
    });
    return map { [ split m{/} ] } map { split / / } @lines;
}
sub check
{
    my ($what, @done) = @_;
    my %there = map { $_ => 1 } split /\n/, $s->sql('SELECT idempotency_key FROM auth.balance_entries');
    my @answered = grep { $_->[2] == 200 } @done;
    cmp_ok(scalar @answered, '>', 20, "$what: changes were answered") or diag scalar @done;
    is(scalar(grep { !$there{ $_->[1] } } @answered), 0, "$what: each that was answered with 200 is there");
    is($s->sql('SELECT count(*) FROM auth.users u WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM auth.balance_entries e WHERE e.user_id = u.id)
                OR balance <> (SELECT count(*) FROM auth.balance_entries e WHERE e.user_id = u.id)'), 0, "$what: sums and balances agree");
    is($s->sql('SELECT count(*) - count(DISTINCT idempotency_key) FROM auth.balance_entries'), 0, "$what: none was applied twice");
    return scalar(grep { $_->[2] != 200 } @done);
}

# One backend after the other.  A killed backend makes the server restart all of them.
my @done = storm(4, 1, sub {
    foreach (1 .. 3)
    {
        sleep 0.8;
        my ($out) = ('');
        $s->node->psql('auth_service', "SELECT pid FROM pg_stat_activity WHERE usename = 'auth_service_shim' AND state = 'active' LIMIT 1", stdout => \$out);
        kill 'KILL', $out if $out =~ /^\d+$/;
    }
});
sleep 0.1 until $s->node->psql('auth_service', 'SELECT 1') == 0;
check('backends killed', @done);

# The whole server.
my @processes = split /\n/, $s->sql('SELECT pid FROM pg_stat_activity');
@done = storm(4, 2, sub { sleep 1.5; $s->node->kill9 });
sleep 0.05 while grep { kill 0, $_ } @processes;
$s->node->{_pid} = undef; # another process has killed it
$s->node->start;
cmp_ok(check('server killed', @done), '>', 0, 'server killed: in the middle of the storm');
done_testing();
