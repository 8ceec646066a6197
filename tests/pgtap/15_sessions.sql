-- Sessions: the list, the end of single ones, the limit; and what else ends them.
\ir ../setup.sql
SELECT plan(61);

SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
SELECT auth.register('bob@example.com', 'Secret123') AS bob \gset
SELECT access_token AS a, refresh_token AS ra FROM auth.login('ann@example.com', 'Secret123', 'phone', '192.0.2.1') \gset
SELECT access_token AS b, refresh_token AS rb FROM auth.login('ann@example.com', 'Secret123', 'laptop', '2001:db8::1') \gset
SELECT access_token AS c, refresh_token AS rc FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT access_token AS other FROM auth.login('bob@example.com', 'Secret123', 'elsewhere') \gset
SELECT auth.verify_token(:'a') ->> 'sid' AS sa, auth.verify_token(:'b') ->> 'sid' AS sb, auth.verify_token(:'c') ->> 'sid' AS sc,
    auth.verify_token(:'other') ->> 'sid' AS sother \gset
CREATE FUNCTION pg_temp.newest() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', action, 'actor=' || actor_id, 'user=' || user_id, detail) FROM auth.audit_log ORDER BY id DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.sessions() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', coalesce(user_agent, '-'), host(ip), CASE WHEN is_current THEN 'current' END), ', ' ORDER BY number)
    FROM auth.sessions() WITH ORDINALITY s (id, created_at, last_used_at, user_agent, ip, is_current, number) $$;

-- Who may ask.
SELECT throws_ok(call, 'U401A', NULL, 'no identity: ' || call) FROM unnest(ARRAY['SELECT * FROM auth.sessions()', 'SELECT auth.revoke_other_sessions()',
    'SELECT auth.revoke_session(gen_random_uuid())']) call;

-- The list.
BEGIN;
SELECT auth.authenticate(:'b') \gset
SELECT is(pg_temp.sessions(), '-, laptop 2001:db8::1 current, phone 192.0.2.1', 'sessions: own ones, the last used first');
SELECT results_eq('SELECT id, created_at, last_used_at, user_agent, ip FROM auth.sessions()',
    format('SELECT id, created_at, last_used_at, user_agent, ip FROM auth.sessions WHERE user_id = %s ORDER BY last_used_at DESC', :ann), 'sessions: as they are');
SELECT auth.refresh(:'ra') \gset
SELECT is(pg_temp.sessions(), 'phone 192.0.2.1, -, laptop 2001:db8::1 current', 'sessions: a refresh is a use');
UPDATE auth.sessions SET expires_at = now() WHERE id = :'sa';
UPDATE auth.sessions SET last_used_at = now() - interval '8 days' WHERE id = :'sc';
SELECT is(pg_temp.sessions(), 'laptop 2001:db8::1 current', 'sessions: not what is over, by either limit');
ROLLBACK;

-- The end of one.
BEGIN;
SELECT auth.authenticate(:'b') \gset
SELECT is(auth.revoke_session(id), false, 'revoke_session: ' || what) FROM (VALUES (:'sother'::uuid, 'another''s'), (gen_random_uuid(), 'unknown'),
    ('00000000-0000-0000-0000-000000000000', 'none')) v (id, what);
SELECT is(auth.revoke_session(NULL), NULL, 'revoke_session: NULL');
SELECT is(count(*), 4::bigint, 'revoke_session: nothing has ended') FROM auth.sessions;
SELECT is(auth.revoke_session(:'sa'), true, 'revoke_session: an own one');
SELECT is(pg_temp.newest(), format('revoke_session actor=%1$s user=%1$s {"session_id": "%2$s"}', :ann, :'sa'), 'revoke_session: in the audit log');
SELECT is(auth.revoke_session(:'sa'), false, 'revoke_session: once');
SELECT is(auth.verify_token(:'a'), NULL, 'revoke_session: its access token is refused');
SELECT is(auth.refresh(:'ra'), NULL, 'revoke_session: its refresh token too');
SELECT is(auth.uid(), :ann::bigint, 'revoke_session: the identity is of another session');
SELECT is(auth.revoke_session(:'sb'), true, 'revoke_session: the current one');
SELECT is(auth.uid(), NULL, 'revoke_session: ends the identity');
SELECT throws_ok('SELECT auth.me()', 'U401A', NULL, 'revoke_session: at once');
ROLLBACK;

-- The end of all others.
BEGIN;
SELECT auth.authenticate(:'b') \gset
UPDATE auth.sessions SET expires_at = now() WHERE id = :'sa';
SELECT is(auth.revoke_other_sessions(), 1::bigint, 'revoke_other_sessions: how many lived');
SELECT is(pg_temp.newest(), format('revoke_other_sessions actor=%1$s user=%1$s {"sessions": 1}', :ann), 'revoke_other_sessions: in the audit log');
SELECT is(pg_temp.sessions(), 'laptop 2001:db8::1 current', 'revoke_other_sessions: the current one stays');
SELECT is(auth.uid(), :ann::bigint, 'revoke_other_sessions: and the identity');
SELECT isnt(auth.verify_token(:'other'), NULL, 'revoke_other_sessions: and other users'' sessions');
SELECT is(auth.verify_token(:'c'), NULL, 'revoke_other_sessions: the others are over');
SELECT is(count(*), 2::bigint, 'revoke_other_sessions: those that had expired too') FROM auth.sessions;
SELECT is(auth.revoke_other_sessions(), 0::bigint, 'revoke_other_sessions: again');
ROLLBACK;

