/* SPDX-License-Identifier: MIT
 *
 * maintain.c: the statements that delete what is over.
 *
 * Each deletes so many rows at most, and takes only what it need not wait for.  A row whose session is being
 * refreshed is locked, and so is passed over; one that was refreshed meanwhile is judged again.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/maintain.h"
#include "store/statement.h"

#define STEP_ROWS_AS "1000"

StaticAssertDecl(AUTH_STEP_ROWS == 1000, "STEP_ROWS_AS has another number");

/* A step looks for idle sessions in so many pages of the table (8 MB). */
#define STEP_PAGES 1024

/*
 * Lock a table as its DELETE will, or answer InvalidOid where that meant to wait: for ALTER TABLE, a new
 * index and their like.
 */
static Oid
TryTable(const char *name)
{
    Oid id = get_relname_relid(name, get_namespace_oid("auth", /* missing_ok */ false));

    return OidIsValid(id) && ConditionalLockRelationOid(id, RowExclusiveLock) ? id : InvalidOid;
}

/*
 * Have the planner read an index in its order and stop at the limit.  Where there is much to delete the
 * statistics are from a time when there was little; and a plan for little reads, and sorts, all that there is
 * in each step.
 */
static void
PlanForStep(void)
{
    static const char *const others[] = {"enable_seqscan", "enable_bitmapscan", "enable_sort",
                                         "enable_hashjoin", "enable_mergejoin"};
    int i;

    for (i = 0; i < lengthof(others); i++)
        set_config_option(others[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                          false);
}

static int64
Delete(Statement *statement, const Datum *values)
{
    int settings_level = NewGUCNestLevel();
    StoreCall call;
    int64 count;

    PlanForStep();
    StoreBegin(&call);
    count = (int64)StoreRunLatest(statement, values);
    StoreEnd(&call);
    AtEOXact_GUC(true, settings_level);
    return count;
}

/* Delete sessions whose absolute limit has passed: an index has them first. */
int64
StoreSessionsExpire(TimestampTz now)
{
    static Statement statement = {
        "WITH old AS MATERIALIZED (SELECT s.user_id, s.id FROM auth.sessions s"
        " WHERE s.expires_at OPERATOR(pg_catalog.<=) $1 ORDER BY s.expires_at LIMIT " STEP_ROWS_AS
        " FOR UPDATE SKIP LOCKED)"
        " DELETE FROM auth.sessions s USING old WHERE s.user_id" EQ "old.user_id AND s.id" EQ
        "old.id",
        1,
        {TIMESTAMPTZOID},
        NULL};
    Datum values[] = {TimestampTzGetDatum(now)};

    return OidIsValid(TryTable("sessions")) ? Delete(&statement, values) : 0;
}

/* Which part of the walk over the sessions is to come; that survives the backend, and a rollback. */
static int64
WalkPart(void)
{
    static Statement statement = {"SELECT w.last_value FROM auth.sessions_walk w", 0, {0}, NULL};
    StoreCall call;
    int64 part;

    StoreBegin(&call);
    StoreRead(&statement, NULL);
    part = DatumGetInt64(ColumnNotNull(1));
    StoreEnd(&call);
    return part;
}

static void
WalkOn(void)
{
    static Statement statement = {
        "SELECT pg_catalog.nextval('auth.sessions_walk'::pg_catalog.regclass)", 0, {0}, NULL};

    StoreExecute(&statement, NULL, NULL);
}

/*
 * Delete sessions that were last used before a moment.  An index on last_used_at would make every refresh
 * write to all indexes, so there is none, and the table is walked, a part a step.  A row that nobody uses
 * does not move: the walk meets it.  It stays where it is while there is more to delete there.
 */
int64
StoreSessionsIdle(TimestampTz idle_since)
{
    static Statement statement = {
        "WITH old AS MATERIALIZED (SELECT s.user_id, s.id FROM auth.sessions s"
        " WHERE s.ctid OPERATOR(pg_catalog.>=) $1 AND s.ctid OPERATOR(pg_catalog.<) $2"
        " AND s.last_used_at OPERATOR(pg_catalog.<) $3 LIMIT " STEP_ROWS_AS
        " FOR UPDATE SKIP LOCKED)"
        " DELETE FROM auth.sessions s USING old WHERE s.user_id" EQ "old.user_id AND s.id" EQ
        "old.id",
        3,
        {TIDOID, TIDOID, TIMESTAMPTZOID},
        NULL};
    Oid id = TryTable("sessions");
    ItemPointerData from;
    ItemPointerData to;
    BlockNumber pages;
    BlockNumber parts;
    BlockNumber part;
    Relation table;
    int64 deleted;

    if (!OidIsValid(id))
        return 0;
    table = table_open(id, NoLock);
    pages = RelationGetNumberOfBlocks(table);
    table_close(table, NoLock);
    parts = pages / STEP_PAGES + 1;
    part = (BlockNumber)(WalkPart() % parts);
    ItemPointerSet(&from, part * STEP_PAGES, 0);
    ItemPointerSet(&to, (part + 1) * STEP_PAGES, 0);
    deleted = Delete(&statement, (Datum[]){PointerGetDatum(&from), PointerGetDatum(&to),
                                           TimestampTzGetDatum(idle_since)});
    if (deleted < AUTH_STEP_ROWS && parts > 1)
        WalkOn();
    return deleted;
}

/*
 * Delete rows of the audit log from before a moment: among those with the lowest ids, which are the oldest.
 * So a step reads no more rows than it may delete.
 */
int64
StoreAuditExpire(TimestampTz before)
{
    static Statement statement = {
        "WITH old AS MATERIALIZED (SELECT a.id FROM auth.audit_log a WHERE a.id"
        " OPERATOR(pg_catalog.<=) (SELECT pg_catalog.max(f.id) FROM"
        " (SELECT l.id FROM auth.audit_log l ORDER BY l.id LIMIT " STEP_ROWS_AS ") f)"
        " AND a.at OPERATOR(pg_catalog.<) $1 ORDER BY a.id LIMIT " STEP_ROWS_AS
        " FOR UPDATE SKIP LOCKED)"
        " DELETE FROM auth.audit_log a USING old WHERE a.id" EQ
        "old.id AND a.at OPERATOR(pg_catalog.<) $1",
        1,
        {TIMESTAMPTZOID},
        NULL};
    Datum values[] = {TimestampTzGetDatum(before)};

    return OidIsValid(TryTable("audit_log")) ? Delete(&statement, values) : 0;
}

/* Delete failures of the throttle before a moment.  There are as many as a few minutes bring. */
int64
StoreThrottleExpire(TimestampTz before)
{
    static Statement statement = {
        "WITH old AS MATERIALIZED (SELECT t.ctid FROM auth.login_throttle t WHERE t.failed_at"
        " OPERATOR(pg_catalog.<=) $1 LIMIT " STEP_ROWS_AS " FOR UPDATE SKIP LOCKED)"
        " DELETE FROM auth.login_throttle t USING old WHERE t.ctid" EQ "old.ctid",
        1,
        {TIMESTAMPTZOID},
        NULL};
    Datum values[] = {TimestampTzGetDatum(before)};

    return OidIsValid(TryTable("login_throttle")) ? Delete(&statement, values) : 0;
}
