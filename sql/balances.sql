-- SPDX-License-Identifier: MIT
--
-- balances.sql: balances, and the ledger that they are the sums of.

-- A row a change of a balance; rows are added, never changed.  users.balance is their sum.
CREATE TABLE auth.balance_entries (
    user_id         bigint NOT NULL,    -- no foreign key: see sessions.sql
    number          bigint NOT NULL,    -- counts the user's entries, from 1, without a gap
    amount          bigint NOT NULL,    -- minor units; negative: a withdrawal
    balance         bigint NOT NULL CHECK (balance >= 0),   -- after it
    idempotency_key text COLLATE "C",
    actor_id        bigint,             -- who changed it; NULL: an operator
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (user_id, number)
);
COMMENT ON TABLE auth.balance_entries IS 'the ledger of balances';
SELECT pg_catalog.pg_extension_config_dump('auth.balance_entries', '');

-- A key is its actor's own: nobody can use up another's.
CREATE UNIQUE INDEX balance_entries_idempotency_key_key
    ON auth.balance_entries (user_id, (COALESCE(actor_id, 0)), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE FUNCTION auth.balance() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_balance';
COMMENT ON FUNCTION auth.balance() IS 'balance of the identity in minor units';

CREATE FUNCTION auth.change_balance(amount bigint, idempotency_key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_change_balance';
COMMENT ON FUNCTION auth.change_balance(bigint, text) IS
    'adds an amount to the balance of the identity and returns the new balance; once for a key';

CREATE FUNCTION auth.admin_change_balance(user_id bigint, amount bigint,
                                          idempotency_key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'auth_service_admin_change_balance';
COMMENT ON FUNCTION auth.admin_change_balance(bigint, bigint, text) IS
    'for admins: adds an amount to the balance of a user and returns the new balance; once for a key';
