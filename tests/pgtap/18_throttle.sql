-- The throttle's arithmetic, with time moved in the table; races and fronts are in tests/t/80_throttle.pl.
\ir ../setup.sql
SELECT plan(34);
SELECT is(current_setting('auth_service.throttle_account_failures') || ' ' || current_setting('auth_service.throttle_address_failures') || ' ' ||
          current_setting('auth_service.throttle_window') || ' ' || current_setting('auth_service.throttle_max_delay'), '5 30 5min 30s', 'defaults');
SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset

CREATE FUNCTION pg_temp.fail(email text DEFAULT 'ann@example.com', ip inet DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    wait text;
BEGIN
    RETURN CASE WHEN auth.login(email, 'wrong', NULL, ip) IS NULL THEN 'wrong' ELSE 'good' END;
EXCEPTION WHEN SQLSTATE 'U429A' THEN
    GET STACKED DIAGNOSTICS wait = PG_EXCEPTION_DETAIL;
    RETURN wait;
END $$;
-- Lets the table believe that so much more time has gone by.
CREATE FUNCTION pg_temp.pass(elapsed interval) RETURNS void LANGUAGE sql AS
    'UPDATE auth.login_throttle SET failed_at = failed_at - elapsed';

SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 6)), 'wrong wrong wrong wrong wrong 1', 'five are free');
SELECT throws_ok($$SELECT auth.login('ann@example.com', 'Secret123')$$, 'U429A', 'Too many attempts', 'the right password has to wait');
SELECT throws_ok($$SELECT auth.change_password('ann@example.com', 'Secret123', 'Secret456')$$, 'U429A', 'Too many attempts', 'in change_password as well');
SELECT pg_temp.pass('1.1 s');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 2)), 'wrong 2', 'the second delay');
SELECT pg_temp.pass('1.1 s');
SELECT is(pg_temp.fail(), '1', 'what is left of it, rounded up');
SELECT pg_temp.pass('1 s');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 2)), 'wrong 4', 'the third');
SELECT pg_temp.pass('4 s');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 2)), 'wrong 8', 'the fourth');
SELECT pg_temp.pass('8 s');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 2)), 'wrong 16', 'the fifth');
SELECT pg_temp.pass('16 s');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 2)), 'wrong 30', 'the sixth is the longest');
SELECT pg_temp.pass('30 s');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 2)), 'wrong 30', 'and so are all after it');
SELECT pg_temp.pass('-1 day');
SELECT is(pg_temp.fail(), '30', 'a clock that was set back makes it no longer');
SELECT pg_temp.pass('1 day');
SELECT pg_temp.pass('5 min');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 6)), 'wrong wrong wrong wrong wrong 1', 'five minutes after the last failure it begins anew');
SELECT pg_temp.pass('5 min');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 4)), 'wrong wrong wrong wrong', 'four');
SELECT pg_temp.pass('4 min');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 2)), 'wrong 1', 'the fifth within five minutes from the first');
DELETE FROM auth.login_throttle;
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 4)), 'wrong wrong wrong wrong', 'four again');
SELECT pg_temp.pass('5 min');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 4)), 'wrong wrong wrong wrong', 'four more after five minutes');
SELECT isnt(auth.login('ann@example.com', 'Secret123'), NULL, 'a success');
SELECT is((SELECT string_agg(pg_temp.fail(), ' ') FROM generate_series(1, 6)), 'wrong wrong wrong wrong wrong 1', 'lets it begin anew');
SELECT pg_temp.pass('10 s');
SELECT isnt(auth.login('ann@example.com', 'Secret123'), NULL, 'after a delay as well');

-- After the free failures, networks differ.
SELECT pg_temp.fail('ann@example.com', '192.0.2.1') FROM generate_series(1, 5);
SELECT pg_temp.pass('0.6 s');
SELECT is(pg_temp.fail('ann@example.com', '192.0.2.1'), '1', 'who failed last waits');
SELECT is(pg_temp.fail('ann@example.com', '192.0.2.2'), 'wrong', 'another network half as long');
SELECT is(pg_temp.fail('ann@example.com', '192.0.2.1'), '1', 'which is the last one then');
SELECT is(pg_temp.fail('ann@example.com'), '2', 'no address is no other network');
SELECT pg_temp.pass('10 s');
SELECT isnt(auth.login('ann@example.com', 'Secret123', NULL, '2001:db8::1'), NULL, 'a session at a network');
SELECT pg_temp.fail('ann@example.com', '192.0.2.1') FROM generate_series(1, 5);
SELECT pg_temp.pass('1 s');
SELECT pg_temp.fail('ann@example.com', '192.0.2.3');
SELECT pg_temp.pass('1 s');
SELECT pg_temp.fail('ann@example.com', '192.0.2.4');
SELECT pg_temp.pass('0.1 s');
SELECT is(pg_temp.fail('ann@example.com', '192.0.2.5'), '2', 'strangers have used up the account''s turn');
SELECT is(pg_temp.fail('ann@example.com', '2001:db8::ffff'), 'wrong', 'but not that of a network with a session');
SELECT is(pg_temp.fail('ann@example.com', '2001:db8::ffff'), '2', 'whose own failures count');

-- Who may not change it, and what is written.
CREATE ROLE regress_18_throttle;
SELECT throws_ok($$SET ROLE regress_18_throttle; SET auth_service.throttle_account_failures = 0$$, '42501', NULL, 'an ordinary role cannot turn it off');
RESET ROLE;
SELECT is((SELECT count(*) FROM auth.login_throttle t WHERE octet_length(t.key) <> 32), 0::bigint, 'keys are digests');
SELECT is((SELECT array_agg(DISTINCT detail->>'by') FROM auth.audit_log WHERE action = 'throttled' AND user_id = :ann), '{account}', 'the audit log has it');
SELECT is(auth.login(repeat('x', 1000) || '@example.com', 'x'), NULL, 'an over-long e-mail is nobody''s');
-- maintain sweeps what counts no longer.
SELECT auth.maintain() >= 0 AS swept \gset
SELECT is((auth.maintain(), (SELECT count(*) > 0 FROM auth.login_throttle))::text, '(0,t)', 'maintain: what still counts stays');
SELECT pg_temp.pass('5 min');
SELECT auth.maintain() > 0 AS swept \gset
SELECT is((:'swept', (SELECT count(*) FROM auth.login_throttle))::text, '(t,0)', 'maintain: and is deleted when it does not');
SELECT finish();
