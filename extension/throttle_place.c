/* SPDX-License-Identifier: MIT
 *
 * throttle_place.c: the places of a key: what of them has failed, and what is under way.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "guc.h"
#include "throttle.h"
#include "throttle_place.h"

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

/* What counts of a key at this moment. */
void
ThrottleRead(const ThrottleClaim *claim, TimestampTz now, ThrottleRow *row)
{
    TimestampTz lost_at = 0;
    int lost;

    StoreThrottleRead(claim->key, row);
    if (row->failures > 0 && (row->failures < claim->free_failures ? row->since : row->last_at) <=
                                 ThrottleStaleBefore(now))
        *row = (ThrottleRow){0};
    if (row->failures == 0)
        row->last_at = claim->since;
    lost = ThrottleLostCount(claim->key, &lost_at);
    if (lost > 0) {
        row->failures += lost;
        row->last_at = Max(row->last_at, lost_at);
    }
}

static bool
IsTaken(const ThrottleRow *row, int place)
{
    return (row->places[place / 8] >> (place % 8) & 1) != 0;
}

/* How long an attempt has to wait still; 0 or less: not at all. */
static int64
RemainingDelay(const ThrottleClaim *claim, const ThrottleRow *row, TimestampTz now)
{
    int64 longest = (int64)auth_service_throttle_max_delay * USECS_PER_SEC;
    int64 delay = FIRST_DELAY;
    int i;

    for (i = claim->free_failures; i < row->failures && delay < longest; i++)
        delay *= 2;
    delay = Min(delay, longest);
    if (claim->is_shared && row->network[0] != '\0' && claim->network != NULL &&
        strcmp(row->network, claim->network) != 0)
        delay /= 2;
    /* A clock that was set back must not make it longer. */
    return Min(row->last_at + delay - now, delay);
}

static void
pg_attribute_noreturn() Refuse(int64 delay)
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

/* Hold a place of a key until the transaction ends; false: somebody does, and we do not wait. */
static bool
Hold(const ThrottleKey *key, int number, bool waits)
{
    LOCKTAG tag;

    SetLockTag(&tag, key, number);
    return LockAcquire(&tag, ExclusiveLock, /* sessionLock */ false, !waits) !=
           LOCKACQUIRE_NOT_AVAIL;
}

/* Give a place back before the transaction ends. */
void
ThrottleGiveBack(const ThrottlePlace *place)
{
    LOCKTAG tag;

    if (!place->is_held)
        return;
    SetLockTag(&tag, &place->key, place->number);
    LockRelease(&tag, ExclusiveLock, /* sessionLock */ false);
}

bool
ThrottleHasFree(const ThrottleClaim *claim, const ThrottleRow *row)
{
    return row->failures < claim->free_failures;
}

/*
 * Hold the one place that there is after the free failures, as soon as it may be had; false where there are
 * free ones again: somebody was right meanwhile.
 */
static bool
HoldTurn(const ThrottleClaim *claim, ThrottleRow *row)
{
    int64 delay = RemainingDelay(claim, row, GetCurrentTimestamp());

    if (delay > 0)
        Refuse(delay);
    Hold(claim->key, THROTTLE_TURN, /* waits */ true);
    /* Whoever held it a moment ago has failed, or was right. */
    ThrottleRead(claim, GetCurrentTimestamp(), row);
    delay = RemainingDelay(claim, row, GetCurrentTimestamp());
    if (!ThrottleHasFree(claim, row) && delay > 0)
        Refuse(delay);
    return !ThrottleHasFree(claim, row);
}

/* The first place behind this one that has not failed; there is one. */
static int
NextPlace(const ThrottleClaim *claim, const ThrottleRow *row, int place)
{
    do
        place = (place + 1) % claim->free_failures;
    while (IsTaken(row, place));
    return place;
}

/* Hold this place if it is free or, where that is said, as soon as it is; false where it failed meanwhile. */
static bool
HoldThis(const ThrottleClaim *claim, ThrottleRow *row, int place, bool waits)
{
    if (!Hold(claim->key, place, waits))
        return false;
    /* Whoever held it a moment ago may have failed. */
    ThrottleRead(claim, GetCurrentTimestamp(), row);
    return ThrottleHasFree(claim, row) && !IsTaken(row, place);
}

/* Hold one of the free places; false where there is none any more. */
static bool
HoldFree(const ThrottleClaim *claim, ThrottleRow *row, int *number)
{
    int place;
    int i;

    if (!ThrottleHasFree(claim, row))
        return false;
    place = MyProcPid % claim->free_failures; /* not all begin with the same one */
    for (i = 0; ThrottleHasFree(claim, row); i++) {
        place = NextPlace(claim, row, place);
        if (HoldThis(claim, row, place, /* waits */ i >= claim->free_failures)) {
            *number = place;
            return true;
        }
    }
    return false;
}

/* Hold a place of a key, or U429A. */
ThrottlePlace
ThrottleHold(const ThrottleClaim *claim)
{
    ThrottlePlace place = {.is_counted = true,
                           .is_held = true,
                           .key = *claim->key,
                           .free_failures = claim->free_failures,
                           .number = THROTTLE_TURN};
    ThrottleRow row;

    ThrottleRead(claim, GetCurrentTimestamp(), &row);
    while (!HoldFree(claim, &row, &place.number) && !HoldTurn(claim, &row))
        continue;
    place.had_failures = row.failures > 0;
    return place;
}
