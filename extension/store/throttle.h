/* SPDX-License-Identifier: MIT
 *
 * throttle.h: auth.login_throttle.
 */
#ifndef AUTH_SERVICE_STORE_THROTTLE_H
#define AUTH_SERVICE_STORE_THROTTLE_H

#include "datatype/timestamp.h"

/* What is counted: SHA-256 of its name. */
typedef struct ThrottleKey {
    unsigned char data[32];
    bool begins_anew; /* with each success; else that takes back its own attempt and nothing more */
} ThrottleKey;

/* So many failures without delay have slots of their own; a failure after a delay has none. */
#define THROTTLE_SLOTS 1000
#define THROTTLE_TURN  (-1)

/* For a network's text: an IPv6 address and its length. */
#define THROTTLE_NETWORK_CHARS 50

/* A row of auth.login_throttle. */
typedef struct ThrottleAttemptRow {
    ThrottleKey key;
    TimestampTz at;
    int slot;
    const char *network; /* from where; NULL: unknown */
    bool was_right;
} ThrottleAttemptRow;

/* The failures of a key that count. */
typedef struct ThrottleState {
    int failures;
    unsigned char slots[THROTTLE_SLOTS / 8]; /* a bit for each that is taken */
    TimestampTz slow_since;                  /* the last failure without delay; 0: some are left */
    TimestampTz last_at;
    char network[THROTTLE_NETWORK_CHARS]; /* of the last; empty: unknown */
} ThrottleState;

extern void StoreThrottleRead(const ThrottleKey *key, TimestampTz stale_before, int free_failures,
                              ThrottleState *state);
extern void StoreThrottleAdd(const ThrottleAttemptRow *attempt);
extern bool StoreThrottleKnows(text *email_normalized, const char *network);

#endif
