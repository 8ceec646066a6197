/* SPDX-License-Identifier: MIT
 *
 * connect.c: see connect.h.
 */
#include <string.h>

#include "config/config.h"
#include "database/connect.h"
#include "database/database.h"

#define SCHEME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-."

PGconn *
db_connect(const struct config *config, const char *database)
{
    /*
     * A connection string is the value of the first dbname; what follows it wins over it, what
     * stands before it does not.  libpq tries each host of a list for connect_timeout seconds.
     */
    const char *const keywords[] = {"connect_timeout",
                                    "keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "tcp_user_timeout",
                                    "dbname",
                                    "host",
                                    "port",
                                    "dbname",
                                    "user",
                                    "password",
                                    "client_encoding",
                                    "fallback_application_name",
                                    NULL};
    const char *const values[] = {
        "2",
        /* An idle connection to a host that is gone ends in half a minute, not in hours. */
        "10", "5", "3", "10000", config->database_url, config->database_host, config->database_port,
        database ? database : config->database_name, config->database_user,
        config->database_password, "UTF8", "auth_service", NULL};

    return PQconnectdbParams(keywords, values, /* expand_dbname */ config->database_url != NULL);
}

/*
 * Whether a URI, behind its scheme, has an "@" in its host, or one behind a "/" though no user's part came
 * before: libpq would take a piece of a password for a host or a port, and print it.
 */
static bool
has_stray_at(const char *uri)
{
    const char *end = uri + strcspn(uri, "@/"); /* as libpq looks for the end of the user's part */

    if (*end == '@')
        return strcspn(end + 1, "@") < strcspn(end + 1, "/");
    return strcspn(end, "@") < strcspn(end, "?") && memchr(uri, ':', (size_t)(end - uri)) != NULL;
}

const char *
db_check_url(struct config *config)
{
    size_t scheme = config->database_url ? strspn(config->database_url, SCHEME_CHARACTERS) : 0;
    bool is_uri =
        config->database_url != NULL && strncmp(config->database_url + scheme, "://", 3) == 0;
    size_t bare = config->database_url ? strcspn(config->database_url, "+") : 0;
    PQconninfoOption *options;
    PQconninfoOption *option;
    bool has_password = false;

    if (config->database_url == NULL)
        return NULL;
    if (is_uri && bare < scheme) {
        /* "postgresql+asyncpg://": the driver is no business of libpq's. */
        char *url = strdup(config->database_url);

        if (url == NULL)
            return "out of memory";
        memmove(url + bare, url + scheme, strlen(url + scheme) + 1);
        config->database_url = url;
    }
    if (is_uri && has_stray_at(strstr(config->database_url, "://") + 3)) {
        return "the database URL has an \"@\" or a \"/\" in its password: write %40 and %2F";
    }
    /* Without "=" or "://" libpq would take it for a database's name, and quote it in messages. */
    options = is_uri || strchr(config->database_url, '=') != NULL
                  ? PQconninfoParse(config->database_url, NULL)
                  : NULL;
    if (options == NULL || (is_uri && strncmp(config->database_url, "postgres", 8) != 0)) {
        PQconninfoFree(options);
        return "the database URL is no connection string of libpq's "
               "(postgresql://user:password@host:port/database)";
    }
    for (option = options; option->keyword != NULL; option++)
        if (strcmp(option->keyword, "password") == 0 && option->val != NULL)
            has_password = true;
    PQconninfoFree(options);
    if (has_password && config->database_url_is_public) {
        return "no password in --database-url: command lines are public; "
               "set AUTH_SERVICE_DATABASE_URL or POSTGRES_PASSWORD";
    }
    return NULL;
}
