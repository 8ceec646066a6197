# A dump has the keys of a pair, those that are to come too; one of version 1.1, whose tables have fewer columns, is
# restored with this version, and its key signs.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->start('keys_restored');
$s->register('ann@example.com');
$s->sql("SELECT auth.rotate_signing_key('ES256')");
my $es256 = $s->login('ann@example.com');
$s->sql("SELECT auth.rotate_signing_key('RS256', '1 hour')");
my $dump = "$PostgreSQL::Test::Utils::tmp_check/keys";
sub move
{
    my ($from, $to) = @_;
    $s->node->command_ok([ 'pg_dump', '--format=custom', '--file', "$dump.$from", '--dbname', $s->node->connstr($from) ], "$from: dumped");
    $s->node->safe_psql('postgres', "CREATE DATABASE $to");
    $s->node->command_ok([ 'pg_restore', '--exit-on-error', '--dbname', $s->node->connstr($to), "$dump.$from" ], "$to: restored");
}
move('auth_service', 'restored');
$s->node->safe_psql('postgres', 'CREATE DATABASE older');
$s->node->safe_psql('older', "SET client_min_messages = warning; CREATE EXTENSION auth_service VERSION '1.1' CASCADE;
    INSERT INTO auth.signing_keys (kid, algorithm, secret, is_active, created_at) VALUES ('k', 'HS256', decode(repeat('ab', 32), 'hex'), true, now());
    INSERT INTO auth.users (email, email_normalized, password_hash, created_at, updated_at)
    VALUES ('ann\@example.com', 'ann\@example.com', '\$2a\$' || substr(crypt('Secret123', gen_salt('bf', 4)), 5), now(), now())");
move('older', 'newer');
is($s->node->safe_psql('newer', "SELECT access_token AS a FROM auth.login('ann\@example.com', 'Secret123') \\gset\nSELECT auth.verify_token(:'a')->>'sub'; SELECT kid, signs_from FROM auth.signing_keys"),
    "1\nk|-infinity", 'the key of 1.1 signs');
$s->{database} = 'restored';
$s->shim;
is($s->request('GET', '/users/me', token => $es256->{access_token})->{status}, 200, 'a token of ES256 is good');
is($s->sql("SELECT jsonb_array_length(auth.jwks()->'keys')"), 2, 'the key that is to come is published');
done_testing();
