# The extension is not dropped while it holds accounts, whatever command would take it along; a superuser's
# explicit step lets it go, and it can be made again.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->new('guard');
my $node = $s->node;
$node->safe_psql('postgres', 'CREATE ROLE regress_dba SUPERUSER LOGIN; CREATE ROLE regress_owner LOGIN; CREATE ROLE regress_app LOGIN');

# A database whose extension belongs to regress_dba, and which itself belongs to somebody with no other right.
sub database
{
    my ($name, $accounts) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name OWNER regress_owner; ALTER DATABASE $name SET auth_service.bcrypt_cost = 4");
    $node->safe_psql($name, "SET client_min_messages = warning; SET ROLE regress_dba; CREATE EXTENSION auth_service CASCADE; SELECT auth.allow_api('regress_app')");
    $node->safe_psql($name, "SELECT auth.register('user$_\@example.com', 'Secret123')") foreach 1 .. $accounts;
}

# What a session says: "done", or the error's code and text.
sub try
{
    my ($database, $statements, %as) = @_;
    local $ENV{PGOPTIONS} = $as{options} if $as{options};
    my ($status, $out, $err) = $node->psql($database, "\\set VERBOSITY verbose\n\\set ON_ERROR_STOP 1\nSET client_min_messages = warning;\n$statements;",
        $as{role} ? (extra_params => [ '--username', $as{role} ]) : ());
    return $status == 0 ? "done" : $err =~ s/^.*?(?=ERROR:)//sr;
}
my $is_refused = qr/^ERROR:  2BP01: cannot drop extension auth_service because it holds accounts\nDETAIL:  .*auth\.users.*\nHINT:  .*SET auth_service\.allow_drop = on/;

database('filled', 1);
foreach my $command ('DROP EXTENSION auth_service', 'DROP EXTENSION auth_service CASCADE', 'DROP EXTENSION IF EXISTS auth_service', 'DROP EXTENSION pgcrypto CASCADE',
    'DROP EXTENSION pgcrypto, plpgsql CASCADE', 'DROP SCHEMA public CASCADE', 'DROP SCHEMA auth CASCADE', 'DROP OWNED BY regress_dba CASCADE',
    q(DO $$BEGIN EXECUTE 'DROP SCHEMA public CASCADE'; END$$), 'CREATE SCHEMA a; CREATE SCHEMA b; DROP SCHEMA a, public, b CASCADE')
{
    like(try('filled', "BEGIN; $command"), $is_refused, "refused: $command");
    like(try('filled', "SELECT auth.uid(); BEGIN; $command"), $is_refused, "the library is there already: $command");
    is(try('filled', "BEGIN; SET LOCAL auth_service.allow_drop = on; $command; SELECT 1 / (to_regclass('auth.users') IS NULL)::int; ROLLBACK"), 'done', "allowed: $command");
}
like(try('filled', 'SET session_replication_role = replica; DROP EXTENSION auth_service'), $is_refused, 'refused: where triggers do not fire');
like(try('filled', 'DROP SCHEMA public CASCADE', role => 'regress_owner'), $is_refused, 'the owner of the database: refused');
like(try('filled', 'SET auth_service.allow_drop = on; DROP SCHEMA public CASCADE', role => 'regress_owner'), qr/^ERROR:  (42501|2BP01)/, 'nor may that role allow it');
like(try('filled', 'SELECT auth.uid(); SET auth_service.allow_drop = on', role => 'regress_owner'), qr/^ERROR:  42501/, 'nor with the library there');
like(try('filled', 'DROP SCHEMA public CASCADE', role => 'regress_owner', options => '-c auth_service.allow_drop=on'), qr/^ERROR:  42501: permission denied to set parameter/, 'nor by its options');
like(try('filled', 'ALTER ROLE regress_owner SET auth_service.allow_drop = on; DROP SCHEMA public CASCADE', role => 'regress_owner'), qr/^ERROR:  (42501|2BP01)/, 'nor as a setting of its own');
is(try('filled', 'BEGIN; DROP EXTENSION auth_service; ROLLBACK', role => 'regress_dba', options => '-c auth_service.allow_drop=on'), 'done', 'a superuser by options, as pg_restore --clean has them');

