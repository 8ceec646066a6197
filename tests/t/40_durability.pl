# What was answered is there after a crash of the server, fsync on, even where the database does not
# wait for its commits by default; and what was ended stays ended.
use strict;
use warnings;
use AuthService;
use Test::More;
use Time::HiRes qw(sleep);

my $s = AuthService->start('durability', fsync => 1);
is($s->sql('SHOW fsync'), 'on', 'fsync is on');
$s->sql('ALTER DATABASE auth_service SET synchronous_commit = off');
$s->end_backends;
is($s->sql('SHOW synchronous_commit'), 'off', 'and commits are not waited for by default');
my (%dead, %alive);
foreach my $i (1 .. 10)
{
    $s->register("user$i\@example.com");
    my $pair = $s->login("user$i\@example.com");
    if ($i % 2) { $s->request('POST', '/auth/logout', token => $pair->{access_token}); $dead{$i} = $pair }
    else { $alive{$i} = $s->request('POST', '/auth/refresh', json => { refresh_token => $pair->{refresh_token} })->{json} }
}
# The moment after the last answer.  The server's processes outlive it for a moment, and a new server
# refuses to start beside them.
my @processes = split /\n/, $s->sql('SELECT pid FROM pg_stat_activity');
$s->node->kill9;
sleep 0.05 while grep { kill 0, $_ } @processes;
$s->node->start;
is($s->sql('SELECT count(*) FROM auth.users'), 10, 'every account is there');
foreach (sort keys %dead)
{
    is($s->request('GET', '/auth/me', token => $dead{$_}{access_token})->{status}, 401, "user $_: logged out");
    is($s->request('POST', '/auth/refresh', json => { refresh_token => $dead{$_}{refresh_token} })->{status}, 401, "user $_: and cannot refresh");
}
foreach (sort keys %alive)
{
    is($s->request('GET', '/auth/me', token => $alive{$_}{access_token})->{status}, 200, "user $_: logged in");
    is($s->request('POST', '/auth/refresh', json => { refresh_token => $alive{$_}{refresh_token} })->{status}, 200, "user $_: and can refresh");
}

# A dump keeps accounts, sessions and keys: restored elsewhere, living tokens live and dead ones are dead.
my $dump = "$PostgreSQL::Test::Utils::tmp_check/durability.sql";
$s->node->command_ok([ 'pg_dump', '--file', $dump, '--dbname', $s->node->connstr('auth_service') ], 'pg_dump');
my $other = AuthService->new('restored');
$other->node->safe_psql('postgres', 'CREATE DATABASE auth_service; CREATE ROLE auth_service_shim LOGIN');
$other->node->command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--file', $dump, '--dbname', $other->node->connstr('auth_service') ], 'restored into another server');
$other->shim;
my ($a) = sort keys %alive;
my ($d) = sort keys %dead;
is($other->request('GET', '/auth/me', token => $alive{$a}{access_token})->{status}, 200, 'restored: a living token lives');
is($other->request('GET', '/auth/me', token => $dead{$d}{access_token})->{status}, 401, 'restored: a dead one is dead');
cmp_ok($other->register('new@example.com'), '>', 10, 'restored: ids go on');
is($other->sql('SELECT count(*) FROM auth.signing_keys'), 1, 'restored: one key');
done_testing();
