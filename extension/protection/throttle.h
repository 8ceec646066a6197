/* SPDX-License-Identifier: MIT
 *
 * throttle.h: what guessing costs.
 */
#ifndef AUTH_SERVICE_PROTECTION_THROTTLE_H
#define AUTH_SERVICE_PROTECTION_THROTTLE_H

#include "store/throttle.h"

/* What a failure counts for, and a slot among the attempts for it that may be under way at the same time. */
typedef struct ThrottleSlot {
    bool is_counted;
    bool is_held;
    ThrottleKey key;
    int free_failures;
    int number; /* of a free failure, or THROTTLE_TURN */
    TimestampTz counted_at;
} ThrottleSlot;

/* An attempt to show that one knows a password. */
typedef struct ThrottleAttempt {
    const char *network; /* where it comes from; NULL: nobody said */
    ThrottleSlot address;
    ThrottleSlot account;
    ThrottleSlot pair; /* of the account and a network that it is known from */
} ThrottleAttempt;

/*
 * Before a password is looked at: 25006 where attempts cannot be counted; U429A, with the seconds to wait, where too
 * many for this e-mail, or from the transaction's origin, have failed.  From here on the attempt counts as a failure.
 * Then one of the two; where neither comes, because of an error, it goes on counting.
 */
extern void ThrottleEnter(ThrottleAttempt *attempt, text *email);
extern void ThrottleFail(ThrottleAttempt *attempt, int64 user_id);
extern void ThrottlePass(ThrottleAttempt *attempt);

/*
 * Something was shown that is none of ours: a token, or an e-mail that is taken.  That is counted for the
 * transaction's origin, and for the user who asks, 0 for nobody; each kind on its own, and not with passwords:
 * a crowd behind one address whose sessions have ended must be able to log in.  U429A where it was too often.
 */
extern void ThrottleCount(const char *kind, int64 asker);

/* Delete what counts no longer, in part; how many rows. */
extern int64 ThrottleSweep(TimestampTz now);

#endif
