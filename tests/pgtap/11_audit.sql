-- The audit log: each deed and each failure, who, to whom, from where; in the deed's transaction; nothing secret.
\ir ../setup.sql
SELECT plan(31);

SELECT auth.register('ann@example.com', 'Secret123') AS ann \gset
SELECT auth.register('root@example.com', 'Secret123') AS root \gset
SELECT auth.set_role(:root, 'admin') \gset
-- The newest entry.
CREATE FUNCTION pg_temp.newest() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', action, 'actor=' || actor_id, 'user=' || user_id, 'ip=' || host(ip), 'agent=' || user_agent, 'request=' || request_id, detail)
    FROM auth.audit_log ORDER BY id DESC LIMIT 1 $$;
SELECT is(pg_temp.newest(), format('set_role user=%s {"role": "admin"}', :root), 'set_role, by an operator');
SELECT is((SELECT db_role FROM auth.audit_log ORDER BY id DESC LIMIT 1), session_user::text, 'whose role is known');

SELECT auth.login('ann@example.com', 'Wrong123', 'agent', '192.0.2.1') \gset
SELECT is(pg_temp.newest(), format('login_failed user=%s ip=192.0.2.1 agent=agent', :ann), 'a wrong password: nobody did it to somebody');
SELECT auth.login('nobody@example.com', 'Wrong123', 'agent', '192.0.2.1') \gset
SELECT is(pg_temp.newest(), 'login_failed ip=192.0.2.1 agent=agent', 'an unknown e-mail: which is not written down, since it may be a password');
SELECT access_token AS a, refresh_token AS r0 FROM auth.login('ann@example.com', 'Secret123', 'agent', '192.0.2.1') \gset
SELECT is(pg_temp.newest(), format('login actor=%1$s user=%1$s ip=192.0.2.1 agent=agent', :ann), 'a login');
SELECT auth.change_password('ann@example.com', 'Wrong123', 'Secret124') \gset
SELECT is(pg_temp.newest(), format('change_password_failed user=%s', :ann), 'change_password in vain');

-- Reuse.
SELECT refresh_token AS r1 FROM auth.refresh(:'r0') \gset
SELECT refresh_token AS r2 FROM auth.refresh(:'r1') \gset
SELECT is(pg_temp.newest(), format('change_password_failed user=%s', :ann), 'a refresh is no event');
SELECT auth.refresh(:'r0') \gset
SELECT is(pg_temp.newest(), format('refresh_reused user=%s', :ann), 'the use of an old refresh token is');

-- The origin of a transaction.
SELECT access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT access_token AS r FROM auth.login('root@example.com', 'Secret123') \gset
BEGIN;
SELECT auth.authenticate(:'r') \gset
SELECT auth._origin('2001:db8::1', repeat('ü', 600), repeat('r', 70)) \gset
SELECT auth.block_user(:ann) \gset
SELECT is((SELECT concat_ws(' ', action, actor_id, user_id, host(ip), length(user_agent), length(request_id)) FROM auth.audit_log ORDER BY id DESC LIMIT 1),
          format('block_user %s %s 2001:db8::1 512 64', :root, :ann), 'block_user, by an admin, with its origin cut to size');
COMMIT;
BEGIN;
SELECT auth.authenticate(:'r') \gset
SELECT auth.unblock_user(:ann) \gset
SELECT is(pg_temp.newest(), format('unblock_user actor=%s user=%s', :root, :ann), 'the origin ends with its transaction');
SELECT auth.block_user(999) \gset
SELECT is(pg_temp.newest(), format('unblock_user actor=%s user=%s', :root, :ann), 'what met nobody is no event');
SELECT auth.admin_change_balance(:ann, 5, 'secret-key') \gset
SELECT auth.admin_change_balance(:ann, 5, 'secret-key') \gset
SELECT is(pg_temp.newest(), format('admin_change_balance actor=%s user=%s {"amount": 5, "balance": 5}', :root, :ann), 'admin_change_balance');
ROLLBACK;
SELECT isnt(pg_temp.newest(), format('admin_change_balance actor=%s user=%s {"amount": 5, "balance": 5}', :root, :ann), 'a deed that is undone has no entry');

