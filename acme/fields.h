/*
 * Structs as bytes, by tables: a row is one field of a struct, with its form and
 * its bounds, and both directions walk the same rows.
 *
 * Each struct has exactly one form in bytes: fields in the order of their rows,
 * none that only says what is so without it. That leaves nothing to be doubled
 * or shuffled, and what was taken is, put again, the same bytes. Numbers are in
 * the host's order: both ends are the same program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"

/* Texts, those of arrays too, are printable ASCII and carry their NUL. */
enum field_form {
	FIELD_TEXT,
	FIELD_URL,    /* no spaces */
	FIELD_PEM,    /* with line breaks */
	FIELD_NUMBER, /* unsigned, or an enum; 0: not said */
	FIELD_TIME,   /* int64_t, 0 and up */
	FIELD_FLAG,
	FIELD_TEXTS, /* struct text_array */
	FIELD_URLS,
	FIELD_GROUP,  /* a struct */
	FIELD_GROUPS, /* an array of them */
};

struct shape;

struct row {
	const char *name;
	size_t offset;
	enum field_form form;
	int64_t max;               /* bytes of a text, a number, items of an array */
	int64_t preset;            /* FIELD_TIME: what is not said */
	size_t count;              /* FIELD_GROUPS: offset of the number of items */
	const struct shape *shape; /* FIELD_GROUP, FIELD_GROUPS */
	unsigned may, must;        /* for whoever knows kinds of messages: bits by kind */
};

struct shape {
	const struct row *rows;
	size_t n_rows, size_bytes;
	const char *no_text; /* what a text is that did not come */
};

/* The struct that says nothing. */
void fields_clear(const struct shape *shape, void *ret);
/* -EINVAL: fields_take would not take it back. *ret may have been added to. */
int fields_put(const struct shape *shape, const void *from, struct buf *ret);
/* Into a cleared struct, whose texts point into bytes. false: not of this shape; then *ret_at is the row where, or untouched. */
bool fields_take(const struct shape *shape, const char *bytes, size_t len, void *to,
		 const struct row **ret_at);
