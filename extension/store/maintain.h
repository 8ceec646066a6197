/* SPDX-License-Identifier: MIT
 *
 * maintain.h: what is over and can be deleted, of several tables.
 */
#ifndef AUTH_SERVICE_STORE_MAINTAIN_H
#define AUTH_SERVICE_STORE_MAINTAIN_H

#include "datatype/timestamp.h"

/* A step of maintain deletes so many rows of a kind at most. */
#define AUTH_STEP_ROWS 1000

extern int64 StoreSessionsExpire(TimestampTz now);
extern int64 StoreSessionsIdle(TimestampTz idle_since);
extern int64 StoreAuditExpire(TimestampTz before);
extern int64 StoreThrottleExpire(TimestampTz before);

#endif
