-- introspect and revoke_token: any text, none of them an error.
\ir ../setup.sql
\ir ../tokens.sql
SELECT plan(69);

SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
SELECT auth.register('root@example.com', 'Secret123') AS root \gset
SELECT auth.set_role(:root, 'admin') \gset
SELECT access_token AS a, refresh_token AS ra FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT access_token AS r, refresh_token AS rr FROM auth.login('root@example.com', 'Secret123') \gset
SELECT auth.verify_token(:'a') AS claims \gset
SELECT id AS sid, created_at, expires_at FROM auth.sessions WHERE user_id = :ann \gset
CREATE ROLE regress_16_app; SELECT auth.allow_api('regress_16_app') \gset
CREATE TEMP TABLE inactive AS SELECT '{"active": false}'::jsonb AS it; GRANT SELECT ON inactive TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_16_app;

-- Who may ask.
SET ROLE regress_16_app;
SELECT throws_ok(format('SELECT auth.introspect(%L)', :'a'), 'U401A', NULL, 'introspect: nobody');
RESET ROLE;
SELECT is(auth.introspect(:'a') ->> 'active', 'true', 'introspect: an operator');

-- An access token.
BEGIN;
SELECT auth.authenticate(:'a') \gset
SELECT is(auth.introspect(:'a'), :'claims'::jsonb - 'gen' || '{"active": true, "token_type": "bearer", "username": "ann@example.com"}', 'introspect: an access token');
SELECT is((SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(auth.introspect(:'a')) k),
    '{active,exp,iat,iss,jti,role,sid,sub,token_type,username}', 'introspect: its members');

-- A refresh token.
SELECT is(auth.introspect(:'ra'), jsonb_build_object('active', true, 'token_type', 'refresh_token', 'username', 'ann@example.com', 'role', 'user',
    'iss', 'auth_service', 'sub', :'ann', 'sid', :'sid', 'iat', floor(extract(epoch FROM :'created_at'::timestamptz))::bigint,
    'exp', floor(extract(epoch FROM :'created_at'::timestamptz + interval '7 days'))::bigint), 'introspect: a refresh token');
SET LOCAL auth_service.refresh_token_idle_ttl = '300d';
SELECT is(auth.introspect(:'ra') ->> 'exp', floor(extract(epoch FROM :'expires_at'::timestamptz))::text, 'introspect: exp is the nearer of the two limits');
RESET auth_service.refresh_token_idle_ttl;
SELECT is((SELECT concat_ws(' ', refresh_counter, last_used_at = created_at) FROM auth.sessions WHERE user_id = :ann), '0 t', 'introspect: changes nothing');
SELECT refresh_token AS r1 FROM auth.refresh(:'ra') \gset
SELECT is(auth.introspect(:'r1') ->> 'active', 'true', 'introspect: the next refresh token');
SELECT is(auth.introspect(:'ra') ->> 'active', 'true', 'introspect: the one before, while it would be forgiven');
UPDATE auth.sessions SET last_used_at = last_used_at - interval '11 seconds';
SELECT is(auth.introspect(:'ra'), it, 'introspect: and then no longer') FROM inactive;
SELECT is(auth.introspect(:'r1') ->> 'active', 'true', 'introspect: which ends nothing');
SELECT is(auth.introspect(:'a') ->> 'active', 'true', 'introspect: an older access token');
SELECT auth.authenticate(:'r') \gset
UPDATE auth.sessions SET last_used_at = now() - interval '8 days' WHERE user_id = :ann;
SELECT is(auth.introspect(:'r1'), it, 'introspect: idle for too long') FROM inactive;
UPDATE auth.sessions SET last_used_at = now(), expires_at = now() WHERE user_id = :ann;
SELECT is(auth.introspect(:'r1'), it, 'introspect: its session is over') FROM inactive;
ROLLBACK;
BEGIN;
SELECT auth.authenticate(:'a') \gset
SELECT is(auth.introspect(:'r'), it, 'introspect: another''s access token') FROM inactive;
SELECT is(auth.introspect(:'rr'), it, 'introspect: another''s refresh token') FROM inactive;
ROLLBACK;
BEGIN;
SELECT auth.authenticate(:'r') \gset
SELECT is(auth.introspect(t) ->> 'username', 'ann@example.com', 'introspect: an admin, any') FROM unnest(ARRAY[:'a', :'ra']) t;
SELECT auth.set_role(:root, 'user') \gset
SELECT is(auth.introspect(:'a'), it, 'introspect: an admin no longer') FROM inactive;
UPDATE auth.sessions SET expires_at = now() WHERE user_id = :root;
SELECT throws_ok(format('SELECT auth.introspect(%L)', :'a'), 'U401B', NULL, 'introspect: an identity that no longer stands');
ROLLBACK;

