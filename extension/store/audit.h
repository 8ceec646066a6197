/* SPDX-License-Identifier: MIT
 *
 * audit.h: auth.audit_log.
 */
#ifndef AUTH_SERVICE_STORE_AUDIT_H
#define AUTH_SERVICE_STORE_AUDIT_H

#include "datatype/timestamp.h"

/* Mirrors auth.audit_log; an id of 0 and a NULL pointer stand for NULL. */
typedef struct AuditRow {
    const char *action;
    int64 actor_id;
    int64 user_id;
    Datum ip;
    bool has_ip;
    text *user_agent;
    text *request_id;
    const char *db_role;
    const char *detail; /* JSON */
} AuditRow;

extern void StoreAuditInsert(const AuditRow *row, TimestampTz now);
extern int StoreRefusedCount(int64 user_id, int newest, TimestampTz since);

#endif
