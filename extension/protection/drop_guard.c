/* SPDX-License-Identifier: MIT
 *
 * drop_guard.c: DROP EXTENSION does not silently take the accounts along.
 *
 * Whoever drops what the extension stands on (its schema, pgcrypto, the schema that this is in)
 * with CASCADE drops the extension, and with it the tables.  PostgreSQL asks nobody's leave for that: DROP
 * SCHEMA public CASCADE is an everyday command, and takes the rights on that schema alone.
 *
 * So a hook looks at every object that is about to be dropped, and raises an error where that is our table
 * of accounts and has a row.  The hook is there once the library is loaded; the event trigger
 * auth_service_guard loads it into a session that has not called us yet, before such a command begins.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/settings.h"
#include "protection/drop_guard.h"

PG_FUNCTION_INFO_V1(auth_service_guard);

static object_access_hook_type previous_hook = NULL;

/* Whether this relation is auth.users, and still the extension's: ALTER EXTENSION DROP TABLE lets it go. */
static bool
IsOurUsers(Oid relation)
{
    char *name = get_rel_name(relation);
    Oid extension;

    if (name == NULL || strcmp(name, "users") != 0 ||
        get_rel_relkind(relation) != RELKIND_RELATION ||
        get_rel_namespace(relation) != get_namespace_oid("auth", true))
        return false;
    extension = getExtensionOfObject(RelationRelationId, relation);
    return OidIsValid(extension) && extension == get_extension_oid("auth_service", true);
}

/*
 * Whether the table has a row, as this command would see it.  The table is locked, and its indexes may be
 * gone already; so it is read as it lies, without SPI.
 */
static bool
HasRow(Oid table)
{
    Relation relation = table_open(table, NoLock);
    Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TupleTableSlot *slot = table_slot_create(relation, NULL);
    TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);
    bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);

    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    UnregisterSnapshot(snapshot);
    table_close(relation, NoLock);
    return found;
}

static void
GuardHook(ObjectAccessType access, Oid class_id, Oid object_id, int column, void *argument)
{
    if (previous_hook != NULL)
        previous_hook(access, class_id, object_id, column, argument);
    if (access != OAT_DROP || class_id != RelationRelationId || column != 0 ||
        auth_service_allow_drop)
        return;
    if (IsOurUsers(object_id) && HasRow(object_id))
        ereport(
            ERROR,
            (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
             errmsg("cannot drop extension auth_service because it holds accounts"),
             errdetail("The command would drop the table auth.users with all of its rows."),
             errhint(
                 "A superuser can drop them all the same after SET auth_service.allow_drop = on, "
                 "in the same session.")));
}

/*
 * SQL function: _guard() returns event_trigger
 *
 * The body of the event trigger.  That it is called is all: it loads the library, and so sets the hook.
 */
Datum
auth_service_guard(PG_FUNCTION_ARGS)
{
    if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("auth._guard() is called by its event trigger only")));
    PG_RETURN_NULL();
}

void
DropGuardInit(void)
{
    previous_hook = object_access_hook;
    object_access_hook = GuardHook;
}
