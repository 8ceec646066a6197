# What the server logs by default of calls with literals: our errors take no statement along.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->new('log', conf => "log_statement = none\nlog_min_messages = info\nlog_error_verbosity = verbose\n");
$s->command('init-db');
$s->sql("SELECT auth.register('ann\@example.com', 'Secret123')");
sub fails { my ($statement, $sqlstate) = @_; my $err = ''; $s->node->psql('auth_service', "\\set VERBOSITY sqlstate\n$statement", stderr => \$err); like($err, qr/ERROR:  $sqlstate/, "$sqlstate: raised") }
fails("SELECT auth.register('ann\@example.com', 'Sesame9Xyzzy')", 'U400A');
fails("SELECT auth.register('no mail', 'Sesame9Xyzzy')", 'U422B');
fails("SELECT auth.register('b\@example.com', 'Sesame')", 'U422C');
fails("SELECT auth.change_password('ann\@example.com', 'Sesame9Xyzzy', 'Sesame')", 'U422C');
fails("SELECT auth.authenticate('Sesame')", 'U401B');
fails("DO \$\$ BEGIN PERFORM auth.register('ann\@example.com', 'Sesame9Xyzzy'); END \$\$", 'U400A');
fails("SELECT auth._arguments('{\"password\":\"Sesame', 'password')", 'U422A');
fails("SELECT auth._arguments('{\"password\":\"Sesame\\u0000\"}', 'password')", 'U422A');
$s->sql("UPDATE auth.users SET blocked_at = now()");
fails("SELECT auth.login('ann\@example.com', 'Secret123')", 'U403A');
# A hook's refusal is the application's error, in the middle of our statement.
$s->sql("CREATE ROLE regress_app; CREATE SCHEMA app AUTHORIZATION regress_app; SET ROLE regress_app;
    CREATE FUNCTION app.no(event jsonb) RETURNS void LANGUAGE plpgsql AS \$\$BEGIN RAISE NOTICE 'a word on it'; RAISE EXCEPTION 'not today'; END\$\$;
    RESET ROLE; SELECT auth.set_hook('register', 'app.no(jsonb)')");
fails("SELECT auth.register('c\@example.com', 'Sesame9Xyzzy')", 'P0001');
fails("DO \$\$ BEGIN PERFORM auth.register('c\@example.com', 'Sesame9Xyzzy'); END \$\$", 'P0001');
$s->sql('DROP FUNCTION app.no');
fails("SELECT auth.register('c\@example.com', 'Sesame9Xyzzy')", '55000');
my $log = $s->server_log;
like($log, qr/ERROR:  P0001: not today/, 'a hook\'s refusal is there');
like($log, qr/ERROR:  U400A: A user with this email already exists/, 'the log has the errors');
unlike($log, qr/Sesame/, 'and no password');
unlike($log, qr/Secret123/, 'nor the right one');
done_testing();
