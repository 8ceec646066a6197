/* SPDX-License-Identifier: MIT
 *
 * hook.c: the statements on auth.hooks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "store/hook.h"
#include "store/statement.h"

/*
 * The event's hook as it is committed now, and what it is to be told of this account, with the members of this JSON
 * object; false where there is none.
 */
bool
StoreHookFind(const char *event, int64 user_id, text *more, HookRow *hook)
{
    static Statement statement = {
        "SELECT h.function_schema, h.function_name, pg_catalog.jsonb_build_object('event', h.event,"
        " 'user_id', u.id, 'email', u.email, 'first_name', u.first_name, 'last_name', u.last_name,"
        " 'role', u.role) OPERATOR(pg_catalog.||) $3::pg_catalog.jsonb"
        " FROM auth.hooks h, auth.users u WHERE h.event" EQ "$1 AND u.id" EQ "$2",
        3,
        {TEXTOID, INT8OID, TEXTOID},
        NULL};
    Datum values[] = {CStringGetTextDatum(event), Int64GetDatum(user_id), PointerGetDatum(more)};
    StoreCall call;
    bool found;

    StoreBegin(&call);
    found = StoreRead(&statement, values) == 1;
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
