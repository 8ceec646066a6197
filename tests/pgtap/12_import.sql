-- Taking the users of the service before us over, with their passwords, states and access tokens.
\ir ../setup.sql
\ir ../tokens.sql
SELECT plan(106);

-- Its table.
CREATE TYPE public.user_role_enum AS ENUM ('user', 'admin');
CREATE TABLE public.users (id serial PRIMARY KEY, email varchar, hashed_password varchar, first_name varchar, last_name varchar,
    is_blocked boolean, blocked_at timestamp, is_deleted boolean, role user_role_enum, balance integer, created_at timestamp, updated_at timestamp, last_activity_at timestamp);
SELECT crypt('Secret123', gen_salt('bf', 4)) AS hash \gset
SELECT '$2b$' || substr(:'hash', 5) AS hash_b, '$2y$' || substr(:'hash', 5) AS hash_y \gset
SET timezone = 'Asia/Tokyo';
INSERT INTO public.users VALUES
    (10, 'Ann@Example.com', :'hash_b', 'Ann', 'Lee', false, NULL, false, 'user', 250, '2024-01-02 03:04:05.678', '2024-02-03', '2024-03-04'),
    (11, 'bob@example.com', :'hash_b', '', NULL, true, '2024-05-06', false, 'user', 0, '2024-01-02', '2024-02-03', NULL),
    (12, 'gone@example.com', :'hash_b', NULL, NULL, false, NULL, true, 'user', 7, '2024-01-02', '2024-02-03', NULL),
    (13, 'root@example.com', :'hash', 'Ro', 'Ot', false, NULL, NULL, 'admin', 0, NULL, NULL, NULL),
    (40, 'y@example.com', :'hash_y', NULL, NULL, true, NULL, false, 'user', NULL, '2024-01-02', '2024-02-03', NULL);
CREATE FUNCTION pg_temp.import() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', n.id, n.refused, n.reason), '; ' ORDER BY n.id), 'all') FROM auth.import_users((SELECT json_agg(u) FROM public.users u)) n $$;

SELECT is(pg_temp.import(), 'all', 'all are imported');
SELECT is((SELECT array_agg(concat_ws(',', id, email, first_name, last_name, role, balance, blocked_at AT TIME ZONE 'UTC', deleted_at AT TIME ZONE 'UTC',
                                      created_at AT TIME ZONE 'UTC', updated_at AT TIME ZONE 'UTC', last_activity_at AT TIME ZONE 'UTC') ORDER BY id)
           FROM auth.users WHERE id < 13),
          ARRAY['10,Ann@Example.com,Ann,Lee,user,250,2024-01-02 03:04:05.678,2024-02-03 00:00:00,2024-03-04 00:00:00',
                '11,bob@example.com,user,0,2024-05-06 00:00:00,2024-01-02 00:00:00,2024-02-03 00:00:00',
                '12,gone@example.com,user,7,2024-02-03 00:00:00,2024-01-02 00:00:00,2024-02-03 00:00:00'], 'every column, times as UTC whatever the session''s zone');
SELECT is((SELECT role::text || (created_at > now() - interval '1 minute') FROM auth.users WHERE id = 13), 'admintrue', 'an admin; a time that is missing is now');
SELECT is((SELECT blocked_at FROM auth.users WHERE id = 40), '2024-02-03 00:00+00', 'blocked since the last change, where nobody noted when');
SELECT isnt(auth.login('ann@example.com', 'Secret123'), NULL, 'a $2b$ hash: the password works');
SELECT is(auth.login('ann@example.com', 'Secret124'), NULL, 'a $2b$ hash: another one does not');
SELECT is(auth.login('ann@example.com', 'Secret12'), NULL, 'a $2b$ hash: nor its first eight characters');
SELECT isnt(auth.login('root@example.com', 'Secret123'), NULL, 'a $2a$ hash');
SELECT throws_ok($$SELECT auth.login('y@example.com', 'Secret123')$$, 'U403A', NULL, 'a $2y$ hash, blocked');
SELECT throws_ok($$SELECT auth.login('bob@example.com', 'Secret123')$$, 'U403A', NULL, 'blocked');
SELECT is(auth.login('gone@example.com', 'Secret123'), NULL, 'deleted');
SELECT is(auth.register('gone@example.com', 'Secret123'), 41::bigint, 'new ids go on behind, and a deleted e-mail is free');
SELECT is((SELECT array_agg(ROW(user_id, number, amount, balance)::text ORDER BY user_id) FROM auth.balance_entries), '{"(10,1,250,250)","(12,1,7,7)"}', 'the ledger begins with the balance');

