-- Who may do what, as an ordinary role that was given the API, one that was not, and a hostile one.
\ir ../setup.sql
SELECT plan(27);

CREATE ROLE regress_80_app; CREATE ROLE regress_80_none;
SELECT is((SELECT array_agg(p.oid::regprocedure::text ORDER BY p.oid::regprocedure::text) FROM pg_proc p
           WHERE pronamespace = 'auth'::regnamespace AND has_function_privilege('regress_80_none', p.oid, 'EXECUTE')),
          '{auth.jwt(),auth.role(),auth.uid()}', 'PUBLIC: reads the identity and nothing else');
SELECT auth.allow_api('regress_80_app');
SELECT is((SELECT array_agg(p.oid::regprocedure::text ORDER BY p.oid::regprocedure::text) FROM pg_proc p
           WHERE pronamespace = 'auth'::regnamespace AND NOT has_function_privilege('regress_80_app', p.oid, 'EXECUTE')),
          ARRAY[
              'auth._guard()',
              'auth._identity_support(internal)',
              'auth._substring_begins(integer,integer,smallint,internal)',
              'auth._substring_fits(internal,smallint,text,integer,internal,internal,internal)',
              'auth._substring_query(text,internal,smallint,internal,internal,internal,internal)',
              'auth._substring_values(text,internal)',
              'auth.allow_api(regrole)',
              'auth.drop_signing_key(text)',
              'auth.import_signing_key(text,text,interval)',
              'auth.import_users(json)',
              'auth.rotate_signing_key(text,interval)',
              'auth.seal_signing_keys()',
              'auth.set_hook(text,regprocedure)'], 'allow_api: all but what is the operator''s, or only PostgreSQL calls');
SELECT lives_ok($$SELECT auth.allow_api('regress_80_app')$$, 'allow_api: twice');
CREATE ROLE "regress_80_we""ird; role";
SELECT lives_ok($$SELECT auth.allow_api('"regress_80_we""ird; role"')$$, 'allow_api: a role with a name that must be quoted');
SELECT is((SELECT count(*) FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
           WHERE relnamespace = 'auth'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')
             AND has_table_privilege('regress_80_app', c.oid, p)), 0::bigint, 'allow_api: no right on any table');
SELECT ok(NOT has_sequence_privilege('regress_80_app', 'auth.users_id_seq', 'USAGE,SELECT,UPDATE'), 'nor on the sequence');
SELECT ok(NOT has_schema_privilege('regress_80_app', 'auth', 'CREATE'), 'nor may it create in the schema');

-- The whole API as an ordinary role, in one transaction with the application's own rows.
CREATE TABLE notes (owner bigint, note text); GRANT ALL ON notes TO regress_80_app;
GRANT ALL ON ALL TABLES IN SCHEMA public TO regress_80_app;
SET ROLE regress_80_app;
BEGIN;
SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
INSERT INTO notes VALUES (:ann, 'mine');
SELECT access_token AS a, refresh_token AS r FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT is(auth.authenticate(:'a'), :ann::bigint, 'one transaction: the token works within');
SELECT is((auth.me()).email, 'ann@example.com', 'one transaction: as the API does');
ROLLBACK;
SELECT is(auth.login('ann@example.com', 'Secret123'), NULL, 'ROLLBACK: no user');
SELECT is(auth.verify_token(:'a'), NULL, 'ROLLBACK: the access token is refused');
SELECT throws_ok(format('SELECT auth.authenticate(%L)', :'a'), 'U401B', NULL, 'ROLLBACK: by authenticate too');
SELECT is(auth.refresh(:'r'), NULL, 'ROLLBACK: the refresh token is refused');
SELECT is(count(*), 0::bigint, 'ROLLBACK: nor the application''s row') FROM notes;
BEGIN;
SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
INSERT INTO notes VALUES (:ann, 'mine');
COMMIT;
SELECT isnt(auth.login('ann@example.com', 'Secret123'), NULL, 'COMMIT: the user is there');
SELECT is(current_user::text, 'regress_80_app', 'the role is the caller''s again');
SELECT throws_ok(call, '42501', NULL, 'refused: ' || call) FROM unnest(ARRAY[
    'SELECT * FROM auth.users', 'SELECT * FROM auth.sessions', 'SELECT * FROM auth.signing_keys', 'DELETE FROM auth.sessions',
    'SELECT nextval(''auth.users_id_seq'')']) call;
