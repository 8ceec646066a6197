/* SPDX-License-Identifier: MIT
 *
 * order_bound.h: how far a part of all users reaches in the order of a list.
 */
#ifndef AUTH_SERVICE_STORE_ORDER_BOUND_H
#define AUTH_SERVICE_STORE_ORDER_BOUND_H

#include "store/page.h"

extern bool OrderBound(const ListPage *page, double part, int64 *bound);

#endif
