-- Profile and role: who may, and that the database's word counts, not the token's.
\ir ../setup.sql
SELECT plan(26);

SELECT auth.register('ann@example.com', 'Secret123') AS ann, auth.register('bob@example.com', 'Secret123') AS bob \gset
SELECT access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT access_token AS b FROM auth.login('bob@example.com', 'Secret123') \gset

BEGIN;
SELECT auth.authenticate(:'a');
SELECT is(p, ROW(:ann, 'ann@example.com', NULL, NULL, 'user', false, 0, p.created_at, p.updated_at, p.last_activity_at)::auth.profile,
          'me: the profile') FROM auth.me() p;
SELECT is(p.first_name || p.last_name, 'AnnLee', 'update_profile: both names') FROM auth.update_profile('Ann', 'Lee') p;
SELECT is((auth.me()).last_name, 'Lee', 'update_profile: kept');
SELECT throws_ok(format('SELECT auth.update_profile(%L, %L)', f, l), code, NULL, 'update_profile: ' || coalesce(quote_literal(left(f, 5)), 'NULL') || ', ' || coalesce(quote_literal(left(l, 5)), 'NULL'))
    FROM (VALUES (NULL, 'x', 'U400B'), ('x', NULL, 'U400B'), ('', 'x', 'U400B'), ('x', '', 'U400B'),
                 (repeat('x', 256), 'x', 'U422I'), ('x', E'a\u0007', 'U422I')) c (f, l, code);
SELECT is((auth.me()).first_name, 'Ann', 'update_profile: a refusal changes nothing');
COMMIT;

-- set_role.
SELECT is(auth.set_role(:bob, 'admin'), true, 'set_role: an operator may, without a token');
SELECT is(auth.set_role(999, 'admin'), false, 'set_role: no such user');
BEGIN;
SELECT auth.authenticate(:'a');
SELECT throws_ok(format('SELECT auth.set_role(%s, %L)', :ann, 'admin'), 'U404A', 'Not found', 'set_role: a user may not, superuser or not');
COMMIT;
BEGIN;
SELECT auth.authenticate(:'b');
SELECT is(auth.role(), 'admin'::auth.user_role, 'promoted: an existing token is an admin''s');
SELECT is(auth.jwt() ->> 'role', 'admin', 'promoted: the claims say it too, whatever the token says');
SELECT is(auth.verify_token(:'b') ->> 'role', 'admin', 'promoted: those of verify_token as well');
SELECT is(auth.set_role(:ann, 'admin'), true, 'set_role: an admin may');
SELECT is(auth.set_role(:bob, 'user'), true, 'set_role: also demote himself');
SELECT throws_ok(format('SELECT auth.set_role(%s, %L)', :bob, 'admin'), 'U404A', NULL, 'demoted: at once, in the same transaction');
COMMIT;
BEGIN;
SELECT auth.authenticate(:'b');
SELECT is(auth.role(), 'user'::auth.user_role, 'demoted: at the next authenticate');
COMMIT;

-- Operators: the owner's privileges, in person.
CREATE ROLE regress_06_app; CREATE ROLE regress_06_dba IN ROLE regress_06_app;
SELECT auth.allow_api('regress_06_app');
SET ROLE regress_06_app;
SELECT throws_ok(format('SELECT auth.set_role(%s, %L)', :bob, 'admin'), 'U401A', NULL, 'set_role: a role with the API is no operator');
SELECT throws_ok($$SELECT auth.allow_api('regress_06_app')$$, '42501', NULL, 'allow_api: nor may it grant');
RESET ROLE;
CREATE FUNCTION public.as_definer(id bigint) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT auth.set_role(id, 'admin') $$;
SELECT throws_ok(format('SELECT public.as_definer(%s)', :bob), 'U401A', NULL, 'set_role: nobody is an operator in a definer function');
CREATE FUNCTION public.as_definer2() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT auth.allow_api('regress_06_app') $$;
SELECT throws_ok('SELECT public.as_definer2()', '42501', NULL, 'allow_api: nor there');
SELECT current_user AS owner \gset
GRANT :"owner" TO regress_06_dba;
SET ROLE regress_06_dba;
SELECT is(auth.set_role(:bob, 'admin'), true, 'set_role: a member of the owner is an operator');
RESET ROLE;
SELECT is(auth.set_role(NULL, 'admin'), NULL, 'set_role: strict');
SELECT finish();
