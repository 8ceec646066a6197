/* SPDX-License-Identifier: MIT
 *
 * audit.c: the statements on auth.audit_log; its list is in list_query.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/audit.h"
#include "store/statement.h"

void
StoreAuditInsert(const AuditRow *row, TimestampTz now)
{
    static Statement statement = {
        "INSERT INTO auth.audit_log (at, action, actor_id, user_id, ip, user_agent, request_id,"
        " db_role, detail) VALUES ($1, $2, $3, $4, $5, pg_catalog.left($6, 512),"
        " pg_catalog.left($7, 64), $8, $9::pg_catalog.jsonb)",
        9,
        {TIMESTAMPTZOID, TEXTOID, INT8OID, INT8OID, INETOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID},
        NULL};
    Datum values[] = {TimestampTzGetDatum(now),
                      CStringGetTextDatum(row->action),
                      Int64GetDatum(row->actor_id),
                      Int64GetDatum(row->user_id),
                      row->ip,
                      PointerGetDatum(row->user_agent),
                      PointerGetDatum(row->request_id),
                      CStringGetTextDatum(row->db_role),
                      row->detail ? CStringGetTextDatum(row->detail) : (Datum)0};
    char nulls[] = {' ',
                    ' ',
                    row->actor_id > 0 ? ' ' : 'n',
                    row->user_id > 0 ? ' ' : 'n',
                    row->has_ip ? ' ' : 'n',
                    row->user_agent ? ' ' : 'n',
                    row->request_id ? ' ' : 'n',
                    ' ',
                    row->detail ? ' ' : 'n'};

    StoreExecute(&statement, values, nulls);
}

/* How many of the user's newest refusals, so many of them, are younger than this. */
int
StoreRefusedCount(int64 user_id, int newest, TimestampTz since)
{
    static Statement statement = {
        "SELECT pg_catalog.count(*) FROM (SELECT a.at FROM auth.audit_log a WHERE a.user_id" EQ
        "$1 AND a.action" EQ
        "'refused' ORDER BY a.id DESC LIMIT $2) n WHERE n.at OPERATOR(pg_catalog.>) $3",
        3,
        {INT8OID, INT4OID, TIMESTAMPTZOID},
        NULL};
    Datum values[] = {Int64GetDatum(user_id), Int32GetDatum(newest), TimestampTzGetDatum(since)};
    StoreCall call;
    int count;

    StoreBegin(&call);
    StoreRead(&statement, values);
    count = (int)DatumGetInt64(ColumnNotNull(1));
    StoreEnd(&call);
    return count;
}
