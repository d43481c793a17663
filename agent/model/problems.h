/* Problems of configuration files: collected by whoever finds them, shown at once. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "agent/base/arena.h"

/* What is wrong with a file: all of it, not just the first. */
struct problem {
	const char *file;
	unsigned line;   /* 0: the file as a whole */
	const char *key; /* "sites[0].tls.hsts", or "" */
	const char *text;
};

struct problems {
	struct problem *items;
	size_t count;
	struct arena arena;
};
void problems_add(struct problems *p, const char *file, unsigned line, const char *key,
		  const char *format, ...) __attribute__((format(printf, 5, 6)));
void problems_clear(struct problems *p);
/* By file and line. */
void problems_sort(struct problems *p);
/* "file:line: key: what is wrong", in the arena. */
const char *problem_text(const struct problem *p, struct arena *a);
/* … a line each. */
void problems_print(const struct problems *p, FILE *to);
