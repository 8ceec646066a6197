/* SPDX-License-Identifier: MIT
 *
 * audit.h: the audit log.
 */
#ifndef AUTH_SERVICE_AUDIT_H
#define AUTH_SERVICE_AUDIT_H

#include "user.h"

/*
 * Something that was done, or tried in vain.  Who, from where and when is added: the identity, the
 * transaction's origin, the clock.  No secret, and nothing that may be one, belongs in here.
 */
typedef struct AuditEvent {
    const char *action;
    int64 user_id;      /* to whom; 0: nobody that we know */
    const char *detail; /* JSON, or NULL */
    bool is_own;        /* the user himself did it, who is not the identity (yet) */
    /* The origin where the caller knows it better. */
    text *user_agent;
    Datum ip;
    bool has_ip;
} AuditEvent;

extern void AuditInit(void);
extern void AuditRecord(const AuditEvent *event);

#endif
