/* SPDX-License-Identifier: MIT
 *
 * text.h: what several rooms ask of texts.
 */
#ifndef AUTH_SERVICE_BASE_TEXT_H
#define AUTH_SERVICE_BASE_TEXT_H

/* Of a first or last name. */
#define AUTH_NAME_CHARS_MAX 255

/* Whether it has 1 to so many characters, none of them an ASCII control character. */
extern bool TextIsPrintable(text *value, int chars_max);

/* An argument that is a text of at most so many bytes; NULL where it is longer, unpacked or not. */
extern text *TextUpTo(Datum argument, Size bytes_max);

/* {"member": "value"}, as JSON text. */
extern char *TextToJson(const char *member, const char *value);

#endif
