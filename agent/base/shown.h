/*
 * Text in which others have a say (names of files, answers of daemons and CAs, values of files), as a
 * terminal, a journal or a log may have it: what would be obeyed rather than seen is written as its
 * bytes, \033. That is: control characters, C1 ones too, in either encoding; what is not UTF-8; marks
 * that turn the direction of writing or are not seen at all (Trojan Source, CVE-2021-42574). The one
 * place that decides this.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/base/buf.h"

/* Is this character to be written as its bytes? */
bool shown_as_bytes(uint32_t code);

/* Adds the text as it may be shown: one line, whatever is in it. */
void shown_add(struct buf *b, const char *text);

/* The same of a file's name, in which a backslash is doubled: no two names look alike. */
void shown_add_name(struct buf *b, const char *name);

/* Writes a text of several lines, which may have tabs. */
void shown_text(FILE *to, const char *text);

/* Writes the line, and ends it. */
void shown_line(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* … does not end it. */
void shown_print(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
