# Keys are rotated and dropped while clients log in, refresh and ask, 200 times a second and more: no good token is
# refused, no dropped key's is taken, nothing answers with 5xx; rotations at the same moment.
use strict;
use warnings;
use AuthService;
use MIME::Base64 qw(decode_base64url);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $s = AuthService->start('rotation', arguments => [ '--pool-size=8', '--hash-slots=4' ]);
my $folder = PostgreSQL::Test::Utils::tempdir;
# So many requests each, and more while the operator has not done enough.
my ($workers, $requests) = (8, 300);
my ($enough, $seconds_max) = (20, 90);
$s->register("user$_\@example.com") foreach 1 .. $workers;

sub kid { return decode_base64url((split /\./, $_[0])[0]) =~ /"kid":"(\w+)"/ ? $1 : die }
sub note_down { my ($file, @line) = @_; open(my $f, '>>', "$folder/$file") or die; syswrite $f, join(' ', @line) . "\n"; close $f }
sub lines { my ($pattern) = @_; return map { split /\n/, slurp_file($_) } grep { -e } glob "$folder/$pattern" }

# A client's life: "began ended kind status kid" a request.
sub work
{
    my ($i) = @_;
    my $end = time + $seconds_max;
    my $email = "user$i\@example.com";
    my (@pairs, $all);
    srand($i);
    for (my $n = 1; $n <= $requests || !-e "$folder/enough" && time < $end; $n++)
    {
        my $kind = !@pairs ? 'login' : (qw(login refresh refresh), ('me') x 7)[ rand 10 ];
        # One session is refreshed only when its token is refused, so that tokens of dropped keys are shown.
        my $at = $kind eq 'refresh' && @pairs > 1 ? 1 + int rand $#pairs : int rand @pairs;
        my $pair = $pairs[$at];
        my $began = time;
        my $answer = $kind eq 'login' ? $s->request('POST', '/auth/login', form => [ username => $email, password => 'Secret123' ])
          : $kind eq 'refresh' ? $s->request('POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} })
          : $s->request('GET', '/users/me', token => $pair->{access_token});
        $all .= join(' ', $began, time, $kind, $answer->{status}, $kind eq 'me' ? kid($pair->{access_token}) : '-') . "\n";
        # Sessions stay, so that tokens of keys from long ago are among those shown.
        if ($kind eq 'login' && $answer->{status} == 200) { push @pairs, $answer->{json}; splice @pairs, 1, 1 if @pairs > 6 }
        if ($kind eq 'refresh' && $answer->{status} == 200) { $pairs[$at] = $answer->{json} }
        # A client whose token is refused asks for a new one.
        if ($kind eq 'me' && $answer->{status} == 401)
        {
            my $again = $s->request('POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} });
            note_down("client.$i", time, time, 'refresh', $again->{status}, '-');
            $pairs[$at] = $again->{json};
        }
    }
    open(my $f, '>>', "$folder/client.$i") or die;
    print $f $all;
    close $f;
    return 'done';
}

foreach my $drops (0, 1)
{
    my $what = $drops ? 'rotated and dropped' : 'rotated';
    unlink glob "$folder/*";
    my $began = time;
    my $operator = fork() // die;
    if ($operator == 0)
    {
        my @algorithms = qw(HS256 ES256 HS256 RS256 EdDSA);
        my @kids;
        for (my $i = 0; !-e "$folder/stop"; $i++)
        {
            my $kid = $s->sql("SELECT auth.rotate_signing_key('$algorithms[$i % @algorithms]', active_in => '@{[ $i % 3 ? 0 : 50 ]} ms')");
            note_down('rotated', $kid);
            push @kids, $kid;
            if ($drops && @kids > 2)
            {
                my $old = shift @kids;
                note_down('dropping', $old, time);
                my $done = eval { $s->sql("SELECT auth.drop_signing_key('$old')") } // "died: $@";
                note_down('dropped', $old, time) if $done eq 't';
                note_down('failed', $done) if $done ne 't';
            }
            note_down('enough') if $i == $enough;
            sleep 0.05;
        }
        POSIX::_exit(0);
    }
    my @done = $s->parallel($workers, \&work);
    my $took = time - $began;
    note_down('stop');
    waitpid $operator, 0;
    is("@done", join(' ', ('done') x $workers), "$what: the clients are done");
    my (%dropping, %dropped, %tally, @wrong);
    foreach (lines('dropping')) { my ($kid, $at) = split; $dropping{$kid} = $at }
    foreach (lines('dropped')) { my ($kid, $at) = split; $dropped{$kid} = $at }
    my $count = 0;
    foreach my $line (lines('client.*'))
    {
        my ($from, $to, $kind, $status, $kid) = split / /, $line;
        $count++;
        $tally{"$kind $status"}++;
        push @wrong, $line if $status >= 500;
        push @wrong, $line if $kind ne 'me' && $status != 200;
        push @wrong, "good token refused: $line" if $status == 401 && !($dropping{$kid} && $dropping{$kid} <= $to);
        push @wrong, "dropped key taken: $line" if $status == 200 && $kind eq 'me' && $dropped{$kid} && $dropped{$kid} < $from;
    }
    my @rotated = lines('rotated');
    is(join("\n", @wrong), '', sprintf '%s: %d requests, %.0f a second, with %d rotations and %d drops: each as it should be', $what, $count, $count / $took, scalar @rotated, scalar keys %dropped);
    cmp_ok(scalar @rotated, '>=', $enough, "$what: often");
    is(join(' ', map { split /\n/, slurp_file($_) } grep { -e } "$folder/failed"), '', "$what: no drop failed");
    if ($drops) { cmp_ok($tally{'me 401'} // 0, '>', 0, 'dropped: it was felt') }
    else { is($tally{'me 401'} // 0, 0, 'rotated: nobody was refused') }
    diag sprintf '%s: %.0f requests a second, %d rotations, %d drops: %s', $what, $count / $took, scalar @rotated, scalar keys %dropped, join ', ', map { "$_: $tally{$_}" } sort keys %tally;
}

# At the same moment: one after the other, and one is the newest.
my $before = $s->sql('SELECT count(*) FROM auth.signing_keys');
my @kids = $s->parallel(8, sub { return (split /\n/, $s->sql('BEGIN; SELECT auth.rotate_signing_key(); SELECT pg_sleep(0.1); COMMIT'))[0] });
my %kids = map { $_ => 1 } @kids;
is(scalar(grep { /^[0-9a-f]{24}$/ } keys %kids), 8, '8 rotations at once: 8 keys');
is($s->sql('SELECT count(*) FILTER (WHERE is_active), count(*) FILTER (WHERE verifies_until IS NULL) FROM auth.signing_keys'), '1|1', 'one is the newest');
my $signs = kid($s->login('user1@example.com')->{access_token});
is($signs, $s->sql('SELECT kid FROM auth.signing_keys WHERE is_active'), 'and signs');
# Two snapshots that know nothing of each other.
my $one = $s->node->background_psql('auth_service', on_error_stop => 0);
$one->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$s->sql('SELECT auth.rotate_signing_key()');
my ($code, $out, $err) = (0, '', '');
($code, $out, $err) = $s->node->psql('auth_service', "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT auth.rotate_signing_key(); COMMIT");
is($code, 0, 'in a snapshot: a rotation');
$out = $one->query('SELECT auth.rotate_signing_key()') // '';
$one->quit;
is($s->sql('SELECT count(*) FROM auth.signing_keys WHERE is_active'), 1, 'in a snapshot from before others rotated: never two');
# A rotation that is not over holds nobody up, and one that rolled back was none.
$one = $s->node->background_psql('auth_service', on_error_stop => 0);
$one->query('BEGIN; SELECT auth.rotate_signing_key()');
my $began = time;
$signs = kid($s->login('user1@example.com')->{access_token});
cmp_ok(time - $began, '<', 2, 'a rotation that is not committed: logins go on');
is($signs, $s->sql('SELECT kid FROM auth.signing_keys WHERE is_active'), 'with the key before');
$one->query('ROLLBACK');
is(kid($s->login('user1@example.com')->{access_token}), $signs, 'rolled back: it still signs');
# A transaction that began before the drop.
$one->query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
my $token = $s->login('user1@example.com')->{access_token};
is($one->query("SELECT auth.verify_token('$token') IS NOT NULL"), 't', 'a transaction: a good token');
$s->sql("SELECT auth.rotate_signing_key(); SELECT auth.drop_signing_key('" . kid($token) . "')");
is($one->query("SELECT auth.verify_token('$token') IS NOT NULL"), 'f', 'its key is dropped: refused, also in a transaction that began before');
$one->query('COMMIT');
$one->quit;
# Everybody may ask for the public keys, so that costs little.
$s->sql("SELECT auth.rotate_signing_key('RS256') FROM generate_series(1, 10)");
$s->sql('SELECT auth.jwks()');
$began = time;
$s->sql('SELECT count(auth.jwks()) FROM generate_series(1, 100)');
cmp_ok(time - $began, '<', 2.5, 'jwks() of 10 RSA keys, 100 times');
# The clock is set back after the only key began to sign: it goes on, and rotation too.
$s->sql('BEGIN; SELECT auth.rotate_signing_key(); SELECT auth.drop_signing_key(kid) FROM auth.signing_keys WHERE NOT is_active; COMMIT');
$s->sql("UPDATE auth.signing_keys SET signs_from = signs_from + '1 hour', created_at = created_at + '1 hour'");
is(kid($s->login('user1@example.com')->{access_token}), $s->sql('SELECT kid FROM auth.signing_keys'), 'the clock is set back: logins go on');
my $next = $s->sql('SELECT auth.rotate_signing_key()');
is(kid($s->login('user1@example.com')->{access_token}), $next, 'so does rotation');
is($s->sql("SELECT count(*) FROM auth.signing_keys WHERE signs_from > now() AND signs_from < 'infinity'"), 0, 'and the key before does not sign again later');
done_testing();
