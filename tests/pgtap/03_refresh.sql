-- refresh: rotation, forgiveness for 10 seconds, and the end of a session whose token was reused.
\ir ../setup.sql
SELECT plan(101);

SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
SELECT refresh_token AS r0, access_token AS a0 FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT refresh_token AS other FROM auth.login('ann@example.com', 'Secret123') \gset

SELECT refresh_token AS r1, access_token AS a1, token_type, expires_in FROM auth.refresh(:'r0') \gset
SELECT isnt(:'r1'::text, :'r0'::text, 'rotation: a new refresh token');
SELECT isnt(:'a1'::text, :'a0'::text, 'rotation: a new access token');
SELECT is(:'token_type'::text || :expires_in, 'bearer900', 'rotation: the pair is whole');
SELECT is(auth.authenticate(:'a1'), :ann::bigint, 'rotation: the new access token works');
SELECT is(auth.authenticate(:'a0'), :ann::bigint, 'rotation: the old one until it expires');
SELECT is(refresh_token, :'r1'::text, 'grace: the one before gives the same successor')
    FROM auth.refresh(:'r0');
SELECT is(refresh_token, :'r1'::text, 'grace: again') FROM auth.refresh(:'r0');
SELECT is(refresh_counter, 1::bigint, 'grace: one step of the counter') FROM auth.sessions
    ORDER BY last_used_at DESC LIMIT 1;
SELECT refresh_token AS r2 FROM auth.refresh(:'r1') \gset
SELECT isnt(:'r2'::text, :'r1'::text, 'rotation: goes on');

-- Reuse.
SELECT is(auth.refresh(:'r0'), NULL, 'reuse: two behind');
SELECT is(auth.refresh(:'r2'), NULL, 'reuse: ends the session');
SELECT is(auth.verify_token(:'a1'), NULL, 'reuse: its access tokens too');
SELECT isnt(auth.refresh(:'other'), NULL, 'reuse: not the user''s other sessions');
SELECT refresh_token AS s0 FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT refresh_token AS s1 FROM auth.refresh(:'s0') \gset
UPDATE auth.sessions SET last_used_at = last_used_at - interval '11 seconds';
SELECT is(auth.refresh(:'s0'), NULL, 'reuse: one behind, after the grace interval');
SELECT is(auth.refresh(:'s1'), NULL, 'reuse: ends the session');

