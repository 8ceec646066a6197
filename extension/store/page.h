/* SPDX-License-Identifier: MIT
 *
 * page.h: pages of accounts and of the audit log.
 */
#ifndef AUTH_SERVICE_STORE_PAGE_H
#define AUTH_SERVICE_STORE_PAGE_H

#include "base/types.h"
#include "store/store.h"

/* What list_users filters by; a NULL text stands for none. */
typedef struct UserFilter {
    bool has_id;
    int64 id;
    text *email;
    text *first_name;
    text *last_name;
    bool has_role;
    UserRole role;
    bool has_is_blocked;
    bool is_blocked;
} UserFilter;

typedef struct AuditFilter {
    bool has_user_id;
    int64 user_id;
    bool has_actor_id;
    int64 actor_id;
    text *action; /* NULL: any */
} AuditFilter;

typedef enum ListOrder {
    LIST_BY_ID,
    LIST_BY_BALANCE,
    LIST_BY_ACTIVITY,
    LIST_BY_DELETION /* deleted accounts, where the other orders list those that are not */
} ListOrder;

/* A page of a list: so many rows at most, behind the row of the cursor. */
typedef struct ListPage {
    ListOrder sort_by;
    bool is_descending;
    int limit;
    bool has_cursor;
    int64 cursor_value;
    int64 cursor_id;
} ListPage;

extern void StoreListUsers(const UserFilter *filter, const ListPage *page, StoreRowSink sink,
                           void *context);
extern void StoreListAudit(const AuditFilter *filter, const ListPage *page, StoreRowSink sink,
                           void *context);

#endif
