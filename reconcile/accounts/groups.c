/*
 * Two sorted copies of the same lines. A group is found by a binary search,
 * since ten thousand new accounts ask for ten thousand names.
 */
#include "reconcile/accounts/groups.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "reconcile/accounts/id.h"

static int gid_compare(const void *a, const void *b)
{
	const struct group_line *x = a, *y = b;

	return (x->gid > y->gid) - (x->gid < y->gid);
}

static int name_compare(const void *a, const void *b)
{
	const struct group_line *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static size_t lines_count(const char *text)
{
	size_t n = 1;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

/* name:x:gid:members */
void groups_parse(struct groups *g, char *text)
{
	size_t room = lines_count(text);
	char *rest = text, *line;

	g->by_gid = memory_resize(g->by_gid, room, sizeof *g->by_gid);
	g->by_name = memory_resize(g->by_name, room, sizeof *g->by_name);
	g->count = 0;
	while ((line = strsep(&rest, "\n"))) {
		struct group_line l = { .name = strsep(&line, ":") };

		(void)strsep(&line, ":");
		if (!id_read(strsep(&line, ":"), &l.gid) || !*l.name)
			continue;
		l.members = line ? line : "";
		g->by_gid[g->count] = g->by_name[g->count] = l;
		g->count++;
	}
	qsort(g->by_gid, g->count, sizeof *g->by_gid, gid_compare);
	qsort(g->by_name, g->count, sizeof *g->by_name, name_compare);
}

void groups_clear(struct groups *g)
{
	free(g->by_gid);
	free(g->by_name);
	*g = (struct groups){ 0 };
}

const struct group_line *groups_of_id(const struct groups *g, gid_t gid, size_t *ret_count)
{
	const struct group_line key = { .gid = gid }, *end = g->by_gid + g->count;
	const struct group_line *first =
		bsearch(&key, g->by_gid, g->count, sizeof key, gid_compare);
	size_t n = 0;

	*ret_count = 0;
	if (!first)
		return NULL;
	while (first > g->by_gid && first[-1].gid == gid)
		first--;
	while (first + n < end && first[n].gid == gid)
		n++;
	*ret_count = n;
	return first;
}

const struct group_line *groups_named(const struct groups *g, const char *name)
{
	const struct group_line key = { .name = name };

	return g->count ? bsearch(&key, g->by_name, g->count, sizeof key, name_compare) : NULL;
}

bool group_has_other_members(const struct group_line *line, const char *name, const char *web_user)
{
	const char *members = line->members;

	while (*members) {
		size_t len = strcspn(members, ",");

		if (len && !(len == strlen(name) && strncmp(members, name, len) == 0) &&
		    !(len == strlen(web_user) && strncmp(members, web_user, len) == 0))
			return true;
		members += len + (members[len] == ',');
	}
	return false;
}
