/* SPDX-License-Identifier: MIT
 *
 * db_connect.c: see db_connect.h.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>

#include "clock.h"
#include "db_connect.h"

bool
db_wait(PGconn *connection, bool for_write, long long deadline)
{
    struct pollfd waited = {.fd = PQsocket(connection),
                            .events = (short)(POLLIN | (for_write ? POLLOUT : 0))};
    long long left;
    int ready;

    do {
        left = deadline - clock_now();
        if (left <= 0 || waited.fd < 0)
            return false;
        ready = poll(&waited, 1, (int)left);
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

PGconn *
db_connect(const struct config *config, const char *database, long long deadline)
{
    /* The first dbname may be a whole connection string; what follows wins over it. */
    const char *const keywords[] = {"dbname",
                                    "host",
                                    "port",
                                    "dbname",
                                    "user",
                                    "password",
                                    "client_encoding",
                                    "fallback_application_name",
                                    "tcp_user_timeout",
                                    NULL};
    const char *const values[] = {config->database_url,
                                  config->database_host,
                                  config->database_port,
                                  database ? database : config->database_name,
                                  config->database_user,
                                  config->database_password,
                                  "UTF8",
                                  "auth_service",
                                  "10000",
                                  NULL};
    PGconn *connection = PQconnectStartParams(keywords, values, /* expand_dbname */ 1);
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    while (connection != NULL && PQstatus(connection) != CONNECTION_BAD &&
           status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
        struct pollfd waited = {.fd = PQsocket(connection),
                                .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        long long left = deadline - clock_now();

        if (left <= 0 || (poll(&waited, 1, (int)left) == 0)) {
            PQfinish(connection);
            return NULL;
        }
        status = PQconnectPoll(connection);
    }
    return connection;
}
