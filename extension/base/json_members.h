/* SPDX-License-Identifier: MIT
 *
 * json_members.h: the members of a JSON object, by PostgreSQL's parser.
 */
#ifndef AUTH_SERVICE_BASE_JSON_MEMBERS_H
#define AUTH_SERVICE_BASE_JSON_MEMBERS_H

#include "nodes/pg_list.h"

/* One member; its value is a string's or number's text, NULL for a JSON null, else JSON. */
typedef struct JsonMember {
    char *name;
    const char *type; /* as json_typeof says */
    char *value;
} JsonMember;

/*
 * Read the members of the object in their order, duplicates included: JsonMember *.  None where the text is
 * JSON, but no object; false where it is no JSON, or has a string that cannot be text.
 */
extern bool JsonMembersRead(text *json, List **members);

#endif
