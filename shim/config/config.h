/* SPDX-License-Identifier: MIT
 *
 * config.h: what the command was asked for: options and environment.
 */
#ifndef SHIM_CONFIG_H
#define SHIM_CONFIG_H

#include <stdbool.h>

#include "config/file.h"

#define CONFIG_PROBLEM_MAX 512

struct config {
    const char *env_file;    /* NULL: none */
    struct config_file file; /* what was in it */
    const struct config *
        before; /* the one that counted before it, which threads may still look at: it is not lost */
    char problem[CONFIG_PROBLEM_MAX];

    const char *command;
    const char *email; /* of create-admin */

    /* Where to listen, and limits of HTTP. */
    const char *host;
    int port;
    const char *admin_host; /* the operator's listener */
    int admin_port;         /* 0: there is none */
    int threads;
    int max_body;           /* bytes */
    int request_timeout;    /* seconds for a request's head, for its body and for its answer */
    int keep_alive_timeout; /* seconds that a connection may be idle */
    const char
        *trusted_proxies;     /* networks whose word on the client's address counts; NULL: none */
    const char *cors_origins; /* whose pages may read our answers; NULL: none */
    const char *docs_dir;     /* where the viewer's files are */
    int log_level;            /* enum log_level */
    int log_format;           /* enum log_format */

    /* The database. */
    const char *database_url;    /* NULL: libpq's own environment and defaults */
    bool database_url_is_public; /* it came from the command line */
    const char *database_host;
    const char *database_port;
    const char *database_name;
    const char *database_user;
    const char *database_password; /* only from the environment */
    int pool_size;
    int hash_slots;           /* password hashes at the same time */
    int database_timeout;     /* seconds for a call, the wait for a connection included */
    int maintenance_interval; /* seconds between two runs; 0: never */
    bool prepare;             /* statements are prepared; off for pgbouncer before 1.21 */

    /* Calls of the application's functions; init-db and drop-db know the role too. */
    const char *rpc_schema;         /* NULL: there are none */
    const char *rpc_anonymous_role; /* as which they run without a token */

    /* init-db and drop-db. */
    const char *shim_role;
    const char *shim_password; /* only from the environment; NULL: none */
    int access_token_minutes;  /* 0: leave the setting */
    int refresh_token_days;    /* 0: leave the setting */
    bool yes;

    /* import. */
    const char *import_from;   /* connection string of the service before us */
    const char *import_secret; /* only from the environment: its tokens' secret; NULL: not wanted */
};

/*
 * What counts from now on; it does not change, but the next call may answer another one, which lasts as long.
 * Who looks at several members of it asks once.
 */
const struct config *config_now(void);

/* Where help or the version is asked for, print it and exit. */
void config_answer(int argc, char **argv);

/* Read options, environment and the file.  False, with a problem in it, where one of them is not good. */
bool config_read(struct config *config, int argc, char **argv);

/* Take what may hold a password away from the command line, which is public. */
void config_hide_arguments(struct config *config, int argc, char **argv);

/* Looks at what another room knows of a configuration, and may put it in another form; NULL, or what is wrong. */
typedef const char *config_check(struct config *config);

/*
 * The first configuration, which config_now is from then on; NULL, and the problem, where it is not good.  check is
 * asked of this one and of each that comes after it.
 */
const struct config *config_start(int argc, char **argv, config_check *check, const char **problem);

/*
 * Read it again; false, and a line in the log, where it is not good: then the one before goes on to count.
 * *other_database: connections are made in another way from now on.
 */
bool config_reload(bool *other_database);

#endif
