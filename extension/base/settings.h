/* SPDX-License-Identifier: MIT
 *
 * settings.h: the settings of the extension, and their limits.  Each is described in settings.c.
 */
#ifndef AUTH_SERVICE_BASE_SETTINGS_H
#define AUTH_SERVICE_BASE_SETTINGS_H

#define AUTH_ACCESS_TOKEN_TTL_MIN     1
#define AUTH_ACCESS_TOKEN_TTL_DEFAULT (15 * 60)
#define AUTH_ACCESS_TOKEN_TTL_MAX     (7 * 24 * 60 * 60)

#define AUTH_REFRESH_TOKEN_TTL_MIN          1
#define AUTH_REFRESH_TOKEN_TTL_DEFAULT      (30 * 24 * 60 * 60)
#define AUTH_REFRESH_TOKEN_TTL_MAX          (366 * 24 * 60 * 60)
#define AUTH_REFRESH_TOKEN_IDLE_TTL_DEFAULT (7 * 24 * 60 * 60)

#define AUTH_REFRESH_TOKEN_GRACE_MIN     0
#define AUTH_REFRESH_TOKEN_GRACE_DEFAULT 10
#define AUTH_REFRESH_TOKEN_GRACE_MAX     (60 * 60)

#define AUTH_SESSIONS_MAX_MIN     0
#define AUTH_SESSIONS_MAX_DEFAULT 0
#define AUTH_SESSIONS_MAX_MAX     1000000

#define AUTH_THROTTLE_FAILURES_MIN             0
#define AUTH_THROTTLE_ACCOUNT_FAILURES_DEFAULT 5
#define AUTH_THROTTLE_ADDRESS_FAILURES_DEFAULT 30
#define AUTH_THROTTLE_FAILURES_MAX             1000

#define AUTH_THROTTLE_WINDOW_MIN     1
#define AUTH_THROTTLE_WINDOW_DEFAULT (5 * 60)
#define AUTH_THROTTLE_WINDOW_MAX     (24 * 60 * 60)

#define AUTH_THROTTLE_DELAY_MIN      1
#define AUTH_THROTTLE_DELAY_DEFAULT  30
#define AUTH_THROTTLE_DELAY_MAX      (60 * 60)
#define AUTH_AUDIT_RETENTION_MIN     0
#define AUTH_AUDIT_RETENTION_DEFAULT 0
#define AUTH_AUDIT_RETENTION_MAX     (50 * 365 * 24 * 60 * 60)

#define AUTH_BCRYPT_COST_MIN     4
#define AUTH_BCRYPT_COST_DEFAULT 12
#define AUTH_BCRYPT_COST_MAX     16

/* bcrypt reads 72 bytes and no more; see PasswordCheckRules. */
#define AUTH_PASSWORD_BYTES_MAX          72
#define AUTH_PASSWORD_MIN_LENGTH_MIN     1
#define AUTH_PASSWORD_MIN_LENGTH_DEFAULT 8

extern int auth_service_access_token_ttl;
extern int auth_service_refresh_token_ttl;
extern int auth_service_refresh_token_idle_ttl;
extern bool auth_service_refresh_token_rotation;
extern int auth_service_refresh_token_grace;
extern int auth_service_max_sessions;
extern int auth_service_throttle_account_failures;
extern int auth_service_throttle_address_failures;
extern int auth_service_throttle_window;
extern int auth_service_throttle_max_delay;
extern int auth_service_audit_retention;
extern int auth_service_bcrypt_cost;
extern int auth_service_password_min_length;
extern bool auth_service_password_require_lower;
extern bool auth_service_password_require_upper;
extern bool auth_service_password_require_digit;
extern char *auth_service_password_forbidden_characters;
extern char *auth_service_issuer;
extern char *auth_service_audience;
extern char *auth_service_key_encryption_command;
extern bool auth_service_allow_drop;

/* Define all settings; the function is called when the command is set, also to what it was before. */
extern void SettingsInit(void (*key_encryption_command_was_set)(void));

#endif
