/* SPDX-License-Identifier: MIT
 *
 * argument_type.h: the types that _arguments knows, and how a JSON value becomes one.
 */
#ifndef AUTH_SERVICE_RPC_ARGUMENT_TYPE_H
#define AUTH_SERVICE_RPC_ARGUMENT_TYPE_H

#include "base/errors.h"
#include "base/json_members.h"

typedef enum ArgumentType {
    ARGUMENT_STRING,
    ARGUMENT_INTEGER,
    ARGUMENT_BOOLEAN,
    ARGUMENT_UUID,
    ARGUMENT_CHOICE
} ArgumentType;

/*
 * A field asked for.  Its specification reads
 *
 *   name ['|' other] [':integer' | ':boolean' | ':uuid' | '(' choice {',' choice} ')'] ['!']
 *
 * and is a string where no type is given; "name|other" takes the one that is there; '!': required.
 */
typedef struct Field {
    char *name;
    char *other; /* NULL: none */
    ArgumentType type;
    char *choices; /* of ARGUMENT_CHOICE: "a,b,c" */
    bool is_required;
} Field;

extern Field FieldRead(const char *specification);
extern char *FieldConvert(const Field *field, const char *name, const JsonMember *member,
                          FieldProblems *problems);

#endif
