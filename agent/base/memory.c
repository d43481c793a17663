/* Memory that is there or ends the process: see memory.h. */
#include "agent/base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES (128 << 10)

static void *there(void *p)
{
	if (!p) {
		fputs("webspaces: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *memory_new(size_t size_bytes)
{
	return there(calloc(1, size_bytes ? size_bytes : 1));
}

void *memory_resize(void *old, size_t count, size_t size_bytes)
{
	return there(reallocarray(old, count ? count : 1, size_bytes ? size_bytes : 1));
}

char *memory_dup(const char *text)
{
	return text ? there(strdup(text)) : NULL;
}

/* Setting it at all ends glibc's habit of raising it with each large block that is freed (mallopt(3)). */
void memory_return_large(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
}

void memory_trim(void)
{
	(void)malloc_trim(0);
}

char *memory_printf(const char *format, ...)
{
	char *text;
	va_list ap;
	int len;

	va_start(ap, format);
	len = vasprintf(&text, format, ap);
	va_end(ap);
	return there(len < 0 ? NULL : text);
}
