/* SPDX-License-Identifier: MIT
 *
 * store_json.c: PostgreSQL's JSON parser, as the statements' part.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"

#include "store.h"
#include "store_statement.h"

/* The members of a JSON object in their order, duplicates included: a List of JsonMember *. */
List *
StoreJsonMembers(text *json)
{
    static Statement statement = {
        "SELECT m.key, pg_catalog.json_typeof(m.value), m.value OPERATOR(pg_catalog.#>>) '{}'"
        " FROM pg_catalog.json_each($1::pg_catalog.json) m",
        1,
        {TEXTOID},
        NULL};
    Datum values[] = {PointerGetDatum(json)};
    List *members = NIL;
    StoreCall call;
    MemoryContext old;
    uint64 count;
    uint64 i;

    StoreBegin(&call);
    count = StoreRun(&statement, values, NULL);
    old = MemoryContextSwitchTo(call.context);
    for (i = 0; i < count; i++) {
        HeapTuple row = SPI_tuptable->vals[i];
        JsonMember *member = palloc(sizeof(JsonMember));

        member->name = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
        member->type = SPI_getvalue(row, SPI_tuptable->tupdesc, 2);
        member->value = SPI_getvalue(row, SPI_tuptable->tupdesc, 3);
        members = lappend(members, member);
    }
    MemoryContextSwitchTo(old);
    StoreEnd(&call);
    return members;
}
