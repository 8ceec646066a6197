# What a stranger has laid in the way of CREATE EXTENSION: it is refused with a word on what to do, leaves
# nothing behind, and works when the way is free.  Then: who is an operator, and what the log says of him.
use strict;
use warnings;
use AuthService;
use Test::More;

my $s = AuthService->new('install', conf => "autovacuum = off\n");
my $node = $s->node;
$node->safe_psql('postgres', 'CREATE ROLE regress_mallory LOGIN; CREATE ROLE regress_owner LOGIN; CREATE ROLE regress_member LOGIN; CREATE ROLE regress_later LOGIN');
my $number = 0;

sub database
{
    my (@statements) = @_;
    my $name = 'install_' . ++$number;
    $node->safe_psql('postgres', "CREATE DATABASE $name OWNER regress_owner");
    $node->safe_psql($name, "GRANT CREATE ON DATABASE $name TO regress_mallory; GRANT CREATE ON SCHEMA public TO regress_mallory");
    $node->safe_psql($name, $_) foreach @statements;
    return $name;
}

sub refused
{
    my ($what, $statement, $error, @statements) = @_;
    my $name = database(@statements);
    my (undef, undef, $err) = $node->psql($name, $statement);
    like($err, $error, "$what: refused");
    is($node->safe_psql($name, q(SELECT count(*) FROM pg_extension WHERE extname IN ('auth_service', 'pgcrypto'))), 0, "$what: nothing is left behind");
    return $name;
}

my $install = 'CREATE EXTENSION auth_service CASCADE';
my $in_use = qr/ERROR:  schema "auth" is already in use\nDETAIL:  .*\nHINT:  .*ALTER SCHEMA auth RENAME TO/;
my $uid = 'CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS \'SELECT gen_random_uuid()\'';
refused('a schema auth of a stranger, with our names', $install, $in_use, "SET ROLE regress_mallory; CREATE SCHEMA auth; CREATE TABLE auth.users (id bigint); CREATE TYPE auth.user_role AS ENUM ('admin'); $uid");
refused('a schema auth of a stranger, empty', $install, $in_use, 'SET ROLE regress_mallory; CREATE SCHEMA auth');
refused('a schema auth of the database\'s owner', $install, $in_use, 'SET ROLE regress_owner; CREATE SCHEMA auth');
refused('a schema auth of pg_database_owner', $install, $in_use, 'CREATE SCHEMA auth AUTHORIZATION pg_database_owner');
refused('a schema auth in which a stranger may create', $install, $in_use, 'CREATE SCHEMA auth; GRANT CREATE ON SCHEMA auth TO regress_mallory');
refused('default privileges that let a stranger create in it', $install, $in_use, 'ALTER DEFAULT PRIVILEGES GRANT CREATE ON SCHEMAS TO regress_mallory');
refused('a schema auth of the superuser\'s that is used', $install, $in_use, "CREATE SCHEMA auth; $uid");
refused('a stranger installs', "SET ROLE regress_mallory; $install", qr/permission denied to create extension/);
refused('the database\'s owner installs', "SET ROLE regress_owner; $install", qr/permission denied to create extension/);
# "$user" stands first in the path: what we require would come into the stranger's schema, who could drop it.
my $superuser = getpwuid($<);
my $way = refused('a schema with the superuser\'s name', $install, qr/extension "pg\w+" or its schema "\w+" belongs to another role/, "CREATE SCHEMA \"$superuser\" AUTHORIZATION regress_mallory");
$node->safe_psql($way, "SET client_min_messages = warning; SET search_path = public; $install");
pass('and in another path it is installed');
$way = refused('a function of pgcrypto\'s in public', $install, qr/function "crypt" already exists with same argument types/, q(SET ROLE regress_mallory; CREATE FUNCTION public.crypt(text, text) RETURNS text LANGUAGE sql AS 'SELECT $2'));
$node->safe_psql($way, "SET client_min_messages = warning; CREATE SCHEMA extensions; SET search_path = extensions; $install");
pass('and in a schema of its own pgcrypto is installed');

