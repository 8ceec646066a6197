-- SPDX-License-Identifier: MIT
--
-- auth_service--1.3--2.0.sql: what 2.0 has beyond 1.3.  Ends in the catalog that the files of sql/ make.
\echo Use "ALTER EXTENSION auth_service UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- ---- Signing keys --------------------------------------------------------------------------------

-- Names that say what is wrong, in the place of those that PostgreSQL has counted.
ALTER TABLE auth.signing_keys RENAME CONSTRAINT signing_keys_check TO signing_keys_active_is_not_retired;
ALTER TABLE auth.signing_keys RENAME CONSTRAINT signing_keys_check1 TO signing_keys_active_is_not_imported;
ALTER TABLE auth.signing_keys RENAME CONSTRAINT signing_keys_check2 TO signing_keys_pair_has_public_key;
ALTER TABLE auth.signing_keys RENAME CONSTRAINT signing_keys_check3 TO signing_keys_own_has_secret;

-- ---- For fronts ----------------------------------------------------------------------------------

COMMENT ON FUNCTION auth._arguments(text, text[]) IS
    'for fronts: the named members of a JSON object; "name!" is required, "a|b" takes either, "name:integer", "name:boolean", "name:uuid" and "name(a,b)" are of that type';
