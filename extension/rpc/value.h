/* SPDX-License-Identifier: MIT
 *
 * value.h: values of arguments, from JSON and from text.
 */
#ifndef AUTH_SERVICE_RPC_VALUE_H
#define AUTH_SERVICE_RPC_VALUE_H

#include "base/json_members.h"
#include "store/rpc.h"

/*
 * The value of an argument: as json_to_record makes it of JSON, or, where it is a text, by its type's input
 * function.  An error of class 22 where the value is none of the type.
 */
extern Datum RpcValueRead(const RpcArgument *argument, const JsonMember *member, bool is_text,
                          bool *is_null);

#endif
