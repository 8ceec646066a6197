-- Attacks that read.  The head of each tells its name, and how its failure looks ("seen", a regular
-- expression; 42501 unless said): an attack that never reached us would prove nothing.

--! SELECT of accounts
SELECT * FROM auth.users;
--! SELECT of sessions
SELECT refresh_key FROM auth.sessions;
--! SELECT of signing keys
SELECT kid, secret FROM auth.signing_keys;
--! SELECT of the ledger
SELECT * FROM auth.balance_entries;
--! SELECT of the audit log
TABLE auth.audit_log;
--! whole-row reference
SELECT u::text FROM auth.users u;
--! SELECT FOR UPDATE
SELECT id FROM auth.users FOR UPDATE;
--! TABLESAMPLE
SELECT * FROM auth.users TABLESAMPLE SYSTEM (100);
--! COPY out
COPY auth.users TO STDOUT;
--! COPY of a query to a program
COPY (SELECT secret FROM auth.signing_keys) TO PROGRAM 'cat';
--! CREATE TABLE AS
CREATE TABLE mallory.loot AS SELECT * FROM auth.users;
--! CREATE TABLE LIKE, with everything
CREATE TABLE mallory.loot (LIKE auth.users INCLUDING ALL);
--! SELECT INTO a temporary table in plpgsql
DO $$DECLARE r record; BEGIN SELECT * INTO r FROM auth.signing_keys; RAISE NOTICE '%', r; END$$;
--! a view of one's own over accounts
TABLE mallory.all_users;
--! a security_barrier view over keys
TABLE mallory.all_keys;
--! a security_invoker view over sessions
TABLE mallory.all_sessions;
--! a leaky function in WHERE
SELECT 1 FROM auth.users WHERE mallory.leak(password_hash);
--! EXPLAIN ANALYZE with a leaky function
EXPLAIN (ANALYZE, VERBOSE) SELECT 1 FROM auth.users WHERE mallory.leak(email);
--! EXISTS as an oracle
SELECT EXISTS (SELECT FROM auth.users WHERE id = 1);
--! a function of one's own, SECURITY DEFINER, as a way in
BEGIN;
CREATE FUNCTION mallory.in() RETURNS SETOF auth.users LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM auth.users';
SELECT * FROM mallory.in();
--! pg_stats of our columns
-- seen: found 0
SELECT 'found ' || count(*) FROM pg_catalog.pg_stats WHERE schemaname = 'auth';
SELECT most_common_vals, histogram_bounds FROM pg_catalog.pg_stats WHERE schemaname = 'auth';
--! pg_statistic itself
SELECT * FROM pg_catalog.pg_statistic;
--! extended statistics
CREATE STATISTICS mallory.spy (mcv) ON email, password_hash FROM auth.users;
--! sequences: nextval
SELECT nextval('auth.users_id_seq');
--! sequences: last value
SELECT pg_sequence_last_value('auth.users_id_seq');
SELECT last_value FROM auth.users_id_seq;
--! sequences: pg_sequences
-- seen: last: none
SELECT 'last: ' || coalesce(max(last_value)::text, 'none') FROM pg_sequences WHERE schemaname = 'auth';
--! lastval after a registration
-- seen: 42501: permission denied for sequence
-- api
SELECT auth.register('lastval' || md5(random()::text) || '@example.com', 'Secret123') > 0;
SELECT lastval();
--! LOCK TABLE
BEGIN;
LOCK TABLE auth.users IN ACCESS EXCLUSIVE MODE;
--! a table that inherits
CREATE TABLE mallory.child () INHERITS (auth.users);
--! a partition
ALTER TABLE auth.users ATTACH PARTITION mallory.users DEFAULT;
--! a foreign key as an oracle, and as a way to have a cast run as the owner
CREATE TABLE mallory.oracle (user_id bigint REFERENCES auth.users (id));
--! a foreign key with a cast of one's own
ALTER TABLE mallory.kept ADD COLUMN d mallory.disguise REFERENCES auth.users (id);
--! publication of a table
CREATE PUBLICATION mallory_spy FOR TABLE auth.users;
--! logical decoding
-- seen: 42501|55000
SELECT pg_create_logical_replication_slot('mallory', 'test_decoding');
--! files of the server
SELECT pg_read_file('PG_VERSION');
--! large objects from files
SELECT lo_import('PG_VERSION');
--! a loop back as the superuser
-- seen: 2F003|42501
SELECT extensions.dblink_connect('loop', :'superuser_connection');
SELECT * FROM extensions.dblink('loop', 'SELECT email, password_hash FROM auth.users') AS t (a text, b text);
--! a foreign server that loops back
-- seen: 42501
CREATE SERVER mallory_loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/tmp');
--! rows of an application whose policy asks auth.uid()
-- seen: rows: 0
SELECT 'rows: ' || count(*) FROM app.notes;
SELECT note FROM app.notes WHERE mallory.leak(note) AND owner IS NOT NULL;
--! the same with one's own identity
-- seen: rows: 0
-- api
BEGIN; SELECT auth.authenticate(:'mine') IS NOT NULL;
SELECT 'rows: ' || count(*) FROM app.notes WHERE mallory.leak(note);
SELECT * FROM app.notes ORDER BY mallory.leak(note);
--! the same with operators of one's own first in the path
-- seen: rows: 0
SET search_path = mallory, public, pg_catalog;
SELECT concat('rows: ', count(*)) FROM app.notes;
SELECT note FROM app.notes WHERE owner OPERATOR(mallory.=) 1::bigint AND note OPERATOR(mallory.=) 'x'::pg_catalog.text;
