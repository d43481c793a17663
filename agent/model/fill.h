/*
 * From a tree of settings to a struct, by the table of options. Whatever is
 * wrong becomes a problem with its line, and the rest is read all the same, so
 * that one run shows all that is to be mended.
 */
#pragma once

#include "agent/model/load.h"
#include "agent/model/option.h"
#include "agent/model/setting.h"

struct fill {
	const char *file;
	struct problems *problems;
	struct arena *arena; /* owns what the struct points to */
	enum option_scope scope;
	void *target;      /* the scope's struct */
	const char *shown; /* before each key in messages: "sites[0].", "" */
	/* For keys whose kind is taken apart elsewhere (sites, defaults). */
	void (*nested)(const struct fill *f, const struct option *o, const struct setting *s);
	void *data;
};

/* prefix: of the keys in this group, "" or "php.". */
void fill_group(const struct fill *f, const char *prefix, const struct setting *group);
void fill_problem(const struct fill *f, unsigned line, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The line of "php.pm" or "sites[1].tls.key" in the tree, or of what of it is there; 0: nothing. */
unsigned setting_line(const struct setting *root, const char *path);
/* Is there anything of that path in the tree? */
bool setting_is_there(const struct setting *root, const char *path);
