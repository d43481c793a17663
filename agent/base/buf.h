/*
 * A growing run of bytes, always NUL-terminated behind its length. Text for
 * another program's configuration does not come from buf_printf but from a
 * template (renderers/template.h), which quotes every value.
 */
#pragma once

#include <stddef.h>

struct buf {
	char *data; /* NULL while empty */
	size_t len;
	size_t room;
};

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *text);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes back what was added behind the first len bytes. */
void buf_cut(struct buf *b, size_t len);
/* Empties it but keeps its memory for the next use. */
void buf_reset(struct buf *b);
/* Frees it; the zero value again. */
void buf_clear(struct buf *b);

/* The text, "" while empty; stays owned by b. */
const char *buf_text(const struct buf *b);

#define autobuf __attribute__((cleanup(buf_clear)))
