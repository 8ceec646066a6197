/* SPDX-License-Identifier: MIT
 *
 * store_hook.c: the statements on auth.hooks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "audit.h"
#include "store.h"
#include "store_statement.h"

/* The event's hook, and what it is to be told of this account; false where there is none. */
bool
StoreHookFind(const char *event, int64 user_id, HookRow *hook)
{
    static Statement statement = {
        "SELECT h.function_schema, h.function_name, pg_catalog.jsonb_build_object('event', h.event,"
        " 'user_id', u.id, 'email', u.email, 'first_name', u.first_name, 'last_name', u.last_name,"
        " 'role', u.role, 'ip', pg_catalog.host($3), 'user_agent', $4)"
        " FROM auth.hooks h, auth.users u WHERE h.event" EQ "$1 AND u.id" EQ "$2",
        4,
        {TEXTOID, INT8OID, INETOID, TEXTOID},
        NULL};
    const AuditOrigin *origin = AuditOriginGet();
    Datum values[] = {CStringGetTextDatum(event), Int64GetDatum(user_id), origin->ip,
                      PointerGetDatum(origin->user_agent)};
    char nulls[] = {' ', ' ', origin->has_ip ? ' ' : 'n', origin->user_agent ? ' ' : 'n'};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRun(&statement, values, nulls) == 1;
    if (found) {
        MemoryContext old = MemoryContextSwitchTo(call.context);

        hook->schema = TextDatumGetCString(ColumnNotNull(1));
        hook->name = TextDatumGetCString(ColumnNotNull(2));
        hook->event = datumCopy(ColumnNotNull(3), false, -1);
        MemoryContextSwitchTo(old);
    }
    StoreEnd(&call);
    return found;
}

/* Make the function the event's hook, in the place of one that is there. */
void
StoreHookSet(const char *event, const char *schema, const char *name)
{
    static Statement statement = {
        "INSERT INTO auth.hooks (event, function_schema, function_name) VALUES ($1, $2, $3)"
        " ON CONFLICT (event) DO UPDATE SET function_schema = $2, function_name = $3",
        3,
        {TEXTOID, TEXTOID, TEXTOID},
        NULL};
    Datum values[] = {CStringGetTextDatum(event), CStringGetTextDatum(schema),
                      CStringGetTextDatum(name)};

    StoreExecute(&statement, values, NULL);
}

/* From now on the event has no hook. */
void
StoreHookDelete(const char *event)
{
    static Statement statement = {
        "DELETE FROM auth.hooks h WHERE h.event" EQ "$1", 1, {TEXTOID}, NULL};
    Datum values[] = {CStringGetTextDatum(event)};

    StoreExecute(&statement, values, NULL);
}
