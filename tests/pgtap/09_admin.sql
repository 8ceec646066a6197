-- Blocking, deletion, restoring: felt by the next statement of a token that is out, and by login.
\ir ../setup.sql
SELECT plan(53);

SELECT auth.register('ann@example.com', 'Secret123') AS ann, auth.register('bob@example.com', 'Secret123') AS bob,
       auth.register('root@example.com', 'Secret123') AS root \gset
SELECT auth.set_role(:root, 'admin') \gset
SELECT access_token AS a, refresh_token AS ar FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT access_token AS b FROM auth.login('bob@example.com', 'Secret123') \gset
SELECT access_token AS r FROM auth.login('root@example.com', 'Secret123') \gset

-- Who may not.
SELECT auth.register('eve@example.com', 'Secret123') AS eve \gset
SELECT access_token AS e FROM auth.login('eve@example.com', 'Secret123') \gset
BEGIN;
SELECT auth.authenticate(:'e') \gset
SELECT throws_ok(call, 'U404A', 'Not found', 'a user: ' || call) FROM unnest(ARRAY[
    'SELECT auth.block_user(1)', 'SELECT auth.unblock_user(1)', 'SELECT auth.restore_user(1)', $$SELECT auth.set_role(1, 'admin')$$,
    'SELECT auth.list_users()', 'SELECT auth.deleted_users()', 'SELECT auth.audit()', 'SELECT auth.admin_change_balance(1, 1)',
    'SELECT auth._require_admin()']) call;
COMMIT;
CREATE ROLE regress_09_app;
SELECT auth.allow_api('regress_09_app');
SET ROLE regress_09_app;
SELECT throws_ok(call, 'U401A', 'Not authenticated', 'nobody: ' || call) FROM unnest(ARRAY[
    'SELECT auth.block_user(1)', 'SELECT auth.list_users()', 'SELECT auth.audit()', 'SELECT auth._require_admin()', 'SELECT auth.delete_me()']) call;
SELECT throws_ok(call, '42501', NULL, 'not even callable: ' || call) FROM unnest(ARRAY[
    $$SELECT auth.import_users('[]')$$, $$SELECT auth.import_signing_key('HS256', repeat('x', 32))$$]) call;
RESET ROLE;

-- Blocking.
BEGIN;
SELECT auth.authenticate(:'r') \gset
SELECT is(auth.block_user(:ann), true, 'an admin blocks');
SELECT is(auth.block_user(999), false, 'nobody to block');
SELECT blocked_at AS then FROM auth.users WHERE id = :ann \gset
SELECT is(auth.block_user(:ann), true, 'blocks twice');
SELECT is((SELECT blocked_at FROM auth.users WHERE id = :ann), :'then'::timestamptz, 'the first time counts');
COMMIT;
SELECT throws_ok(format('SELECT auth.authenticate(%L)', :'a'), 'U403A', 'Your account is blocked.', 'blocked: the token');
SELECT is(auth.verify_token(:'a'), NULL, 'blocked: verify_token');
SELECT is(auth.refresh(:'ar'), NULL, 'blocked: the refresh token');
SELECT throws_ok($$SELECT auth.login('ann@example.com', 'Secret123')$$, 'U403A', NULL, 'blocked: login with the right password');
SELECT is(auth.login('ann@example.com', 'Wrong1234'), NULL, 'blocked: with a wrong one nobody learns it');
SELECT is((SELECT count(*) FROM auth.sessions WHERE user_id = :ann), 0::bigint, 'blocked: no session is left');
SELECT is(auth.unblock_user(:ann), true, 'an operator lifts it');
SELECT is(auth.unblock_user(:ann), true, 'twice');
SELECT is(auth.unblock_user(999), false, 'nobody to unblock');
SELECT throws_ok(format('SELECT auth.authenticate(%L)', :'a'), 'U401B', NULL, 'unblocked: the old token stays dead');
SELECT isnt(auth.login('ann@example.com', 'Secret123'), NULL, 'unblocked: login works');

-- In one transaction: authenticated first, then blocked from elsewhere, as the statement sees it.
BEGIN;
SELECT auth.authenticate(:'b') \gset
UPDATE auth.users SET blocked_at = now() WHERE id = :bob;
SELECT throws_ok(call, 'U403A', NULL, 'blocked within the transaction: ' || call) FROM unnest(ARRAY[
    'SELECT auth.balance()', 'SELECT auth.change_balance(1)', 'SELECT auth.delete_me()']) call;
ROLLBACK;

-- Deletion.
SELECT access_token AS b, refresh_token AS br FROM auth.login('bob@example.com', 'Secret123') \gset
SELECT auth.admin_change_balance(:bob, 30) \gset
BEGIN;
SELECT auth.authenticate(:'b') \gset
SELECT lives_ok('SELECT auth.delete_me()', 'a user deletes the account');
SELECT is(auth.uid(), NULL, 'and is nobody then');
COMMIT;
SELECT throws_ok(format('SELECT auth.authenticate(%L)', :'b'), 'U401B', NULL, 'deleted: the token');
SELECT is(auth.refresh(:'br'), NULL, 'deleted: the refresh token');
SELECT is(auth.login('bob@example.com', 'Secret123'), NULL, 'deleted: login as for an unknown one');
SELECT is(auth.set_role(:bob, 'admin'), false, 'deleted: no such user');
SELECT throws_ok(format('SELECT auth.admin_change_balance(%s, 1)', :bob), 'U404B', NULL, 'deleted: no balance');
BEGIN;
SELECT auth.authenticate(:'r') \gset
SELECT throws_ok('SELECT auth.delete_me()', 'U403C', 'Admin cannot delete their own account.', 'an admin''s account stays');
COMMIT;

-- The e-mail is free, for a new account with nothing of the old one.
SELECT auth.register('BOB@example.com', 'Secret123') AS bob2 \gset
SELECT ok(:bob2 > :bob, 'the e-mail registers again: a new id');
SELECT is((SELECT balance FROM auth.users WHERE id = :bob2), 0::bigint, 'and a new balance');
SELECT throws_ok(format('SELECT auth.restore_user(%s)', :bob), 'U400A', NULL, 'restore: the e-mail is taken');
UPDATE auth.users SET email = 'b2@example.com', email_normalized = 'b2@example.com' WHERE id = :bob2;
SELECT is(auth.restore_user(:bob), true, 'restore');
SELECT is(auth.restore_user(:bob), true, 'restore: who is there');
SELECT is(auth.restore_user(999), false, 'restore: nobody');
SELECT isnt(auth.login('bob@example.com', 'Secret123'), NULL, 'restored: login works');
SELECT is((SELECT balance FROM auth.users WHERE id = :bob), 30::bigint, 'restored: with the balance');
SELECT throws_ok(format('SELECT auth.authenticate(%L)', :'b'), 'U401B', NULL, 'restored: the old token stays dead');
-- Restoring is no unblocking.
UPDATE auth.users SET blocked_at = now(), deleted_at = now() WHERE id = :bob;
SELECT is(auth.restore_user(:bob), true, 'restore of a blocked one');
SELECT throws_ok($$SELECT auth.login('bob@example.com', 'Secret123')$$, 'U403A', NULL, 'who stays blocked');
SELECT finish();
