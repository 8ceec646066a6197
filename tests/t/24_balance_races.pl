# Balances under concurrency: nothing is lost, nothing is applied twice, nothing goes below zero.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->start('balance', arguments => [ '--pool-size=24' ]);
sub tally { my %n; $n{$_}++ foreach @_; return join ', ', map { "$n{$_} x $_" } sort keys %n }

my $id = $s->register('ann@example.com');
my $token = $s->login('ann@example.com')->{access_token};
sub change
{
    my ($amount, %headers) = @_;
    my $answer = $s->request('PUT', '/users/balance', token => $token, json => { amount => $amount }, headers => \%headers);
    return "$answer->{status} " . ($answer->{json}{new_balance} // $answer->{json}{code} // '');
}
sub ledger
{
    return $s->sql("SELECT u.balance || ' ' || coalesce(sum(e.amount), 0) || ' ' || count(e.*) FROM auth.users u
                    LEFT JOIN auth.balance_entries e ON e.user_id = u.id WHERE u.id = $id GROUP BY u.balance");
}

is(change(1000), '200 1000', 'a balance');
is(tally($s->parallel(32, sub { change(-1000) })), '1 x 200 0, 31 x 400 U400C', '32 withdrawals of a whole balance: one succeeds');
is(ledger(), '0 0 2', 'the ledger has two entries');

is(tally($s->parallel(64, sub { change(7, 'Idempotency-Key' => 'one') })), '64 x 200 7', '64 changes with one key: the same answer');
is(ledger(), '7 7 3', 'and one entry');

my @all = $s->parallel(16, sub { my %n; $n{ substr change($_[0]), 0, 3 }++ foreach 1 .. 20; return join ',', %n });
is(tally(@all), '16 x 200,20', '320 changes by 16 at once');
is(ledger(), join(' ', (7 + 20 * 136) x 2, 323), 'the sum is exact');

# An admin's change, the user's own, a deletion and a block at the same time: each sees the others.
foreach my $round (1 .. 10)
{
    my $user = $s->register("user$round\@example.com");
    my $its = $s->login("user$round\@example.com")->{access_token};
    my @done = $s->parallel(12, sub {
        my ($i) = @_;
        return 'block ' . $s->sql("SELECT auth.block_user($user)") if $i == 12 && $round % 2;
        return 'delete ' . $s->request('DELETE', '/users/me', token => $its)->{status} if $i == 12;
        return 'own ' . $s->request('PUT', '/users/balance', token => $its, json => { amount => 5 })->{status} if $i % 2;
        my ($out, $err);
        $s->node->psql('auth_service', "\\set VERBOSITY sqlstate\nSELECT 'admin' FROM auth.admin_change_balance($user, 3)", stdout => \$out, stderr => \$err);
        return $out || $err =~ s/.*ERROR: +//sr;
    });
    my $own = grep { $_ eq 'own 200' } @done;
    my $admin = grep { $_ eq 'admin' } @done;
    is($s->sql("SELECT balance || ' ' || (SELECT coalesce(sum(amount), 0) FROM auth.balance_entries WHERE user_id = $user) FROM auth.users WHERE id = $user"),
        join(' ', (5 * $own + 3 * $admin) x 2), "round $round: what was answered is there, what was refused is not") or diag tally(@done);
    is(scalar(grep { !/^(own (200|401|403)|admin|U404B|(block t|delete 200))$/ } @done), 0, "round $round: no other answer") or diag tally(@done);
}
is($s->sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'auth_service'"), 0, 'no deadlock');
done_testing();
