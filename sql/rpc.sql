-- SPDX-License-Identifier: MIT
--
-- rpc.sql: calls of the application's functions, and arguments out of JSON (docs/rpc.md).  All for fronts.

CREATE FUNCTION auth._rpc(schema text, function text, arguments text, anonymous_role text DEFAULT NULL,
                          by_get boolean DEFAULT false) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_rpc';
COMMENT ON FUNCTION auth._rpc(text, text, text, text, boolean) IS
    'for fronts: a call of a function of the application''s with named arguments, as the caller''s role; JSON';

CREATE FUNCTION auth._rpc_functions(schema text, anonymous_role text DEFAULT NULL,
                                    OUT name text, OUT arguments json, OUT result json, OUT reads boolean,
                                    OUT is_anonymous boolean, OUT id oid)
    RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'auth_service_rpc_functions';
COMMENT ON FUNCTION auth._rpc_functions(text, text) IS 'for fronts: the functions that _rpc can call, with JSON Schemas';

CREATE FUNCTION auth._arguments(body text, VARIADIC fields text[]) RETURNS text[]
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'auth_service_arguments';
COMMENT ON FUNCTION auth._arguments(text, text[]) IS
    'for fronts: the named members of a JSON object; "name!" is required, "a|b" takes either, "name:integer", "name:boolean", "name:uuid" and "name(a,b)" are of that type';