SELECT throws_ok($$SELECT auth.register('x', 'y')$$, 'U422B', NULL, 'an error inside');
SELECT is(current_user::text, 'regress_80_app', 'leaves the role as well');
RESET ROLE;

-- A hostile role: operators, functions and tables of its own, first in its path.
CREATE ROLE regress_80_evil; CREATE SCHEMA evil AUTHORIZATION regress_80_evil;
SET auth_service.max_sessions = 1; -- logins end sessions, too
SELECT auth.allow_api('regress_80_evil');
GRANT CREATE ON SCHEMA public TO regress_80_evil;
SET ROLE regress_80_evil;
CREATE TABLE evil.log (what text); GRANT ALL ON evil.log TO PUBLIC; GRANT USAGE ON SCHEMA evil TO PUBLIC;
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY '{bigint,text,uuid,timestamptz,auth.user_role,bytea,boolean}'::text[] LOOP
        EXECUTE format('CREATE FUNCTION evil.eq(%1$s, %1$s) RETURNS boolean LANGUAGE plpgsql AS %2$L', t,
                       'BEGIN INSERT INTO evil.log VALUES (current_user); RETURN true; END');
        EXECUTE format('CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = %1$s, RIGHTARG = %1$s)', t);
        EXECUTE format('CREATE OPERATOR evil.< (FUNCTION = evil.eq, LEFTARG = %1$s, RIGHTARG = %1$s)', t);
    END LOOP;
END $$;
CREATE FUNCTION evil.crypt(text, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN INSERT INTO evil.log VALUES ($1); RETURN $2; END$$;
CREATE FUNCTION evil.gen_salt(text, int) RETURNS text LANGUAGE plpgsql AS $$BEGIN INSERT INTO evil.log VALUES ('salt'); RETURN ''; END$$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN INSERT INTO evil.log VALUES ('lower'); RETURN $1; END$$;
CREATE FUNCTION evil."left"(text, int) RETURNS text LANGUAGE plpgsql AS $$BEGIN INSERT INTO evil.log VALUES ('left'); RETURN $1; END$$;
CREATE TEMP TABLE users (id bigint, email text); CREATE TEMP TABLE sessions (id uuid); CREATE TEMP TABLE signing_keys (kid text);
SET search_path = evil, pg_temp, pg_catalog, public;
SELECT auth.register('eve@example.com', 'Secret123') AS eve \gset
SELECT access_token AS e, refresh_token AS er FROM auth.login('eve@example.com', 'Secret123', 'agent', '192.0.2.1') \gset
SELECT auth.refresh(:'er');
BEGIN; SELECT auth.authenticate(:'e'); SELECT auth.update_profile('E', 'V'); SELECT auth.me(); SELECT auth.sessions(); SELECT auth.introspect(:'er');
SELECT auth.revoke_session(gen_random_uuid()); SELECT auth.revoke_other_sessions(); SELECT auth.logout(); SELECT auth.revoke_token(:'er'); COMMIT;
SELECT auth.change_password('eve@example.com', 'Secret123', 'Secret1234');
SELECT auth._arguments('{"a":"x"}', 'a');
RESET search_path;
RESET ROLE;
SELECT is((SELECT count(*) FROM evil.log), 0::bigint, 'hostile search_path: nothing of it was called');
SELECT is((SELECT count(*) FROM auth.users WHERE email = 'eve@example.com' AND first_name = 'E'), 1::bigint, 'hostile temporary tables: not used');

-- pgcrypto moved elsewhere.
CREATE SCHEMA elsewhere; ALTER EXTENSION pgcrypto SET SCHEMA elsewhere;
SELECT isnt(auth.login('ann@example.com', 'Secret123'), NULL, 'pgcrypto in another schema: found');
SELECT is(has_schema_privilege('regress_80_none', 'auth', 'USAGE'), true, 'PUBLIC: may name auth.uid()');
SELECT finish();
