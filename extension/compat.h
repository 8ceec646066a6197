/* SPDX-License-Identifier: MIT
 *
 * compat.h: what moved between the PostgreSQL versions that we build for (15 to 17).
 */
#ifndef AUTH_SERVICE_COMPAT_H
#define AUTH_SERVICE_COMPAT_H

#if PG_VERSION_NUM >= 160000
#include "varatt.h" /* VARDATA_ANY and its like; part of postgres.h before */
#endif

#endif
