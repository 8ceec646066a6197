/* SPDX-License-Identifier: MIT
 *
 * throttle_slot.c: the slots of a key: what of them has failed, and what is under way.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/errors.h"
#include "base/settings.h"
#include "protection/throttle.h"
#include "protection/throttle_slot.h"
#include "store/throttle.h"

/* Advisory locks of applications have 1 or 2 there. */
#define LOCK_CLASS 16

/* The first delay; each failure doubles it. */
#define FIRST_DELAY USECS_PER_SEC

/* ---- What has failed -------------------------------------------------------------------- */

TimestampTz
ThrottleStaleBefore(TimestampTz now)
{
    return now - (int64)auth_service_throttle_window * USECS_PER_SEC;
}

/* What counts of a key now, with what is under way. */
static void
Read(const ThrottleClaim *claim, ThrottleState *state)
{
    StoreThrottleRead(claim->key, ThrottleStaleBefore(GetCurrentTimestamp()), claim->free_failures,
                      state);
    if (state->failures == 0)
        state->last_at = claim->since;
}

static bool
IsTaken(const ThrottleState *state, int slot)
{
    return (state->slots[slot / 8] >> (slot % 8) & 1) != 0;
}

/* How long an attempt has to wait still; 0 or less: not at all. */
static int64
RemainingDelay(const ThrottleClaim *claim, const ThrottleState *state, TimestampTz now)
{
    int64 longest = (int64)auth_service_throttle_max_delay * USECS_PER_SEC;
    int64 delay = FIRST_DELAY;
    int i;

    for (i = claim->free_failures; i < state->failures && delay < longest; i++)
        delay *= 2;
    delay = Min(delay, longest);
    if (claim->is_shared && state->network[0] != '\0' && claim->network != NULL &&
        strcmp(state->network, claim->network) != 0)
        delay /= 2;
    /* A clock that was set back must not make it longer. */
    return Min(state->last_at + delay - now, delay);
}

pg_noreturn static void
Refuse(int64 delay)
{
    ErrorRaiseThrottled(Max(1, (delay + USECS_PER_SEC - 1) / USECS_PER_SEC));
}

/* ---- What is under way ------------------------------------------------------------------ */

static void
SetLockTag(LOCKTAG *tag, const ThrottleKey *key, int number)
{
    uint32 words[2];

    memcpy(words, key->data, sizeof(words));
    SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, words[0], words[1], (uint16)(LOCK_CLASS + 1 + number));
}

/* Hold a slot of a key until the transaction ends; false: somebody does, and we do not wait. */
static bool
Hold(const ThrottleKey *key, int number, bool waits)
{
    LOCKTAG tag;

    SetLockTag(&tag, key, number);
    return LockAcquire(&tag, ExclusiveLock, /* sessionLock */ false, !waits) !=
           LOCKACQUIRE_NOT_AVAIL;
}

static void
Release(const ThrottleKey *key, int number)
{
    LOCKTAG tag;

    SetLockTag(&tag, key, number);
    LockRelease(&tag, ExclusiveLock, /* sessionLock */ false);
}

/* Give a slot back before the transaction ends. */
void
ThrottleGiveBack(ThrottleSlot *slot)
{
    if (slot->is_held)
        Release(&slot->key, slot->number);
    slot->is_held = false;
}

/* Wait for whoever holds a slot; false: nobody does. */
static bool
Await(const ThrottleKey *key, int number)
{
    LOCKTAG tag;
    bool is_held;

    SetLockTag(&tag, key, number);
    is_held = LockAcquire(&tag, ShareLock, /* sessionLock */ false, /* dontWait */ true) ==
              LOCKACQUIRE_NOT_AVAIL;
    if (is_held)
        LockAcquire(&tag, ShareLock, /* sessionLock */ false, /* dontWait */ false);
    LockRelease(&tag, ShareLock, /* sessionLock */ false);
    return is_held;
}

/* Wait for one of the attempts that count although they are under way; false: there is none. */
static bool
AwaitOne(const ThrottleClaim *claim, const ThrottleState *state)
{
    int slot;

    for (slot = 0; slot < claim->free_failures; slot++)
        if (IsTaken(state, slot) && Await(claim->key, slot))
            return true;
    return Await(claim->key, THROTTLE_TURN);
}

bool
ThrottleHasFree(const ThrottleClaim *claim, const ThrottleState *state)
{
    return state->failures < claim->free_failures;
}

/* An attempt that is under way counts as a failure, and may turn out to be none. */
void
ThrottleSettle(const ThrottleClaim *claim, ThrottleState *state)
{
    do
        Read(claim, state);
    while (!ThrottleHasFree(claim, state) && AwaitOne(claim, state));
}

/*
 * Hold the one slot that there is after the free failures, as soon as it may be had; false where there are
 * free ones again: somebody was right meanwhile.
 */
static bool
HoldTurn(const ThrottleClaim *claim, ThrottleState *state)
{
    int64 delay = RemainingDelay(claim, state, GetCurrentTimestamp());

    if (delay > 0)
        Refuse(delay);
    Hold(claim->key, THROTTLE_TURN, /* waits */ true);
    /* Whoever held it a moment ago has failed, or was right. */
    Read(claim, state);
    if (ThrottleHasFree(claim, state)) {
        Release(claim->key, THROTTLE_TURN);
        return false;
    }
    delay = RemainingDelay(claim, state, GetCurrentTimestamp());
    if (delay > 0)
        Refuse(delay);
    return true;
}

/* The first slot behind this one that has not failed; there is one. */
static int
NextSlot(const ThrottleClaim *claim, const ThrottleState *state, int slot)
{
    do
        slot = (slot + 1) % claim->free_failures;
    while (IsTaken(state, slot));
    return slot;
}

/* Hold this slot if it is free or, where that is said, as soon as it is; false where it failed meanwhile. */
static bool
HoldThis(const ThrottleClaim *claim, ThrottleState *state, int slot, bool waits)
{
    if (!Hold(claim->key, slot, waits))
        return false;
    /* Whoever held it a moment ago may have failed. */
    Read(claim, state);
    if (ThrottleHasFree(claim, state) && !IsTaken(state, slot))
        return true;
    Release(claim->key, slot);
    return false;
}

/* Hold one of the free slots; false where there is none any more. */
static bool
HoldFree(const ThrottleClaim *claim, ThrottleState *state, int *number)
{
    int slot;
    int i;

    if (!ThrottleHasFree(claim, state))
        return false;
    slot = MyProcPid % claim->free_failures; /* not all begin with the same one */
    for (i = 0; ThrottleHasFree(claim, state); i++) {
        slot = NextSlot(claim, state, slot);
        if (HoldThis(claim, state, slot, /* waits */ i >= claim->free_failures)) {
            *number = slot;
            return true;
        }
    }
    return false;
}

/* Hold a slot of a key, or U429A. */
ThrottleSlot
ThrottleHold(const ThrottleClaim *claim)
{
    ThrottleSlot slot = {.is_counted = true,
                         .is_held = true,
                         .key = *claim->key,
                         .free_failures = claim->free_failures,
                         .number = THROTTLE_TURN};
    ThrottleState state;

    do
        ThrottleSettle(claim, &state);
    while (!HoldFree(claim, &state, &slot.number) && !HoldTurn(claim, &state));
    return slot;
}
