/* SPDX-License-Identifier: MIT
 *
 * main.c: the command auth-service.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "api/openapi.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "command/import.h"
#include "command/operator.h"
#include "config/config.h"
#include "config/file.h"
#include "database/database.h"
#include "database/maintenance.h"
#include "http/admission.h"
#include "http/capacity.h"
#include "http/http.h"
#include "http/slow_clients.h"
#include "monitoring/listener.h"
#include "monitoring/prometheus.h"
#include "pages/docs.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define PUBLIC_SECRET "everybody on this machine can read the file with the secrets"

/*
 * GnuTLS asks this when it is loaded (its manual, "Initialization"); libpq brings it along for LDAP, which makes it
 * ready itself where a connection is looked up there.  Otherwise nothing needs it, and it would take 0.7 MB.
 */
int _gnutls_global_init_skip(void);

int
_gnutls_global_init_skip(void)
{
    return 1;
}

/* How long requests under way may take to end, in milliseconds. */
#define STOP_GRACE 20000

/*
 * When they have ended, how long requests that come all the same are answered, in milliseconds: until none has begun
 * for so long, or so long in all.
 */
#define QUIET      200
#define LAST_CALLS 1000

/*
 * Try the address of --host and --port, or of such options with a prefix, first: civetweb does not tell why it cannot
 * have it.  False after a line.
 */
static bool
try_address(const char *prefix, const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    int fd;
    char message[256];
    bool good;

    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "auth-service: --%shost takes an IPv4 address, not \"%s\"\n", prefix, host);
        return false;
    }
    fd = socket(AF_INET, SOCK_STREAM, 0);
    good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0;
    if (!good) {
        snprintf(message, sizeof(message),
                 "cannot listen on %s:%d: %s (--%sport%s chooses another)", host, port,
                 strerror(errno), prefix, prefix[0] == '\0' ? ", or PORT= with make," : "");
        log_event(LEVEL_ERROR, message, NULL, NULL);
    }
    if (fd >= 0)
        close(fd);
    return good;
}

static bool
try_addresses(const struct config *config)
{
    return try_address("", config->host, config->port) &&
           (config->admin_port == 0 ||
            try_address("admin-", config->admin_host, config->admin_port));
}

/* SIGHUP would end the process: until there is somebody who waits for it, it waits. */
static void
hold_hangup(int how)
{
    sigset_t hangup;

    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(how, &hangup, NULL);
}

/* The threads inherit this: a signal must not interrupt their system calls. */
static void
block_signals(sigset_t *ends)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    sigemptyset(ends);
    sigaddset(ends, SIGINT);
    sigaddset(ends, SIGTERM);
}

static bool
has_public_secret(const struct config *config)
{
    return config->file.is_public && config_has_secret(&config->file);
}

static void
warn_of_public_file(void)
{
    if (has_public_secret(config_now()))
        log_event(LEVEL_WARNING, PUBLIC_SECRET, "file", config_now()->env_file);
}

static void
log_start(const struct config *config, const struct capacity *capacity)
{
    struct log_line line;

    log_begin(&line, LEVEL_INFO, "started");
    log_text(&line, "version", AUTH_SERVICE_VERSION);
    log_number(&line, "process_id", getpid());
    log_number(&line, "threads", capacity->threads);
    log_number(&line, "pool_size", config->pool_size);
    log_number(&line, "hash_slots", config->hash_slots);
    if (config->admin_port != 0)
        log_number(&line, "admin_port", config->admin_port);
    log_end(&line);
}

/*
 * Wait for the requests under way, and then for those that were on their way already: until none has begun for a
 * moment, or for a second where they do not cease.  False: there is no more waiting, for another signal came or the
 * time is over.
 */
static bool
drain(struct http_server *server, const sigset_t *ends)
{
    const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
    long long until = clock_now() + STOP_GRACE;
    long long last_calls = 0;

    http_drain(server);
    for (;;) {
        bool is_idle = http_under_way(server) == 0;
        long long now = clock_now();

        if (is_idle && last_calls == 0)
            last_calls = now + LAST_CALLS;
        if (is_idle && (now >= last_calls || now - http_last_begun(server) >= QUIET))
            return true;
        if (now >= until || sigtimedwait(ends, NULL, &moment) > 0)
            return false;
    }
}

