/* SPDX-License-Identifier: MIT
 *
 * settings.c: every setting.
 *
 * All but one are PGC_SUSET: an operator sets them for the server, a database or a role, and no ordinary
 * role can weaken them for itself, neither by SET nor by PGOPTIONS nor by ALTER ROLE.
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "base/compat.h"
#include "base/settings.h"

/* Lifetime of an access token in seconds.  A revoked session ends it earlier. */
int auth_service_access_token_ttl = AUTH_ACCESS_TOKEN_TTL_DEFAULT;

/* Lifetime of a session in seconds, counted from the login; refreshing does not prolong it. */
int auth_service_refresh_token_ttl = AUTH_REFRESH_TOKEN_TTL_DEFAULT;

/* A session that was not refreshed for so many seconds is over. */
int auth_service_refresh_token_idle_ttl = AUTH_REFRESH_TOKEN_IDLE_TTL_DEFAULT;

/*
 * Whether each refresh gives a new refresh token and the use of an old one ends the session
 * (RFC 9700, 4.14.2).  Off: one refresh token serves for the whole session, as clients of services
 * without rotation expect.
 */
bool auth_service_refresh_token_rotation = true;

/*
 * For so many seconds after a refresh the token that it took is forgiven: its answer may be lost, two
 * tabs may have it.  Whoever has stolen the token can use it for as long without being noticed.
 */
int auth_service_refresh_token_grace = AUTH_REFRESH_TOKEN_GRACE_DEFAULT;

/* A login ends the account's sessions that were used longest ago, beyond so many; 0: none. */
int auth_service_max_sessions = AUTH_SESSIONS_MAX_DEFAULT;

/*
 * So many failures are free for an account, and for an address, within so many seconds from the first; after
 * them each attempt has to wait, twice as long after each failure, up to so many seconds.  0: no limit.
 */
int auth_service_throttle_account_failures = AUTH_THROTTLE_ACCOUNT_FAILURES_DEFAULT;
int auth_service_throttle_address_failures = AUTH_THROTTLE_ADDRESS_FAILURES_DEFAULT;
int auth_service_throttle_window = AUTH_THROTTLE_WINDOW_DEFAULT;
int auth_service_throttle_max_delay = AUTH_THROTTLE_DELAY_DEFAULT;

/* bcrypt's cost: the logarithm of its rounds.  A hash of another cost is renewed at login. */
int auth_service_bcrypt_cost = AUTH_BCRYPT_COST_DEFAULT;

/* Rules for new passwords.  Existing ones are never held against them. */
int auth_service_password_min_length = AUTH_PASSWORD_MIN_LENGTH_DEFAULT;
bool auth_service_password_require_lower = true;
bool auth_service_password_require_upper = true;
bool auth_service_password_require_digit = true;
char *auth_service_password_forbidden_characters = NULL;

/* "iss" of our access tokens (RFC 7519, 4.1.1); tokens that name another are refused. */
char *auth_service_issuer = NULL;

/* "aud" of our access tokens (RFC 7519, 4.1.3); empty: none is written, and none accepted. */
char *auth_service_audience = NULL;

/*
 * A command that prints the key-encryption key: see keys/envelope.c.  Empty: keys lie in the tables as they are.  Only
 * the configuration file sets it, since it runs a program as the server.
 */
char *auth_service_key_encryption_command = NULL;

/*
 * maintain deletes rows of the audit log that are older than so many seconds; 0: none, ever.  None unless an
 * operator says so: a row that is deleted cannot be had again, and how long rows must or may be kept is for
 * the law that he is under.
 */
int auth_service_audit_retention = AUTH_AUDIT_RETENTION_DEFAULT;

/* Whether dropping the extension may take the accounts along: see protection/drop_guard.c. */
bool auth_service_allow_drop = false;

/* name, variable, default, limits, unit flag, description */
static void
DefineInt(const char *name, int *variable, int boot, int min, int max, int unit,
          const char *description)
{
    DefineCustomIntVariable(name, description, NULL, variable, boot, min, max, PGC_SUSET, unit,
                            /* check, assign and show hook */ NULL, NULL, NULL);
}

