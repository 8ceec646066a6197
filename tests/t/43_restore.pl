# A dump, restored in every way that docs/backup.md names, into a cluster whose superuser has another name, is
# the whole database: rows, sequences, rights and settings; living tokens live, dead ones are dead, no trigger
# fires, and it goes on from there.
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
my ($dead, $live) = @pairs;
$s->request('POST', '/auth/logout', token => $dead->{access_token});
$s->sql(<<'SQL');
INSERT INTO auth.hooks VALUES ('delete', 'app', 'fire');
SELECT auth.block_user(3); SELECT auth.set_role(4, 'admin');
INSERT INTO auth.users (email, email_normalized, created_at, updated_at) SELECT e, e, now(), now() FROM (SELECT i || '@bulk.example' FROM generate_series(1, 5000) i) x (e);
-- An application: a schema that sorts before ours and points to it, a policy, a trigger on our table.
CREATE SCHEMA app; CREATE TABLE app.notes (owner bigint NOT NULL REFERENCES auth.users, note text);
INSERT INTO app.notes SELECT id, 'note' FROM auth.users;
ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON app.notes USING (owner = auth.uid());
CREATE TABLE app.fired (what text);
CREATE FUNCTION app.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO app.fired VALUES (tg_op); RETURN new; END';
CREATE TRIGGER fire AFTER INSERT ON app.notes FOR EACH ROW EXECUTE FUNCTION app.fire();
ALTER TABLE app.notes ENABLE ALWAYS TRIGGER fire;
CREATE ROLE regress_reports; GRANT SELECT ON auth.users TO regress_reports;
ALTER DATABASE auth_service SET auth_service.issuer = 'somebody'; ALTER ROLE regress_reports IN DATABASE auth_service SET auth_service.password_min_length = 20
SQL
# A token of the issuer that is a setting, too.
$s->stop_shim;
$s->shim;
$live = $s->login('user2@example.com');

my $rows = q(SELECT string_agg(t || ' ' || n || ' ' || h, E'\n' ORDER BY t) FROM (
    SELECT 'users' t, count(*) n, md5(string_agg(x::text, '' ORDER BY id)) h FROM auth.users x UNION ALL SELECT 'sessions', count(*), md5(string_agg(x::text, '' ORDER BY id)) FROM auth.sessions x
    UNION ALL SELECT 'keys', count(*), md5(string_agg(x::text, '' ORDER BY kid)) FROM auth.signing_keys x UNION ALL SELECT 'entries', count(*), md5(string_agg(x::text, '' ORDER BY user_id, number)) FROM auth.balance_entries x
    UNION ALL SELECT 'audit', count(*), md5(string_agg(x::text, '' ORDER BY id)) FROM auth.audit_log x UNION ALL SELECT 'hooks', count(*), md5(string_agg(x::text, '' ORDER BY event)) FROM auth.hooks x UNION ALL SELECT 'ids', last_value, is_called::text FROM auth.users_id_seq UNION ALL SELECT 'audit ids', last_value, is_called::text FROM auth.audit_log_id_seq) x);
my $application = q(SELECT (SELECT count(*) FROM app.notes) || ' ' || (SELECT count(*) FROM app.fired) || ' ' || (SELECT count(*) FROM pg_policy));
# Of roles other than the owner, whose name differs.
my $rights = q(SELECT string_agg(o || ' ' || a.acl, E'\n' ORDER BY o) FROM (
    SELECT oid::regprocedure::text o, proacl acl, proowner owner FROM pg_proc WHERE pronamespace = 'auth'::regnamespace
    UNION ALL SELECT oid::regclass::text, relacl, relowner FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind IN ('r', 'S')
    UNION ALL SELECT nspname::text, nspacl, nspowner FROM pg_namespace WHERE nspname = 'auth') x,
    LATERAL (SELECT string_agg(privilege_type || ' ' || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, ',' ORDER BY 1) FROM aclexplode(x.acl) a WHERE a.grantee <> owner AND pg_get_userbyid(a.grantee) NOT IN ('postgres', 'boss')) a (acl));
my $settings = q(SELECT string_agg(concat_ws(' ', setrole::regrole, setconfig), E'\n' ORDER BY setrole::regrole::text) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()));
my %whole = map { $_ => $s->sql($_) } $rows, $application, $rights, $settings;
like($whole{$rows}, qr/^entries 20 /m, 'there is something to restore');
$whole{$application} =~ /^5020 (\d+) 1$/ or die $whole{$application};