# A schema that is asked for is where CASCADE puts what we require, and nothing of its name gets into a script.
my $named = database(q(CREATE SCHEMA "a'b""$c"));
$node->safe_psql($named, q(SET client_min_messages = warning; CREATE EXTENSION auth_service SCHEMA "a'b""$c" CASCADE));
is($node->safe_psql($named, q(SELECT string_agg(extnamespace::regnamespace::text, ' ' ORDER BY extname) FROM pg_extension WHERE extname <> 'plpgsql')), q(auth "a'b""$c"), 'a schema with a strange name');

# The database's owner says how every session begins, the superuser's too.
my $owned = database('SET ROLE regress_owner; CREATE SCHEMA trap; CREATE FUNCTION trap.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION $a$trap$a$; END$$;
    CREATE OPERATOR trap.= (FUNCTION = trap.eq, LEFTARG = text, RIGHTARG = text); CREATE TYPE trap.text AS (i integer)');
$node->safe_psql($owned, "DO \$\$BEGIN END\$\$; SET ROLE regress_owner; ALTER DATABASE $owned SET $_") foreach 'search_path = public, trap, pg_catalog', 'transform_null_equals = on', 'standard_conforming_strings = off',
    'quote_all_identifiers = on', 'array_nulls = off', "default_transaction_isolation = 'serializable'", "plpgsql.extra_errors = 'all'", 'check_function_bodies = on', "datestyle = 'German'";
foreach my $version (sort map { /--([\d.]+)--/ } glob 'sql/updates/auth_service--*--*.sql')
{
    $node->safe_psql($owned, "SET client_min_messages = warning; CREATE EXTENSION auth_service VERSION '$version' CASCADE");
    $node->safe_psql($owned, "SET client_min_messages = warning; ALTER EXTENSION auth_service UPDATE; SELECT auth.allow_api('regress_owner'); SET auth_service.allow_drop = on; DROP EXTENSION auth_service");
    pass("settings of the database's owner: installed as $version, updated");
}

# Beside another schema auth, as docs/beside-another-auth-schema.md has it: it is renamed, and what was bound
# to its functions stays so.
my $beside = database("CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid()); CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS \$\$SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid\$\$;
    CREATE TABLE posts (owner uuid REFERENCES auth.users DEFAULT auth.uid(), post text); ALTER TABLE posts ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON posts USING (owner = auth.uid()); GRANT SELECT ON posts TO regress_later; GRANT USAGE ON SCHEMA auth TO regress_later;
    INSERT INTO auth.users VALUES ('11111111-1111-1111-1111-111111111111'); INSERT INTO posts VALUES ('11111111-1111-1111-1111-111111111111', 'theirs')");
$node->safe_psql($beside, "SET client_min_messages = warning; ALTER SCHEMA auth RENAME TO other_auth; $install");
my $claim = "SET request.jwt.claim.sub = '11111111-1111-1111-1111-111111111111'; SET ROLE regress_later";
is($node->safe_psql($beside, "$claim; SELECT post FROM posts"), 'theirs', 'beside: a policy of theirs asks their function');
is($node->safe_psql($beside, "$claim; SELECT auth.uid() IS NULL, other_auth.uid()"), 't|11111111-1111-1111-1111-111111111111', 'beside: auth.uid() is ours');
is($node->safe_psql($beside, "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy"), '(owner = other_auth.uid())', 'beside: their policy says so');
$node->safe_psql($beside, 'SET auth_service.allow_drop = on; DROP EXTENSION auth_service; DROP SCHEMA IF EXISTS auth; ALTER SCHEMA other_auth RENAME TO auth');
is($node->safe_psql($beside, "$claim; SELECT post FROM posts"), 'theirs', 'beside: and back');

# Or in another database of the same cluster: an application asks by dblink who a token is.
my $accounts = database("SET client_min_messages = warning; $install", "SELECT auth.allow_api('regress_later')", "SELECT auth.register('ann\@example.com', 'Secret123')");
my $token = $node->safe_psql($accounts, "SELECT (auth.login('ann\@example.com', 'Secret123')).access_token");
$node->safe_psql($beside, 'CREATE EXTENSION dblink');
is($node->safe_psql($beside, "SELECT claims->>'sub' FROM dblink(\$\$" . $node->connstr($accounts) . " user=regress_later\$\$, format('SELECT auth.verify_token(%L)', '$token')) AS t (claims jsonb)"), 1, 'in another database: verify_token by dblink');

# Who is an operator: a member of the owner's role, for himself; and the log has his name, and no actor.
$node->safe_psql($accounts, 'SELECT auth.register($$bob@example.com$$, $$Secret123$$)');
$node->safe_psql('postgres', 'CREATE ROLE regress_boss; GRANT regress_boss TO regress_member');
sub as
{
    my ($role, $statement) = @_;
    my ($out, $err) = ('', '');
    $node->psql($accounts, $statement, stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ]);
    return $err =~ /ERROR:  (.*)/ ? $1 : $out;
}
is(as($superuser, 'SELECT auth.block_user(2)'), 't', 'a superuser in psql blocks, without a token');
is($node->safe_psql($accounts, "SELECT action, user_id, coalesce(actor_id, 0), db_role FROM auth.audit_log ORDER BY id DESC LIMIT 1"), "block_user|2|0|$superuser", 'and the log says who: no actor, the role');
is(as('regress_later', 'SELECT auth.unblock_user(2)'), 'Not authenticated', 'a role with the API does not');
# The extension goes to an ordinary role, as docs/privileges.md has it, and is updated under it.
$node->safe_psql('postgres', 'CREATE ROLE regress_dba SUPERUSER');
$accounts = database("SET client_min_messages = warning; SET SESSION AUTHORIZATION regress_dba; CREATE EXTENSION auth_service VERSION '1.0' CASCADE; RESET SESSION AUTHORIZATION; REASSIGN OWNED BY regress_dba TO regress_boss");
is(as('regress_member', 'SET ROLE regress_boss; ALTER EXTENSION auth_service UPDATE'), 'permission denied to update extension "auth_service"', 'an owner who is no superuser cannot update');
$node->safe_psql($accounts, 'BEGIN; ALTER ROLE regress_boss SUPERUSER; SET LOCAL ROLE regress_boss; ALTER EXTENSION auth_service UPDATE; RESET ROLE; ALTER ROLE regress_boss NOSUPERUSER; COMMIT');
is($node->safe_psql($accounts, q(SELECT string_agg(DISTINCT pg_get_userbyid(o), ' ') FROM (SELECT relowner FROM pg_class WHERE relnamespace = 'auth'::regnamespace UNION SELECT proowner FROM pg_proc WHERE pronamespace = 'auth'::regnamespace
    UNION SELECT typowner FROM pg_type WHERE typnamespace = 'auth'::regnamespace UNION SELECT nspowner FROM pg_namespace WHERE nspname = 'auth' UNION SELECT extowner FROM pg_extension WHERE extname = 'auth_service') x (o))), 'regress_boss', 'a superuser for the moment can, and all is the role\'s');
$node->safe_psql($accounts, "SELECT auth.register('$_\@example.com', 'Secret123')") foreach qw(ann bob);
is(as('regress_member', 'SELECT auth.unblock_user(2)'), 't', 'an owner who is no superuser: a member of it is an operator');
is($node->safe_psql($accounts, "SELECT action, coalesce(actor_id, 0), db_role FROM auth.audit_log ORDER BY id DESC LIMIT 1"), 'unblock_user|0|regress_member', 'and the log has the member\'s name');
is(as('regress_member', q(SELECT auth.allow_api('regress_mallory'))), '', 'who may allow the API');
is(as('regress_mallory', q(SELECT (auth.login('bob@example.com', 'Secret123')) IS NOT NULL)), 't', 'and it works');
is(as('regress_mallory', 'SELECT auth.block_user(2)'), 'Not authenticated', 'and no more than that');
is(as('regress_member', 'SELECT count(*) > 0 FROM auth.list_users()'), 't', 'lists');
is(as('regress_member', 'SELECT count(*) FROM auth.users'), '2', 'the tables are the owner\'s, and so his members\'');
$node->safe_psql('postgres', 'ALTER ROLE regress_member NOINHERIT; ' . ($node->pg_version >= 16 ? 'REVOKE regress_boss FROM regress_member; GRANT regress_boss TO regress_member WITH INHERIT FALSE' : ''));
is(as('regress_member', 'SELECT auth.block_user(2)'), 'permission denied for function block_user', 'a member who does not inherit is none');
is(as('regress_member', 'SET ROLE regress_boss; SELECT auth.block_user(2)'), 't', 'until he sets the role');
is($node->safe_psql($accounts, "SELECT db_role FROM auth.audit_log ORDER BY id DESC LIMIT 1"), 'regress_member', 'and the log still has his name');

# What docs/privileges.md warns of is PostgreSQL's way, and is so; and what it advises instead holds.
my $warned = database("SET client_min_messages = warning; $install; SELECT auth.register('ann\@example.com', 'Secret123')", <<'SQL');
SET ROLE regress_mallory; CREATE SCHEMA mallory; SET search_path = mallory, pg_catalog;
CREATE FUNCTION say(text) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE WARNING '% as %', $1, current_user; END$$;
CREATE TYPE disguise AS (x bigint); CREATE FUNCTION number(disguise) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM mallory.say('cast'); RETURN ($1).x; END$$;
CREATE CAST (disguise AS bigint) WITH FUNCTION number(disguise) AS IMPLICIT;
CREATE TABLE given (u bigint); CREATE TABLE cascading (u bigint);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM mallory.say('trigger'); RETURN NULL; END$$;
CREATE TRIGGER a AFTER DELETE ON given FOR EACH ROW EXECUTE FUNCTION fire(); CREATE TRIGGER a AFTER DELETE ON cascading FOR EACH ROW EXECUTE FUNCTION fire();
CREATE FUNCTION public.yes(auth.user_role, auth.user_role) RETURNS boolean LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR public.= (FUNCTION = public.yes, LEFTARG = auth.user_role, RIGHTARG = auth.user_role);
RESET ROLE; RESET search_path;
ALTER TABLE mallory.given ADD FOREIGN KEY (u) REFERENCES auth.users (id); ALTER TABLE mallory.cascading ADD FOREIGN KEY (u) REFERENCES auth.users (id) ON DELETE CASCADE;
INSERT INTO mallory.cascading VALUES (1);
SQL
sub said { my ($statement) = @_; my (undef, undef, $err) = $node->psql($warned, $statement); return join ' ', $err =~ /(?:WARNING|ERROR):  (.*)/g; }
is(said('SET ROLE regress_mallory; ALTER TABLE mallory.given ALTER u TYPE mallory.disguise USING ROW(u)::mallory.disguise'), 'permission denied for table users', 'a foreign key that the owner made: its type stays');
# From 18 on an AFTER trigger runs as the role that was there when its event was: the referencing table's owner deletes there.
is(said('DELETE FROM auth.users WHERE id = 1'), 'trigger as ' . ($node->pg_version >= 18 ? 'regress_mallory' : $superuser), 'ON DELETE CASCADE runs a trigger as who deletes');
$node->safe_psql($warned, "SELECT auth.register('bob\@example.com', 'Secret123'); GRANT REFERENCES (id) ON auth.users TO regress_mallory");
is(said('SET ROLE regress_mallory; CREATE TABLE mallory.own (u mallory.disguise REFERENCES auth.users (id)); INSERT INTO mallory.own VALUES (ROW(2))'), "cast as $superuser", 'REFERENCES is the owner\'s power');
$node->safe_psql($warned, "CREATE VIEW $_") foreach q(open AS SELECT auth.role() = 'admin'), q(written AS SELECT auth.role() OPERATOR(pg_catalog.=) 'admin');
is($node->safe_psql($warned, "SELECT string_agg(o::regoperator::text, ' ' ORDER BY o) FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid, LATERAL (SELECT refobjid) x (o) WHERE d.refclassid = 'pg_operator'::regclass AND ev_class = 'open'::regclass"), '=(auth.user_role,auth.user_role)', 'an exact operator in the path is taken');
is($node->safe_psql($warned, "SELECT count(*) FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid WHERE d.refclassid = 'pg_operator'::regclass AND ev_class = 'written'::regclass"), 0, 'and not where it is written with its schema');
done_testing();
