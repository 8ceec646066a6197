# auto_explain prints nested statements, and from PostgreSQL 16 on their parameters too: hashes and keys
# get neither into the log nor to the caller.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->new('explain', conf => "session_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0\nauto_explain.log_nested_statements = on\n");
$s->command('init-db');
$s->node->safe_psql('postgres', 'CREATE ROLE regress_27_app LOGIN');
$s->sql("SELECT auth.allow_api('regress_27_app'); ALTER DATABASE auth_service SET auth_service.bcrypt_cost = 4");
my ($status, $out, $err) = $s->node->psql('auth_service', <<'SQL');
SET ROLE regress_27_app; SET client_min_messages = log;
SELECT auth.register('ann@example.com', 'Secret123');
SELECT auth.login('ann@example.com', 'Secret123') IS NOT NULL;
SELECT 'a statement of the caller''s own';
SQL
like($out, qr/^t$/m, 'a login');
like($err, qr/duration: .*plan/, 'auto_explain is on');
my $hash = $s->sql('SELECT password_hash FROM auth.users');
my $secret = $s->sql("SELECT encode(secret, 'hex') FROM auth.signing_keys");
my $refresh_key = $s->sql("SELECT encode(refresh_key, 'hex') FROM auth.sessions");
foreach ([ 'the caller', $err ], [ 'the log', $s->server_log ])
{
    my ($where, $text) = @$_;
    # What this test itself asks for is not in there: its statements have no parameters, and answers are not printed.
    is(scalar(grep { index($text, $_) >= 0 } $hash, $secret, $refresh_key), 0, "$where: neither hash nor keys");
}
is($s->sql('SHOW auto_explain.log_min_duration'), '0', 'the settings are as they were');
my $length = $s->node->safe_psql('auth_service', "SELECT auth.verify_token('x'); SELECT current_setting('auto_explain.log_parameter_max_length', true)");
like($length, qr/^\n?(-1)?$/, 'and so is the one that we change') or diag $length;
done_testing();
