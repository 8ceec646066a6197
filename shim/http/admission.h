/* SPDX-License-Identifier: MIT
 *
 * admission.h: whether threads may take on more, so that some are left for who comes.
 */
#ifndef SHIM_HTTP_ADMISSION_H
#define SHIM_HTTP_ADMISSION_H

#include <stdbool.h>

/* There are so many threads. */
void admission_open(int threads);

/*
 * Whether nearly every thread has a connection.  Then a connection is given up after its answer, or
 * clients that keep theirs idle would keep all others waiting.
 */
bool admission_is_nearly_full(void);

/*
 * Begin with what needs the database; false: it is better refused, so that threads remain for the rest.
 * That is where nearly every thread has been at it for long, as with a database that does not answer; and,
 * of what is slow by its nature, where half the threads are at that.  What has begun must be ended.
 */
bool admission_begin_work(bool is_slow);
void admission_end_work(bool is_slow);

/* So many threads have been at work for long, and wait for something themselves (slow_clients.c counts them). */
void admission_note_work(int threads);

#endif
