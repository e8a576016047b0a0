/* text.h - lines and lists taken apart in place, and bytes as digits. */
#ifndef DARKROOM_BASE_TEXT_H
#define DARKROOM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* text without the white space at its ends: the start moves, and a NUL is written at the end. */
char *text_trim(char *text);

/* Takes "a, b,c" apart: each item trimmed, pointing into list, which is written to. BAD_INPUT names
 * the setting: an empty item (a typing error), or more than max of them; *count is then not
 * written. An empty list is one empty item. */
enum status text_split(const char *setting, char *list, size_t max, const char **item,
                       size_t *count);

/* Makes it fit for messages and lines, in place: control characters and what is no UTF-8 become
 * question marks, the rest of a character that was cut among them. */
void text_clean(char *text);

/* Two digits a byte, lower case, and a NUL: text has room for 2 * count + 1 bytes. */
void text_hex(const uint8_t *bytes, size_t count, char *text);
/* The way back. False, and nothing is written: text is NULL or not 2 * count such digits. */
bool text_bytes(const char *text, uint8_t *bytes, size_t count);

#endif
