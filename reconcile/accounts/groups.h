/* The groups of /etc/group, by id and by name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct group_line {
	const char *name;
	const char *members; /* "a,b" */
	gid_t gid;
};

/* Zeroed to begin with. */
struct groups {
	struct group_line *by_gid, *by_name;
	size_t count;
};

/* Cuts the text up and points into it. */
void groups_parse(struct groups *g, char *text);
void groups_clear(struct groups *g);

/* The first of *ret_count groups with this id, or NULL. */
const struct group_line *groups_of_id(const struct groups *g, gid_t gid, size_t *ret_count);
/* NULL: there is no group of this name. */
const struct group_line *groups_named(const struct groups *g, const char *name);

/* Is somebody else than these two a member? */
bool group_has_other_members(const struct group_line *line, const char *name, const char *web_user);
