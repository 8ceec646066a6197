-- setup.sql: included by every SQL test.  Each runs in a database of its own.
\set ON_ERROR_STOP 1
\pset format unaligned
\pset tuples_only true
SET client_min_messages = warning;
CREATE EXTENSION pgtap SCHEMA public;
CREATE EXTENSION auth_service CASCADE;
-- The least cost, for speed; what depends on the cost sets its own.
SET auth_service.bcrypt_cost = 4;
