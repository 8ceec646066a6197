/* SPDX-License-Identifier: MIT
 *
 * hook.h: auth.hooks.
 */
#ifndef AUTH_SERVICE_STORE_HOOK_H
#define AUTH_SERVICE_STORE_HOOK_H

/* A function of the application's; mirrors auth.hooks. */
typedef struct HookRow {
    char *schema;
    char *name;
    Datum event; /* jsonb: what it is to be told */
} HookRow;

extern bool StoreHookFind(const char *event, int64 user_id, text *more, HookRow *hook);
extern void StoreHookSet(const char *event, const char *schema, const char *name);
extern void StoreHookDelete(const char *event);

#endif