like(try('filled', 'DROP EVENT TRIGGER auth_service_guard'), qr/^ERROR:  2BP01: .*extension auth_service requires it/, 'the event trigger is a member');
like(try('filled', 'DROP TABLE auth.users CASCADE'), qr/^ERROR:  2BP01: .*extension auth_service requires it/, 'the table too');
is(try('filled', 'BEGIN; ALTER EVENT TRIGGER auth_service_guard DISABLE; DROP EXTENSION auth_service; ROLLBACK'), 'done', 'the event trigger turned off: the operator has asked for it');
like(try('filled', 'BEGIN; ALTER EVENT TRIGGER auth_service_guard DISABLE; SELECT auth.uid(); DROP EXTENSION auth_service'), $is_refused, 'but not once the library is there');
is(try('filled', 'BEGIN; ALTER EXTENSION auth_service DROP TABLE auth.users; DROP EXTENSION auth_service CASCADE; ROLLBACK'), 'done', 'a table that was let go: ours no longer');
like(try('filled', 'REASSIGN OWNED BY regress_dba TO regress_owner'), qr/^ERROR:  42501: .*auth_service_guard.*\nHINT:  The owner of an event trigger must be a superuser/, 'its owner stays a superuser');
like(try('filled', 'SELECT auth._guard()'), qr/^ERROR:  39P03/, 'the function does nothing else');
like(try('filled', 'SELECT auth._guard()', role => 'regress_app'), qr/^ERROR:  42501/, 'and is nobody\'s');

# Another extension's table of that name is none of our business.
is(try('filled', 'BEGIN; CREATE EXTENSION citext; CREATE SCHEMA other; CREATE TABLE other.users AS SELECT 1; ALTER EXTENSION citext ADD TABLE other.users; DROP EXTENSION citext; ROLLBACK'), 'done', 'another table of that name');

# What the drop sees is what is there when it comes.
is(try('filled', 'BEGIN; DELETE FROM auth.users; DROP EXTENSION auth_service; ROLLBACK'), 'done', 'accounts that were deleted before, in the transaction');
database('empty', 0);
like(try('empty', q(BEGIN; SELECT auth.register('own@example.com', 'Secret123'); DROP EXTENSION auth_service)), $is_refused, 'an account of this transaction');
my $other = "psql --no-psqlrc --quiet --dbname='" . $node->connstr('empty') . "' --command";
like(try('empty', "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1;\n\\! $other \"SELECT auth.register('other\@example.com', 'Secret123')\" >/dev/null\nDROP EXTENSION auth_service"),
    $is_refused, 'an account that this transaction\'s snapshot does not see');
$node->safe_psql('empty', 'DELETE FROM auth.users');

# Other drops are none of ours.
is(try('filled', "SELECT auth.uid(); CREATE SCHEMA s; CREATE TABLE s.users (); INSERT INTO s.users DEFAULT VALUES; CREATE TABLE auth.users2 (); INSERT INTO auth.users2 DEFAULT VALUES;
    CREATE TEMP TABLE users (id int) ON COMMIT DROP; DROP SCHEMA s CASCADE; DROP TABLE auth.users2; CREATE EXTENSION citext; DROP EXTENSION citext"), 'done', 'other tables named users');
# Where 18 has dynamic_library_path it is searched for a bare name; before, Debian's setting is for $libdir alone.
my $library = $node->pg_version >= 18 ? 'auth_service' : '$libdir/auth_service';
is(try('postgres', "LOAD '$library'; CREATE SCHEMA auth; CREATE TABLE auth.users (id int); INSERT INTO auth.users VALUES (1); DROP SCHEMA auth CASCADE"), 'done', 'somebody else\'s auth.users');

# An empty one goes without a word, the schema stays, and it can come back; so can one that was allowed to go.
$node->safe_psql('filled', 'INSERT INTO auth.audit_log (at, action, db_role) VALUES (now(), \'register\', \'x\')');
foreach ([ 'empty', '' ], [ 'filled', 'SET auth_service.allow_drop = on;' ])
{
    my ($database, $allow) = @$_;
    is(try($database, "$allow DROP EXTENSION auth_service; SELECT 1 / (SELECT count(*) FROM pg_namespace WHERE nspname = 'auth');
        CREATE EXTENSION auth_service; SELECT auth.register('again\@example.com', 'Secret123')"), 'done', "$database: dropped, and made again in one session");
    is($node->safe_psql($database, 'SELECT count(*), max(id) FROM auth.users'), '1|1', "$database: it begins anew");
    like(try($database, 'DROP EXTENSION auth_service'), $is_refused, "$database: and is guarded");
}
is(try('filled', "SET auth_service.allow_drop = on; DROP EXTENSION auth_service; CREATE TABLE auth.mine (); CREATE EXTENSION auth_service"), (try('filled', 'CREATE EXTENSION auth_service')),
    'with something left in the schema: the same words as in any schema that is in use');
like(try('filled', 'CREATE EXTENSION auth_service'), qr/^ERROR:  42P06: schema "auth" is already in use/, 'which say what to do');
like($node->safe_psql('postgres', 'SELECT version()'), qr/PostgreSQL/, 'the server lives');
done_testing();
