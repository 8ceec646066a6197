/* SPDX-License-Identifier: MIT
 *
 * audit.h: the audit log.
 */
#ifndef AUTH_SERVICE_AUDIT_H
#define AUTH_SERVICE_AUDIT_H

/*
 * Something that was done, or tried in vain.  Who, from where and when is added: the identity, the
 * transaction's origin, the clock.  No secret, and nothing that may be one, belongs in here.
 */
typedef struct AuditEvent {
    const char *action;
    int64 user_id;      /* to whom; 0: nobody that we know */
    const char *detail; /* JSON, or NULL */
    bool is_own;        /* the user himself did it, who is not the identity (yet) */
} AuditEvent;

/* Where the request of this transaction comes from, as somebody said; NULL: nobody did. */
typedef struct AuditOrigin {
    Datum ip;
    bool has_ip;
    text *user_agent;
    text *request_id;
} AuditOrigin;

extern void AuditInit(void);
extern const AuditOrigin *AuditOriginGet(void);
extern void AuditOriginSet(const AuditOrigin *given);
extern void AuditOriginRestore(const AuditOrigin *before);
extern void AuditRecord(const AuditEvent *event);

#endif
