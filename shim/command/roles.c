/* SPDX-License-Identifier: MIT
 *
 * roles.c: see roles.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "command/roles.h"
#include "config/config.h"
#include "database/operator.h"

#define VALUES(...) ((const char *const[]){__VA_ARGS__})

bool
admin_is_ordinary_role(struct db_admin *admin, const char *role)
{
    char *found =
        db_admin_value(admin,
                       "SELECT 1 FROM pg_catalog.pg_roles r, pg_catalog.pg_extension e"
                       " WHERE r.rolname = $1 AND e.extname = 'auth_service' AND (r.rolsuper"
                       " OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication"
                       " OR pg_catalog.pg_has_role(r.oid, e.extowner, 'MEMBER')"
                       " OR pg_catalog.has_table_privilege(r.oid, 'auth.users', 'SELECT'))",
                       1, VALUES(role));
    bool ordinary = found != NULL && found[0] == '\0';

    if (found != NULL && !ordinary)
        fprintf(stderr,
                "auth-service: error: role \"%s\" has powers that the front must not have\n", role);
    free(found);
    return ordinary;
}

bool
admin_make_anonymous_role(struct db_admin *admin, const struct config *config, const char *database)
{
    const char *role = config->rpc_anonymous_role;
    char *found;
    bool done;

    if (role[0] == '\0')
        return true;
    found = db_admin_value(admin, "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", 1,
                           VALUES(role));
    done = found != NULL;
    if (done && found[0] == '\0') {
        done = db_admin_command(admin, "CREATE ROLE %I NOLOGIN", 1, VALUES(role));
        if (done)
            printf("made role %s\n", role);
    }
    free(found);
    /* CONNECT, which it cannot use, keeps drop-db of another database from dropping it. */
    return done && admin_is_ordinary_role(admin, role) &&
           db_admin_command(admin, "GRANT CONNECT ON DATABASE %I TO %I", 2,
                            VALUES(database, role)) &&
           db_admin_command(admin, "GRANT %I TO %I", 2, VALUES(role, config->shim_role));
}

bool
admin_open_rpc_schema(struct db_admin *admin, const struct config *config)
{
    const char *schema = config->rpc_schema;
    const char *anonymous_role =
        config->rpc_anonymous_role[0] != '\0' ? config->rpc_anonymous_role : config->shim_role;
    char *found;
    bool done;

    if (schema == NULL)
        return true;
    found = db_admin_value(admin,
                           "SELECT pg_catalog.has_schema_privilege($2, n.oid, 'USAGE')"
                           " AND pg_catalog.has_schema_privilege($3, n.oid, 'USAGE')"
                           " FROM pg_catalog.pg_namespace n WHERE n.nspname = $1",
                           3, VALUES(schema, config->shim_role, anonymous_role));
    done = found != NULL;
    if (done && found[0] == '\0')
        printf("there is no schema %s yet: run init-db again when it is there\n", schema);
    else if (done && found[0] != 't') {
        done = db_admin_command(admin, "GRANT USAGE ON SCHEMA %I TO %I", 2,
                                VALUES(schema, config->shim_role)) &&
               db_admin_command(admin, "GRANT USAGE ON SCHEMA %I TO %I", 2,
                                VALUES(schema, anonymous_role));
        if (done)
            printf("opened schema %s to both roles\n", schema);
    }
    free(found);
    return done;
}