-- What was ended since the token was authenticated.
BEGIN;
SELECT auth.authenticate(:'b') \gset
DELETE FROM auth.sessions WHERE id = :'sb';
SELECT throws_ok(call, 'U401B', NULL, 'ended meanwhile: ' || call) FROM unnest(ARRAY['SELECT * FROM auth.sessions()', 'SELECT auth.revoke_other_sessions()',
    'SELECT auth.revoke_session(gen_random_uuid())']) call;
ROLLBACK;

-- An identity of an imported access token has no session.
BEGIN;
SELECT auth.import_signing_key('HS256', 'an old service''s secret, long enough', '1 hour') \gset
UPDATE auth.users SET takes_imported_tokens = true;
\ir ../tokens.sql
SELECT pg_temp.sign('{"alg":"HS256","typ":"JWT"}', format('{"sub":"%s","exp":%s}', :ann, extract(epoch FROM now())::bigint + 600), 'an old service''s secret, long enough') AS old \gset
SELECT is(auth.authenticate(:'old'), :ann::bigint, 'imported: the token is good');
SELECT is(pg_temp.sessions(), '-, laptop 2001:db8::1, phone 192.0.2.1', 'imported: the sessions, none the current one');
SELECT is(auth.revoke_session('00000000-0000-0000-0000-000000000000'), false, 'imported: has none to revoke');
SELECT is(auth.revoke_session(:'sa'), true, 'imported: may revoke one');
SELECT is(auth.revoke_other_sessions(), 2::bigint, 'imported: all sessions are others');
SELECT isnt(auth.verify_token(:'old'), NULL, 'imported: the token stays');
SELECT access_token AS d FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT auth.authenticate(:'d') \gset
SELECT is(auth.revoke_other_sessions(), 0::bigint, 'imported: no session');
SELECT is(auth.verify_token(:'old'), NULL, 'imported: but one of the others, for a session');
ROLLBACK;

-- The limit.
SELECT is(current_setting('auth_service.max_sessions'), '0', 'limit: none by default');
SET auth_service.max_sessions = 3;
UPDATE auth.sessions SET last_used_at = now() - interval '1 minute' WHERE id = :'sc';
SELECT access_token AS d FROM auth.login('ann@example.com', 'Secret123', 'new') \gset
SELECT is(auth.verify_token(:'c'), NULL, 'limit: a login ends the session that was used longest ago');
SELECT is(count(*), 3::bigint, 'limit: no other') FROM auth.sessions WHERE user_id = :ann;
SELECT is(pg_temp.newest(), format('session_limit actor=%1$s user=%1$s {"sessions": 1}', :ann), 'limit: in the audit log');
SELECT isnt(auth.verify_token(:'other'), NULL, 'limit: of each account');
UPDATE auth.sessions SET expires_at = now() WHERE id = :'sa';
SELECT auth.login('ann@example.com', 'Secret123', 'newer') \gset
SELECT isnt(auth.verify_token(:'b'), NULL, 'limit: what is over does not count');
SELECT is(pg_temp.newest(), format('login actor=%1$s user=%1$s', :ann), 'limit: and nothing was ended');
BEGIN;
SET LOCAL auth_service.max_sessions = 1;
SELECT auth.login('ann@example.com', 'Secret123', 'only') \gset
SELECT is(string_agg(user_agent, ','), 'only', 'limit: 1') FROM auth.sessions WHERE user_id = :ann AND expires_at > now();
ROLLBACK;
SELECT isnt(auth.verify_token(:'b'), NULL, 'limit: a login that is undone ends none');
SELECT auth.login('ann@example.com', 'Wrong1234') \gset
SELECT is(count(*), 4::bigint, 'limit: nor one with a wrong password') FROM auth.sessions WHERE user_id = :ann;
RESET auth_service.max_sessions;

-- What else ends all sessions of an account, and no other's.
CREATE FUNCTION pg_temp.left_of(account bigint) RETURNS text LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE user_id = account) || ' ' || count(*) FILTER (WHERE user_id <> account) FROM auth.sessions $$;
BEGIN;
SELECT auth.change_password('ann@example.com', 'Wrong1234', 'Secret124') \gset
SELECT is(pg_temp.left_of(:ann), '4 1', 'a wrong password: none');
SELECT auth.change_password('ann@example.com', 'Secret123', 'Secret124') \gset
SELECT is(pg_temp.left_of(:ann), '0 1', 'change_password: all');
ROLLBACK;
BEGIN;
SELECT auth.block_user(:ann) \gset
SELECT is(pg_temp.left_of(:ann), '0 1', 'block_user: all');
SELECT auth.unblock_user(:ann) \gset
SELECT is(auth.refresh(:'rb'), NULL, 'unblock_user: gives none back');
ROLLBACK;
BEGIN;
SELECT auth.authenticate(:'b') \gset
SELECT auth.delete_me() \gset
SELECT is(pg_temp.left_of(:ann), '0 1', 'delete_me: all');
SELECT auth.restore_user(:ann) \gset
SELECT is(auth.verify_token(:'b'), NULL, 'restore_user: gives none back');
ROLLBACK;
-- A role is the database's: nothing has to end for it to count.
BEGIN;
SELECT auth.set_role(:ann, 'admin') \gset
SELECT is(pg_temp.left_of(:ann), '4 1', 'set_role: none');
SELECT is(auth.verify_token(:'b') ->> 'role', 'admin', 'set_role: it counts at once');
SELECT auth.authenticate(:'b') \gset
SELECT lives_ok('SELECT * FROM auth.list_users()', 'set_role: an admin');
SELECT auth.set_role(:ann, 'user') \gset
SELECT throws_ok('SELECT * FROM auth.list_users()', 'U404A', NULL, 'set_role: and no longer, in the same transaction');
ROLLBACK;
SELECT is(pg_temp.left_of(:ann), '4 1', 'and all of that was undone');
SELECT finish();