-- Rolled back: neither token of the pair is ever good, not even when the counter has come there, and
-- the session suffers nothing from it.
SELECT refresh_token AS n0, access_token AS an0 FROM auth.login('ann@example.com', 'Secret123') \gset
BEGIN;
SELECT refresh_token AS x1, access_token AS ax1 FROM auth.refresh(:'n0') \gset
ROLLBACK;
SELECT is(auth.verify_token(:'ax1'), NULL, 'rolled back: the access token is refused');
SELECT is(auth.refresh(:'x1'), NULL, 'rolled back: the refresh token is refused');
SELECT isnt(auth.verify_token(:'an0'), NULL, 'rolled back: the session lives');
SELECT refresh_token AS n1, access_token AS an1 FROM auth.refresh(:'n0') \gset
SELECT isnt(:'n1'::text, :'x1'::text, 'rolled back: the committed successor is another');
SELECT is(auth.verify_token(:'ax1'), NULL, 'rolled back: the access token stays refused');
SELECT refresh_token AS n2, access_token AS an2 FROM auth.refresh(:'n1') \gset
SELECT is(auth.verify_token(:'ax1'), NULL, 'rolled back: also one generation later');
SELECT isnt(auth.verify_token(:'an1'), NULL, 'while the committed one is good');
SELECT isnt(auth.verify_token(:'an2'), NULL, 'and the newest');
SELECT is(auth.refresh(:'x1'), NULL, 'rolled back: the refresh token stays refused');
SELECT refresh_token AS n3, access_token AS an3 FROM auth.refresh(:'n2') \gset
SELECT isnt(:'n3'::text, '', 'rolled back: which is no evidence of theft, so the session lives');
-- However often the session is refreshed after that: 16 generations before the previous one are known.
CREATE FUNCTION pg_temp.refresh(token text, times int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. times LOOP token := (auth.refresh(token)).refresh_token; END LOOP;
    RETURN token;
END $$;
SELECT pg_temp.refresh(:'n3', 1) AS n4 \gset
SELECT is(auth.verify_token(:'ax1'), NULL, 'rolled back: three generations later');
SELECT isnt(auth.verify_token(:'an1'), NULL, 'while the committed one is good');
SELECT pg_temp.refresh(:'n4', 14) AS n18 \gset
SELECT is(auth.verify_token(:'ax1'), NULL, 'rolled back: 17 generations later');
SELECT isnt(auth.verify_token(:'an1'), NULL, 'while the committed one is good');
SELECT isnt(auth.verify_token(:'an3'), NULL, 'and those after it');
SELECT is(auth.refresh(:'x1'), NULL, 'rolled back: the refresh token is refused');
SELECT pg_temp.refresh(:'n18', 1) AS n19 \gset
SELECT is(auth.verify_token(t), NULL, 'a generation later none is told from the other, and none is good') FROM unnest(ARRAY[:'ax1', :'an1']) t;
SELECT isnt(auth.verify_token(:'an2'), NULL, 'and the next one still is');
SELECT is((SELECT max(octet_length(older_generations)) FROM auth.sessions), 256, 'the row does not grow further');
SELECT isnt(pg_temp.refresh(:'n19', 1), NULL, 'and the session lives');

-- Why a used token was taken.
SELECT refresh_token AS c0 FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT is(concat_ws(' ', refresh_token <> :'c0', coalesce(auth._refresh_cause(), 'none')), 't none', 'cause: none at a step') FROM auth.refresh(:'c0');
SELECT is(auth._refresh_cause(), 'grace-period', 'cause: the grace period') FROM auth.refresh(:'c0');
SELECT is(auth._refresh_cause(), NULL, 'cause: of this transaction');
BEGIN;
SELECT auth.refresh(:'c0') \gset
SELECT auth.refresh('x') \gset
SELECT is(auth._refresh_cause(), NULL, 'cause: of the last refresh');
COMMIT;

-- A request that was overtaken on its way: a token is judged as of when it was presented.
SELECT refresh_token AS o0 FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT refresh_token AS o1 FROM auth.refresh(:'o0') \gset
SELECT refresh_token AS o2 FROM auth.refresh(:'o1') \gset
SELECT refresh_token AS o3 FROM auth.refresh(:'o2') \gset
SELECT id AS osid FROM auth.sessions ORDER BY created_at DESC LIMIT 1 \gset
CREATE FUNCTION pg_temp.refresh_late(token text, ago interval) RETURNS text LANGUAGE sql AS $$
    SELECT auth._asked((extract(epoch FROM ago) * 1000000)::int); SELECT concat_ws(' ', refresh_token, auth._refresh_cause()) FROM auth.refresh(token) $$;
SELECT is(pg_temp.refresh_late(t, '2 s'), :'o3' || ' grace-period', 'overtaken: ' || what) FROM (VALUES (:'o2', 'one behind'), (:'o1', 'two behind'), (:'o0', 'three behind')) v (t, what);
-- Its steps 7, 5 and 3 seconds ago.
UPDATE auth.sessions SET last_used_at = clock_timestamp() - interval '3 s', older_generations = substring(older_generations, 1, 8) || timestamptz_send(clock_timestamp() - interval '5 s')
    || substring(older_generations, 17, 8) || timestamptz_send(clock_timestamp() - interval '7 s') || substring(older_generations, 33) WHERE id = :'osid';
BEGIN;
SELECT is(pg_temp.refresh_late(:'o1', '3.5 s'), :'o3' || ' grace-period', 'overtaken: by the second step');
SELECT is(pg_temp.refresh_late(:'o0', '5.5 s'), :'o3' || ' grace-period', 'overtaken: by the second and the third');
SELECT is(pg_temp.refresh_late(:'o0', '30 minutes'), :'o3' || ' grace-period', 'overtaken: 10 seconds are the most');
SAVEPOINT s;
SELECT is(pg_temp.refresh_late(:'o1', '2.5 s'), '', 'replayed: after the second step');
ROLLBACK TO s;
SELECT is(pg_temp.refresh_late(:'o0', '4.5 s'), '', 'replayed: after the second step, before the third');
ROLLBACK TO s;
SET LOCAL auth_service.refresh_token_grace = 1;
SELECT is(pg_temp.refresh_late(:'o0', '5.5 s'), '', 'replayed: before the second step, but too late for the first');
ROLLBACK;
BEGIN; SELECT auth._asked(5500000) \gset
COMMIT;
SELECT is(auth.refresh(:'o0'), NULL, 'replayed: what was said is the transaction''s');
SELECT is(auth.refresh(:'o3'), NULL, 'replayed: ends the session');
SET auth_service.refresh_token_grace = 60;
UPDATE auth.sessions SET last_used_at = now() - interval '59 seconds';
SELECT isnt(auth.refresh(:'c0'), NULL, 'grace: as long as is set');
SET auth_service.refresh_token_grace = 0;
UPDATE auth.sessions SET last_used_at = now();
SELECT is(auth.refresh(:'c0'), NULL, 'grace: 0, for nobody who came after the step');
RESET auth_service.refresh_token_grace;

-- What is no refresh token.
SELECT refresh_token AS t, access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT is(auth.refresh(token), NULL, 'refused: ' || coalesce(left(token, 12), 'NULL') || ' …') FROM unnest(ARRAY[
    NULL, '', ' ', 'x', repeat('A', 76), repeat('x', 1000000), :'t' || '=', :'t' || 'A', ' ' || :'t',
    left(:'t', 75), :'t' || E'\n', :'a', translate(:'t', '-_', '+/') || '=', 'B' || substr(:'t', 2),
    overlay(:'t' placing 'x' from 40), reverse(:'t')]) token;
SELECT is(bool_or(auth.refresh(overlay(:'t' placing c from i)) IS NOT NULL), false,
          'refused: any character replaced, at ' || i)
    FROM generate_series(1, 76, 13) i, unnest(ARRAY['A', 'B', 'Q', '_']) c
    WHERE substr(:'t', i, 1) <> c GROUP BY i ORDER BY i;
SELECT isnt(auth.refresh(:'t'), NULL, 'and none of that has hurt the session');

-- Limits.
SELECT refresh_token AS t, access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
UPDATE auth.sessions SET expires_at = now();
SELECT is(auth.verify_token(:'a'), NULL, 'lifetime: the access token is refused');
SELECT is(auth.refresh(:'t'), NULL, 'lifetime: the refresh token too');
SELECT refresh_token AS t FROM auth.login('ann@example.com', 'Secret123') \gset
UPDATE auth.sessions SET last_used_at = now() - interval '8 days';
SELECT is(auth.refresh(:'t'), NULL, 'idle: the refresh token is refused');
SELECT refresh_token AS t FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT expires_at AS expires FROM auth.sessions WHERE expires_at > now() ORDER BY created_at DESC LIMIT 1 \gset
SELECT isnt(auth.refresh(:'t'), NULL, 'lifetime: a refresh');
SELECT is(max(expires_at), :'expires', 'lifetime: does not prolong the session') FROM auth.sessions;

-- Blocked and deleted.
SELECT refresh_token AS t FROM auth.login('ann@example.com', 'Secret123') \gset
UPDATE auth.users SET blocked_at = now();
SELECT is(auth.refresh(:'t'), NULL, 'blocked: refused');
UPDATE auth.users SET blocked_at = NULL, deleted_at = now();
SELECT is(auth.refresh(:'t'), NULL, 'deleted: refused');
UPDATE auth.users SET deleted_at = NULL;

-- Without rotation one token serves for the session's life.
SET auth_service.refresh_token_rotation = off;
SELECT refresh_token AS t FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT is(refresh_token, :'t'::text, 'rotation off: the same token') FROM auth.refresh(:'t');
UPDATE auth.sessions SET last_used_at = last_used_at - interval '1 hour';
SELECT is(refresh_token, :'t'::text, 'rotation off: also later') FROM auth.refresh(:'t');
SELECT ok(max(last_used_at) > now() - interval '1 minute', 'rotation off: the use is noted') FROM auth.sessions;
RESET auth_service.refresh_token_rotation;

-- What an operator has put on the table has its part, as the owner and with a statement's order; and what he
-- forbids fails without showing the row.
CREATE VIEW pg_temp.session AS SELECT * FROM auth.sessions ORDER BY created_at DESC LIMIT 1;
CREATE FUNCTION pg_temp.owner(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user = 'regress_03_asker' THEN RAISE 'not the owner'; END IF;
    RETURN $1;
END $$;
CREATE ROLE regress_03_asker;
SELECT auth.allow_api('regress_03_asker');
CREATE INDEX an_operators ON auth.sessions (pg_temp.owner(refresh_counter));
ALTER TABLE auth.sessions ADD CONSTRAINT an_operators CHECK (pg_temp.owner(refresh_counter) <> 3);
SELECT refresh_token AS t0 FROM auth.login('ann@example.com', 'Secret123') \gset
SET ROLE regress_03_asker;
SELECT refresh_token AS t1 FROM auth.refresh(:'t0') \gset
SELECT refresh_token AS t2 FROM auth.refresh(:'t1') \gset
PREPARE third AS SELECT auth.refresh(:'t2');
SELECT throws_ok('third', '23514', NULL, 'constraint: refused');
CREATE FUNCTION pg_temp.detail(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
    EXECUTE statement;
EXCEPTION WHEN check_violation THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN 'detail: ' || detail;
END $$;
SELECT is(pg_temp.detail(format('SELECT auth.refresh(%L)', :'t2')), 'detail: ', 'constraint: the error does not show the row');
RESET ROLE;
SET enable_seqscan = off;
SELECT is(count(*), 1::bigint, 'index: has the row as it is') FROM auth.sessions WHERE pg_temp.owner(refresh_counter) = 2;
RESET enable_seqscan;
ALTER TABLE auth.sessions DROP CONSTRAINT an_operators;
DROP INDEX auth.an_operators;
SELECT octet_length(older_generations) AS older FROM pg_temp.session \gset
SELECT is(:older, 32, 'two steps: both are remembered');
CREATE TABLE pg_temp.seen (what text, counter bigint);
CREATE FUNCTION pg_temp.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_temp.seen VALUES (TG_WHEN || ' ' || TG_LEVEL, CASE TG_LEVEL WHEN 'ROW' THEN NEW.refresh_counter END);
    RETURN NEW;
END $$;
CREATE TRIGGER a BEFORE UPDATE ON auth.sessions FOR EACH ROW EXECUTE FUNCTION pg_temp.see();
CREATE TRIGGER b AFTER UPDATE ON auth.sessions FOR EACH ROW EXECUTE FUNCTION pg_temp.see();
CREATE TRIGGER c AFTER UPDATE ON auth.sessions FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.see();
SELECT refresh_token AS t3 FROM auth.refresh(:'t2') \gset
SELECT is(array_agg(s::text), '{"(\"BEFORE ROW\",3)","(\"AFTER ROW\",3)","(\"AFTER STATEMENT\",)"}', 'triggers: all are called') FROM pg_temp.seen s;
SELECT is(refresh_counter, 3::bigint, 'triggers: the session goes on') FROM pg_temp.session;
SELECT is(octet_length(older_generations), 48, 'triggers: one more is remembered') FROM pg_temp.session;
DROP TRIGGER a ON auth.sessions;
DROP TRIGGER b ON auth.sessions;
DROP TRIGGER c ON auth.sessions;
CREATE RULE ruled AS ON UPDATE TO auth.sessions DO ALSO INSERT INTO pg_temp.seen VALUES ('rule', NEW.refresh_counter);
SELECT isnt(auth.refresh(:'t3'), NULL, 'rule: a refresh');
SELECT is(count(*), 1::bigint, 'rule: is followed') FROM pg_temp.seen WHERE what = 'rule';
DROP RULE ruled ON auth.sessions;
CREATE FUNCTION pg_temp.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER kept BEFORE UPDATE ON auth.sessions FOR EACH ROW EXECUTE FUNCTION pg_temp.keep();
SELECT refresh_token AS k0 FROM auth.login('ann@example.com', 'Secret123') \gset
PREPARE kept AS SELECT auth.refresh(:'k0');
SELECT throws_ok('kept', '55000', NULL, 'a trigger that keeps the row: no pair that the session does not know');
DROP TRIGGER kept ON auth.sessions;
SELECT isnt(auth.refresh(:'k0'), NULL, 'and without it: a refresh');
DELETE FROM auth.sessions s USING pg_temp.session k WHERE s.id = k.id;
ALTER TABLE auth.sessions ADD COLUMN next bigint GENERATED ALWAYS AS (refresh_counter + 1) STORED;
SELECT r.refresh_token AS u1 FROM auth.login('ann@example.com', 'Secret123') l, auth.refresh(l.refresh_token) r \gset
SELECT is(next, 2::bigint, 'generated column: is of the row as it is') FROM auth.sessions ORDER BY created_at DESC LIMIT 1;
ALTER TABLE auth.sessions DROP COLUMN next;
SELECT isnt(auth.refresh(:'u1'), NULL, 'a column that was dropped: is not missed');
SELECT isnt(auth.refresh(:'t3'), NULL, 'neither: the grace all the same');
SELECT is(refresh_counter, 4::bigint, 'neither: nothing is done twice') FROM (SELECT * FROM auth.sessions ORDER BY created_at DESC LIMIT 1 OFFSET 1) s;
SELECT finish();
