/* SPDX-License-Identifier: MIT
 *
 * throttle.c: guessing is made slow: for an account, whoever guesses, and for an address, whatever it guesses.
 *
 * So many failures are free.  After them there is one attempt at a time, and each has to wait longer than the
 * one before.  What has failed is a row of auth.login_throttle, which commits with the answer that it was a
 * failure.  What is under way is a lock: each free failure has a place, an attempt holds one, and so a hundred
 * attempts at the same moment are no more than those that come one after the other: who finds every place held
 * waits until one comes free.  No row is locked while a password is hashed.
 *
 * A stranger who goes on guessing must not keep the owner out.  After the free failures:
 * - a network from which the account has a session waits for its own failures only;
 * - any other network waits half as long as the one that failed last.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "lib/stringinfo.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inet.h"
#include "utils/timestamp.h"

#include "audit.h"
#include "compat.h"
#include "email.h"
#include "errors.h"
#include "guc.h"
#include "throttle.h"

/* Advisory locks of applications have 1 or 2 there. */
#define LOCK_CLASS 16

/* The first delay; each failure doubles it. */
#define FIRST_DELAY USECS_PER_SEC

/* For a place, or a row, of somebody's who does not end his transaction nobody waits longer. */
#define LOCK_TIMEOUT "5s"

/* An IPv6 address is as good as any other of its /64: they are given out as one. */
#define IPV6_NETWORK_BITS 64

/* What the places of a key were asked for. */
typedef struct Claim {
    const ThrottleKey *key;
    const char *network; /* NULL: unknown */
    int free_failures;
    bool is_shared;    /* another network than the last one's waits half as long */
    TimestampTz since; /* where none has failed, the first delay begins here */
} Claim;

void
ThrottleInit(void)
{
    ThrottleLostInit();
}

/* ---- Keys ------------------------------------------------------------------------------- */

static ThrottleKey
MakeKey(const char *kind, const char *network, text *name)
{
    StringInfoData bytes;
    ThrottleKey key;
    bytea *digest;

    initStringInfo(&bytes);
    appendStringInfoSpaces(&bytes, VARHDRSZ);
    appendStringInfo(&bytes, "%s %s ", kind, network ? network : "");
    if (name != NULL)
        appendBinaryStringInfo(&bytes, VARDATA_ANY(name), (int)VARSIZE_ANY_EXHDR(name));
    SET_VARSIZE(bytes.data, bytes.len);
    digest = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(bytes.data)));
    memcpy(key.data, VARDATA_ANY(digest), sizeof(key.data));
    return key;
}

/* The network of the transaction's origin, as text; NULL: nobody said. */
static const char *
OriginNetwork(void)
{
    const AuditOrigin *origin = AuditOriginGet();
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    inet *address;
    const unsigned char *bytes;
    int bits;

    if (!origin->has_ip)
        return NULL;
    address = DatumGetInetPP(origin->ip);
    bytes = ip_addr(address);
    if (ip_family(address) == PGSQL_AF_INET6 && memcmp(bytes, mapped, sizeof(mapped)) == 0)
        return psprintf("%d.%d.%d.%d/32", bytes[12], bytes[13], bytes[14], bytes[15]);
    bits = ip_family(address) == PGSQL_AF_INET6 ? IPV6_NETWORK_BITS : ip_maxbits(address);
    return TextDatumGetCString(DirectFunctionCall1(
        network_show,
        DirectFunctionCall1(network_network, DirectFunctionCall2(inet_set_masklen, origin->ip,
                                                                 Int32GetDatum(bits)))));
}

/* ---- What has failed -------------------------------------------------------------------- */

static TimestampTz
StaleBefore(TimestampTz now)
{
    return now - (int64)auth_service_throttle_window * USECS_PER_SEC;
}