static void
DefineBool(const char *name, bool *variable, bool boot, const char *description)
{
    DefineCustomBoolVariable(name, description, NULL, variable, boot, PGC_SUSET, /* flags */ 0,
                             NULL, NULL, NULL);
}

/* Printable ASCII: in another encoding than UTF-8 nothing else would survive JSON and back. */
static bool
CheckAscii(char **newval, void **extra, GucSource source)
{
    const char *c;

    for (c = *newval; *c != '\0'; c++)
        if (*c < ' ' || *c > '~') {
            GUC_check_errdetail("Only printable ASCII characters are allowed.");
            return false;
        }
    return true;
}

static void
DefineString(const char *name, char **variable, const char *boot, const char *description)
{
    DefineCustomStringVariable(name, description, NULL, variable, boot, PGC_SUSET, /* flags */ 0,
                               CheckAscii, NULL, NULL);
}

/* What to do where the command was set, also to what it was before. */
static void (*command_was_set)(void);

static void
AssignCommand(const char *newval, void *extra)
{
    command_was_set();
}

static void
DefineCommand(const char *name, char **variable, const char *description)
{
    DefineCustomStringVariable(name, description, NULL, variable, /* boot value */ "", PGC_SIGHUP,
                               GUC_SUPERUSER_ONLY, /* check hook */ NULL, AssignCommand,
                               /* show hook */ NULL);
}

/*
 * Before the library is loaded PostgreSQL takes any value for its settings from a client's start of the
 * connection (PGOPTIONS), and forgets the configuration file's for it.  It does not keep it afterwards where
 * the role may not set it, but gives the default then, which may be weaker than what the file says.
 */
static void
RefuseClientSettings(void)
{
    struct config_generic **settings;
    int count;
    int i;

    settings = CompatGucVariables(&count);
    for (i = 0; i < count; i++)
        if (strncmp(settings[i]->name, "auth_service.", strlen("auth_service.")) == 0 &&
            (settings[i]->flags & GUC_CUSTOM_PLACEHOLDER) != 0 &&
            settings[i]->reset_source == PGC_S_CLIENT &&
            (settings[i]->reset_scontext == PGC_BACKEND ||
             strcmp(settings[i]->name, "auth_service.key_encryption_command") == 0))
            ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                            errmsg("permission denied to set parameter \"%s\"", settings[i]->name),
                            errhint("Connect without it.")));
}

