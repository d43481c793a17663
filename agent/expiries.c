/*
 * Taken anew for each writing and thrown away: sorting what memory holds of ten thousand
 * certificates costs milliseconds, an order that is kept through every renewal costs care.
 */
#include "agent/expiries.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"

struct taking {
	struct expiries *x;
	size_t room;
};

static void add(const struct served_certificate *c, void *data)
{
	struct taking *t = data;
	struct expiries *x = t->x;

	if (x->n == t->room)
		x->soonest = memory_resize(x->soonest, t->room = 2 * t->room + 16, sizeof(*c));
	x->soonest[x->n++] = *c;
	x->by_source[c->source]++;
}

/* Many end at once (all that a host's first day brought), and the same ones are to be told each time. */
static int order(const void *left, const void *right)
{
	const struct served_certificate *a = left, *b = right;
	int by_name;

	if (a->not_after != b->not_after)
		return a->not_after < b->not_after ? -1 : 1;
	by_name = strcmp(a->webspace, b->webspace);
	return by_name ? by_name : strcmp(a->site, b->site);
}

void expiries_take(const struct reconcile *r, struct expiries *ret)
{
	struct taking t = { .x = ret };

	*ret = (struct expiries){ 0 };
	reconcile_each_certificate(r, add, &t);
	if (ret->n > 1)
		qsort(ret->soonest, ret->n, sizeof(*ret->soonest), order);
}

void expiries_clear(struct expiries *x)
{
	free(x->soonest);
	*x = (struct expiries){ 0 };
}