-- Again, after the world went on.
SELECT auth.admin_change_balance(10, 50) \gset
UPDATE public.users SET balance = 9999, first_name = 'Changed', hashed_password = :'hash' WHERE id = 10;
INSERT INTO public.users (id, email, hashed_password, role) VALUES (14, 'late@example.com', :'hash_b', 'user');
SELECT is(pg_temp.import(), '10 f the account is here already; 11 f the account is here already; 12 f the account is here already; 13 f the account is here already; 40 f the account is here already',
          'twice: what is here stays, what is new comes');
SELECT is((SELECT first_name || balance FROM auth.users WHERE id = 10), 'Ann300', 'twice: nothing is overwritten');
SELECT is((SELECT email FROM auth.users WHERE id = 14), 'late@example.com', 'twice: a new one is added');
SELECT is(auth.register('next@example.com', 'Secret123'), 42::bigint, 'twice: ids do not go back');
SELECT is((SELECT array_agg(detail ORDER BY id) FROM auth.audit_log WHERE action = 'import_users'),
          ARRAY['{"imported": 5, "present": 0, "refused": 0}', '{"imported": 1, "present": 5, "refused": 0}']::jsonb[], 'the audit log has the counts');

-- What is refused, row by row, and the rest goes on.
SELECT is((SELECT string_agg(reason, '') FROM auth.import_users(json_build_array(
              json_build_object('id', 100, 'email', 'good@example.com', 'hashed_password', :'hash_b', 'role', 'user', 'balance', 1)::jsonb || bad::jsonb))),
          wanted, 'refused: ' || bad)
FROM (VALUES ('{"id":null}', 'the id is not a number from 1 to 2^52'), ('{"id":0}', 'the id is not a number from 1 to 2^52'), ('{"id":-5}', 'the id is not a number from 1 to 2^52'),
             ('{"id":4503599627370497}', 'the id is not a number from 1 to 2^52'), ('{"id":10}', 'another account has this id'),
             ('{"email":"ANN@EXAMPLE.COM"}', 'another account has this e-mail'), ('{"email":null}', 'the e-mail is not a valid address'), ('{"email":"x"}', 'the e-mail is not a valid address'),
             ('{"role":null}', 'the role is neither user nor admin'), ('{"role":"root"}', 'the role is neither user nor admin'), ('{"balance":-1}', 'the balance is below zero'),
             ('{"first_name":"a\u0007"}', 'a name is over 255 characters or has a control character'), (format('{"last_name":"%s"}', repeat('x', 256)), 'a name is over 255 characters or has a control character')) c (bad, wanted);
SELECT is((SELECT string_agg(reason, '') FROM auth.import_users(json_build_array(json_build_object('id', 101, 'email', 'h@example.com', 'role', 'user', 'hashed_password', hash)))),
          'the password hash is none of bcrypt, $2a$, $2b$ or $2y$, with a cost from 4 to 16', 'refused: the hash ' || coalesce(hash, 'NULL'))
FROM unnest(ARRAY[NULL, '', 'Secret123', '$2x$' || substr(:'hash', 5), '$2$04$' || substr(:'hash', 8), '$2b$03$' || substr(:'hash', 8), '$2b$17$' || substr(:'hash', 8), '$2b$31$' || substr(:'hash', 8),
    '$2b$4$x' || substr(:'hash', 8), substr(:'hash', 1, 59), :'hash' || 'x', substr(:'hash', 1, 59) || '!', '$1$abc$def', '$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA', '12345678901234567890123456789012']) hash;