void
SettingsInit(void (*key_encryption_command_was_set)(void))
{
    command_was_set = key_encryption_command_was_set;
    RefuseClientSettings();
    DefineInt("auth_service.access_token_ttl", &auth_service_access_token_ttl,
              AUTH_ACCESS_TOKEN_TTL_DEFAULT, AUTH_ACCESS_TOKEN_TTL_MIN, AUTH_ACCESS_TOKEN_TTL_MAX,
              GUC_UNIT_S, "Sets how long an access token is valid.");
    DefineInt("auth_service.refresh_token_ttl", &auth_service_refresh_token_ttl,
              AUTH_REFRESH_TOKEN_TTL_DEFAULT, AUTH_REFRESH_TOKEN_TTL_MIN,
              AUTH_REFRESH_TOKEN_TTL_MAX, GUC_UNIT_S, "Sets how long a session lasts at most.");
    DefineInt("auth_service.refresh_token_idle_ttl", &auth_service_refresh_token_idle_ttl,
              AUTH_REFRESH_TOKEN_IDLE_TTL_DEFAULT, AUTH_REFRESH_TOKEN_TTL_MIN,
              AUTH_REFRESH_TOKEN_TTL_MAX, GUC_UNIT_S,
              "Sets how long a session lasts without being refreshed.");
    DefineBool("auth_service.refresh_token_rotation", &auth_service_refresh_token_rotation, true,
               "Gives a new refresh token at each refresh and ends the session on reuse.");
    DefineInt("auth_service.refresh_token_grace", &auth_service_refresh_token_grace,
              AUTH_REFRESH_TOKEN_GRACE_DEFAULT, AUTH_REFRESH_TOKEN_GRACE_MIN,
              AUTH_REFRESH_TOKEN_GRACE_MAX, GUC_UNIT_S,
              "Sets how long a used refresh token gives its successor again.");
    DefineInt("auth_service.max_sessions", &auth_service_max_sessions, AUTH_SESSIONS_MAX_DEFAULT,
              AUTH_SESSIONS_MAX_MIN, AUTH_SESSIONS_MAX_MAX, 0,
              "Sets how many sessions an account has at most; 0 for any number.");
    DefineInt("auth_service.throttle_account_failures", &auth_service_throttle_account_failures,
              AUTH_THROTTLE_ACCOUNT_FAILURES_DEFAULT, AUTH_THROTTLE_FAILURES_MIN,
              AUTH_THROTTLE_FAILURES_MAX, 0,
              "Sets how many failures of an account go without a delay; 0 for any number.");
    DefineInt("auth_service.throttle_address_failures", &auth_service_throttle_address_failures,
              AUTH_THROTTLE_ADDRESS_FAILURES_DEFAULT, AUTH_THROTTLE_FAILURES_MIN,
              AUTH_THROTTLE_FAILURES_MAX, 0,
              "Sets how many failures of an address go without a delay; 0 for any number.");
    DefineInt("auth_service.throttle_window", &auth_service_throttle_window,
              AUTH_THROTTLE_WINDOW_DEFAULT, AUTH_THROTTLE_WINDOW_MIN, AUTH_THROTTLE_WINDOW_MAX,
              GUC_UNIT_S, "Sets how long failures are counted.");
    DefineInt("auth_service.throttle_max_delay", &auth_service_throttle_max_delay,
              AUTH_THROTTLE_DELAY_DEFAULT, AUTH_THROTTLE_DELAY_MIN, AUTH_THROTTLE_DELAY_MAX,
              GUC_UNIT_S, "Sets the longest delay between attempts after too many failures.");
    DefineInt("auth_service.audit_retention", &auth_service_audit_retention,
              AUTH_AUDIT_RETENTION_DEFAULT, AUTH_AUDIT_RETENTION_MIN, AUTH_AUDIT_RETENTION_MAX,
              GUC_UNIT_S, "Sets the age at which rows of the audit log are deleted; 0 for never.");
    DefineInt("auth_service.bcrypt_cost", &auth_service_bcrypt_cost, AUTH_BCRYPT_COST_DEFAULT,
              AUTH_BCRYPT_COST_MIN, AUTH_BCRYPT_COST_MAX, 0,
              "Sets the cost of new password hashes (2^cost rounds).");
    DefineInt("auth_service.password_min_length", &auth_service_password_min_length,
              AUTH_PASSWORD_MIN_LENGTH_DEFAULT, AUTH_PASSWORD_MIN_LENGTH_MIN,
              AUTH_PASSWORD_BYTES_MAX, 0, "Sets the least number of characters of a new password.");
    DefineBool("auth_service.password_require_lower", &auth_service_password_require_lower, true,
               "Demands an ASCII lower-case letter in a new password.");
    DefineBool("auth_service.password_require_upper", &auth_service_password_require_upper, true,
               "Demands an ASCII upper-case letter in a new password.");
    DefineBool("auth_service.password_require_digit", &auth_service_password_require_digit, true,
               "Demands an ASCII digit in a new password.");
    DefineString("auth_service.password_forbidden_characters",
                 &auth_service_password_forbidden_characters, "",
                 "Lists ASCII characters that a new password must not contain.");
    DefineString("auth_service.issuer", &auth_service_issuer, "auth_service",
                 "Sets the issuer that access tokens name and must name.");
    DefineString("auth_service.audience", &auth_service_audience, "",
                 "Sets the audience that access tokens name and must name; empty for none.");
    DefineCommand("auth_service.key_encryption_command", &auth_service_key_encryption_command,
                  "Sets the command that prints the key with which signing keys are sealed.");
    DefineBool("auth_service.allow_drop", &auth_service_allow_drop, false,
               "Lets the extension be dropped while it holds accounts.");
}
