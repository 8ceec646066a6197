/* SPDX-License-Identifier: MIT
 *
 * argument.h: named arguments from a JSON object.
 */
#ifndef AUTH_SERVICE_RPC_ARGUMENT_H
#define AUTH_SERVICE_RPC_ARGUMENT_H

#include "base/errors.h"
#include "base/json_members.h"

/* The members of a JSON object: a List of JsonMember *; U422A for a text that is no such object. */
extern List *ArgumentMembers(text *body);

/* The first member of this name, or NULL; *count grows by how many there are. */
extern JsonMember *ArgumentFind(List *members, const char *name, int *count);

/* Note the problem of a name that is there more than once. */
extern void ArgumentTwice(FieldProblems *problems, const char *name);

#endif
