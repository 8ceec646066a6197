/* SPDX-License-Identifier: MIT
 *
 * help.c: what --help and --version print.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/options.h"

static void
print_help(void)
{
    char words[64];
    size_t i;

    printf(
        "auth-service " AUTH_SERVICE_VERSION ": the HTTP front of the PostgreSQL extension "
        "auth_service\n\n"
        "usage: auth-service serve [OPTION...]         answer HTTP requests\n"
        "       auth-service init-db [OPTION...]       make database, extension and the roles of "
        "`serve`\n"
        "       auth-service drop-db [--yes]           drop the database and those roles\n"
        "       auth-service create-admin EMAIL        make an account that is an admin; its "
        "password\n"
        "                                              from a prompt or standard input\n"
        "       auth-service import --from=URL         import users from another service's "
        "table users,\n"
        "                                              with their passwords; can be repeated\n"
        "       auth-service openapi                   print the document of /openapi.json\n"
        "       auth-service --help | --version\n\n"
        "init-db, drop-db, create-admin and import connect as a superuser, serve as the role that "
        "init-db made.\n\n"
        "option, environment variables: meaning\n");
    for (i = 0; i < option_count; i++) {
        const struct option_row *row = &options[i];
        bool is_flag = row->kind == OPTION_FLAG || row->kind == OPTION_NO_FLAG;

        printf("  %s%s", row->name ? "--" : "", row->name ? row->name : "");
        if (row->name != NULL && row->kind == OPTION_WORD)
            printf("=%s", option_words(row, "|", words, sizeof(words)));
        else if (row->name != NULL && !is_flag)
            printf("=VALUE");
        printf("%s%s%s%s%s\n      %s", row->name ? ", " : "", row->environment[0],
               row->environment[1] ? ", " : "", row->environment[1] ? row->environment[1] : "",
               is_flag ? "=1" : "", row->help);
        if (row->initial != NULL)
            printf(" (default: %s)", row->initial);
        printf("\n");
    }
    exit(0);
}

void
config_answer(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            print_help();
        if (strcmp(argv[i], "--version") == 0) {
            puts("auth-service " AUTH_SERVICE_VERSION);
            exit(0);
        }
    }
}