/* What counts of a key at this moment. */
static void
ReadRow(const Claim *claim, TimestampTz now, ThrottleRow *row)
{
    TimestampTz lost_at = 0;
    int lost;

    StoreThrottleRead(claim->key, row);
    if (row->failures > 0 &&
        (row->failures < claim->free_failures ? row->since : row->last_at) <= StaleBefore(now))
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
RemainingDelay(const Claim *claim, const ThrottleRow *row, TimestampTz now)
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

/* Waits for locks end soon, until EndWaits. */
static int
LimitWaits(void)
{
    int level = NewGUCNestLevel();

    if (LockTimeout == 0)
        set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                          true, 0, false);
    return level;
}

static void
EndWaits(int level)
{
    AtEOXact_GUC(true, level);
}

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
static void
GiveBack(const ThrottlePlace *place)
{
    LOCKTAG tag;

    if (!place->is_held)
        return;
    SetLockTag(&tag, &place->key, place->number);
    LockRelease(&tag, ExclusiveLock, /* sessionLock */ false);
}

static bool
HasFree(const Claim *claim, const ThrottleRow *row)
{
    return row->failures < claim->free_failures;
}

/*
 * Hold the one place that there is after the free failures, as soon as it may be had; false where there are
 * free ones again: somebody was right meanwhile.
 */
static bool
HoldTurn(const Claim *claim, ThrottleRow *row)
{
    int64 delay = RemainingDelay(claim, row, GetCurrentTimestamp());

    if (delay > 0)
        Refuse(delay);
    Hold(claim->key, THROTTLE_TURN, /* waits */ true);
    /* Whoever held it a moment ago has failed, or was right. */
    ReadRow(claim, GetCurrentTimestamp(), row);
    delay = RemainingDelay(claim, row, GetCurrentTimestamp());
    if (!HasFree(claim, row) && delay > 0)
        Refuse(delay);
    return !HasFree(claim, row);
}

/* The first place behind this one that has not failed; there is one. */
static int
NextPlace(const Claim *claim, const ThrottleRow *row, int place)
{
    do
        place = (place + 1) % claim->free_failures;
    while (IsTaken(row, place));
    return place;
}

/* Hold this place if it is free or, where that is said, as soon as it is; false where it failed meanwhile. */
static bool
HoldThis(const Claim *claim, ThrottleRow *row, int place, bool waits)
{
    if (!Hold(claim->key, place, waits))
        return false;
    /* Whoever held it a moment ago may have failed. */
    ReadRow(claim, GetCurrentTimestamp(), row);
    return HasFree(claim, row) && !IsTaken(row, place);
}

/* Hold one of the free places; false where there is none any more. */
static bool
HoldFree(const Claim *claim, ThrottleRow *row, int *number)
{
    int place;
    int i;

    if (!HasFree(claim, row))
        return false;
    place = MyProcPid % claim->free_failures; /* not all begin with the same one */
    for (i = 0; HasFree(claim, row); i++) {
        place = NextPlace(claim, row, place);
        if (HoldThis(claim, row, place, /* waits */ i >= claim->free_failures)) {
            *number = place;
            return true;
        }
    }
    return false;
}

/* Hold a place of a key, or U429A. */
static ThrottlePlace
HoldPlace(const Claim *claim)
{
    ThrottlePlace place = {.is_counted = true,
                           .is_held = true,
                           .key = *claim->key,
                           .free_failures = claim->free_failures,
                           .number = THROTTLE_TURN};
    ThrottleRow row;

    ReadRow(claim, GetCurrentTimestamp(), &row);
    while (!HoldFree(claim, &row, &place.number) && !HoldTurn(claim, &row))
        continue;
    place.had_failures = row.failures > 0;
    return place;
}

/* Hold a place of what is counted by the limit for addresses; none where that is off. */
static ThrottlePlace
HoldLoose(const ThrottleKey *key)
{
    Claim claim = {.key = key, .free_failures = auth_service_throttle_address_failures};

    return claim.free_failures > 0 ? HoldPlace(&claim) : (ThrottlePlace){0};
}

/* ---- Attempts --------------------------------------------------------------------------- */

