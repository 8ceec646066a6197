/* SPDX-License-Identifier: MIT
 *
 * balance.h: auth.balance_entries, and the balances that are their sums.
 */
#ifndef AUTH_SERVICE_STORE_BALANCE_H
#define AUTH_SERVICE_STORE_BALANCE_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

extern bool StoreBalanceFind(int64 user_id, const pg_uuid_t *session_id, TimestampTz now,
                             int64 *balance);
extern bool StoreEntryFind(int64 user_id, int64 actor_id, text *idempotency_key, int64 *amount,
                           int64 *balance);
extern void StoreEntryInsert(int64 user_id, int64 amount, int64 balance, text *idempotency_key,
                             int64 actor_id, TimestampTz now);
extern void StoreBalanceUpdate(int64 user_id, int64 balance, TimestampTz now);

#endif