-- Refusals.
SELECT auth.unblock_user(:ann) \gset
SELECT access_token AS a, refresh_token AS r0 FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT auth._audit_refused('POST /admin/block/{user_id}', :'a') \gset
SELECT is(pg_temp.newest(), format('refused actor=%1$s user=%1$s {"action": "POST /admin/block/{user_id}"}', :ann), 'a refusal');
BEGIN;
SELECT count(*) FROM (SELECT auth._audit_refused('again ' || i, :'a') FROM generate_series(1, 200) i) x \gset
SELECT is((SELECT count(*) FROM auth.audit_log WHERE user_id = :ann AND action = 'refused'), 60::bigint, 'refusals: 60 a minute at most, whatever else is in the log');
UPDATE auth.audit_log SET at = at - interval '61 seconds';
SELECT auth._audit_refused('later', :'a') \gset
SELECT is(pg_temp.newest(), format('refused actor=%1$s user=%1$s {"action": "later"}', :ann), 'refusals: again in the next minute');
ROLLBACK;
BEGIN;
SELECT auth.authenticate(:'a') \gset
SELECT auth.logout() \gset
COMMIT;
SELECT auth._audit_refused(repeat('ü', 100000), :'a') \gset
SELECT is(pg_temp.newest(), format('refused actor=%1$s user=%1$s {"action": "%2$s"}', :ann, repeat('ü', 64)), 'a refusal: who has logged out meanwhile does not escape, and cannot write a novel');
SELECT throws_ok($$SELECT auth._audit_refused('x', 'x.y.z')$$, 'U401B', NULL, 'a refusal of nobody');
SELECT access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset

BEGIN;
SELECT auth.authenticate(:'a') \gset
SELECT auth.logout() \gset
SELECT is(pg_temp.newest(), format('logout actor=%1$s user=%1$s', :ann), 'logout');
COMMIT;
SELECT access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
BEGIN;
SELECT auth.authenticate(:'a') \gset
SELECT auth.logout_all() \gset
SELECT is(pg_temp.newest(), format('logout_all actor=%1$s user=%1$s', :ann), 'logout_all');
COMMIT;
SELECT auth.change_password('ann@example.com', 'Secret123', 'Secret124') \gset
SELECT is(pg_temp.newest(), format('change_password actor=%1$s user=%1$s', :ann), 'change_password');

BEGIN;
SELECT auth._origin('203.0.113.9', 'front', 'r1') \gset
SELECT auth.login('ann@example.com', 'Secret124', 'agent', '192.0.2.1') \gset
SELECT is(pg_temp.newest(), format('login actor=%1$s user=%1$s ip=192.0.2.1 agent=agent request=r1', :ann), 'login''s own address and agent win over the transaction''s');
COMMIT;
BEGIN;
SELECT auth.authenticate((SELECT access_token FROM auth.login('ann@example.com', 'Secret124'))) \gset
SELECT auth.delete_me() \gset
SELECT is(pg_temp.newest(), format('delete_me actor=%1$s user=%1$s', :ann), 'delete_me');
COMMIT;
SELECT auth.restore_user(:ann) \gset
SELECT count(*) FROM auth.import_users('[]') \gset
SELECT auth.import_signing_key('HS256', repeat('x', 32)) \gset
SELECT auth.admin_change_balance(:ann, 1) \gset
SELECT is((SELECT array_agg(DISTINCT action) FROM auth.audit_log), '{admin_change_balance,block_user,change_password,change_password_failed,delete_me,import_signing_key,import_users,'
    'login,login_failed,logout,logout_all,refresh_reused,refused,register,restore_user,set_role,unblock_user}', 'every action that README names has been seen, and no other');

BEGIN;
SELECT auth._origin('203.0.113.9', 'front', 'r1') \gset
SELECT auth.login('ann@example.com', 'Secret124', 'agent', '192.0.2.1') \gset
SELECT auth.login('ann@example.com', 'Wrong124') \gset
SELECT is(pg_temp.newest(), format('login_failed user=%1$s ip=203.0.113.9 agent=front request=r1', :ann), 'what one login was told is not another''s');
COMMIT;

-- The list.
SELECT is((SELECT array_agg(DISTINCT action) FROM auth.audit(actor_id => :root)), '{block_user,login,register}', 'audit: by actor');
SELECT is((SELECT array_agg(DISTINCT user_id) FROM auth.audit(user_id => :ann)), ARRAY[:ann]::bigint[], 'audit: by user');
SELECT is((SELECT count(*) FROM auth.audit(action => 'login_failed')), 3::bigint, 'audit: by action');
SELECT is((SELECT array_agg(id) FROM (SELECT * FROM auth.audit("limit" => 3) UNION ALL
           SELECT p.* FROM auth.audit("limit" => 1, cursor => (SELECT next_cursor FROM auth.audit("limit" => 3) OFFSET 2)) p) x),
          (SELECT array_agg(id) FROM (SELECT id FROM auth.audit_log ORDER BY id DESC LIMIT 4) x), 'audit: newest first, page by page');
SELECT throws_ok('SELECT auth.audit("limit" => 0)', 'U422A', NULL, 'audit: a bad limit');
SELECT is((SELECT count(*) FROM auth.audit_log a WHERE a::text ~ '(Secret12|Wrong12|secret-key|\$2a\$|eyJ)' OR strpos(a::text, :'r0') > 0), 0::bigint, 'no password, hash, key or token in the log');
SELECT finish();