-- Rolled back, blocked, deleted.
BEGIN; SAVEPOINT s;
SELECT access_token AS xa, refresh_token AS xr FROM auth.refresh(:'ra') \gset
ROLLBACK TO s;
SELECT is(auth.introspect(t), it, 'introspect: of a refresh that was rolled back') FROM inactive, unnest(ARRAY[:'xa', :'xr']) t;
SELECT auth.revoke_token(t) FROM unnest(ARRAY[:'xa', :'xr']) t;
SELECT isnt(auth.verify_token(:'a'), NULL, 'revoke_token: nor does it end the session');
UPDATE auth.users SET blocked_at = now() WHERE id = :ann;
SELECT is(auth.introspect(t), it, 'introspect: blocked') FROM inactive, unnest(ARRAY[:'a', :'ra']) t;
UPDATE auth.users SET blocked_at = NULL, deleted_at = now() WHERE id = :ann;
SELECT is(auth.introspect(t), it, 'introspect: deleted') FROM inactive, unnest(ARRAY[:'a', :'ra']) t;
ROLLBACK;

-- What is no token is nothing, and no error, however long it is.
SELECT is(auth.introspect(token), it, 'introspect: ' || coalesce(left(token, 12), 'NULL') || ' …') FROM inactive, unnest(ARRAY[
    NULL, '', ' ', 'x', '..', repeat('A', 76), repeat('.', 76), :'ra' || '=', ' ' || :'ra', :'a' || 'A', left(:'a', -1), left(:'ra', -1), overlay(:'ra' placing 'x' from 40),
    overlay(:'a' placing 'x' from 150), E'\u0001', 'ü', repeat('ü', 38), repeat('a.', 2000000)]) token;
SELECT lives_ok(format('SELECT auth.revoke_token(%L)', token), 'revoke_token: ' || coalesce(left(token, 12), 'NULL') || ' …') FROM unnest(ARRAY[
    NULL, '', 'x', '..', repeat('A', 76), repeat('.', 76), :'ra' || '=', overlay(:'ra' placing 'x' from 40), overlay(:'a' placing 'x' from 150), repeat('a.', 2000000)]) token;
SELECT is(count(*), 2::bigint, 'revoke_token: has ended nothing') FROM auth.sessions;
-- Packed, it is not unpacked first.
SET default_toast_compression = lz4;
CREATE TEMP TABLE packed AS SELECT repeat('x', 300000000) AS token;
DO $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    PERFORM auth.introspect(token), auth.revoke_token(token), auth.refresh(token) FROM packed;
    RAISE 'took %', clock_timestamp() - began USING ERRCODE = 'ZZ000'; EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    CREATE TEMP TABLE took AS SELECT clock_timestamp() - began AS time;
END $$;
SELECT cmp_ok(time, '<', interval '0.25 s', '300 MB: at once') FROM took;

-- revoke_token: possession is enough.
SET ROLE regress_16_app;
SELECT auth.revoke_token(:'a');
RESET ROLE;
SELECT is(auth.refresh(:'ra'), NULL, 'revoke_token: an access token ends its session');
SELECT is(concat_ws(' ', action, actor_id, user_id), format('revoke_token %s', :ann), 'revoke_token: in the audit log') FROM auth.audit_log ORDER BY id DESC LIMIT 1;
SELECT lives_ok(format('SELECT auth.revoke_token(%L)', :'a'), 'revoke_token: again');
SELECT refresh_token AS t0, access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT refresh_token AS t1 FROM auth.refresh(:'t0') \gset
SELECT refresh_token AS t2 FROM auth.refresh(:'t1') \gset
BEGIN;
SELECT auth.revoke_token(:'t2');
SELECT is(auth.verify_token(:'a'), NULL, 'revoke_token: a refresh token ends its session');
ROLLBACK;
SELECT isnt(auth.verify_token(:'a'), NULL, 'revoke_token: undone with its transaction');
BEGIN;
SELECT auth.authenticate(:'a') \gset
SELECT auth.revoke_token(:'rr');
SELECT is(auth.uid(), :ann::bigint, 'revoke_token: of another session leaves the identity');
SELECT auth.revoke_token(:'t0');
SELECT is(auth.verify_token(:'a'), NULL, 'revoke_token: an old refresh token, too');
SELECT is(auth.uid(), NULL, 'revoke_token: and the identity, where it is of that session');
ROLLBACK;
BEGIN;
SELECT auth.import_signing_key('HS256', 'an old service''s secret, long enough', '1 hour') \gset
UPDATE auth.users SET takes_imported_tokens = true;
SELECT pg_temp.sign('{"alg":"HS256","typ":"JWT"}', format('{"sub":"%s","exp":%s}', :ann, extract(epoch FROM now())::bigint + 600), 'an old service''s secret, long enough') AS old \gset
SELECT is(auth.introspect(:'old') - 'exp', jsonb_build_object('active', true, 'token_type', 'bearer', 'username', 'ann@example.com', 'role', 'user', 'sub', :'ann'), 'imported: introspect');
SELECT auth.revoke_token(:'old');
SELECT is(auth.introspect(:'old'), it, 'imported: revoke_token') FROM inactive;
SELECT isnt(auth.verify_token(:'a'), NULL, 'imported: ends no session');
ROLLBACK;
SELECT is(count(*), 1::bigint, 'imported: all of that was undone, so the session is there') FROM auth.sessions WHERE user_id = :ann;
SELECT finish();
