/* SPDX-License-Identifier: MIT
 *
 * prometheus.c: the metrics in Prometheus' text format (prometheus.h).
 *
 * Labels' values are words of ours, without a quote, a backslash or a line's end: nothing is escaped.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "database/database.h"
#include "http/capacity.h"
#include "http/connections.h"
#include "http/http.h"
#include "monitoring/prometheus.h"
#include "telemetry/metrics.h"

#define PREFIX "auth_service_"

static struct http_server *server;
static struct db_pool *pool;
static int threads;
static long long started; /* seconds since 1970 */

static const struct {
    const char *name;
    const char *help;
} counters[METRIC_COUNT] = {
    [METRIC_CONNECTIONS_MADE] = {"database_connections_made_total",
                                 "Connections to the database that were made."},
    [METRIC_CONNECTIONS_FAILED] = {"database_connection_failures_total",
                                   "Attempts to connect to the database that failed."},
    [METRIC_CALLS_TIMED_OUT] = {"database_call_timeouts_total",
                                "Calls that the database did not answer in time."},
    [METRIC_HASHES_REFUSED] = {"hash_refused_total",
                               "Requests that got no slot to hash a password, or whose client "
                               "went away while they waited for one."},
    [METRIC_MAINTENANCE_RUNS] = {"maintenance_runs_total", "Runs of auth.maintain()."},
    [METRIC_MAINTENANCE_FAILURES] = {"maintenance_failures_total",
                                     "Runs of auth.maintain() that failed."},
    [METRIC_LOG_LINES_LOST] = {"log_lines_lost_total", "Lines of the log that were not written."},
    [METRIC_RELOADS] = {"reloads_total", "Times that SIGHUP has changed the settings."},
    [METRIC_RELOAD_FAILURES] = {"reload_failures_total",
                                "Times that SIGHUP found settings that are not good."},
};

static const char *const reasons[REASON_COUNT] = {
    [REASON_OTHER] = "other",       [REASON_THREADS] = "threads",
    [REASON_POOL] = "pool",         [REASON_HASHING] = "hashing",
    [REASON_TIMEOUT] = "timeout",   [REASON_CONNECTION] = "connection",
    [REASON_DATABASE] = "database",
};

void
prometheus_open(struct http_server *its_server, struct db_pool *its_pool,
                const struct capacity *capacity)
{
    server = its_server;
    pool = its_pool;
    threads = capacity->threads;
    started = (long long)time(NULL);
}

/* ---- Families --------------------------------------------------------------------------- */

