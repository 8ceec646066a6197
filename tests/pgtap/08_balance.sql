-- Balance: never below zero, never over a bigint, each key once, and the ledger says the same.
\ir ../setup.sql
SELECT plan(42);

SELECT auth.register('ann@example.com', 'Secret123') AS ann, auth.register('bob@example.com', 'Secret123') AS bob,
       auth.register('root@example.com', 'Secret123') AS root \gset
SELECT auth.set_role(:root, 'admin') \gset
SELECT access_token AS a FROM auth.login('ann@example.com', 'Secret123') \gset
SELECT access_token AS b FROM auth.login('bob@example.com', 'Secret123') \gset
SELECT access_token AS r FROM auth.login('root@example.com', 'Secret123') \gset
-- What every account must fulfil.
CREATE FUNCTION pg_temp.ledger() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(u.id::text, ','), 'right') FROM auth.users u
    LEFT JOIN (SELECT user_id, sum(amount) AS total, count(*) AS n, max(number) AS last,
                      (array_agg(balance ORDER BY number DESC))[1] AS balance,
                      count(*) FILTER (WHERE running <> balance) AS wrong
               FROM (SELECT *, sum(amount) OVER (PARTITION BY user_id ORDER BY number) AS running FROM auth.balance_entries) e
               GROUP BY user_id) e ON e.user_id = u.id
    WHERE u.balance <> coalesce(e.total, 0) OR e.balance <> u.balance OR e.last <> e.n OR e.wrong > 0 $$;

SELECT throws_ok(call, 'U401A', NULL, 'no identity: ' || call) FROM unnest(ARRAY['SELECT auth.balance()', 'SELECT auth.change_balance(1)']) call;
BEGIN;
SELECT auth.authenticate(:'a') \gset
SELECT is(auth.balance(), 0::bigint, 'a new account has none');
SELECT is(auth.change_balance(100), 100::bigint, 'an amount is added');
SELECT is(auth.change_balance(-40), 60::bigint, 'a negative one taken');
SELECT is(auth.change_balance(0), 60::bigint, 'nothing is something');
SELECT throws_ok('SELECT auth.change_balance(-61)', 'U400C', 'Unable to update balance', 'not below zero');
SELECT throws_ok('SELECT auth.change_balance(-9223372036854775808)', 'U400C', NULL, 'the least number');
SELECT throws_ok('SELECT auth.change_balance(9223372036854775807)', 'U400C', NULL, 'nor over a bigint');
SELECT is(auth.change_balance(9223372036854775807 - 60), 9223372036854775807, 'up to the greatest');
SELECT throws_ok('SELECT auth.change_balance(1)', 'U400C', NULL, 'and not one more');
SELECT is(auth.change_balance(-9223372036854775807), 0::bigint, 'and down again');
SELECT throws_ok('SELECT auth.change_balance(NULL)', 'U422A', NULL, 'an amount is needed');
SELECT is(auth.balance(), 0::bigint, 'a refusal changes nothing');

-- Keys.
SELECT is(auth.change_balance(50, 'k1'), 50::bigint, 'a key');
SELECT is(auth.change_balance(7), 57::bigint, 'another change');
SELECT is(auth.change_balance(50, 'k1'), 50::bigint, 'the key again: the answer of then');
SELECT is(auth.balance(), 57::bigint, 'the key again: applied once');
SELECT throws_ok($$SELECT auth.change_balance(51, 'k1')$$, 'U409A', NULL, 'the key with another amount');
SELECT throws_ok(format('SELECT auth.change_balance(1, %L)', k), 'U422J', NULL, 'no key: ' || left(to_json(k)::text, 10))
    FROM unnest(ARRAY['', repeat('x', 256), E'a\nb', E'\x7f']) k;
SELECT is(auth.change_balance(1, repeat('ü', 255)), 58::bigint, 'the longest key');
COMMIT;
BEGIN;
SELECT auth.authenticate(:'b') \gset
SELECT is(auth.change_balance(50, 'k1'), 50::bigint, 'a key is its user''s own');
COMMIT;

-- Admins.
SELECT is(auth.admin_change_balance(:ann, 2, 'k1'), 60::bigint, 'an operator: his keys are not the user''s');
SELECT is(auth.admin_change_balance(:ann, 2, 'k1'), 60::bigint, 'an operator: once');
SELECT throws_ok(format('SELECT auth.admin_change_balance(%s, 1)', :root), 'U403B', 'Admin users cannot have an active balance', 'an admin has none');
SELECT throws_ok('SELECT auth.admin_change_balance(999, 1)', 'U404B', 'User not found', 'nobody');
SELECT throws_ok('SELECT auth.admin_change_balance(NULL, 1)', 'U422A', NULL, 'NULL');
BEGIN;
SELECT auth.authenticate(:'r') \gset
SELECT is(auth.balance(), 0::bigint, 'an admin may look');
SELECT throws_ok('SELECT auth.change_balance(1)', 'U403B', NULL, 'an admin''s own');
SELECT is(auth.admin_change_balance(:ann, 5, 'k1'), 65::bigint, 'an admin changes another''s, with keys of his own');
SELECT throws_ok(format('SELECT auth.admin_change_balance(%s, -66)', :ann), 'U400C', NULL, 'an admin: not below zero either');
COMMIT;
BEGIN;
SELECT auth.authenticate(:'a') \gset
SELECT throws_ok(format('SELECT auth.admin_change_balance(%s, 1000)', :ann), 'U404A', 'Not found', 'a user may not');
COMMIT;
SELECT is((SELECT array_agg(coalesce(actor_id, 0) ORDER BY number) FROM auth.balance_entries WHERE idempotency_key = 'k1' AND user_id = :ann),
          ARRAY[:ann, 0, :root]::bigint[], 'the ledger knows who');
SELECT is(auth.set_role(:ann, 'admin'), true, 'promoted');
SELECT is(auth.admin_change_balance(:ann, 2, 'k1'), 60::bigint, 'promoted: a key from before still answers what it did');
SELECT auth.set_role(:ann, 'user') \gset
SELECT updated_at AS before FROM auth.users WHERE id = :bob \gset
SELECT auth.admin_change_balance(:bob, 0) \gset
SELECT cmp_ok((SELECT updated_at FROM auth.users WHERE id = :bob), '>', :'before'::timestamptz, 'a change is an update of the account');
SELECT auth.block_user(:bob) \gset
SELECT is(auth.admin_change_balance(:bob, -50), 0::bigint, 'a blocked account''s balance can be settled');
SELECT is((SELECT balance FROM auth.users WHERE id = :ann), 65::bigint, 'the account has the sum');
SELECT is(pg_temp.ledger(), 'right', 'ledger and balances agree, every entry in line');
SELECT finish();
