-- Attacks that write, or put objects of theirs where ours are.

--! INSERT of an admin
INSERT INTO auth.users (email, email_normalized, role, created_at, updated_at) VALUES ('e', 'e', 'admin', now(), now());
--! UPDATE to admin
UPDATE auth.users SET role = 'admin';
--! MERGE
MERGE INTO auth.users u USING mallory.users m ON true WHEN MATCHED THEN UPDATE SET role = 'admin';
--! DELETE of sessions
DELETE FROM auth.sessions;
--! TRUNCATE
TRUNCATE auth.audit_log;
--! a signing key of one's own
INSERT INTO auth.signing_keys VALUES ('mallory', 'HS256', decode(repeat('00', 32), 'hex'), false, now());
--! COPY in
COPY auth.signing_keys FROM PROGRAM 'true';
--! the balance
UPDATE auth.users SET balance = 1000000;
--! setval
SELECT setval('auth.users_id_seq', 1);
--! INSERT through a view of one's own
INSERT INTO mallory.all_keys VALUES ('mallory', '\x00');
--! UPDATE through a view of one's own
UPDATE mallory.all_users SET role = 'admin';
--! a trigger
BEGIN;
CREATE FUNCTION mallory.fire() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM mallory.canary(); RETURN NEW; END$$;
CREATE TRIGGER spy BEFORE INSERT OR UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION mallory.fire();
--! a rule
CREATE RULE spy AS ON UPDATE TO auth.users DO ALSO SELECT mallory.canary();
--! a policy
CREATE POLICY spy ON auth.users USING (mallory.canary());
--! an index with an expression of one's own
CREATE INDEX ON auth.users ((mallory.canary()));
--! a constraint
ALTER TABLE auth.users ADD CHECK (mallory.canary());
--! a column default
ALTER TABLE auth.users ALTER COLUMN role SET DEFAULT 'admin';
--! an event trigger
BEGIN;
CREATE FUNCTION mallory.event() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM mallory.canary(); END$$;
CREATE EVENT TRIGGER mallory_spy ON ddl_command_end EXECUTE FUNCTION mallory.event();
--! owner of a table
ALTER TABLE auth.users OWNER TO regress_mallory;
--! GRANT to oneself
-- seen: 42501
GRANT SELECT ON auth.users TO regress_mallory;
--! GRANT of a function
-- seen: 42501|0LP01|01007
GRANT EXECUTE ON FUNCTION auth.import_users(json) TO regress_mallory;
--! GRANT of PostgreSQL's roles
-- seen: 42501
GRANT pg_read_all_data TO regress_mallory;
--! a function in our schema
CREATE FUNCTION auth.uid(integer) RETURNS bigint LANGUAGE sql AS 'SELECT 1';
--! our function replaced
CREATE OR REPLACE FUNCTION auth.uid() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 1::bigint';
--! our function altered
ALTER FUNCTION auth.uid() SET search_path = mallory;
--! our function dropped
DROP FUNCTION auth.uid();
--! our function renamed
ALTER FUNCTION auth.authenticate(text) RENAME TO authenticate_;
--! a better match in our schema
CREATE FUNCTION auth.login(varchar, varchar) RETURNS text LANGUAGE sql AS 'SELECT $2::text';
--! a table moved into our schema
ALTER TABLE mallory.users SET SCHEMA auth;
--! a type of ours extended
ALTER TYPE auth.user_role ADD VALUE 'root';
--! a type of ours given an attribute
ALTER TYPE auth.profile ADD ATTRIBUTE spy text;
--! a cast between types that are not one's own
CREATE CAST (text AS auth.user_role) WITH INOUT AS IMPLICIT;
--! our schema renamed, and one's own in its place
BEGIN;
ALTER SCHEMA auth RENAME TO theirs;
ALTER SCHEMA mallory RENAME TO auth;
--! our schema dropped
DROP SCHEMA auth CASCADE;
--! a second schema of that name
-- seen: 42P06
CREATE SCHEMA auth;
--! DROP EXTENSION
DROP EXTENSION auth_service CASCADE;
--! DROP EXTENSION of what we require
DROP EXTENSION pgcrypto CASCADE;
--! what we require moved away
ALTER EXTENSION pgcrypto SET SCHEMA mallory;
--! ALTER EXTENSION: our table taken out
ALTER EXTENSION auth_service DROP TABLE auth.users;
--! ALTER EXTENSION: one's own function added
ALTER EXTENSION auth_service ADD FUNCTION mallory.canary();
--! ALTER EXTENSION UPDATE
ALTER EXTENSION auth_service UPDATE TO '1.1';
--! CREATE EXTENSION once more
-- seen: 42501|42710
CREATE EXTENSION auth_service SCHEMA mallory;
--! DROP OWNED of others
DROP OWNED BY CURRENT_USER, postgres CASCADE;
--! REASSIGN OWNED
REASSIGN OWNED BY postgres TO regress_mallory;
--! default privileges of others
ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES TO regress_mallory;
--! a C function out of our library
CREATE FUNCTION mallory.allow(regrole) RETURNS void LANGUAGE c AS '$libdir/auth_service', 'auth_service_allow_api';
--! LOAD of a library
-- seen: 42501
LOAD '$libdir/../auto_explain';
LOAD 'auto_explain';
--! CLUSTER
CLUSTER auth.users USING users_pkey;
--! REINDEX
REINDEX TABLE auth.users;
--! VACUUM and ANALYZE
-- seen: WARNING:  (01000|42501|00000): (permission denied to|skipping)
VACUUM ANALYZE auth.users;
--! settings of the server
ALTER SYSTEM SET auth_service.issuer = 'mallory';
--! a label of ours
COMMENT ON FUNCTION auth.uid() IS 'spy';
--! a role of one's own that stands above
-- seen: 42501
CREATE ROLE regress_mallory_root SUPERUSER;