static void
add_family(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A metric of one sample. */
static void
add_number(struct buffer *out, const char *name, const char *type, const char *help,
           long long number)
{
    add_family(out, name, type, help);
    buffer_format(out, "%s %lld\n", name, number);
}

static void
add_gauge(struct buffer *out, const char *name, const char *help, long long number)
{
    add_number(out, name, "gauge", help, number);
}

static void
add_requests(struct buffer *out, const struct metrics_series *series, const char *route,
             const char *method)
{
    static const char name[] = PREFIX "http_requests_total";
    unsigned long long others = metrics_load(&series->other_statuses);
    int i;

    for (i = 0; i < METRICS_STATUSES; i++) {
        int status = atomic_load_explicit(&series->statuses[i].status, memory_order_relaxed);

        if (status != 0)
            buffer_format(out, "%s{route=\"%s\",method=\"%s\",status=\"%d\"} %llu\n", name, route,
                          method, status, metrics_load(&series->statuses[i].requests));
    }
    if (others > 0)
        buffer_format(out, "%s{route=\"%s\",method=\"%s\",status=\"other\"} %llu\n", name, route,
                      method, others);
}

/* What is counted meanwhile is in this bucket or not, but the last one and the count agree. */
static void
add_durations(struct buffer *out, const struct metrics_series *series, const char *route,
              const char *method)
{
    static const char name[] = PREFIX "http_request_duration_seconds";
    unsigned long long count = 0;
    unsigned long long sum = metrics_load(&series->microseconds);
    char labels[256];
    int i;

    snprintf(labels, sizeof(labels), "route=\"%s\",method=\"%s\"", route, method);
    for (i = 0; i <= METRICS_BUCKETS; i++) {
        count += metrics_load(&series->buckets[i]);
        buffer_format(out, "%s_bucket{%s,le=\"%s\"} %llu\n", name, labels,
                      i < METRICS_BUCKETS ? metrics_bounds[i].seconds : "+Inf", count);
    }
    buffer_format(out, "%s_sum{%s} %llu.%06llu\n%s_count{%s} %llu\n", name, labels, sum / 1000000,
                  sum % 1000000, name, labels, count);
}

static void
add_http(struct buffer *out)
{
    int i;

    add_family(out, PREFIX "http_requests_total", "counter",
               "Requests that were answered, by the route's path, method and status.");
    metrics_each(add_requests, out);
    add_family(out, PREFIX "http_request_duration_seconds", "histogram",
               "Time from a request's head to its answer, without the sending of it.");
    metrics_each(add_durations, out);
    add_family(out, PREFIX "http_unavailable_total", "counter", "Answers 503, by their reason.");
    for (i = 0; i < REASON_COUNT; i++)
        buffer_format(out, PREFIX "http_unavailable_total{reason=\"%s\"} %llu\n", reasons[i],
                      metrics_load(&metrics_unavailable[i]));
    add_gauge(out, PREFIX "http_requests_in_progress", "Requests that are under way.",
              http_under_way(server));
    add_gauge(out, PREFIX "http_threads", "Threads, each of which serves a connection.", threads);
    add_gauge(out, PREFIX "http_threads_in_use", "Threads that have a connection.",
              connections_count());
}

static void
add_database(struct buffer *out)
{
    struct db_state state;

    db_pool_state(pool, &state);
    add_gauge(out, PREFIX "database_connections", "Connections to the database that are open.",
              state.connections);
    add_gauge(out, PREFIX "database_connections_idle", "Those of them that nobody uses.",
              state.idle);
    add_gauge(out, PREFIX "database_connections_limit", "As many as there may be.", state.limit);
    add_gauge(out, PREFIX "database_waiting", "Requests that wait for one.", state.waiting);
    add_gauge(out, PREFIX "hash_slots", "Passwords that are hashed at the same time, at most.",
              state.hash_slots);
    add_gauge(out, PREFIX "hash_slots_in_use", "Slots that are taken.", state.hashing);
    add_gauge(out, PREFIX "hash_waiting", "Requests that wait for a slot.", state.hash_waiting);
}

/* ---- The process ------------------------------------------------------------------------ */

/* As Prometheus' own libraries name them; what cannot be found out is left out. */
static void
add_resident(struct buffer *out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long long pages;

    if (file == NULL)
        return;
    if (fscanf(file, "%*s %lld", &pages) == 1)
        add_gauge(out, "process_resident_memory_bytes", "Resident memory.",
                  pages * sysconf(_SC_PAGESIZE));
    fclose(file);
}

static void
add_descriptors(struct buffer *out)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    long long count = 0;
    struct rlimit limit;

    if (folder == NULL)
        return;
    while ((entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(folder);
    /* Without that of the folder. */
    add_gauge(out, "process_open_fds", "Open descriptors.", count - 1);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        add_gauge(out, "process_max_fds", "As many as there may be.", (long long)limit.rlim_cur);
}

static void
add_process(struct buffer *out)
{
    struct timespec used;

    add_gauge(out, "process_start_time_seconds", "When it started, in seconds since 1970.",
              started);
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0) {
        add_family(out, "process_cpu_seconds_total", "counter", "Processor time that was used.");
        buffer_format(out, "process_cpu_seconds_total %lld.%06ld\n", (long long)used.tv_sec,
                      used.tv_nsec / 1000);
    }
    add_resident(out);
    add_descriptors(out);
}

void
prometheus_write(struct buffer *out)
{
    int i;

    add_family(out, PREFIX "build_info", "gauge", "1; the version is a label.");
    buffer_text(out, PREFIX "build_info{version=\"" AUTH_SERVICE_VERSION "\"} 1\n");
    add_http(out);
    add_database(out);
    for (i = 0; i < METRIC_COUNT; i++) {
        char name[64];

        snprintf(name, sizeof(name), PREFIX "%s", counters[i].name);
        add_number(out, name, "counter", counters[i].help, (long long)metrics_load(&metrics[i]));
    }
    add_process(out);
}
