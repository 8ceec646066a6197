-- Hooks: an application's functions inside registration, login and deletion: as their owner, in the same
-- transaction, and able to refuse.
\ir ../setup.sql
SELECT plan(47);

CREATE ROLE regress_14_owner; CREATE ROLE regress_14_caller; CREATE ROLE regress_14_other;
SELECT auth.allow_api('regress_14_caller');
CREATE SCHEMA "14 app" AUTHORIZATION regress_14_owner;
GRANT REFERENCES (id) ON auth.users TO regress_14_owner;
SET ROLE regress_14_owner;
CREATE TABLE "14 app".profiles (user_id bigint PRIMARY KEY REFERENCES auth.users, event jsonb, who text, path text, identity bigint, session text);
CREATE FUNCTION "14 app".on_register(event jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF event ->> 'email' LIKE '%@bad.example' THEN
        RAISE EXCEPTION 'only our own people' USING ERRCODE = 'PT402', DETAIL = 'the domain bad.example', HINT = 'ask us';
    END IF;
    INSERT INTO profiles VALUES ((event ->> 'user_id')::bigint, event, current_user, current_setting('search_path'), auth.uid(), session_user);
END $$;
CREATE TABLE "14 app".logins (event jsonb);
CREATE FUNCTION "14 app".on_login(event jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO logins VALUES (event);
    IF event ->> 'user_agent' = 'robot' THEN RAISE EXCEPTION 'no robots'; END IF;
END $$;
CREATE FUNCTION "14 app".on_delete(event jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF event ->> 'email' = 'keep@example.com' THEN RAISE EXCEPTION 'there is an open invoice'; END IF;
    DELETE FROM profiles p WHERE p.user_id = (on_delete.event ->> 'user_id')::bigint;
END $$;
CREATE FUNCTION "14 app".wrong_type(event json) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION "14 app".wrong_result(event jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE "14 app".wrong_kind(event jsonb) LANGUAGE sql AS '';
RESET ROLE;
CREATE FUNCTION public.of_superuser(event jsonb) RETURNS void LANGUAGE sql AS '';

-- Setting one.
SELECT throws_ok(call, code, NULL, 'set_hook: ' || call) FROM (VALUES
    ('SELECT auth.set_hook(''logout'', ''"14 app".on_login(jsonb)'')', '22023'),
    ('SELECT auth.set_hook(NULL, ''"14 app".on_login(jsonb)'')', '22023'),
    ('SELECT auth.set_hook(''login'', ''"14 app".wrong_type(json)'')', '42P13'),
    ('SELECT auth.set_hook(''login'', ''"14 app".wrong_result(jsonb)'')', '42P13'),
    ('SELECT auth.set_hook(''login'', ''"14 app".wrong_kind(jsonb)'')', '42P13'),
    ('SELECT auth.set_hook(''login'', 0)', '42883'),
    ('SELECT auth.set_hook(''login'', ''public.of_superuser(jsonb)'')', '42501')) c (call, code);
SET ROLE regress_14_owner;
SELECT throws_ok($$SELECT auth.set_hook('login', '"14 app".on_login(jsonb)')$$, '42501', NULL, 'set_hook: not for the application''s owner');
SELECT throws_ok($$SELECT * FROM auth.hooks$$, '42501', NULL, 'hooks: not to be read by others');
RESET ROLE;
SELECT is((SELECT count(*) FROM auth.hooks), 0::bigint, 'set_hook: refused ones are not there');
SELECT lives_ok($$SELECT auth.set_hook('register', '"14 app".on_register(jsonb)'), auth.set_hook('login', '"14 app".on_login(jsonb)'),
                         auth.set_hook('delete', '"14 app".on_delete(jsonb)')$$, 'set_hook: all three');
SELECT is((SELECT detail FROM auth.audit_log WHERE action = 'set_hook' ORDER BY id DESC LIMIT 1), '{"delete": "\"14 app\".on_delete"}', 'set_hook: is in the audit log');

-- Registration.
SET ROLE regress_14_caller;
-- What a hostile caller would put in the way of the hook's names.
CREATE TEMP TABLE profiles (user_id bigint, event jsonb, who text, path text, identity bigint, session text);
SET search_path = pg_temp, public;
SELECT auth.register('ann@example.com', 'Secret123', 'Ann') AS ann \gset
SELECT is((SELECT count(*) FROM pg_temp.profiles), 0::bigint, 'register: the caller''s search_path is not the hook''s');
SELECT is(current_setting('search_path'), 'pg_temp, public', 'register: and is back again');
SELECT is(current_user::text, 'regress_14_caller', 'register: the role as well');
SELECT throws_ok($$SELECT auth.register('x@bad.example', 'Secret123')$$, 'PT402', 'only our own people', 'register: refused, with the application''s words');
SELECT is(current_user::text, 'regress_14_caller', 'register: refused, the role is the caller''s again');
RESET search_path; RESET ROLE;
SELECT is((SELECT count(*) FROM auth.users WHERE email LIKE '%bad.example'), 0::bigint, 'register: refused, no account');
SELECT is(p.who, 'regress_14_owner', 'register: ran as its owner') FROM "14 app".profiles p;
SELECT is(p.path, '"14 app", pg_temp', 'register: with its schema in the path') FROM "14 app".profiles p;
SELECT is(p.identity, NULL, 'register: without an identity') FROM "14 app".profiles p;
SELECT is(p.event, jsonb_build_object('event', 'register', 'user_id', :ann, 'email', 'ann@example.com', 'first_name', 'Ann', 'last_name', NULL,
          'role', 'user', 'ip', NULL, 'user_agent', NULL), 'register: what it is told') FROM "14 app".profiles p;
DO $$
BEGIN
    PERFORM auth.register('y@bad.example', 'Secret123');
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
SELECT is((SELECT count(*) FROM auth.users WHERE email LIKE '%bad.example'), 0::bigint, 'register: who catches the refusal has no account');

-- Login.
SELECT auth.login('ann@example.com', 'Wrong1234') \gset
SELECT is((SELECT count(*) FROM "14 app".logins), 0::bigint, 'login: not for a wrong password');
SELECT access_token AS a FROM auth.login('ann@example.com', 'Secret123', 'browser', '192.0.2.1') \gset
SELECT is((SELECT event - 'user_id' FROM "14 app".logins), '{"event":"login","email":"ann@example.com","first_name":"Ann","last_name":null,"role":"user","ip":"192.0.2.1","user_agent":"browser"}',
          'login: what it is told');
SELECT throws_ok($$SELECT auth.login('ann@example.com', 'Secret123', 'robot')$$, 'P0001', 'no robots', 'login: refused');
SELECT is((SELECT count(*) FROM auth.sessions), 1::bigint, 'login: refused, no session');

-- A hook that blocks whom it sees: no session outlives that.
CREATE FUNCTION "14 app".block() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN UPDATE auth.users SET blocked_at = now() WHERE id = (NEW.event ->> 'user_id')::bigint; RETURN NEW; END $$;
CREATE TRIGGER block AFTER INSERT ON "14 app".logins FOR EACH ROW EXECUTE FUNCTION "14 app".block();
SELECT throws_ok($$SELECT auth.login('ann@example.com', 'Secret123')$$, 'U403A', NULL, 'login: blocked by the hook');
DROP TRIGGER block ON "14 app".logins;
-- One that makes whom it sees an admin: the token says so.
CREATE FUNCTION "14 app".promote() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN UPDATE auth.users SET role = 'admin' WHERE id = (NEW.event ->> 'user_id')::bigint; RETURN NEW; END $$;
CREATE TRIGGER promote AFTER INSERT ON "14 app".logins FOR EACH ROW EXECUTE FUNCTION "14 app".promote();
BEGIN;
SELECT is(auth.verify_token((auth.login('ann@example.com', 'Secret123')).access_token) ->> 'role', 'admin', 'login: the role is the one that the hook has left');
ROLLBACK;
DROP TRIGGER promote ON "14 app".logins;

-- Deletion.
SELECT auth.register('keep@example.com', 'Secret123') AS keep \gset
SELECT access_token AS k FROM auth.login('keep@example.com', 'Secret123') \gset
BEGIN; SELECT auth.authenticate(:'k');
SELECT throws_ok($$SELECT auth.delete_me()$$, 'P0001', 'there is an open invoice', 'delete: refused');
COMMIT;
SELECT isnt(auth.verify_token(:'k'), NULL, 'delete: refused, all is as before');
BEGIN; SELECT auth.authenticate(:'a'); SELECT auth.delete_me(); COMMIT;
SELECT is((SELECT array_agg(user_id) FROM "14 app".profiles), ARRAY[:keep]::bigint[], 'delete: the application''s row went along');
SELECT is((SELECT detail IS NULL AND actor_id = user_id FROM auth.audit_log WHERE action = 'delete_me'), true, 'delete: recorded as ever');
-- One that logs out while the account is deleted.
SELECT auth.register('out@example.com', 'Secret123') AS o \gset
SELECT access_token AS o FROM auth.login('out@example.com', 'Secret123') \gset
GRANT EXECUTE ON FUNCTION auth.logout_all() TO regress_14_owner;
SET ROLE regress_14_owner;
CREATE FUNCTION "14 app".out(event jsonb) RETURNS void LANGUAGE sql AS 'SELECT auth.logout_all()';
RESET ROLE;
SELECT auth.set_hook('delete', '"14 app".out(jsonb)');
BEGIN; SELECT auth.authenticate(:'o');
SELECT lives_ok($$SELECT auth.delete_me()$$, 'delete: a hook that ends the identity');
COMMIT;
SELECT is((SELECT deleted_at IS NULL FROM auth.users WHERE email = 'out@example.com'), false, 'delete: and the account is deleted');

-- What a hook cannot do.
SET ROLE regress_14_owner;
CREATE FUNCTION "14 app".power(event jsonb) RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM auth.block_user(1); END$$;
CREATE FUNCTION "14 app".reads(event jsonb) RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM FROM auth.users; END$$;
CREATE FUNCTION "14 app".role(event jsonb) RETURNS void LANGUAGE plpgsql AS $$BEGIN RESET ROLE; END$$;
RESET ROLE;
SELECT auth.set_hook('delete', NULL);
SELECT is((SELECT array_agg(event ORDER BY event) FROM auth.hooks), '{login,register}', 'set_hook: NULL takes a hook away');
GRANT EXECUTE ON FUNCTION auth.block_user(bigint) TO regress_14_owner;
SELECT auth.set_hook('login', '"14 app".power(jsonb)');
SELECT throws_ok($$SELECT auth.login('keep@example.com', 'Secret123')$$, 'U401A', NULL, 'a hook is no operator, though the caller is one');
SELECT auth.set_hook('login', '"14 app".reads(jsonb)');
SELECT throws_ok($$SELECT auth.login('keep@example.com', 'Secret123')$$, '42501', NULL, 'a hook reads no table of ours');
SELECT auth.set_hook('login', '"14 app".role(jsonb)');
SELECT throws_ok($$SELECT auth.login('keep@example.com', 'Secret123')$$, '42501', NULL, 'a hook does not get the caller''s role');

-- What a hook SETs ends with it, with or without LOCAL.
SET ROLE regress_14_owner;
CREATE FUNCTION "14 app".leaves(event jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.user', event ->> 'user_id', false), set_config('work_mem', '77MB', true), set_config('default_transaction_read_only', 'on', false);
END $$;
RESET ROLE;
SELECT auth.set_hook('login', '"14 app".leaves(jsonb)');
BEGIN;
SELECT isnt(auth.login('keep@example.com', 'Secret123'), NULL, 'login: by a hook that SETs');
SELECT is(concat_ws(' ', current_setting('app.user', true), current_setting('work_mem'), current_setting('default_transaction_read_only')), ' 4MB off', 'a hook leaves no settings');
COMMIT;

-- What has become of a hook.
SELECT auth.set_hook('login', '"14 app".on_login(jsonb)');
ALTER FUNCTION "14 app".on_login(jsonb) OWNER TO CURRENT_USER;
SELECT throws_ok($$SELECT auth.login('keep@example.com', 'Secret123')$$, '42501', NULL, 'a hook that was given to the extension''s owner does not run');
ALTER FUNCTION "14 app".on_login(jsonb) OWNER TO regress_14_owner;
SELECT isnt(auth.login('keep@example.com', 'Secret123'), NULL, 'a hook that was given back does');
DROP FUNCTION "14 app".on_login(jsonb);
SELECT throws_ok($$SELECT auth.login('keep@example.com', 'Secret123')$$, '55000', NULL, 'a hook that is gone lets nobody in');
CREATE FUNCTION "14 app".on_login(event jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION "14 app".on_login(jsonb) OWNER TO regress_14_owner;
SELECT throws_ok($$SELECT auth.login('keep@example.com', 'Secret123')$$, '42P13', NULL, 'nor does one that was made anew as none');
DROP FUNCTION "14 app".on_login(jsonb);
SELECT is(auth.login('keep@example.com', 'Wrong1234'), NULL, 'a hook that is gone: a wrong password is told as ever');
SELECT auth.set_hook('login', NULL);
SELECT isnt(auth.login('keep@example.com', 'Secret123'), NULL, 'until it is taken away');
SELECT finish();
