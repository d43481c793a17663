/* UTF-8 (RFC 3629), byte by byte. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The length of the sequence at text, which ends with a NUL somewhere; 0: there is none. *ret_code,
 * unless NULL: its code point.
 */
size_t utf8_sequence(const char *text, uint32_t *ret_code);
