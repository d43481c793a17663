/*
 * Templates: text with @NAME@ in it, line by line. There is no language here,
 * no loop and no condition but one: a line whose value is absent is not there.
 * Whatever repeats is a template of its own, rendered once for each.
 *
 * A fault in a template or in its table of values aborts. It cannot depend on
 * data, so the first test that renders the template finds it.
 */
#include "renderers/template.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "renderers/embedded.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

struct rendering {
	const char *name; /* of the template */
	const struct value *values;
	size_t n;
	uint64_t used; /* one bit a value */
	struct buf *ret;
	struct err *e;
};

static void fault(const struct rendering *r, const char *what, const char *name, size_t len)
{
	fprintf(stderr, "template %s: %s %.*s\n", r->name, what, (int)len, name);
	abort();
}

static void cut(struct buf *b, size_t len)
{
	b->len = len;
	if (b->data)
		b->data[len] = '\0';
}

static const char *find_template(const struct rendering *r)
{
	const struct embedded *t;

	for (t = embedded_templates; t->name; t++)
		if (strcmp(t->name, r->name) == 0)
			return t->text;
	fault(r, "there is no such template", "", 0);
	return NULL;
}

static const struct value *find_value(struct rendering *r, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (strlen(r->values[i].name) == len && memcmp(r->values[i].name, name, len) == 0) {
			r->used |= UINT64_C(1) << i;
			return &r->values[i];
		}
	fault(r, "no value is given for", name, len);
	return NULL;
}

/* The next @NAME@ in [p, end), or NULL. */
static const char *find_mark(const char *p, const char *end, size_t *ret_len)
{
	while ((p = memchr(p, '@', (size_t)(end - p)))) {
		*ret_len = strspn(p + 1, NAME_CHARACTERS);
		if (*ret_len > 0 && p + 1 + *ret_len < end && p[1 + *ret_len] == '@')
			return p;
		p++;
	}
	return NULL;
}

static int add_value(struct rendering *r, const struct value *v)
{
	int code = v->quote(r->ret, v->text);

	if (code < 0)
		return err_set(r->e, -code, "%s: %s cannot be said there", r->name, v->name);
	return 0;
}

/* One line without its newline. Its marks are all looked at, so that each counts as used. */
static int render_line(struct rendering *r, const char *p, const char *end)
{
	size_t start = r->ret->len, len;
	bool left_out = false;
	const char *mark;

	while ((mark = find_mark(p, end, &len))) {
		const struct value *v = find_value(r, mark + 1, len);
		int code;

		left_out |= !v->text;
		buf_add(r->ret, p, (size_t)(mark - p));
		code = left_out ? 0 : add_value(r, v);
		if (code < 0)
			return code;
		p = mark + len + 2;
	}
	if (left_out) {
		cut(r->ret, start);
		return 0;
	}
	buf_add(r->ret, p, (size_t)(end - p));
	if (p < end || r->ret->len == start || r->ret->data[r->ret->len - 1] != '\n')
		buf_addc(r->ret, '\n');
	return 0;
}

static void require_all_used(const struct rendering *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (!(r->used & UINT64_C(1) << i))
			fault(r, "this value is not used:", r->values[i].name,
			      strlen(r->values[i].name));
}

int template_render(const char *template_name, const struct value *values, size_t n,
		    struct buf *ret, struct err *e)
{
	struct rendering r = { template_name, values, n, 0, ret, e };
	const char *line, *end;
	size_t start = ret->len;

	if (n > TEMPLATE_VALUES_MAX)
		fault(&r, "too many values", "", 0);
	for (line = find_template(&r); *line; line = end + 1) {
		int code = 0;

		end = strchr(line, '\n');
		if (strncmp(line, "@#", 2) != 0)
			code = render_line(&r, line, end);
		if (code < 0) {
			cut(ret, start);
			return code;
		}
	}
	require_all_used(&r);
	return 0;
}
