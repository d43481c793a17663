/*
 * An arena: many small allocations that end together, one free for all.
 * One belongs to each loaded file's webspace and one to each pass.
 */
#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *last; /* zero value: an empty arena */
};

/* Zeroed, aligned for any type. Never NULL (see memory.h). */
void *arena_new(struct arena *a, size_t size_bytes);
char *arena_dup(struct arena *a, const char *text);
char *arena_dupn(struct arena *a, const char *text, size_t len);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends everything that was allocated; the arena can be used again. */
void arena_clear(struct arena *a);

#define autoarena __attribute__((cleanup(arena_clear)))
