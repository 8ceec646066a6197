# The command: help, options, environment, and what init-db, create-admin and drop-db do.
use strict;
use warnings;
use AuthService;
use PostgreSQL::Test::Utils;
use Test::More;

my $s = AuthService->new('command');

# Runs the command with more environment.
sub run_with { my ($environment, @arguments) = @_; local %ENV = (%ENV, %$environment); return $s->command(@arguments) }

my ($version) = slurp_file('auth_service.control') =~ /^default_version = '(.*)'/m;
my ($status, $out, $err) = $s->command('--version');
is("$status $out", "0 auth-service $version\n", '--version');
($status, $out, $err) = $s->command('--help');
is("$status$err", '0', '--help');
like($out, qr/--$_/, "--help: lists --$_") foreach qw(host port threads max-body database-url pool-size hash-slots yes);
like($out, qr/\b$_\b/, "--help: lists $_")
  foreach qw(POSTGRES_HOST POSTGRES_PORT POSTGRES_DB POSTGRES_USER POSTGRES_PASSWORD ACCESS_TOKEN_EXPIRE_MINUTES REFRESH_TOKEN_EXPIRE_DAYS AUTH_SERVICE_PORT);
unlike($out, qr/--[a-z-]*password/, '--help: no option takes a password');

foreach (
    [ [], 2, qr/a command is missing/ ], [ ['dance'], 2, qr/unknown command "dance"/ ], [ [ 'serve', '--nope' ], 2, qr/unknown option --nope/ ],
    [ [ 'serve', '--port' ], 2, qr/option --port needs a value/ ], [ [ 'serve', '--port=x' ], 2, qr/--port \(AUTH_SERVICE_PORT\) takes a number from 1 to 65535, not "x"/ ],
    [ [ 'serve', '--port=0' ], 2, qr/--port .* takes/ ], [ [ 'serve', '--port=65536' ], 2, qr/--port .* takes/ ], [ [ 'serve', '--port=' ], 2, qr/--port .* takes/ ],
    [ [ 'drop-db', '--yes=no' ], 2, qr/option --yes=no takes no value/ ], [ [ 'serve', 'more' ], 2, qr/unexpected argument "more"/ ], [ ['create-admin'], 2, qr/create-admin needs an e-mail/ ],
    (map { [ [ 'serve', "--rpc-schema=$_" ], 2, qr/--rpc-schema takes a schema of the application's, not "\Q$_\E"/ ] } '', qw(auth pg_catalog pg_temp information_schema)),
    [ [ 'serve', '--host=nowhere.invalid' ], 1, qr/--host takes an IPv4 address, not "nowhere.invalid"/ ],
    [ [ 'serve', '--host=::1' ], 1, qr/--host takes an IPv4 address, not "::1"/ ],
    [ [ 'serve', '--database-url=postgresql://u:Sesame\@h/db' ], 2, qr/no password in --database-url/ ],
    [ [ 'serve', '--database-url=mysql://u:Sesame\@h/db' ], 2, qr/the database URL is no connection string/ ],
    [ [ 'serve', '--database-url=Sesame' ], 2, qr/the database URL is no connection string/ ],
    (map { [ [ @$_, '--database-host=/nonexistent' ], 1, qr/cannot connect: connection to server on socket.*\nauth-service: hint: host, port and role come from --database-url.* else from PGHOST.*; of "make run": set -a; \. \.run\/env/ ] } ['init-db'], [ 'drop-db', '--yes' ]))
{
    my ($arguments, $wanted, $message) = @$_;
    ($status, $out, $err) = $s->command(@$arguments);
    is("$status$out", $wanted, "'@$arguments': status $wanted, nothing on standard output");
    like($err, qr/^auth-service: $message.*\n\z/, "'@$arguments': says so") or diag $err;
    unlike($err, qr/Sesame/, "'@$arguments': without a password");
}

# init-db makes what is missing, and can be run again.
($status, $out, $err) = $s->command('init-db');
is("$status$err", '0', 'init-db') or diag $err;
is($out, "made database auth_service\nmade extension auth_service\nmade role auth_service_shim\nmade role auth_service_anonymous\n", 'init-db: says what it made');
($status, $out, $err) = $s->command('init-db', '--shim-role=' . getpwuid($<));
like("$status$out$err", qr/^1auth-service: error: role ".*" has powers that the front must not have\n\z/, 'init-db: a superuser cannot be the role of the front');
$s->sql('CREATE ROLE mighty LOGIN IN ROLE pg_read_all_data');
($status, $out, $err) = $s->command('init-db', '--shim-role=mighty');
is($status, 1, 'init-db: nor who reads our tables by membership');
($status, $out, $err) = $s->command('init-db');
is("$status$out$err", '0', 'init-db again: nothing to do');
is($s->sql("SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = 'auth_service_shim'"),
    't|f|f|f|f|f', 'init-db: a role with no powers');
is($s->sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r' AND has_table_privilege('auth_service_shim', oid, 'SELECT,INSERT,UPDATE,DELETE')"),
    0, 'init-db: that reads no table');
is($s->sql("SELECT auth.verify_token('x') IS NULL", 'auth_service_shim'), 't', 'init-db: but may call the API');
my $settings = $s->sql("SELECT array_to_string(setconfig, ';') FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole WHERE rolname = 'auth_service_shim'");
like($settings, qr/\Q$_\E/, "init-db: $_ for that role")
  foreach 'log_parameter_max_length=0', 'log_parameter_max_length_on_error=0', 'statement_timeout=', 'search_path=pg_catalog', 'TimeZone=UTC';

is($s->sql("SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = 'auth_service_anonymous'"),
    'f|f|f|f|f|f', 'init-db: the anonymous role cannot even log in');
is($s->sql("SELECT pg_has_role('auth_service_shim', 'auth_service_anonymous', 'MEMBER'), pg_has_role('auth_service_anonymous', 'auth_service_shim', 'MEMBER')"),
    't|f', 'init-db: the front may become it, and not the other way round');
is($s->sql("SELECT count(*) FROM pg_proc WHERE pronamespace = 'auth'::regnamespace AND has_function_privilege('auth_service_anonymous', oid, 'EXECUTE')"),
    3, 'init-db: and it may call uid, role and jwt alone');
($status, $out, $err) = $s->command('init-db', '--rpc-schema=My "api"');
is("$status$out$err", "0there is no schema My \"api\" yet: run init-db again when it is there\n", 'init-db: a schema of functions that is not there');
$s->sql('CREATE SCHEMA "My ""api"""');
($status, $out, $err) = $s->command('init-db', '--rpc-schema=My "api"');
is("$status$out$err", "0opened schema My \"api\" to both roles\n", 'init-db: one that is there');
($status, $out, $err) = $s->command('init-db', '--rpc-schema=My "api"');
is("$status$out$err", '0', 'init-db: once');
is($s->sql(q(SELECT string_agg(r || has_schema_privilege(r, 'My "api"', 'USAGE') || has_schema_privilege(r, 'My "api"', 'CREATE'), ' ' ORDER BY r) FROM unnest('{auth_service_shim,auth_service_anonymous}'::text[]) r)),
    'auth_service_anonymoustruefalse auth_service_shimtruefalse', 'init-db: to use it, no more');
($status, $out, $err) = $s->command('init-db', '--rpc-anonymous-role=mighty');
is($status, 1, 'init-db: strangers do not get a role that reads our tables');

# No anonymous role at all.
$s->sql('CREATE ROLE only_shim LOGIN; CREATE SCHEMA only_api');
($status, $out, $err) = $s->command('init-db', '--shim-role=only_shim', '--rpc-anonymous-role=', '--rpc-schema=only_api');
is("$status$out$err", "0opened schema only_api to both roles\n", 'init-db: an empty name for the anonymous role: there is none') or diag $err;
is($s->sql("SELECT count(*) FROM pg_auth_members WHERE member = 'only_shim'::regrole"), 0, 'init-db: and the front is no other role');

# serve is no superuser's: no policy would bind the application's functions.
{
    my $superuser = $s->node->safe_psql('postgres', 'SELECT current_user');
    $s->shim("--database-user=$superuser");
    my $answer = $s->{http}->get("http://127.0.0.1:$s->{port}/health/ready");
    is($answer->{status}, 503, 'serve: not as a superuser');
    like($s->shim_log, qr/the role is a superuser; serve connects as the one that init-db made/, 'serve: and says why');
    $s->stop_shim;
}

# The environment of the service before us, and names that need quotes.
($status, $out, $err) = run_with({ POSTGRES_DB => 'My "db"; x', POSTGRES_HOST => $s->node->host, POSTGRES_PORT => $s->node->port,
        ACCESS_TOKEN_EXPIRE_MINUTES => 30, REFRESH_TOKEN_EXPIRE_DAYS => 7, AUTH_SERVICE_SHIM_ROLE => 'my "shim"', AUTH_SERVICE_SHIM_PASSWORD => 'it\'s "secret"' }, 'init-db');
is("$status$err", '0', 'init-db: by environment') or diag $err;
is($s->node->safe_psql('My "db"; x', "SELECT current_setting('auth_service.access_token_ttl'), current_setting('auth_service.refresh_token_ttl') FROM (SELECT auth.uid()) x"),
    '30min|7d', 'init-db: lifetimes are settings of the database');
like($s->sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'my \"shim\"'"), qr/^SCRAM-SHA-256\$/, 'init-db: the password is hashed');
unlike($s->server_log, qr/secret"/, 'init-db: and was never seen by the server');
($status, $out, $err) = run_with({ ACCESS_TOKEN_EXPIRE_MINUTES => 'soon' }, 'init-db');
like("$status $err", qr/^2 auth-service: --access-token-minutes \(ACCESS_TOKEN_EXPIRE_MINUTES\) takes a number/, 'a bad value in the environment');

# A connection string of SQLAlchemy's, as the service before us had it; only in the environment with a password.
($status, $out, $err) = run_with({ DATABASE_URL => 'postgresql+asyncpg://' . getpwuid($<) . ':Sesame@/auth_service?host=' . $s->node->host, PGDATABASE => 'nowhere' }, 'init-db');
is("$status$out$err", '0', 'init-db: by DATABASE_URL') or diag $err;
($status, $out, $err) = run_with({ DATABASE_URL => "host=" . $s->node->host . " port=" . $s->node->port . " password='a+b://c' dbname=auth_service" }, 'init-db');
is("$status$out$err", '0', 'init-db: by a connection string with "://" in its password') or diag $err;

# create-admin.
($status, $out, $err) = $s->command(\"Sesame9Xyzzy\r\n", 'create-admin', 'first@example.com');
is($status, 0, 'create-admin: a line that ends as on Windows');
unlike($s->server_log, qr/Sesame9/, 'create-admin: the server logs no password');
is($s->sql("DELETE FROM auth.users; ALTER SEQUENCE auth.users_id_seq RESTART; SELECT 1"), 1, 'create-admin: anew');
($status, $out, $err) = $s->command(\"Secret123\n", 'create-admin', 'root@example.com');
is("$status$out$err", "0made admin root\@example.com with id 1\n", 'create-admin') or diag $err;
is($s->sql("SELECT role, (auth.login('root\@example.com', 'Secret123')).token_type FROM auth.users"), 'admin|bearer', 'create-admin: an admin who can log in');
foreach ([ "Secret123\n", 'root@example.com', qr/^auth-service: error: A user with this email already exists/ ],
    [ "short\n", 'new@example.com', qr/^auth-service: error: password: Password must have at least 8 characters\nauth-service: error: password: Password must contain an upper-case letter\n/ ],
    [ "Secret123\n", 'no mail', qr/^auth-service: error: email: value is not a valid email address\n\z/ ], [ '', 'new@example.com', qr/^auth-service: no password on standard input/ ])
{
    ($status, $out, $err) = $s->command(\$_->[0], 'create-admin', $_->[1]);
    is("$status$out", '1', "create-admin: refused");
    like($err, $_->[2], 'create-admin: tells why');
    unlike($err, qr/short|Secret123/, 'create-admin: without the password');
}
is($s->sql('SELECT count(*) FROM auth.users'), 1, 'create-admin: a refusal leaves no account');
($status, $out, $err) = $s->command(\"Secret123\n", 'create-admin', 'new@example.com', '--database-port=1');
like("$status$out$err", qr/^1auth-service: cannot connect: .*\nauth-service: hint: host, port and role come from .*\n\z/, 'create-admin: nobody there') or diag $err;

# drop-db.
($status, $out, $err) = $s->command(\"no\n", 'drop-db');
is("$status$out", '1', 'drop-db: asks');
like($err, qr/Type its name: auth-service: nothing was dropped\n/, 'drop-db: and drops nothing');
($status, $out, $err) = $s->command('drop-db', '--yes');
is("$status$out$err", "0dropped database auth_service\ndropped role auth_service_shim\n", 'drop-db --yes: not the anonymous role, which another database has') or diag $err;
($status, $out, $err) = run_with({ POSTGRES_DB => 'My "db"; x' }, 'drop-db', '--yes', '--shim-role=my "shim"');
is("$status$out$err", "0dropped database My \"db\"; x\ndropped role my \"shim\"\ndropped role auth_service_anonymous\n", 'drop-db --yes: but with the last one') or diag $err;
($status, $out, $err) = $s->command('drop-db', '--yes');
like("$status $err", qr/^1 auth-service: error: database "auth_service" does not exist\n/, 'drop-db: twice');
done_testing();
