/*
 * Memory that is there or ends the process. Everything is on disk and passes
 * repeat, so to end and be restarted is the honest answer to "no memory"; in
 * return every size that a user controls is capped before it comes here.
 */
#pragma once

#include <stddef.h>

/* Zeroed memory, owned by the caller: free(). Never NULL. */
void *memory_new(size_t size_bytes) __attribute__((malloc, alloc_size(1)));

/* count * size_bytes, moved if need be; the added part is not zeroed. Never NULL. */
void *memory_resize(void *old, size_t count, size_t size_bytes);

/* A copy, owned by the caller. NULL stays NULL. */
char *memory_dup(const char *text);

/* printf into memory of its own, owned by the caller. Never NULL. */
/* Large texts (whole configurations) go back to the system when freed, not to a pool. For the process. */
void memory_return_large(void);
/* What a burst has freed goes back to the system. Costs milliseconds. */
void memory_trim(void);

char *memory_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
