/* SPDX-License-Identifier: MIT
 *
 * throttle.c: guessing is made slow: for an account, whoever guesses, and for an address, whatever it guesses.
 *
 * So many failures are free.  After them there is one attempt at a time, and each has to wait longer than the
 * one before.  An attempt is a row of auth.login_throttle, written before the password is looked at and whatever
 * becomes of the transaction; if it was right, a second row says so.  While it is under way it holds a lock: each free
 * failure has a slot, an attempt holds one, and so a hundred attempts at the same moment are no more than those
 * that come one after the other: who finds every slot held waits until one comes free.  No row is locked while a
 * password is hashed.
 *
 * A stranger who goes on guessing must not keep the owner out.  After the free failures:
 * - a network from which the account has a session waits for its own failures only;
 * - any other network waits half as long as the one that failed last.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inet.h"
#include "utils/timestamp.h"

#include "audit/audit.h"
#include "base/compat.h"
#include "base/email.h"
#include "base/settings.h"
#include "protection/throttle.h"
#include "protection/throttle_slot.h"
#include "store/maintain.h"
#include "store/throttle.h"

/* An IPv6 address is as good as any other of its /64: they are given out as one. */
#define IPV6_NETWORK_BITS 64

/* For a slot of somebody's who is long about it nobody waits longer. */
#define LOCK_TIMEOUT "5s"

/* ---- Keys ------------------------------------------------------------------------------- */

static ThrottleKey
MakeKey(const char *kind, const char *network, text *name)
{
    StringInfoData bytes;
    ThrottleKey key = {.begins_anew = name != NULL};
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

/* ---- Attempts --------------------------------------------------------------------------- */

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

/* Hold a slot of what is counted by the limit for addresses; none where that is off. */
static ThrottleSlot
HoldLoose(const ThrottleKey *key)
{
    ThrottleClaim claim = {.key = key, .free_failures = auth_service_throttle_address_failures};

    return claim.free_failures > 0 ? ThrottleHold(&claim) : (ThrottleSlot){0};
}

/* After its free failures an account's slot is a pair's where the account is known there. */
static void
HoldAccount(ThrottleAttempt *attempt, text *email_normalized)
{
    ThrottleKey key = MakeKey("account", NULL, email_normalized);
    ThrottleClaim claim = {.key = &key,
                           .network = attempt->network,
                           .free_failures = auth_service_throttle_account_failures,
                           .is_shared = true};
    ThrottleState state;

    if (claim.free_failures == 0)
        return;
    ThrottleSettle(&claim, &state);
    if (!ThrottleHasFree(&claim, &state) && attempt->network != NULL &&
        StoreThrottleKnows(email_normalized, attempt->network)) {
        ThrottleKey pair = MakeKey("pair", attempt->network, email_normalized);

        attempt->pair = ThrottleHold(&(ThrottleClaim){.key = &pair, .since = state.slow_since});
        attempt->account = (ThrottleSlot){.is_counted = true,
                                          .key = key,
                                          .free_failures = claim.free_failures,
                                          .number = THROTTLE_TURN};
    } else
        attempt->account = ThrottleHold(&claim);
}

/* Count an attempt as a failure. */
static void
Count(ThrottleSlot *slot, const char *network)
{
    if (!slot->is_counted)
        return;
    slot->counted_at = GetCurrentTimestamp();
    StoreThrottleAdd(&(ThrottleAttemptRow){
        .key = slot->key, .at = slot->counted_at, .slot = slot->number, .network = network});
}

void
ThrottleEnter(ThrottleAttempt *attempt, text *email)
{
    int level = LimitWaits();

    /* Where a failure cannot be written, its error would tell it from a success. */
    PreventCommandIfReadOnly("a check of a password");
    *attempt = (ThrottleAttempt){.network = OriginNetwork()};
    if (attempt->network != NULL) {
        ThrottleKey key = MakeKey("address", attempt->network, NULL);

        attempt->address = HoldLoose(&key);
    }
    if (VARSIZE_ANY_EXHDR(email) <= AUTH_EMAIL_BYTES_MAX)
        HoldAccount(attempt, EmailNormalize(email));
    /*
     * Afterwards a caller could have the row refused, by a full lock table say or a snapshot of his, and would
     * have learned the answer for nothing.
     */
    Count(&attempt->account, attempt->network);
    Count(&attempt->pair, attempt->network);
    Count(&attempt->address, attempt->network);
    EndWaits(level);
}

/* Whether a failure was the last free one of its key. */
static bool
WasLast(const ThrottleSlot *slot)
{
    ThrottleState state;

    if (!slot->is_counted || slot->number == THROTTLE_TURN)
        return false;
    StoreThrottleRead(&slot->key, ThrottleStaleBefore(slot->counted_at), slot->free_failures,
                      &state);
    return state.slow_since == slot->counted_at;
}

void
ThrottleFail(ThrottleAttempt *attempt, int64 user_id)
{
    ThrottleGiveBack(&attempt->account);
    ThrottleGiveBack(&attempt->pair);
    ThrottleGiveBack(&attempt->address);
    if (WasLast(&attempt->address))
        AuditRecord(&(AuditEvent){.action = "throttled", .detail = "{\"by\": \"address\"}"});
    if (WasLast(&attempt->account))
        AuditRecord(&(AuditEvent){
            .action = "throttled", .user_id = user_id, .detail = "{\"by\": \"account\"}"});
}

static void
Pass(ThrottleSlot *slot)
{
    if (!slot->is_counted)
        return;
    StoreThrottleAdd(&(ThrottleAttemptRow){
        .key = slot->key, .at = slot->counted_at, .slot = slot->number, .was_right = true});
    ThrottleGiveBack(slot);
}

/* The account begins anew; the address does not, or its guesser would need but one account of his own. */
void
ThrottlePass(ThrottleAttempt *attempt)
{
    Pass(&attempt->account);
    Pass(&attempt->pair);
    Pass(&attempt->address);
}

static void
CountOne(const char *kind, const char *whose, const char *network)
{
    ThrottleKey key = MakeKey(kind, whose, NULL);
    ThrottleSlot slot = HoldLoose(&key);

    Count(&slot, network);
    ThrottleGiveBack(&slot);
}

void
ThrottleCount(const char *kind, int64 asker)
{
    const char *network = OriginNetwork();
    int level;

    /* On a standby tokens can be asked about, and nothing can be counted. */
    if (RecoveryInProgress())
        return;
    level = LimitWaits();
    if (network != NULL)
        CountOne(kind, network, network);
    if (asker != 0)
        CountOne(kind, psprintf("user " INT64_FORMAT, asker), network);
    EndWaits(level);
}

int64
ThrottleSweep(TimestampTz now)
{
    return StoreThrottleExpire(ThrottleStaleBefore(now));
}
