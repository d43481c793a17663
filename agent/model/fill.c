/*
 * Walks a tree of settings and gives each to its option. Sees to unknown keys,
 * groups where values belong, and values where groups belong.
 */
#include "agent/model/fill.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/table.h"

void fill_problem(const struct fill *f, unsigned line, const char *key, const char *format, ...)
{
	autoarena struct arena temporary = { 0 };
	char text[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	problems_add(f->problems, f->file, line, arena_printf(&temporary, "%s%s", f->shown, key),
		     "%s", text);
}

static bool is_known(enum option_scope scope, const char *path)
{
	return option_find(scope, path) || option_is_group(scope, path);
}

/* Keys of earlier versions, and why they went. */
static const struct {
	enum option_scope scope;
	const char *path, *why;
} gone[] = {
	{ SCOPE_WEBSPACE, "php.listen",
	  "unknown key since 0.2.0: remove it; PHP listens on a unix socket that only the web "
	  "server "
	  "may open, where any local user could connect to a TCP port" },
};

static const char *why_gone(enum option_scope scope, const char *path)
{
	for (size_t i = 0; i < ELEMENTS(gone); i++)
		if (gone[i].scope == scope && strcmp(gone[i].path, path) == 0)
			return gone[i].why;
	return NULL;
}

/* What there is instead: the keys and groups beside it. */
static void unknown_at_all(const struct fill *f, const struct setting *s, const char *path)
{
	const char *dot = strrchr(path, '.');
	size_t len = dot ? (size_t)(dot - path) + 1 : 0;
	struct table beside = { 0 };
	autobuf struct buf all = { 0 };

	for (size_t i = 0; i < n_options; i++) {
		const char *rest = options[i].path + len;
		autofree char *key = NULL;

		if (options[i].scope != f->scope || strncmp(options[i].path, path, len) != 0)
			continue;
		key = memory_printf("%.*s", (int)strcspn(rest, "."), rest);
		(void)table_set(&beside, key, &beside);
	}
	(void)table_list(&beside, 40, &all);
	fill_problem(f, s->line, path, "unknown key; see 'webspaces options': there are %s",
		     buf_text(&all));
	table_clear(&beside);
}

static void unknown(const struct fill *f, const struct setting *s, const char *path)
{
	const char *nearest = option_nearest(f->scope, path);
	const char *why = why_gone(f->scope, path);

	if (why)
		fill_problem(f, s->line, path, "%s", why);
	else if (f->scope == SCOPE_HOST && is_known(SCOPE_WEBSPACE, path))
		fill_problem(f, s->line, path,
			     "a key of webspaces: for all of them it stands in defaults = { … };");
	else if (f->scope == SCOPE_WEBSPACE && is_known(SCOPE_SITE, path))
		fill_problem(f, s->line, path, "a key of sites: sites = ( { %s = …; } );", path);
	else if (f->scope == SCOPE_SITE && is_known(SCOPE_WEBSPACE, path))
		fill_problem(f, s->line, path,
			     "a key of the webspace, for all of its sites: %s = …; stands beside "
			     "sites, not in it",
			     path);
	else if (f->scope != SCOPE_HOST && is_known(SCOPE_HOST, path))
		fill_problem(f, s->line, path, "a key of the host's file");
	else if (nearest)
		fill_problem(f, s->line, path, "unknown key; did you mean %s%s?", f->shown,
			     nearest);
	else
		unknown_at_all(f, s, path);
}

static void fill_one(const struct fill *f, const char *path, const struct setting *s)
{
	const struct option *o = option_find(f->scope, path);
	struct err e = { 0 };

	if (o && o->kind->parse) {
		if (option_parse(o, s, f->arena, f->target, &e) < 0)
			fill_problem(f, s->line, path, "%s", e.text);
	} else if (o) {
		f->nested(f, o, s);
	} else if (!option_is_group(f->scope, path)) {
		unknown(f, s, path);
	} else if (s->type != SETTING_GROUP) {
		fill_problem(f, s->line, path, "expected a group like { … }");
	} else {
		autoarena struct arena temporary = { 0 };

		fill_group(f, arena_printf(&temporary, "%s.", path), s);
	}
}

void fill_group(const struct fill *f, const char *prefix, const struct setting *group)
{
	for (size_t i = 0; i < group->count; i++) {
		autoarena struct arena temporary = { 0 };
		const struct setting *s = &group->items[i];

		fill_one(f, arena_printf(&temporary, "%s%s", prefix, s->name), s);
	}
}

/* The member or element that the path begins with; *path moves on behind it. */
static const struct setting *step(const struct setting *s, const char **path)
{
	size_t len = strcspn(*path, ".[");

	if (**path == '[') {
		size_t i = strtoul(*path + 1, NULL, 10);

		*path += strcspn(*path, "]") + 1;
		*path += **path == '.';
		return s->type == SETTING_LIST && i < s->count ? &s->items[i] : NULL;
	}
	for (size_t i = 0; s->type == SETTING_GROUP && i < s->count; i++)
		if (strlen(s->items[i].name) == len && strncmp(s->items[i].name, *path, len) == 0) {
			*path += len;
			*path += **path == '.';
			return &s->items[i];
		}
	return NULL;
}

unsigned setting_line(const struct setting *root, const char *path)
{
	unsigned line = 0;

	while (*path && (root = step(root, &path)))
		line = root->line;
	return line;
}

bool setting_is_there(const struct setting *root, const char *path)
{
	while (*path && root)
		root = step(root, &path);
	return root;
}
