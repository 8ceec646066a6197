-- What the hostile role hangs on our types, functions and tables once they are there: with USAGE on the
-- schema, which PUBLIC has, PostgreSQL lets anybody.
CREATE TYPE mallory.disguise AS (role pg_catalog.text);
CREATE FUNCTION mallory.unmask(mallory.disguise) RETURNS auth.user_role LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM mallory.canary(); RETURN 'admin'; END$$;
CREATE FUNCTION mallory.mask(auth.user_role) RETURNS mallory.disguise LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM mallory.canary(); RETURN ROW('admin'); END$$;
CREATE CAST (mallory.disguise AS auth.user_role) WITH FUNCTION mallory.unmask(mallory.disguise) AS IMPLICIT;
CREATE CAST (auth.user_role AS mallory.disguise) WITH FUNCTION mallory.mask(auth.user_role) AS IMPLICIT;
CREATE FUNCTION mallory.number(mallory.disguise) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM mallory.canary(); RETURN 1; END$$;
CREATE CAST (mallory.disguise AS bigint) WITH FUNCTION mallory.number(mallory.disguise) AS IMPLICIT;
CREATE DOMAIN mallory.any_role AS auth.user_role CHECK (mallory.canary());
CREATE FUNCTION public.trap(auth.user_role, auth.user_role) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN mallory.canary(); END';
CREATE OPERATOR public.= (FUNCTION = public.trap, LEFTARG = auth.user_role, RIGHTARG = auth.user_role);
CREATE OPERATOR mallory.= (FUNCTION = public.trap, LEFTARG = auth.user_role, RIGHTARG = auth.user_role);
CREATE FUNCTION mallory.email(auth.profile) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$BEGIN PERFORM mallory.canary(); RETURN 'x'; END$$;
CREATE TABLE mallory.kept (profile auth.profile, tokens auth.token_pair, role auth.user_role DEFAULT 'admin');
CREATE TABLE mallory.typed OF auth.profile;
CREATE VIEW mallory.all_users AS SELECT * FROM auth.users;
CREATE VIEW mallory.all_keys WITH (security_barrier) AS SELECT kid, secret FROM auth.signing_keys;
CREATE VIEW mallory.all_sessions WITH (security_invoker) AS SELECT * FROM auth.sessions;
CREATE VIEW mallory.who AS SELECT auth.uid(), auth.role();
CREATE RULE spy AS ON INSERT TO mallory.kept DO ALSO SELECT mallory.canary();
CREATE FUNCTION mallory.leak(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$BEGIN RAISE NOTICE 'leaked %', $1; RETURN true; END$$;
