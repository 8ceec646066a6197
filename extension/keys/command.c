/* SPDX-License-Identifier: MIT
 *
 * command.c: see command.h.
 *
 * The server's own OpenPipeStream, which runs its ssl_passphrase_command, waits for the command however
 * long it takes, and so would the cancelling of the statement.  So the command gets a group of processes
 * of its own here, which is killed when it is over.
 */
#include "postgres.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#include "keys/command.h"

#define LOOK_UP_MILLISECONDS 100

extern char **environ;

/* A command that runs; fields are -1 where there is nothing to end or close. */
typedef struct Command {
    const char *name;
    pid_t pid;
    int output;
    TimestampTz deadline;
} Command;

static void
Fail(const Command *command, const char *problem)
{
    ereport(ERROR,
            (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION), errmsg("%s %s", command->name, problem),
             errhidestmt(true), errhidecontext(true)));
}

static int
Spawn(pid_t *pid, int output, const char *script)
{
    char *const arguments[] = {"sh", "-c", (char *)script, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    int problem;

    sigfillset(&signals);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    problem = posix_spawn(pid, "/bin/sh", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return problem;
}

static void
Start(Command *command, const char *script)
{
    int ends[2];
    int problem;

    if (pipe2(ends, O_CLOEXEC) != 0)
        Fail(command, "could not be started: no pipe");
    problem = Spawn(&command->pid, ends[1], script);
    close(ends[1]);
    command->output = ends[0];
    if (problem != 0) {
        command->pid = -1;
        Fail(command, "could not be started");
    }
}

/* Let nothing of it go on, however this ends. */
static void
End(Command *command)
{
    if (command->output >= 0)
        close(command->output);
    command->output = -1;
    if (command->pid > 0) {
        kill(-command->pid, SIGKILL);
        while (waitpid(command->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    command->pid = -1;
}

static void
CheckTime(const Command *command)
{
    CHECK_FOR_INTERRUPTS();
    if (GetCurrentTimestamp() >= command->deadline)
        Fail(command, "did not end in time");
}

/* Wait until there is something to read. */
static void
AwaitOutput(const Command *command)
{
    struct pollfd fd = {.fd = command->output, .events = POLLIN};

    while (poll(&fd, 1, LOOK_UP_MILLISECONDS) <= 0)
        CheckTime(command);
}

static void
ReadAll(const Command *command, char *buffer, Size size)
{
    Size length = 0;
    ssize_t got;

    do {
        AwaitOutput(command);
        got = read(command->output, buffer + length, size - length);
        if (got < 0 && errno != EINTR)
            Fail(command, "could not be read");
        length += got > 0 ? (Size)got : 0;
        if (length == size)
            Fail(command, "prints too much");
    } while (got != 0);
    buffer[length] = '\0';
    if (strlen(buffer) != length)
        Fail(command, "prints a NUL byte");
}

/* Wait for its end, which has to be a good one. */
static void
AwaitEnd(Command *command)
{
    int status = -1;
    pid_t ended;

    while ((ended = waitpid(command->pid, &status, WNOHANG)) == 0 ||
           (ended < 0 && errno == EINTR)) {
        CheckTime(command);
        pg_usleep(1000);
    }
    command->pid = -1;
    if (ended < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        Fail(command, "failed");
}

void
CommandOutput(const char *name, const char *script, char *buffer, Size size, int seconds)
{
    Command command = {.name = name,
                       .pid = -1,
                       .output = -1,
                       .deadline = GetCurrentTimestamp() + (int64)seconds * USECS_PER_SEC};

    ReserveExternalFD();
    PG_TRY();
    {
        Start(&command, script);
        ReadAll(&command, buffer, size);
        AwaitEnd(&command);
    }
    PG_CATCH();
    {
        End(&command);
        ReleaseExternalFD();
        explicit_bzero(buffer, size);
        PG_RE_THROW();
    }
    PG_END_TRY();
    End(&command);
    ReleaseExternalFD();
}
