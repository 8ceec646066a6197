/* SPDX-License-Identifier: MIT
 *
 * load.c: load PORT CLIENTS SECONDS RATE FILE
 *
 * What wrk cannot do: count the answers of each client, and send at a rate.  Each client keeps a connection,
 * and opens another where the server closes it.  FILE has GET requests, each ending with an empty line; they
 * are sent in turn.  With a RATE of 0 each client asks again as soon as it has its answer.  With one, so many
 * requests are due a second, whatever became of those before; one that finds no free client waits for one,
 * and its time counts from when it was due.
 *
 * Prints one JSON object.  "failed" are answers other than 2xx or cut off, and with a rate also requests
 * without an answer a second after the time.  "again" are requests that were sent once more, since the
 * connection was closed before a byte of an answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_SIZE 16384
#define EVENTS      256

struct request {
    const char *text;
    size_t length;
};

struct client {
    int socket;
    bool is_connected;
    bool is_busy;
    double due; /* its request's moment, in seconds */
    const struct request *request;
    long answers;
    size_t received;
    char answer[ANSWER_SIZE];
};

static struct sockaddr_in server = {.sin_family = AF_INET};
static struct request *requests;
static size_t request_count, next_request;
static struct client *clients;
static int client_count;
static int *idle; /* clients without a request, with a rate */
static int idle_count;
static double *late; /* when requests that wait for a client were due, from late_first on */
static size_t late_first, late_end;
static double *times;
static size_t time_count, time_room;
static long failed, again;
static double rate, end;
static int epoll;

static double
now(void)
{
    struct timespec moment;

    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

static void
give_up(const char *what)
{
    perror(what);
    exit(1);
}

static void
watch(int descriptor, uint32_t events, void *whose)
{
    struct epoll_event event = {.events = events, .data.ptr = whose};

    if (epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event) != 0 &&
        epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0)
        give_up("epoll_ctl");
}

static void
open_connection(struct client *client)
{
    int on = 1;

    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->socket < 0)
        give_up("socket");
    setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    client->is_connected = false;
    client->received = 0;
    if (connect(client->socket, (struct sockaddr *)&server, sizeof(server)) != 0 &&
        errno != EINPROGRESS)
        give_up("connect");
    watch(client->socket, EPOLLOUT, client);
}

/* A request fits into the socket's buffer: it is sent whole, or the connection is lost, as will be read. */
static void
send_request(struct client *client)
{
    if (client->is_connected && client->is_busy)
        send(client->socket, client->request->text, client->request->length, MSG_NOSIGNAL);
}

static void
ask(struct client *client, double due)
{
    client->request = &requests[next_request++ % request_count];
    client->due = due;
    client->is_busy = true;
    send_request(client);
}

/* After an answer: the next request, if there is one. */
static void
go_on(struct client *client)
{
    client->is_busy = false;
    if (rate == 0) {
        if (now() < end)
            ask(client, now());
    } else if (late_first < late_end)
        ask(client, late[late_first++]);
    else
        idle[idle_count++] = (int)(client - clients);
}

static void
reopen(struct client *client)
{
    close(client->socket);
    open_connection(client);
}

static void
note_time(double seconds)
{
    if (time_count == time_room) {
        time_room = time_room == 0 ? 65536 : 2 * time_room;
        times = realloc(times, time_room * sizeof(times[0]));
        if (times == NULL)
            give_up("realloc");
    }
    times[time_count++] = seconds;
}

/* Whether the whole of an answer is there. */
static bool
is_whole(const struct client *client)
{
    const char *head_end = strstr(client->answer, "\r\n\r\n");
    const char *length = strcasestr(client->answer, "\r\nContent-Length:");

    if (head_end == NULL)
        return false;
    return client->received >=
           (size_t)(head_end + 4 - client->answer) +
               (length != NULL && length < head_end ? strtoul(length + 17, NULL, 10) : 0);
}

static void
take_answer(struct client *client)
{
    const char *closes = strcasestr(client->answer, "\r\nConnection: close\r\n");

    if (strncmp(client->answer, "HTTP/1.1 2", 10) != 0)
        failed++;
    else {
        client->answers++;
        note_time(now() - client->due);
    }
    client->received = 0;
    if (closes != NULL) {
        client->is_busy = false;
        reopen(client);
    }
    go_on(client);
}

