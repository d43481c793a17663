/*
 * Blocks in a chain; each is twice as large as the one before, up to a limit,
 * so that an empty webspace costs a few hundred bytes and a pass few mallocs.
 * Whatever does not fit a block gets one of its own.
 */
#include "agent/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"

#define FIRST_BLOCK   256
#define LARGEST_BLOCK 65536

struct arena_block {
	struct arena_block *before;
	size_t used, room;
	alignas(max_align_t) char data[];
};

static struct arena_block *block_add(struct arena *a, size_t size)
{
	size_t room = a->last ? 2 * a->last->room : FIRST_BLOCK;
	struct arena_block *b;

	if (room > LARGEST_BLOCK)
		room = LARGEST_BLOCK;
	if (room < size)
		room = size;
	b = memory_new(sizeof(*b) + room);
	b->room = room;
	b->before = a->last;
	a->last = b;
	return b;
}

void *arena_new(struct arena *a, size_t size_bytes)
{
	size_t size = (size_bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct arena_block *b = a->last;
	void *p;

	if (!b || b->room - b->used < size)
		b = block_add(a, size);
	p = b->data + b->used;
	b->used += size;
	return p;
}

char *arena_dupn(struct arena *a, const char *text, size_t len)
{
	char *copy = arena_new(a, len + 1);

	memcpy(copy, text, len);
	return copy;
}

char *arena_dup(struct arena *a, const char *text)
{
	return text ? arena_dupn(a, text, strlen(text)) : NULL;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list ap, again;
	char *text;
	int len;

	va_start(ap, format);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	text = arena_new(a, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	return text;
}

void arena_clear(struct arena *a)
{
	struct arena_block *b = a->last;

	while (b) {
		struct arena_block *before = b->before;

		free(b);
		b = before;
	}
	a->last = NULL;
}
