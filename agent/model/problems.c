/* What is wrong with files, gathered, so that one run shows all that is to be mended. */
#include "agent/model/problems.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/shown.h"
#include "agent/model/names.h"

/* A text of the file's may be part of what is told: it begins no line of its own. */
static const char *one_line(char *text)
{
	for (char *c = text; *c; c++)
		if (name_is_control(*c))
			*c = ' ';
	return text;
}

void problems_add(struct problems *p, const char *file, unsigned line, const char *key,
		  const char *format, ...)
{
	char text[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	p->items = memory_resize(p->items, p->count + 1, sizeof(*p->items));
	p->items[p->count++] = (struct problem){
		.file = arena_dup(&p->arena, file),
		.line = line,
		.key = arena_dup(&p->arena, key),
		.text = arena_dup(&p->arena, one_line(text)),
	};
}

void problems_clear(struct problems *p)
{
	free(p->items);
	arena_clear(&p->arena);
	*p = (struct problems){ 0 };
}

/* By file, then line; otherwise as they were found. */
static int compare(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;
	int r = strcmp(x->file, y->file);

	if (r != 0)
		return r;
	return x->line < y->line ? -1 : x->line > y->line;
}

void problems_sort(struct problems *p)
{
	if (p->count > 1)
		qsort(p->items, p->count, sizeof(*p->items), compare);
}

const char *problem_text(const struct problem *p, struct arena *a)
{
	const char *line = p->line ? arena_printf(a, ":%u", p->line) : "";

	return arena_printf(a, "%s%s: %s%s%s", p->file, line, p->key, *p->key ? ": " : "", p->text);
}

void problems_print(const struct problems *p, FILE *to)
{
	autoarena struct arena temporary = { 0 };

	for (size_t i = 0; i < p->count; i++)
		shown_line(to, "%s", problem_text(&p->items[i], &temporary));
}