static void
on_event(struct client *client)
{
    ssize_t got;

    if (!client->is_connected) {
        int problem = 0;
        socklen_t size = sizeof(problem);

        getsockopt(client->socket, SOL_SOCKET, SO_ERROR, &problem, &size);
        if (problem != 0) {
            errno = problem;
            give_up("connect");
        }
        client->is_connected = true;
        watch(client->socket, EPOLLIN, client);
        send_request(client);
        return;
    }
    got = recv(client->socket, client->answer + client->received,
               ANSWER_SIZE - 1 - client->received, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        again += client->is_busy && client->received == 0;
        failed += client->received > 0;
        reopen(client);
        return;
    }
    client->received += (size_t)got;
    client->answer[client->received] = '\0';
    if (client->is_busy && is_whole(client))
        take_answer(client);
}

/* So many more are due, the last of them now or a moment ago. */
static void
on_timer(int timer, double begin)
{
    static long count;
    uint64_t more = 0;

    if (read(timer, &more, sizeof(more)) != sizeof(more))
        return;
    for (; more > 0; more--) {
        double due = begin + (double)count++ / rate;

        if (due >= end)
            return;
        if (idle_count > 0)
            ask(&clients[idle[--idle_count]], due);
        else
            late[late_end++] = due;
    }
}

static int
start_timer(void)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct timespec interval = {.tv_sec = rate <= 1, .tv_nsec = rate <= 1 ? 0 : (long)(1e9 / rate)};
    struct itimerspec times_of = {.it_interval = interval, .it_value = interval};

    if (timer < 0 || timerfd_settime(timer, 0, &times_of, NULL) != 0)
        give_up("timerfd");
    watch(timer, EPOLLIN, &server);
    return timer;
}

static void
run(double seconds)
{
    struct epoll_event events[EVENTS];
    double begin = now();
    int timer = rate > 0 ? start_timer() : -1;

    end = begin + seconds;
    for (int i = 0; i < client_count; i++) {
        open_connection(&clients[i]);
        go_on(&clients[i]);
    }
    while (now() < end + (rate > 0 ? 1 : 0)) {
        int count = epoll_wait(epoll, events, EVENTS, 100);

        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == &server)
                on_timer(timer, begin);
            else
                on_event(events[i].data.ptr);
    }
}

static void
read_requests(const char *path)
{
    static char text[4 * 1024 * 1024];
    FILE *file = fopen(path, "r");
    char *from = text;
    char *to;

    if (file == NULL || fread(text, 1, sizeof(text) - 1, file) == 0)
        give_up(path);
    fclose(file);
    while ((to = strstr(from, "\r\n\r\n")) != NULL) {
        requests = realloc(requests, (request_count + 1) * sizeof(requests[0]));
        if (requests == NULL)
            give_up("realloc");
        requests[request_count++] = (struct request){from, (size_t)(to + 4 - from)};
        from = to + 4;
    }
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
part_of(const double *sorted, size_t count, double part)
{
    return count == 0 ? 0 : sorted[(size_t)(part * (double)(count - 1))];
}

static void
report(double seconds)
{
    double *shares = calloc((size_t)client_count, sizeof(shares[0]));

    if (shares == NULL)
        give_up("calloc");
    for (int i = 0; i < client_count; i++) {
        shares[i] = (double)clients[i].answers;
        if (rate > 0)
            failed += clients[i].is_busy;
    }
    failed += (long)(late_end - late_first);
    qsort(shares, (size_t)client_count, sizeof(shares[0]), by_size);
    qsort(times, time_count, sizeof(times[0]), by_size);
    printf(
        "{\"rate\":%.1f,\"failed\":%ld,\"again\":%ld,\"least\":%.0f,\"median\":%.0f,\"most\":%.0f,"
        "\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}\n",
        (double)time_count / seconds, failed, again, part_of(shares, (size_t)client_count, 0),
        part_of(shares, (size_t)client_count, 0.5), part_of(shares, (size_t)client_count, 1),
        1e3 * part_of(times, time_count, 0.5), 1e3 * part_of(times, time_count, 0.99),
        1e3 * part_of(times, time_count, 1));
}

int
main(int argc, char **argv)
{
    struct rlimit descriptors;
    double seconds;

    if (argc != 6) {
        fprintf(stderr, "usage: load PORT CLIENTS SECONDS RATE FILE\n");
        return 2;
    }
    server.sin_port = htons((uint16_t)atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client_count = atoi(argv[2]);
    seconds = atof(argv[3]);
    rate = atof(argv[4]);
    read_requests(argv[5]);
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    clients = calloc((size_t)client_count, sizeof(clients[0]));
    idle = calloc((size_t)client_count, sizeof(idle[0]));
    late = calloc((size_t)(rate * seconds) + 1, sizeof(late[0]));
    epoll = epoll_create1(0);
    if (clients == NULL || idle == NULL || late == NULL || request_count == 0 || epoll < 0)
        give_up("load");
    run(seconds);
    report(seconds);
    return 0;
}