# The other cluster: its superuser is "boss"; of the roles it knows what pg_dumpall --roles-only says, or none.
my $target = PostgreSQL::Test::Cluster->new('target');
$target->init(extra => [ '--username', 'boss' ]);
$target->append_conf('postgresql.conf', "$ENV{AUTH_SERVICE_STAGE_CONF}\nfsync = off\nmax_connections = 50\n");
$target->start;
my $dir = "$PostgreSQL::Test::Utils::tmp_check/restore";
mkdir $dir;
sub on
{
    my ($node, $user, @command) = @_;
    local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => $user, PGDATABASE => 'postgres');
    my ($out, $err) = ('', '');
    IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err);
    return ($? >> 8, $out, $err);
}
my $me = getpwuid $<;
sub dump_it { my ($status, undef, $err) = on($s->node, $me, @_); is("$status $err", '0 ', join(' ', map { s/^\Q$dir\E.//r } @_)); return }
sub boss { my ($database, $sql) = @_; my ($status, $out, $err) = on($target, 'boss', 'psql', '--no-psqlrc', '-qAtd', $database, '-v', 'ON_ERROR_STOP=1', '-c', $sql); chomp $out; return $status ? "ERROR $err" : $out }

# Each way: what is dumped with, what is done before, how it is restored, and what is not the whole: rights (R),
# settings (S), the application's tables (A).
my @psql = ('psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--single-transaction', '--output=/dev/null');
my @once = ('pg_restore', '--exit-on-error', '--single-transaction');
my @jobs = ('pg_restore', '--exit-on-error', '--jobs=4', 'SECTIONS');
my $install = 'SET client_min_messages = warning; CREATE EXTENSION auth_service CASCADE';
my @ours = ('--schema=auth', map { "--extension=$_" } qw(pgcrypto auth_service));
my @ways = (
    [ 'no owner, no privileges', [ '--format=custom' ], '', [ @once, '--no-owner', '--no-privileges' ], 'RS' ],
    [ 'the accounts alone, no privileges', [ '--format=custom', @ours ], '', [ @once, '--no-owner', '--no-privileges' ], 'RSA' ],
    'roles',
    [ 'plain', [ '--format=plain' ], '', [ @psql ], 'S' ],
    [ 'plain, as INSERTs', [ '--format=plain', '--column-inserts', '--rows-per-insert=500' ], '', [ @psql ], 'S' ],
    [ 'custom', [ '--format=custom' ], '', [ @once ], 'S' ],
    [ 'tar', [ '--format=tar' ], '', [ @once, '--no-owner' ], 'S' ],
    # Not in one go: pg_restore does not know that a foreign key to a table of an extension's waits for that table's rows.
    (map { [ "custom, four at a time ($_)", [ '--format=custom' ], '', [ @jobs ], 'S' ] } 1 .. 3),
    [ 'directory, four at a time', [ '--format=directory', '--jobs=2' ], '', [ @jobs ], 'S' ],
    [ 'the accounts alone, four at a time', [ '--format=directory', '--jobs=2', @ours ], '', [ 'pg_restore', '--exit-on-error', '--jobs=4' ], 'SA' ],
    [ 'the accounts alone', [ '--format=custom', @ours ], '', [ @once ], 'SA' ],
    [ 'the accounts alone, plain', [ '--format=plain', @ours ], '', [ @psql ], 'SA' ],
    [ 'data only', [ '--format=custom', '--data-only', '--schema=auth' ], $install, [ @once ], 'RSA' ],
    [ 'data only, plain', [ '--format=plain', '--data-only', '--schema=auth' ], $install, [ @psql ], 'RSA' ],
    [ 'data only of a whole dump', [ '--format=custom' ], $install, [ @once, '--data-only', '--schema=auth' ], 'RSA' ],
    [ 'the schema alone', [ '--format=custom', '--schema=auth' ], $install, [ @once, '--data-only' ], 'RSA' ],
    [ 'data only, over the definitions', [ '--format=custom' ], 'DEFINITIONS', [ @once, '--data-only', '--disable-triggers' ], 'S' ],
    [ 'cleaned before', [ '--format=custom' ], "$install; CREATE SCHEMA app; SELECT auth.register('late\@example.com', 'Secret123')", [ @once, '--clean', '--if-exists' ], 'S', '-c auth_service.allow_drop=on' ],
);
my $number = 0;
foreach my $way (@ways)
{
    if ($way eq 'roles')
    {
        dump_it('pg_dumpall', '--roles-only', '--file', "$dir/roles");
        # Of another first superuser, as docs/backup.md has it.
        PostgreSQL::Test::Utils::system_or_bail('sed', '-i', '/^GRANT/s/ GRANTED BY [^;]*//', "$dir/roles");
        is((on($target, 'boss', 'psql', '--no-psqlrc', '-qv', 'ON_ERROR_STOP=1', '-f', "$dir/roles"))[2], '', 'the roles');
        next;
    }
    my ($name, $dump, $before, $restore, $not, $options) = @$way;
    my $database = 'way' . ++$number;
    dump_it('pg_dump', @$dump, '--file', "$dir/$database", 'auth_service');
    boss('postgres', "CREATE DATABASE $database");
    is($before eq 'DEFINITIONS' ? join('', (on($target, 'boss', @once, '--schema-only', '--dbname', $database, "$dir/$database"))[ 1, 2 ]) : boss($database, $before) =~ s/^\d*$//r, '', "$name: prepared") if $before;
    foreach my $section ((grep { $_ eq 'SECTIONS' } @$restore) ? qw(--section=pre-data --section=data --section=post-data) : '')
    {
        local $ENV{PGOPTIONS} = $options // '';
        my ($status, undef, $err) = on($target, 'boss', (grep { $_ ne 'SECTIONS' } @$restore), $section =~ /section/ ? $section : (), '--dbname', $database,
            $restore->[0] eq 'psql' ? ('--file') : (), "$dir/$database");
        is("$status $err", '0 ', "$name: restored $section");
    }
    check($name, $database, $not);
}

sub check
{
    my ($name, $database, $not) = @_;
    is(boss($database, $rows), $whole{$rows}, "$name: every row and sequence");
    is(boss($database, $application), $whole{$application}, "$name: the application's rows, and no trigger fired") if $not !~ /A/;
    is(boss($database, $rights), $whole{$rights}, "$name: rights") if $not !~ /R/;
    is(boss($database, $settings), $not =~ /S/ ? '' : $whole{$settings}, "$name: settings" . ($not =~ /S/ ? ' are the database\'s, which the dump did not make' : ''));
    boss('postgres', "ALTER DATABASE $database SET auth_service.issuer = 'somebody'") if $not =~ /S/;
    is(boss($database, "SET auth_service.bcrypt_cost = 4; SELECT auth.verify_token('$live->{access_token}') IS NOT NULL, auth.verify_token('$dead->{access_token}') IS NULL, auth.refresh('$dead->{refresh_token}') IS NULL, (auth.refresh('$live->{refresh_token}')).refresh_token IS NOT NULL, auth.register('next\@example.com', 'Secret123')"),
        't|t|t|t|5021', "$name: living tokens live, dead ones are dead, ids go on");
    like(boss($database, 'DROP SCHEMA public CASCADE'), qr/holds accounts/, "$name: guarded");
}

# What makes the database too.
dump_it('pg_dump', '--format=custom', '--create', '--file', "$dir/create", 'auth_service');
is(join(' ', (on($target, 'boss', 'pg_restore', '--exit-on-error', '--create', '--dbname=postgres', "$dir/create"))[ 0, 2 ]), '0 ', 'pg_dump --create: restored');
check('pg_dump --create', 'auth_service', '');
is(join(' ', (on($target, 'boss', 'pg_restore', '--exit-on-error', '--clean', '--if-exists', '--create', '--dbname=postgres', "$dir/create"))[ 0, 2 ]), '0 ', 'pg_dump --create --clean: restored over the other');
check('pg_dump --create --clean', 'auth_service', '');
boss('postgres', 'DROP DATABASE auth_service');
dump_it('pg_dumpall', '--file', "$dir/all");
on($target, 'boss', 'psql', '--no-psqlrc', '-qf', "$dir/all");
check('pg_dumpall', 'auth_service', '');

# What does not work says so.
boss('postgres', 'CREATE DATABASE lacks');
dump_it('pg_dump', '--schema=auth', '--format=plain', '--file', "$dir/lacks", 'auth_service');
like((on($target, 'boss', @psql, '--dbname=lacks', '--file', "$dir/lacks"))[2], qr/relation "auth.audit_log" does not exist/, '--schema=auth alone: the extension is not in it');
boss('lacks', $install);
like((on($target, 'boss', @psql, '--dbname=lacks', '--file', "$dir/lacks"))[2], qr/schema "auth" already exists/, 'nor is it made for an extension that is there');
is(boss('lacks', 'SELECT count(*) FROM auth.users'), '0', 'and nothing is restored by halves');
boss('lacks', "SELECT auth.register('first\@example.com', 'Secret123')");
like((on($target, 'boss', @once, '--data-only', '--schema=auth', '--dbname=lacks', "$dir/create"))[2], qr/duplicate key/, 'into an extension that holds accounts: refused');
like((on($target, 'boss', @once, '--clean', '--if-exists', '--dbname=lacks', "$dir/create"))[2], qr/holds accounts.*auth_service\.allow_drop/s, '--clean over accounts: refused without the explicit step');
is(boss('lacks', 'SELECT email FROM auth.users'), 'first@example.com', 'and all is as it was');

# After the restore of an older backup: what was revoked since lives again, until this step; what was refreshed since is
# not known.
my $after = 'way1';
my $ahead = $pairs[5];
$ahead = $s->request('POST', '/auth/refresh', json => { refresh_token => $ahead->{refresh_token} })->{json} foreach 1 .. 3;
is(boss($after, "SET auth_service.issuer = 'auth_service'; SELECT auth.refresh('$ahead->{refresh_token}') IS NULL, auth.verify_token('$ahead->{access_token}') IS NULL"),
    't|t', 'an older backup: tokens of after it are refused');
$whole{tokens} = "SELECT auth.verify_token('$pairs[4]{access_token}') IS NULL, auth.refresh('$pairs[4]{refresh_token}') IS NULL";
is(boss($after, 'SET auth_service.issuer = \'auth_service\'; ' . $whole{tokens}), 'f|f', 'an older backup: tokens live');
boss($after, 'DELETE FROM auth.sessions; UPDATE auth.users SET takes_imported_tokens = false');
is(boss($after, 'SET auth_service.issuer = \'auth_service\'; ' . $whole{tokens}), 't|t', 'every session has ended, access tokens and all');
is(boss($after, q(SET auth_service.bcrypt_cost = 4; SELECT auth.login('user5@example.com', 'Secret123') IS NOT NULL)), 't', 'and a password begins a new one');

# A dump of an older version, into that version, which is then updated.
my ($current) = PostgreSQL::Test::Utils::slurp_file('auth_service.control') =~ /default_version = '(.*)'/;
foreach my $version (sort { $a <=> $b } map { /--([\d.]+)--/ ? $1 : () } glob 'sql/updates/auth_service--*--*.sql')
{
    (my $database = "old_$version") =~ tr/./_/;
    boss('postgres', "CREATE DATABASE $database");
    boss($database, "SET client_min_messages = warning; CREATE EXTENSION auth_service VERSION '$version' CASCADE; INSERT INTO auth.users (email, email_normalized, password_hash, balance, created_at, updated_at) SELECT 'old\@example.com', 'old\@example.com',
        '\$2a\$04\$' || substr(crypt('Secret123', gen_salt('bf', 4)), 8), 50, now(), now()");
    boss($database, 'INSERT INTO auth.balance_entries (user_id, number, amount, balance, created_at) SELECT id, 1, balance, balance, now() FROM auth.users') if $version ne '1.0';
    is((on($target, 'boss', 'pg_dump', '--format=custom', '--file', "$dir/$database", $database))[2], '', "a dump of $version");
    boss('postgres', "DROP DATABASE $database WITH (FORCE)");
    boss('postgres', "CREATE DATABASE $database");
    boss($database, "SET client_min_messages = warning; CREATE EXTENSION auth_service VERSION '$version' CASCADE");
    is((on($target, 'boss', @once, '--data-only', '--schema=auth', '--dbname', $database, "$dir/$database"))[2], '', "restored into $version");
    is(boss($database, "ALTER EXTENSION auth_service UPDATE; SET auth_service.bcrypt_cost = 4; SELECT auth.login('old\@example.com', 'Secret123') IS NOT NULL, balance, (SELECT sum(amount) FROM auth.balance_entries), (SELECT extversion FROM pg_extension WHERE extname = 'auth_service') FROM auth.users"),
        "t|50|50|$current", "$version: updated, and whole");
}

# The other cluster serves.
boss('postgres', "ALTER ROLE auth_service_shim LOGIN; ALTER DATABASE way2 SET auth_service.bcrypt_cost = 4; ALTER DATABASE way2 SET auth_service.issuer = 'somebody'");
is(boss('way2', "SELECT auth.allow_api('auth_service_shim')"), '', 'allow_api gives the rights that --no-privileges has left out');
$s->stop_shim;
$s->{node} = $target;
$s->{database} = 'way2';
$s->shim;
is($s->login('user1@example.com')->{token_type}, 'bearer', 'restored: a password works');
is($s->request('PUT', '/users/balance', token => $s->login('user2@example.com')->{access_token}, json => { amount => 10 }, headers => { 'Idempotency-Key' => 'k' })->{json}{new_balance}, 10, 'and a key counts once');
is($s->request('POST', '/auth/login', form => [ username => 'user3@example.com', password => 'Secret123' ])->{status}, 403, 'who is blocked stays so');
is($s->request('GET', '/users/deleted', token => $s->login('user4@example.com')->{access_token})->{status}, 200, 'and an admin one');
done_testing();
