/* SPDX-License-Identifier: MIT
 *
 * main.c: the command auth-service.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin.h"
#include "api.h"
#include "config.h"
#include "db.h"
#include "deadline.h"
#include "http.h"

/* How long requests under way may take to end, in milliseconds. */
#define STOP_GRACE 20000

/* Try the address first: civetweb does not tell why it cannot have it.  0, or an errno. */
static int
try_address(const struct config *config)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
    struct addrinfo *address = NULL;
    char port[8];
    int error = 0;
    int on = 1;
    int fd;

    snprintf(port, sizeof(port), "%d", config->port);
    if (getaddrinfo(config->host, port, &hints, &address) != 0)
        return EADDRNOTAVAIL;
    fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, 1) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(address);
    return error;
}

/* The threads inherit this: a signal must not interrupt their system calls. */
static void
block_signals(sigset_t *waited)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    sigemptyset(waited);
    sigaddset(waited, SIGINT);
    sigaddset(waited, SIGTERM);
}

static int
serve(const struct config *config)
{
    int error = try_address(config);
    struct http_server *server = NULL;
    struct http_handler handler;
    struct db_pool *pool;
    sigset_t waited;
    int signal_number;

    if (error != 0) {
        fprintf(stderr, "auth-service: cannot listen on %s:%d: %s (--port chooses another)\n",
                config->host, config->port, strerror(error));
        return 1;
    }
    block_signals(&waited);
    pool = db_pool_open(config);
    if (pool != NULL && deadline_start()) {
        handler = api_handler(pool);
        server = http_start(config, &handler);
    }
    if (server == NULL) {
        fprintf(stderr, "auth-service: cannot start: out of threads or memory\n");
        return 1;
    }
    printf(strchr(config->host, ':') ? "listening on http://[%s]:%d\n"
                                     : "listening on http://%s:%d\n",
           config->host, config->port);
    fflush(stdout);
    sigwait(&waited, &signal_number);
    http_stop(server, STOP_GRACE);
    deadline_stop();
    db_pool_close(pool);
    return 0;
}

int
main(int argc, char **argv)
{
    struct config config;

    config_read(&config, argc, argv);
    if (strcmp(config.command, "serve") == 0)
        return serve(&config);
    if (strcmp(config.command, "init-db") == 0)
        return admin_init_db(&config);
    if (strcmp(config.command, "drop-db") == 0)
        return admin_drop_db(&config);
    if (strcmp(config.command, "create-admin") == 0)
        return admin_create_admin(&config);
    fprintf(stderr, "auth-service: unknown command \"%s\" (see auth-service --help)\n",
            config.command);
    return 2;
}
