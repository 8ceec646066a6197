-- SPDX-License-Identifier: MIT
--
-- hooks.sql: the application's own functions inside registration, login and deletion (docs/hooks.md).

-- Names, not oids: a dump is restored whatever the application is by then, and a missing hook is an error.
CREATE TABLE auth.hooks (
    event           text COLLATE "C" PRIMARY KEY CHECK (event IN ('register', 'login', 'delete')),
    function_schema text NOT NULL,
    function_name   text NOT NULL
);
COMMENT ON TABLE auth.hooks IS 'functions of the application that are called in the middle of ours';
SELECT pg_catalog.pg_extension_config_dump('auth.hooks', '');

CREATE FUNCTION auth.set_hook(event text, hook regprocedure) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_set_hook';
COMMENT ON FUNCTION auth.set_hook(text, regprocedure) IS
    'for operators: calls a function of the application inside register, login or delete; NULL: none';
