-- SPDX-License-Identifier: MIT
--
-- data.sql: so many accounts, and a session of each; some of them have logged in, and their tokens are in
-- bench.tokens.  For psql, in a database that has nothing but the extension:
--     -v users=1000000 -v sample=20000
-- One account in 200 is deleted, one in 500 blocked, one in 2000 an admin; a third was never active.  No name
-- has a "q", "x" or "z" but those that are rare on purpose.
\set ON_ERROR_STOP on

SET maintenance_work_mem = '1GB';
SET max_parallel_maintenance_workers = 2;
SET synchronous_commit = off;
SET client_min_messages = warning;

CREATE SCHEMA bench;

-- Indexes are made after the rows: it takes a tenth of the time, and they are packed as a REINDEX leaves them.
CREATE TABLE bench.indexes AS
    SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS command
    FROM pg_index i
    WHERE i.indrelid IN ('auth.users'::regclass, 'auth.sessions'::regclass) AND NOT i.indisprimary;
SELECT format('DROP INDEX %s', name) FROM bench.indexes \gexec

-- What every generated account could log in with.
SELECT '$2a$04$' || substr(public.crypt('Secret123', public.gen_salt('bf', 4)), 8) AS hash \gset

INSERT INTO auth.users (id, email, email_normalized, password_hash, first_name, last_name, role, balance,
                        created_at, updated_at, last_activity_at, blocked_at, deleted_at)
SELECT i, e, e, :'hash',
    (ARRAY['Anna', 'Bernd', 'Chloé', 'Dörte', 'Eve', 'François', 'Gül', 'Hans', 'Ines', 'Jan', 'Katrin', 'Liam',
           'Maria', 'Noah', 'Olga', 'Peter'])[1 + i % 16],
    CASE i % 100000 WHEN 4711 THEN 'Xq' ELSE '' END
        || initcap(translate(left(md5((i * 7)::text), 4 + i % 5), '0123456789abcdef', 'abdeghiklmnoprst')),
    CASE WHEN i % 2000 = 0 THEN 'admin' ELSE 'user' END::auth.user_role,
    i::bigint * 7919 % 1000003,
    now() - (:users - i) * interval '10 seconds', now(),
    CASE WHEN i % 3 > 0 THEN now() - (i::bigint * 104729 % :users) * interval '1 second' END,
    CASE WHEN i % 500 = 0 THEN now() END,
    CASE WHEN i % 200 = 1 THEN now() - i * interval '1 second' END
FROM (SELECT i, 'user' || i || '@example' || i % 97 || '.com' FROM generate_series(1, :users) i) x (i, e);
SELECT setval('auth.users_id_seq', :users) AS id \gset

-- As long as that of a session that was refreshed often enough to remember all that it can.
INSERT INTO auth.sessions (user_id, id, refresh_key, refresh_counter, refresh_nonce, previous_nonce, created_at,
                           last_used_at, expires_at, user_agent, ip, older_generations)
SELECT i, gen_random_uuid(), sha256(int8send(i)), 40, i, i, now() - interval '1 day', now() - interval '1 hour',
    now() + interval '1 day' + (i::bigint * 7919 % 28) * interval '1 day',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36',
    '192.0.2.1'::inet + i % 200, decode(repeat('5ea1', 128), 'hex')
FROM generate_series(1::bigint, :users) i;

-- The sample: accounts all over the table, which log in.  The hash is of the cost that new ones have, so that
-- login does not renew it.
SELECT command FROM bench.indexes WHERE command ~ 'email_normalized' \gexec
ANALYZE auth.users, auth.sessions;
SET auth_service.bcrypt_cost = 4;
SET auth_service.throttle_account_failures = 0;
SET auth_service.throttle_address_failures = 0;
CREATE TABLE bench.tokens AS
    SELECT u.id, u.email, l.access_token, l.refresh_token
    FROM (SELECT u.id, u.email FROM auth.users u WHERE u.blocked_at IS NULL AND u.deleted_at IS NULL AND u.role = 'user'
          ORDER BY hashint8(u.id) LIMIT :sample) u,
         auth.login(u.email, 'Secret123', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36',
                    '192.0.2.1') l;

-- A login's session and account are written at the end of their tables: this puts them among the others again.
CLUSTER auth.users USING users_pkey;
CLUSTER auth.sessions USING sessions_pkey;
SELECT command FROM bench.indexes WHERE command !~ 'email_normalized' \gexec
DROP TABLE bench.indexes;
-- Access tokens by the dozen, in no order, for pgbench.
CREATE TABLE bench.twelve (n integer PRIMARY KEY, t text[]);
ALTER TABLE bench.twelve ALTER t SET STORAGE PLAIN;
INSERT INTO bench.twelve
    SELECT i / 12, array_agg(access_token)
    FROM (SELECT access_token, row_number() OVER (ORDER BY hashint8(id + 1)) - 1 AS i FROM bench.tokens) t GROUP BY 1;
VACUUM ANALYZE;
CHECKPOINT;