/* After its free failures an account's place is a pair's where the account is known there. */
static void
HoldAccount(ThrottleAttempt *attempt, text *email_normalized)
{
    ThrottleKey key = MakeKey("account", NULL, email_normalized);
    Claim claim = {.key = &key,
                   .network = attempt->network,
                   .free_failures = auth_service_throttle_account_failures,
                   .is_shared = true};
    ThrottleRow row;

    if (claim.free_failures == 0)
        return;
    ReadRow(&claim, GetCurrentTimestamp(), &row);
    if (!HasFree(&claim, &row) && attempt->network != NULL &&
        StoreThrottleKnows(email_normalized, attempt->network)) {
        ThrottleKey pair = MakeKey("pair", attempt->network, email_normalized);

        attempt->pair = HoldPlace(&(Claim){.key = &pair, .since = row.since});
        attempt->account = (ThrottlePlace){.is_counted = true,
                                           .had_failures = true,
                                           .key = key,
                                           .free_failures = claim.free_failures,
                                           .number = THROTTLE_TURN};
    } else
        attempt->account = HoldPlace(&claim);
}

void
ThrottleEnter(ThrottleAttempt *attempt, text *email)
{
    int level = LimitWaits();

    *attempt = (ThrottleAttempt){.network = OriginNetwork()};
    if (attempt->network != NULL) {
        ThrottleKey key = MakeKey("address", attempt->network, NULL);

        attempt->address = HoldLoose(&key);
    }
    if (VARSIZE_ANY_EXHDR(email) <= AUTH_EMAIL_BYTES_MAX)
        HoldAccount(attempt, EmailNormalize(email));
    EndWaits(level);
}

/* Count a failure; whether it was the last free one. */
static bool
Fail(const ThrottlePlace *place, const char *network)
{
    ThrottleFailure failure = {.key = place->key,
                               .place = place->number,
                               .free_failures = place->free_failures,
                               .at = GetCurrentTimestamp()};

    if (!place->is_counted)
        return false;
    strlcpy(failure.network, network ? network : "", sizeof(failure.network));
    ThrottleLostNote(&failure);
    return StoreThrottleFail(&failure, StaleBefore(failure.at)) == place->free_failures;
}

void
ThrottleFail(const ThrottleAttempt *attempt, int64 user_id)
{
    int level = LimitWaits();

    StoreCommitDurably();
    if (Fail(&attempt->address, attempt->network))
        AuditRecord(&(AuditEvent){.action = "throttled", .detail = "{\"by\": \"address\"}"});
    if (Fail(&attempt->account, attempt->network))
        AuditRecord(&(AuditEvent){
            .action = "throttled", .user_id = user_id, .detail = "{\"by\": \"account\"}"});
    Fail(&attempt->pair, attempt->network);
    EndWaits(level);
}

static void
Forget(const ThrottlePlace *place)
{
    if (place->is_counted && place->had_failures)
        StoreThrottleForget(&place->key);
    GiveBack(place);
}

/* The account begins anew; the address does not, or its guesser would need but one account of his own. */
void
ThrottlePass(const ThrottleAttempt *attempt)
{
    int level = LimitWaits();

    Forget(&attempt->account);
    Forget(&attempt->pair);
    GiveBack(&attempt->address);
    EndWaits(level);
}

static void
CountOne(const char *kind, const char *whose, const char *network)
{
    ThrottleKey key = MakeKey(kind, whose, NULL);
    ThrottlePlace place = HoldLoose(&key);

    Fail(&place, network);
}

void
ThrottleCount(const char *kind, int64 asker)
{
    const char *network = OriginNetwork();
    int level;

    /* On a standby tokens can be asked about, and nothing can be counted. */
    if (XactReadOnly)
        return;
    level = LimitWaits();
    if (network != NULL)
        CountOne(kind, network, network);
    if (asker != 0)
        CountOne(kind, psprintf("user " INT64_FORMAT, asker), network);
    EndWaits(level);
}
