-- login: who gets tokens, what they look like, and what the identity of a transaction is.
\ir ../setup.sql
\ir ../tokens.sql
SELECT plan(38);

SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
SELECT auth.register('bob@example.com', 'Secret456') AS bob \gset

SELECT is(count(*), 0::bigint, 'no key before the first login') FROM auth.signing_keys;
SELECT access_token AS access, refresh_token AS refresh, token_type, expires_in
    FROM auth.login('ann@example.com', 'Secret123', 'psql/1', '192.0.2.7') \gset
SELECT is(:'token_type'::text, 'bearer', 'login: token type');
SELECT is(:expires_in, 900, 'login: lives for 15 minutes by default');
SELECT is(count(*), 1::bigint, 'login: made one key') FROM auth.signing_keys WHERE is_active;
SELECT matches(:'access'::text, '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$', 'login: a JWT');
SELECT matches(:'refresh'::text, '^[A-Za-z0-9_-]{76}$', 'login: an opaque refresh token');
SELECT is(user_agent || ' ' || host(ip), 'psql/1 192.0.2.7', 'login: keeps user agent and address')
    FROM auth.sessions WHERE user_id = :ann;
SELECT isnt(last_activity_at, NULL, 'login: is an activity') FROM auth.users WHERE id = :ann;
SELECT access_token AS access2 FROM auth.login('ANN@example.com', 'Secret123') \gset
SELECT is(count(*), 1::bigint, 'login: the key is used again') FROM auth.signing_keys;
SELECT is(count(*), 2::bigint, 'login: each makes a session') FROM auth.sessions;

-- The token's parts, read without our code.
SELECT is(pg_temp.part(:'access', 1)::jsonb,
          jsonb_build_object('alg', 'HS256', 'typ', 'at+jwt', 'kid', (SELECT kid FROM auth.signing_keys)),
          'token: its header');
SELECT is(ARRAY(SELECT k FROM jsonb_object_keys(pg_temp.part(:'access', 2)::jsonb) k ORDER BY k),
          '{exp,gen,iat,iss,jti,role,sid,sub}', 'token: its claims');
SELECT is(pg_temp.part(:'access', 2)::jsonb -> 'sub', to_jsonb(:'ann'::text), 'token: sub is a string');
SELECT is((pg_temp.part(:'access', 2)::jsonb ->> 'exp')::int - (pg_temp.part(:'access', 2)::jsonb ->> 'iat')::int,
          900, 'token: exp');
SELECT ok(abs(extract(epoch FROM clock_timestamp()) - (pg_temp.part(:'access', 2)::jsonb ->> 'iat')::int) < 5,
          'token: iat');
SELECT isnt(pg_temp.part(:'access', 2)::jsonb ->> 'jti', pg_temp.part(:'access2', 2)::jsonb ->> 'jti',
            'token: jti is unique');
SELECT is(translate(rtrim(encode(hmac(convert_to(substring(:'access' FROM '^(.*)\.'), 'UTF8'), secret, 'sha256'),
                                 'base64'), '='), '+/', '-_'),
          split_part(:'access', '.', 3), 'token: signed with the key')
    FROM auth.signing_keys;

-- Who gets none.
SELECT is(auth.login(email, password), NULL, 'login refused: ' || coalesce(left(email, 20), 'NULL') || ' / '
                                             || coalesce(left(password, 20), 'NULL'))
FROM (VALUES ('ann@example.com', 'Secret124'), ('nobody@example.com', 'Secret123'), ('', ''),
             ('ann@example.com', ''), ('ann@example.com', NULL), (NULL, 'Secret123'),
             ('ann@example.com', repeat('x', 1000000)), (repeat('x', 1000000), 'Secret123'),
             ('ann@example.com', 'Secret456')) c (email, password);
SELECT is(count(*), 2::bigint, 'login refused: no session') FROM auth.sessions;

-- Blocked: told only to who knows the password.
UPDATE auth.users SET blocked_at = now() WHERE id = :bob;
SELECT is(auth.login('bob@example.com', 'Wrong456'), NULL, 'blocked: the wrong password tells nothing');
SELECT throws_ok($$SELECT auth.login('bob@example.com', 'Secret456')$$, 'U403A', 'Your account is blocked.',
                 'blocked: the right one does');
UPDATE auth.users SET blocked_at = NULL, deleted_at = now() WHERE id = :bob;
SELECT is(auth.login('bob@example.com', 'Secret456'), NULL, 'deleted: as unknown');

-- A hash of another cost is renewed, one that is none lets nobody in.
UPDATE auth.users SET password_hash = crypt('Secret123', gen_salt('bf', 5)) WHERE id = :ann;
SELECT isnt(auth.login('ann@example.com', 'Secret123'), NULL, 'renewal: the login works');
SELECT matches(password_hash, '^\$2a\$04\$', 'renewal: with the cost of the setting')
    FROM auth.users WHERE id = :ann;
SELECT isnt(auth.login('ann@example.com', 'Secret123'), NULL, 'renewal: and works again');
SET auth_service.throttle_account_failures = 0;
CREATE TEMP TABLE hashes (hash text);
INSERT INTO hashes VALUES (NULL), (''), ('*'), ('$2b$04$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui'),
    (crypt('Secret123', gen_salt('des'))), (crypt('Secret123', gen_salt('md5')));
CREATE FUNCTION pg_temp.login_with(hash text) RETURNS auth.token_pair LANGUAGE plpgsql AS $$
BEGIN
    UPDATE auth.users SET password_hash = hash WHERE id = 1;
    RETURN auth.login('ann@example.com', 'Secret123');
END $$;
SELECT is(pg_temp.login_with(hash), NULL, 'no hash of ours: ' || coalesce(left(hash, 7), 'NULL'))
    FROM hashes LIMIT 3;
SELECT is(bool_or(pg_temp.login_with(hash) IS NOT NULL), false, 'nor DES, MD5 and $2b$') FROM hashes;
RESET auth_service.throttle_account_failures;
-- No access token outlives its session's idle limit.
SELECT auth.register('idle@example.com', 'Secret123') AS idle \gset
SET auth_service.refresh_token_idle_ttl = '60s';
SELECT is((auth.verify_token(access_token) -> 'exp')::int - (auth.verify_token(access_token) -> 'iat')::int || ' ' || expires_in, '60 60',
    'login: no longer than its session without a refresh') FROM auth.login('idle@example.com', 'Secret123');
RESET auth_service.refresh_token_idle_ttl;

SELECT finish();
