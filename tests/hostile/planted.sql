-- What the hostile role has laid out before auth_service is installed: whoever meets one of these with
-- rights that are not its own says so in the server's log ("CANARY").
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
CREATE FUNCTION mallory.canary() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user OPERATOR(pg_catalog.<>) 'regress_mallory'::pg_catalog.name THEN
        RAISE WARNING 'CANARY fired as %', current_user;
    END IF;
    RETURN true;
END $$;

-- Operators that are found before PostgreSQL's own, where the path or an exact match says so.
DO $$
DECLARE
    place text; pair text; sign text;
BEGIN
    FOREACH place IN ARRAY '{mallory,public}'::text[] LOOP
        FOREACH pair IN ARRAY ARRAY['text,text', 'bigint,bigint', 'integer,integer', 'bigint,integer', 'oid,oid', 'name,name', 'name,text',
            'text,name', 'oid,regclass', 'oid,regnamespace', 'boolean,boolean', 'uuid,uuid', 'timestamptz,timestamptz', 'bytea,bytea', '"char","char"',
            'regclass,regclass', 'json,text', 'jsonb,jsonb', 'text[],text', 'inet,inet'] LOOP
            EXECUTE format('CREATE FUNCTION %s.trap(%s) RETURNS boolean LANGUAGE plpgsql AS ''BEGIN RETURN mallory.canary(); END''', place, pair);
            FOREACH sign IN ARRAY '{=,<>,<,>,<=,>=,+,||,~~*,->>,#>>}'::text[] LOOP
                EXECUTE format('CREATE OPERATOR %s.%s (FUNCTION = %s.trap, LEFTARG = %s, RIGHTARG = %s)', place, sign, place,
                               split_part(pair, ',', 1), split_part(pair, ',', 2));
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

-- Functions with the names that scripts and statements call.
DO $$
DECLARE
    place text; signature text;
BEGIN
    FOREACH place IN ARRAY '{mallory,public}'::text[] LOOP
        FOREACH signature IN ARRAY ARRAY['format(text, text, text, text)', 'format(text, text, text)', 'quote_ident(text)', 'lower(text)', 'left(text, integer)',
            'crypt(text, text)', 'gen_salt(text, integer)', 'now()', 'clock_timestamp()', 'set_config(text, text, boolean)', 'current_setting(text)',
            'concat_ws(text, text, text)', 'json_typeof(json)', 'string_to_array(text, text)', 'pg_get_userbyid(oid)', 'acldefault("char", oid)',
            'octet_length(bytea)', 'pg_extension_config_dump(regclass, text)', 'current_database()', 'unnest(name[])', 'unnest(oid[])'] LOOP
            EXECUTE format('CREATE FUNCTION %s.%s RETURNS text LANGUAGE plpgsql AS ''BEGIN PERFORM mallory.canary(); RETURN NULL; END''', place, signature);
        END LOOP;
    END LOOP;
END $$;

-- Types and tables with the names of PostgreSQL's and of ours.
CREATE TYPE mallory.text AS (trap integer);
CREATE TYPE mallory.inet AS (trap integer);
CREATE TYPE mallory.timestamptz AS (trap integer);
CREATE TYPE mallory.jsonb AS (trap integer);
CREATE TYPE mallory.regrole AS (trap integer);
CREATE TABLE mallory.users (id bigint, email pg_catalog.text, role pg_catalog.text);
CREATE TABLE mallory.sessions (id uuid);
CREATE TABLE mallory.signing_keys (kid pg_catalog.text);
CREATE VIEW mallory.pg_roles AS SELECT oid, rolname, mallory.canary() AS rolsuper FROM pg_catalog.pg_roles;
CREATE VIEW mallory.pg_extension AS SELECT * FROM pg_catalog.pg_extension WHERE mallory.canary();
CREATE VIEW mallory.pg_namespace AS SELECT * FROM pg_catalog.pg_namespace WHERE mallory.canary();
CREATE VIEW mallory.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE mallory.canary();
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC;
