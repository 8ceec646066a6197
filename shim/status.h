/* SPDX-License-Identifier: MIT
 *
 * status.h: what HTTP calls an SQLSTATE.
 */
#ifndef SHIM_STATUS_H
#define SHIM_STATUS_H

/* Who speaks in an error. */
enum status_voice {
    VOICE_SERVER,      /* PostgreSQL, whose words are not for clients */
    VOICE_OURS,        /* the extension: its message is */
    VOICE_APPLICATION, /* code of the application's that raised it: message, DETAIL and HINT are */
};

/*
 * Who raised an error with this code in this function of PostgreSQL's source (PG_DIAG_SOURCE_FUNCTION; may
 * be NULL).  The application: by RAISE of PL/pgSQL whatever the code, and from any language by P0001, a
 * code PTxyz or U and a status that is none of ours.
 */
enum status_voice status_voice(const char *sqlstate, const char *source);

/* The status of an error; sqlstate may be NULL, as it is when the connection is lost. */
int status_of_error(const char *sqlstate, enum status_voice voice);

/* The same of an error that the application did not raise. */
int status_of_sqlstate(const char *sqlstate);

/* The message of a code of ours, as clients get it; NULL where it is none of these. */
const char *status_message(const char *code);

/* "OK", "Not Found", ... (RFC 9110, 15). */
const char *status_text(int status);

#endif
