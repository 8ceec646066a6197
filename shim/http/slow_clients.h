/* SPDX-License-Identifier: MIT
 *
 * slow_clients.h: who must give up a thread, and when: clients that are slow or idle.
 */
#ifndef SHIM_HTTP_SLOW_CLIENTS_H
#define SHIM_HTTP_SLOW_CLIENTS_H

#include <stdbool.h>

#include "http/capacity.h"

/* Start to watch the connections to this port; false where that cannot be done. */
bool slow_clients_start(int port, const struct capacity *capacity);
void slow_clients_stop(void);

/* Whether who was waited for so long may have been shut down for others. */
bool slow_clients_has_no_patience(long long milliseconds);

#endif