SELECT is((SELECT count(*) FROM auth.users WHERE id >= 100), 0::bigint, 'refused: none came in');
SELECT is((SELECT array_agg(id || reason) FROM auth.import_users('[{"id":200,"email":"A@x.org","hashed_password":"$2b$04$abcdefghijklmnopqrstuu5Z9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Z","role":"user"},
    {"id":201,"email":"a@x.org","hashed_password":"$2b$04$abcdefghijklmnopqrstuu5Z9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Z","role":"user"}]')), '{"201another account has this e-mail"}', 'two that differ in case only: the first one');
-- One id, or one e-mail, in two rows: each is told of what became of it.
SELECT is((SELECT array_agg(n.id || n.email || n.refused || n.reason) FROM auth.import_users(json_build_array(
        json_build_object('id', 210, 'email', 'ANN@example.com', 'hashed_password', :'hash_b', 'role', 'user'), json_build_object('id', 210, 'email', 'b210@x.org', 'hashed_password', :'hash_b', 'role', 'user'),
        json_build_object('id', 210, 'email', 'c210@x.org', 'hashed_password', :'hash_b', 'role', 'user'))) n),
    '{"210ANN@example.comtrueanother account has this id","210c210@x.orgtrueanother account has this id"}', 'one id three times: the one that could come in is in');
SELECT is((SELECT email FROM auth.users WHERE id = 210), 'b210@x.org', 'and it is that one');
SELECT is((SELECT string_agg(reason, '') FROM auth.import_users(json_build_array(
              json_build_object('id', 220, 'email', 't@example.com', 'hashed_password', :'hash_b', 'role', 'user')::jsonb || bad::jsonb))), 'a time is not between the years 1 and 9999', 'refused: ' || bad)
FROM unnest('{"{\"created_at\":\"infinity\"}","{\"updated_at\":\"-infinity\"}","{\"last_activity_at\":\"0044-03-15 BC\"}","{\"is_blocked\":true,\"blocked_at\":\"10000-01-01\"}"}'::text[]) bad;
SET datestyle = 'SQL, DMY';
SELECT count(*) FROM auth.import_users(json_build_array(json_build_object('id', 221, 'email', 'd@example.com', 'hashed_password', :'hash_b', 'role', 'user', 'created_at', '01/02/2024'))) \gset
RESET datestyle;
SELECT is((SELECT created_at FROM auth.users WHERE id = 221), '2024-01-02 00:00+00', 'the session''s date style does not matter');
-- A trial, rolled back, and rows that are refused do not move the ids of new accounts.
SELECT last_value AS before FROM auth.users_id_seq \gset
SELECT count(*) FROM auth.import_users('[{"id":4503599627370496,"email":"garbage"}]') \gset
SELECT is((SELECT last_value FROM auth.users_id_seq), :before::bigint, 'a refused row does not move the sequence');
-- A hostile "=" in front of pg_catalog.
CREATE SCHEMA evil; CREATE TABLE evil.log (what text);
CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO evil.log VALUES ($1); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = text, RIGHTARG = text); CREATE OPERATOR evil.<> (FUNCTION = evil.eq, LEFTARG = text, RIGHTARG = text);
SET search_path = evil, pg_catalog, public;
SELECT count(*) FROM auth.import_users(json_build_array(json_build_object('id', 222, 'email', 'e@example.com', 'hashed_password', :'hash_b', 'first_name', 'Eve', 'role', 'user'))) \gset
RESET search_path;
SELECT is((SELECT count(*) FROM evil.log), 0::bigint, 'a hostile operator is not called');
SELECT throws_ok($$SELECT auth.import_users('[{"id":"x"}]')$$, '22P02', NULL, 'a value of another type is an error');
SELECT throws_ok($$SELECT auth.import_users('{"id":1}')$$, '22023', NULL, 'so is what is no array');
SELECT is((SELECT count(*) FROM auth.import_users('[]')), 0::bigint, 'an empty array');

-- Access tokens of the service before us: its header, "sub" and "exp", nothing else.
SELECT 'a secret of the service before us' AS secret \gset
CREATE FUNCTION pg_temp.old(subject text, seconds int, secret text DEFAULT 'a secret of the service before us', header text DEFAULT '{"alg":"HS256","typ":"JWT"}') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.sign(header, format('{"sub":"%s","exp":%s}', subject, extract(epoch FROM clock_timestamp())::bigint + seconds), convert_to(secret, 'UTF8')) $$;
SELECT pg_temp.old('10', 1800) AS t \gset
SELECT is(auth.verify_token(:'t'), NULL, 'before the secret is imported they are refused');
SELECT throws_ok($$SELECT auth.import_signing_key('HS256', 'too short')$$, '22023', NULL, 'a short secret is no key');
SELECT throws_ok($$SELECT auth.import_signing_key('none', repeat('x', 32))$$, '22023', NULL, 'nor another algorithm');
SELECT throws_ok($$SELECT auth.import_signing_key('HS256', repeat('x', 32), '-1 day')$$, '22023', NULL, 'nor a time that is over');
SELECT alike(auth.import_signing_key('HS256', :'secret'), 'imported-%', 'the secret is imported');
SELECT is(auth.verify_token(:'t') ->> 'sub', '10', 'then they are good');
SELECT is(auth.verify_token(t), NULL, 'refused: ' || what)
FROM (VALUES ('expired', pg_temp.old('10', -1)), ('another secret', pg_temp.old('10', 60, 'another secret of 32 bytes or so')), ('a user who was not imported', pg_temp.old('41', 60)),
             ('a blocked one', pg_temp.old('11', 60)), ('a deleted one', pg_temp.old('12', 60)), ('nobody', pg_temp.old('999', 60)), ('a refresh token, which lasts longer', pg_temp.old('10', 86400 * 7)),
             ('no algorithm', pg_temp.old('10', 60, 'a secret of the service before us', '{"alg":"none","typ":"JWT"}')), ('another type', pg_temp.old('10', 60, 'a secret of the service before us', '{"alg":"HS256","typ":"at+jwt"}')),
             ('a critical extension', pg_temp.old('10', 60, 'a secret of the service before us', '{"alg":"HS256","crit":["x"]}')), ('a bad subject', pg_temp.old('10x', 60)), ('a changed one', :'t' || 'x')) c (what, t);
SELECT is(auth.verify_token(pg_temp.sign(format('{"alg":"HS256","typ":"at+jwt","kid":"%s"}', (SELECT kid FROM auth.signing_keys WHERE imported_until IS NOT NULL)),
          pg_temp.part((SELECT access_token FROM auth.login('ann@example.com', 'Secret123')), 2), convert_to(:'secret', 'UTF8'))), NULL, 'the imported key signs no token of ours');

BEGIN;
SELECT is(auth.authenticate(:'t'), 10::bigint, 'authenticate');
SELECT is((auth.me()).email, 'Ann@Example.com', 'me');
SELECT is(auth.change_balance(-300), 0::bigint, 'change_balance');
SELECT lives_ok('SELECT auth.logout()', 'logout');
COMMIT;
SELECT is(auth.verify_token(:'t'), NULL, 'after logout the user''s old tokens are all dead');
SELECT isnt(auth.verify_token(pg_temp.old('13', 60)), NULL, 'another user''s are not');
SELECT auth.import_signing_key('HS256', :'secret') \gset
SELECT is((SELECT count(*) FROM auth.signing_keys WHERE imported_until IS NOT NULL AND retired_at IS NULL), 1::bigint, 'the same secret again takes the place of the first');
SELECT isnt(auth.verify_token(pg_temp.old('13', 60)), NULL, 'and works');
SELECT is(auth.change_password('root@example.com', 'Secret123', 'Secret124'), true, 'a changed password');
SELECT is(auth.verify_token(pg_temp.old('13', 60)), NULL, 'ends them too');

-- What ends the tokens of an imported account ends them for good.
CREATE FUNCTION pg_temp.imported(id bigint, more json DEFAULT '{}') RETURNS boolean LANGUAGE sql AS $$
    SELECT count(*) = 0 FROM auth.import_users(json_build_array(json_build_object('id', id, 'email', 'i' || id || '@example.com', 'role', 'user',
        'hashed_password', '$2b$04$abcdefghijklmnopqrstuu5Z9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Zl9Z')::jsonb || more::jsonb)) $$;
SELECT is(pg_temp.imported(240) AND auth.block_user(240) AND auth.unblock_user(240), true, 'blocked and unblocked');
SELECT is(auth.verify_token(pg_temp.old('240', 60)), NULL, 'blocked and unblocked: no');
SELECT is(pg_temp.imported(241, '{"is_blocked":true}') AND auth.unblock_user(241), true, 'imported as blocked, and unblocked');
SELECT is(auth.verify_token(pg_temp.old('241', 60)), NULL, 'imported as blocked, and unblocked: no');
SELECT is(pg_temp.imported(242, '{"is_deleted":true}') AND auth.restore_user(242), true, 'imported as deleted, and restored');
SELECT is(auth.verify_token(pg_temp.old('242', 60)), NULL, 'imported as deleted, and restored: no');
SELECT is(pg_temp.imported(243) AND pg_temp.imported(244), true, 'two more');
SELECT isnt(auth.verify_token(pg_temp.old('243', 60)), NULL, 'good so far');
BEGIN; SELECT auth.authenticate(pg_temp.old('243', 60)) \gset
SELECT auth.delete_me() \gset
COMMIT;
SELECT is(auth.restore_user(243), true, 'deleted and restored');
SELECT is(auth.verify_token(pg_temp.old('243', 60)), NULL, 'deleted and restored: no');
BEGIN; SELECT auth.authenticate(pg_temp.old('244', 60)) AS id \gset
SELECT auth.logout_all() \gset
COMMIT;
SELECT is(:id, 244, 'logged out everywhere');
SELECT is(auth.verify_token(pg_temp.old('244', 60)), NULL, 'logged out everywhere: no');

-- Another service's secret: its users may have the same ids.
SELECT count(*) FROM auth.import_users(json_build_array(json_build_object('id', 230, 'email', 'a230@example.com', 'hashed_password', :'hash_b', 'role', 'admin'))) \gset
SELECT isnt(auth.verify_token(pg_temp.old('230', 60)), NULL, 'two services: a token of the first one');
SELECT auth.import_signing_key('HS256', 'a secret of another service than before') \gset
SELECT is(auth.verify_token(pg_temp.old('230', 60, 'a secret of another service than before')), NULL, 'two services: the second one''s are not good for users of the first');
SELECT is(auth.verify_token(pg_temp.old('230', 60)), NULL, 'two services: and the first one''s have ended');
SELECT count(*) FROM auth.import_users(json_build_array(json_build_object('id', 231, 'email', 'b231@example.com', 'hashed_password', :'hash_b', 'role', 'user'))) \gset
SELECT isnt(auth.verify_token(pg_temp.old('231', 60, 'a secret of another service than before')), NULL, 'two services: the second one''s are good for its users');

-- The one and only account, with the id 1.
DELETE FROM auth.balance_entries; DELETE FROM auth.users; ALTER SEQUENCE auth.users_id_seq RESTART;
SELECT count(*) FROM auth.import_users(json_build_array(json_build_object('id', 1, 'email', 'first@example.com', 'hashed_password', :'hash_b', 'role', 'admin'))) \gset
SELECT is(auth.register('second@example.com', 'Secret123'), 2::bigint, 'after a user with the id 1 comes 2');
SELECT finish();
