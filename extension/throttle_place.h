/* SPDX-License-Identifier: MIT
 *
 * throttle_place.h: the places of a key, for throttle.c.
 */
#ifndef AUTH_SERVICE_THROTTLE_PLACE_H
#define AUTH_SERVICE_THROTTLE_PLACE_H

#include "throttle.h"

/* What the places of a key were asked for. */
typedef struct ThrottleClaim {
    const ThrottleKey *key;
    const char *network; /* NULL: unknown */
    int free_failures;
    bool is_shared;    /* another network than the last one's waits half as long */
    TimestampTz since; /* where none has failed, the first delay begins here */
} ThrottleClaim;

/* Failures before this moment count no longer. */
extern TimestampTz ThrottleStaleBefore(TimestampTz now);

/* What counts of a key; waits for attempts that are under way where it depends on them. */
extern void ThrottleSettle(const ThrottleClaim *claim, ThrottleState *state);
extern bool ThrottleHasFree(const ThrottleClaim *claim, const ThrottleState *state);

/* U429A where no place may be had now.  Waits for one that is under way. */
extern ThrottlePlace ThrottleHold(const ThrottleClaim *claim);
extern void ThrottleGiveBack(ThrottlePlace *place);

#endif
