/* SPDX-License-Identifier: MIT
 *
 * hook.h: functions of the application that are called in the middle of ours.
 */
#ifndef AUTH_SERVICE_ACCOUNTS_HOOK_H
#define AUTH_SERVICE_ACCOUNTS_HOOK_H

#define AUTH_HOOK_REGISTER "register"
#define AUTH_HOOK_LOGIN    "login"
#define AUTH_HOOK_DELETE   "delete"

/*
 * Call the event's hook for the account; whether there is one.  What it raises goes on to the caller.
 * It can do all that its owner may: what was known of account and identity may have changed.
 */
extern bool HookRun(const char *event, int64 user_id);

#endif
