/* SPDX-License-Identifier: MIT
 *
 * throttle_slot.h: the slots of a key, for throttle.c.
 */
#ifndef AUTH_SERVICE_PROTECTION_THROTTLE_SLOT_H
#define AUTH_SERVICE_PROTECTION_THROTTLE_SLOT_H

#include "protection/throttle.h"
#include "store/throttle.h"

/* What the slots of a key were asked for. */
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

/* U429A where no slot may be had now.  Waits for one that is under way. */
extern ThrottleSlot ThrottleHold(const ThrottleClaim *claim);
extern void ThrottleGiveBack(ThrottleSlot *slot);

#endif
