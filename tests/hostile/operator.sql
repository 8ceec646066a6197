-- Attacks that want what admins and operators may.  U401A: nobody asks; U404A: somebody who is no admin.

--! allow_api for oneself
SELECT auth.allow_api('regress_mallory');
--! import of an admin
SELECT auth.import_users('[{"id":77,"email":"m@example.com","password":"x","role":"admin"}]');
--! import of a key
SELECT auth.import_signing_key('HS256', repeat('k', 40));
--! set_role without an identity
-- seen: U401A
SELECT auth.set_role(3, 'admin');
--! set_role of oneself
-- seen: U404A
-- api
BEGIN; SELECT auth.authenticate(:'mine') = 3; SELECT auth.set_role(3, 'admin'); :look;
--! set_role by an implicit cast of one's own
-- seen: U401A
SELECT auth.set_role(3, ROW('x')::mallory.disguise);
SELECT auth.set_role(3, 'admin'::mallory.any_role);
--! block_user
-- seen: U401A
SELECT auth.block_user(1); SELECT auth.unblock_user(1); SELECT auth.restore_user(1);
--! list_users, with a leaky function
-- seen: U401A
SELECT 1 FROM auth.list_users() WHERE mallory.leak(email);
SELECT * FROM auth.deleted_users();
--! list_users with one's own identity, and a forged cursor
-- seen: U404A
-- api
BEGIN; SELECT auth.authenticate(:'mine') = 3; SELECT * FROM auth.list_users(cursor => 'iAAAAAAAAAAAAAAAAAAAAAA');
--! the audit log
-- seen: U401A
SELECT * FROM auth.audit();
--! another's balance
-- seen: U401A
SELECT auth.admin_change_balance(3, 1000000);
--! one's own balance without an identity
-- seen: U401A
SELECT auth.change_balance(1000000);
--! _require_admin
-- seen: U401A
SELECT auth._require_admin();
--! the profile of nobody
-- seen: U401A
SELECT auth.me();
--! a SECURITY DEFINER function of one's own
-- seen: U401A
BEGIN; CREATE FUNCTION mallory.up() RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$SELECT auth.set_role(3, 'admin')$$; SELECT mallory.up();
--! the operator's SECURITY DEFINER function as a deputy
-- seen: U401A
SELECT app.promote(3);
--! the same with one's own identity
-- seen: U404A
-- api
BEGIN; SELECT auth.authenticate(:'mine') = 3; SELECT app.promote(3);
--! the operator's SECURITY DEFINER function that allows the API
SELECT app.allow('regress_mallory');
--! a cursor that the operator's function opened
-- seen: U401A
BEGIN; SELECT app.open_list(); FETCH ALL FROM list;
--! an aggregate made of ours
-- seen: U401A
BEGIN; CREATE AGGREGATE mallory.rich(text) (SFUNC = auth.change_balance, STYPE = bigint, INITCOND = '1000'); SELECT mallory.rich('k');
--! an operator made of ours
-- seen: U401A
BEGIN; CREATE OPERATOR mallory.^^ (FUNCTION = auth.set_role, LEFTARG = bigint, RIGHTARG = auth.user_role); SELECT 3::bigint OPERATOR(mallory.^^) 'admin'::auth.user_role;
--! a cast made of ours
-- seen: U401A
BEGIN; CREATE TYPE mallory.step AS ENUM ('a'); CREATE FUNCTION mallory.step_up(mallory.step) RETURNS bigint LANGUAGE sql AS 'SELECT auth.change_balance(1000)';
CREATE CAST (mallory.step AS bigint) WITH FUNCTION mallory.step_up(mallory.step) AS IMPLICIT; SELECT auth.block_user('a'::mallory.step);
--! a prepared statement across roles
-- seen: 42501
PREPARE up AS SELECT auth.allow_api('regress_mallory'); EXECUTE up; SET ROLE postgres; EXECUTE up;
--! a deferred trigger
-- seen: U401A
BEGIN; CREATE TABLE mallory.late (i integer); CREATE FUNCTION mallory.late() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN PERFORM auth.set_role(3, 'admin'); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON mallory.late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.late(); INSERT INTO mallory.late VALUES (1); COMMIT;
--! an index whose expression asks, when the operator looks after the table
-- seen: as regress_mallory: .*(U401A|Not authenticated|permission denied for function)
CREATE TABLE mallory.trap (i integer); INSERT INTO mallory.trap VALUES (1);
CREATE FUNCTION mallory.spring(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM mallory.canary(); IF auth.set_role(3, 'admin') THEN RAISE WARNING 'CANARY set_role'; END IF; RETURN 1;
EXCEPTION WHEN OTHERS THEN RAISE WARNING 'as %: %', current_user, SQLERRM; RETURN 1; END$$;
CREATE INDEX ON mallory.trap (mallory.spring(i));
CREATE MATERIALIZED VIEW mallory.lure AS SELECT mallory.spring(i) FROM mallory.trap;
--> as the operator
VACUUM mallory.trap; ANALYZE mallory.trap; REINDEX TABLE mallory.trap; CLUSTER mallory.trap USING trap_spring_idx; REFRESH MATERIALIZED VIEW mallory.lure;
DROP TABLE mallory.trap CASCADE; DROP FUNCTION mallory.spring;
