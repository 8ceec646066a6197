/* SPDX-License-Identifier: MIT
 *
 * status.h: what HTTP calls an SQLSTATE.
 */
#ifndef SHIM_API_STATUS_H
#define SHIM_API_STATUS_H

/* Who speaks in an error. */
enum error_origin {
    ORIGIN_SERVER,      /* PostgreSQL, whose words are not for clients */
    ORIGIN_EXTENSION,   /* the extension: its message is */
    ORIGIN_APPLICATION, /* code of the application's that raised it: message, DETAIL and HINT are */
};

/*
 * Who raised an error with this code in this function of PostgreSQL's source (PG_DIAG_SOURCE_FUNCTION; may
 * be NULL).  The application: by RAISE of PL/pgSQL whatever the code, and from any language by P0001, a
 * code PTxyz or U and a status that is none of ours.
 */
enum error_origin error_origin(const char *sqlstate, const char *source);

/* The status of an error; sqlstate may be NULL, as it is when the connection is lost. */
int status_of_error(const char *sqlstate, enum error_origin voice);

/* The same of an error that the application did not raise. */
int status_of_sqlstate(const char *sqlstate);

/* The message of a code of ours, as clients get it; NULL where it is none of these. */
const char *status_message(const char *code);

#endif
