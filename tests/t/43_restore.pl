# A dump, restored in every way that pg_restore knows, is the whole database: rows, sequences, rights; and
# it goes on from there.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->start('restore');
my @pairs = map { $s->register("user$_\@example.com"); $s->login("user$_\@example.com") } 1 .. 20;
foreach my $pair (@pairs)
{
    $s->request('PUT', '/users/balance', token => $pair->{access_token}, json => { amount => 10 }, headers => { 'Idempotency-Key' => 'k' }) foreach 1 .. 2;
}
$s->sql('INSERT INTO auth.users (email, email_normalized, created_at, updated_at) SELECT e, e, now(), now() FROM (SELECT i || \'@bulk.example\' FROM generate_series(1, 5000) i) x (e)');
# Keys of a pair, one of them yet to sign.
$s->sql("SELECT auth.rotate_signing_key('ES256')");
my $es256 = $s->login('user1@example.com');
$s->sql("SELECT auth.rotate_signing_key('RS256', '1 hour')");
my $rows = q(SELECT string_agg(t || ' ' || n || ' ' || h, E'\n' ORDER BY t) FROM (
    SELECT 'users' t, count(*) n, md5(string_agg(x::text, '' ORDER BY id)) h FROM auth.users x UNION ALL SELECT 'sessions', count(*), md5(string_agg(x::text, '' ORDER BY id)) FROM auth.sessions x
    UNION ALL SELECT 'keys', count(*), md5(string_agg(x::text, '' ORDER BY kid)) FROM auth.signing_keys x UNION ALL SELECT 'entries', count(*), md5(string_agg(x::text, '' ORDER BY user_id, number)) FROM auth.balance_entries x
    UNION ALL SELECT 'audit', count(*), md5(string_agg(x::text, '' ORDER BY id)) FROM auth.audit_log x UNION ALL SELECT 'ids', last_value, '' FROM auth.users_id_seq UNION ALL SELECT 'audit ids', last_value, '' FROM auth.audit_log_id_seq
    UNION ALL SELECT 'rights', count(*), md5(string_agg(proname || proacl::text, '' ORDER BY oid::regprocedure::text)) FROM pg_proc WHERE pronamespace = 'auth'::regnamespace) x);
my $whole = $s->sql($rows);
like($whole, qr/^entries 20 /m, 'there is something to restore');
my $dump = "$PostgreSQL::Test::Utils::tmp_check/restore";
foreach my $way ([ 'custom', '' ], map { [ 'custom', "--jobs=4", $_ ] } 1 .. 4)
{
    my ($format, $jobs, $round) = @$way;
    my $name = 'restored' . ($round // '');
    $s->node->command_ok([ 'pg_dump', "--format=$format", '--file', "$dump.$name", '--dbname', $s->node->connstr('auth_service') ], "$name: dumped");
    $s->node->safe_psql('postgres', "CREATE DATABASE $name");
    $s->node->command_ok([ 'pg_restore', '--exit-on-error', ($jobs ? $jobs : ()), '--dbname', $s->node->connstr($name), "$dump.$name" ], "$name: restored $jobs");
    is($s->node->safe_psql($name, $rows), $whole, "$name: everything is there");
}
$s->{database} = 'restored1';
$s->sql("ALTER DATABASE restored1 SET auth_service.bcrypt_cost = 4");
$s->shim;
is($s->request('PUT', '/users/balance', token => $pairs[3]{access_token}, json => { amount => 10 }, headers => { 'Idempotency-Key' => 'k' })->{json}{new_balance}, 10, 'restored: a token lives, and its key counts once');
is($s->register('next@example.com'), 5021, 'restored: ids go on');
is($s->request('GET', '/users/me', token => $es256->{access_token})->{status}, 200, 'restored: a token of ES256');
is($s->sql("SELECT jsonb_array_length(auth.jwks()->'keys')"), 2, 'restored: the key that is to come');

# A dump of the version before, whose tables have fewer columns.
$s->node->safe_psql('postgres', 'CREATE DATABASE older; CREATE DATABASE newer');
$s->node->safe_psql('older', "SET client_min_messages = warning; CREATE EXTENSION auth_service VERSION '1.1' CASCADE;
    INSERT INTO auth.signing_keys (kid, algorithm, secret, is_active, created_at) VALUES ('k', 'HS256', decode(repeat('ab', 32), 'hex'), true, now());
    INSERT INTO auth.users (email, email_normalized, password_hash, created_at, updated_at)
    VALUES ('ann\@example.com', 'ann\@example.com', '\$2a\$' || substr(crypt('Secret123', gen_salt('bf', 4)), 5), now(), now())");
$s->node->command_ok([ 'pg_dump', '--format=custom', '--file', "$dump.older", '--dbname', $s->node->connstr('older') ], 'a dump of 1.1');
$s->node->command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $s->node->connstr('newer'), "$dump.older" ], 'is restored with this version');
is($s->node->safe_psql('newer', "SELECT access_token AS a FROM auth.login('ann\@example.com', 'Secret123') \\gset\nSELECT auth.verify_token(:'a')->>'sub'; SELECT kid, signs_from FROM auth.signing_keys"),
    "1\nk|-infinity", 'and its key signs');
done_testing();
