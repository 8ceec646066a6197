# Races, with real processes that start at the same moment.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep);

my $s = AuthService->start('races', throttle => 0, arguments => [ '--pool-size=24', '--hash-slots=20' ]);

sub tally { my %n; $n{$_}++ foreach @_; return join ', ', map { "$n{$_} x $_" } sort keys %n }

# One e-mail, 20 at once: over HTTP, in SQL, and in SQL with a transaction that waits.
my @all = $s->parallel(20, sub {
    my $answer = $s->request('POST', '/auth/register', json => { email => $_[0] % 2 ? 'race@example.com' : 'RACE@Example.com', password => 'Secret123' });
    return "$answer->{status} " . ($answer->{json}{code} // '');
});
is(tally(@all), '1 x 200 , 19 x 400 U400A', 'register: 20 at once over HTTP');
sub psql { my ($statement) = @_; my ($out, $err) = ('', ''); $s->node->psql('auth_service', "\\set VERBOSITY sqlstate\n$statement", stdout => \$out, stderr => \$err); return "$out$err" =~ s/^psql:<stdin>:\d+: //mr }
@all = $s->parallel(20, sub { psql("BEGIN; SELECT 'id' FROM auth.register('race2\@example.com', 'Secret123'); COMMIT;") });
is(tally(@all), '19 x ERROR:  U400A, 1 x id', 'register: 20 at once in SQL');
is($s->sql("SELECT count(*) FROM auth.users WHERE email_normalized LIKE 'race%'"), 2, 'register: two accounts');
unlike($s->server_log, qr/duplicate key/, 'register: no unique violation was needed');

# First logins: one key.
$s->sql('TRUNCATE auth.signing_keys');
@all = $s->parallel(20, sub { return $s->login('race@example.com')->{token_type} // 'none' });
is(tally(@all), '20 x bearer', 'first logins: 20 at once');
is($s->sql('SELECT count(*), count(*) FILTER (WHERE is_active) FROM auth.signing_keys'), '1|1', 'first logins: one key');

# One refresh token, 32 at once: one successor, one step.
my $pair = $s->login('race@example.com');
@all = $s->parallel(32, sub { my $answer = $s->request('POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} }); return "$answer->{status} $answer->{json}{refresh_token}" });
my %distinct = map { $_ => 1 } @all;
is(scalar keys %distinct, 1, 'refresh: 32 at once get the same') or diag tally(@all);
like($all[0], qr/^200 /, 'refresh: a successor');
is($s->sql('SELECT max(refresh_counter) FROM auth.sessions'), 1, 'refresh: one step');

# Logins while the password changes, sessions are ended, or the account is blocked: none is left that
# was begun with what was true before.  Cost 8 makes the hash long enough to be overtaken.
$s->sql('ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 8');
$s->shim('--pool-size=24', '--hash-slots=20');
my $survivors = 0;
foreach my $round (1 .. 25)
{
    my ($old, $new) = $round % 2 ? ('Secret123', 'Changed123') : ('Changed123', 'Secret123');
    my @tokens = $s->parallel(9, sub {
        if ($_[0] == 5)
        {
            return $s->request('POST', '/auth/change-password', json => { email => 'race@example.com', old_password => $old, new_password => $new })->{status};
        }
        # The change hashes twice: who begins while it does so has read the old hash and comes in after it.
        srand($round * 100 + $_[0]);
        sleep rand 0.08;
        return $s->login('race@example.com', $old)->{access_token} // 'none';
    });
    is($tokens[4], 200, "round $round: the password is changed");
    foreach my $token (grep { length > 100 } @tokens)
    {
        $survivors++ if $s->request('GET', '/auth/me', token => $token)->{status} == 200;
    }
    $survivors += $s->sql('SELECT count(*) FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id WHERE s.created_at < u.updated_at AND u.email_normalized = \'race@example.com\'');
}
is($survivors, 0, 'change_password during logins: no session with the old password survives');

$survivors = 0;
foreach my $round (1 .. 10)
{
    my $token = $s->login('race2@example.com')->{access_token};
    my @tokens = $s->parallel(9, sub {
        return $s->request('POST', '/auth/logout-all', token => $token)->{status} if $_[0] == 5;
        my $p = $s->login('race2@example.com');
        return $p->{refresh_token} ? $s->request('POST', '/auth/refresh', json => { refresh_token => $p->{refresh_token} })->{status} : 'none';
    });
    $survivors++ if $s->request('GET', '/auth/me', token => $token)->{status} != 401;
    $survivors++ if grep { !/^(200|401)$/ } @tokens;
}
is($survivors, 0, 'logout-all during logins and refreshes: 200 or 401, and the session that asked is gone');

# In a transaction with an older snapshot: the change fails rather than overlook a new session.
my $change = $s->node->background_psql('auth_service', on_error_stop => 0);
$change->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
my $login = $s->login('race2@example.com');
my $result = $change->query("SELECT auth.change_password('race2\@example.com', 'Secret123', 'Changed123')");
$change->query('COMMIT');
$change->quit;
my $alive = $s->request('GET', '/auth/me', token => $login->{access_token})->{status} == 200;
my $changed = $s->login('race2@example.com', 'Changed123')->{access_token} ? 1 : 0;
ok(!($alive && $changed), 'change_password with an older snapshot: never both, the new password and the old session');

is($s->sql("SELECT deadlocks FROM pg_stat_database WHERE datname = 'auth_service'"), 0, 'no deadlock');
done_testing();
