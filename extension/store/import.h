/* SPDX-License-Identifier: MIT
 *
 * import.h: accounts of another service, many at once.
 */
#ifndef AUTH_SERVICE_STORE_IMPORT_H
#define AUTH_SERVICE_STORE_IMPORT_H

#include "datatype/timestamp.h"

/* A row of the service before us, as its table "users" has it; a NULL text stands for NULL. */
typedef struct ImportRow {
    bool has_id;
    int64 id;
    char *email;
    char *password_hash;
    char *first_name;
    char *last_name;
    bool is_blocked;
    TimestampTz blocked_at;
    bool is_deleted;
    char *role;
    int64 balance;
    TimestampTz created_at;
    TimestampTz updated_at;
    bool has_last_activity_at;
    TimestampTz last_activity_at;
    text *email_normalized; /* for ImportJudge.accept to set */
} ImportRow;

typedef enum ImportOutcome {
    IMPORT_DONE,
    IMPORT_PRESENT, /* the account of this id has this e-mail */
    IMPORT_ID_TAKEN,
    IMPORT_EMAIL_TAKEN
} ImportOutcome;

/* Who judges an import's rows: first each by itself, then what became of those that were accepted. */
typedef struct ImportJudge {
    bool (*accept)(void *context, ImportRow *row);
    void (*settle)(void *context, int64 id, const char *email, ImportOutcome outcome);
    void *context;
} ImportJudge;

extern void StoreImportUsers(text *users, TimestampTz now, const ImportJudge *judge);

#endif