/* Take on what has changed in the configuration. */
static void
reload(struct db_pool *pool)
{
    bool other_database;

    if (!config_reload(&other_database)) {
        metrics_add(METRIC_RELOAD_FAILURES);
        return;
    }
    metrics_add(METRIC_RELOADS);
    log_set((enum log_level)config_now()->log_level, (enum log_format)config_now()->log_format);
    warn_of_public_file();
    db_pool_reload(pool, other_database);
}

/* Until it is to end; the signal that said so. */
static int
wait_for_end(struct db_pool *pool, const sigset_t *ends)
{
    sigset_t waited = *ends;
    int number = 0;

    sigaddset(&waited, SIGHUP);
    while (sigwait(&waited, &number) != 0 || number == SIGHUP)
        if (number == SIGHUP)
            reload(pool);
    return number;
}

static int
serve(const struct config *config)
{
    struct http_server *server = NULL;
    struct http_handler handler;
    struct capacity capacity;
    struct db_pool *pool;
    sigset_t ends;

    block_signals(&ends);
    log_open((enum log_level)config->log_level, (enum log_format)config->log_format);
    if (!openapi_build()) {
        log_event(LEVEL_ERROR, "cannot start: out of memory", NULL, NULL);
        return 1;
    }
    if (!try_addresses(config) || !capacity_find(config, &capacity))
        return 1;
    docs_open(config->docs_dir);
    pool = db_pool_open(config);
    admission_open(capacity.threads);
    if (pool != NULL && slow_clients_start(config->port, &capacity)) {
        handler = api_handler(config, pool);
        server = http_start(config, &capacity, &handler);
    }
    prometheus_open(server, pool, &capacity);
    if (server == NULL || !listener_start(config, &capacity, &handler, server) ||
        !maintenance_start(config, pool)) {
        log_event(LEVEL_ERROR, "cannot start: out of threads or memory", NULL, NULL);
        return 1;
    }
    printf("listening on http://%s:%d\n", config->host, config->port);
    fflush(stdout);
    log_start(config, &capacity);
    warn_of_public_file();
    log_event(LEVEL_INFO, "stopping", "signal",
              wait_for_end(pool, &ends) == SIGINT ? "SIGINT" : "SIGTERM");
    maintenance_end();
    if (!drain(server, &ends)) {
        /* Threads that wait for the database would be waited for. */
        log_event(LEVEL_WARNING, "stopped with requests under way", NULL, NULL);
        quick_exit(0);
    }
    listener_stop();
    http_stop(server);
    maintenance_join();
    slow_clients_stop();
    db_pool_close(pool);
    docs_close();
    log_event(LEVEL_INFO, "stopped", NULL, NULL);
    return 0;
}

/* Print the document that /openapi.json answers. */
static int
print_openapi(void)
{
    const struct buffer *document = openapi_build() ? openapi_document() : NULL;

    if (document == NULL ||
        fwrite(document->data, 1, document->length, stdout) != document->length ||
        fflush(stdout) != 0) {
        fprintf(stderr, "auth-service: cannot write the document\n");
        return 1;
    }
    return 0;
}

/* The database's settings; openapi needs none. */
static const char *
check_database(struct config *config)
{
    return strcmp(config->command, "openapi") != 0 ? db_check_url(config) : NULL;
}

int
main(int argc, char **argv)
{
    const struct config *config;
    const char *problem;

    hold_hangup(SIG_BLOCK);
    config_answer(argc, argv);
    config = config_start(argc, argv, check_database, &problem);
    if (config == NULL) {
        fprintf(stderr, "auth-service: %s\n", problem);
        return 2;
    }
    if (strcmp(config->command, "serve") == 0)
        return serve(config);
    hold_hangup(SIG_UNBLOCK);
    if (strcmp(config->command, "openapi") == 0)
        return print_openapi();
    if (has_public_secret(config))
        fprintf(stderr, "auth-service: warning: " PUBLIC_SECRET ": %s\n", config->env_file);
    if (strcmp(config->command, "init-db") == 0)
        return admin_init_db(config);
    if (strcmp(config->command, "drop-db") == 0)
        return admin_drop_db(config);
    if (strcmp(config->command, "create-admin") == 0)
        return admin_create_admin(config);
    if (strcmp(config->command, "import") == 0)
        return import_run(config);
    fprintf(stderr, "auth-service: unknown command \"%s\" (see auth-service --help)\n",
            config->command);
    return 2;
}
