/* Texts that may be missing. */
#pragma once

#include <stdbool.h>
#include <string.h>

/* Both are NULL, or both say the same. */
static inline bool text_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}
