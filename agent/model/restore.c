/*
 * What was in force before a restart, and what was about to go. Good texts are
 * taken up first, those of other hosts too: then the first look finds what
 * changed meanwhile, as any other look would, and removes by the same rules.
 */
#include "agent/model/restore.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/model/absence.h"

static void restore_one(struct catalog *c, const char *name)
{
	autofree char *path = memory_printf("%s/%s.conf", c->host->config_dir, name);
	char file[NAME_FILE_MAX + 8];
	struct problems p = { 0 };
	struct webspace *w = NULL;
	uint64_t hash = 0;
	size_t len = 0;
	autofree char *text = good_read(&c->good, item_file(name, file), &len, &hash);
	struct item *it;

	/* What no longer loads (a newer version is stricter) is as if it were not there. */
	if (text && load_webspace(c->host, name, path, text, len, &w, &p) == 0) {
		it = item_make(c, name);
		w->name = it->name; /* as in item_put_loaded */
		it->loaded = w;
		it->hash = hash;
		it->claims = true;
		c->n_in_force++;
	} else {
		webspace_free(w);
	}
	problems_clear(&p);
}

/* "alice\twiki.example.org" → not NULL, for each name that was refused. */
static void read_denied(struct catalog *c, struct table *ret)
{
	size_t len;
	uint64_t hash;
	autofree char *text = good_read(&c->good, ".denied", &len, &hash);
	char *rest = text, *line;

	while (rest && (line = strsep(&rest, "\n")))
		table_set(ret, line, ret);
}

static void restore_names(struct catalog *c, const struct webspace *w, const struct table *denied)
{
	autoarena struct arena temporary = { 0 };

	for (size_t i = 0; i < w->n_sites; i++)
		for (size_t j = 0; j < w->sites[i].names.count; j++) {
			const char *name = w->sites[i].names.items[j];
			const char *key = arena_printf(&temporary, "%s\t%s", w->name, name);

			if (!table_get(denied, key))
				conflict_restore(&c->conflict, w->name, name);
		}
}

static void restore_conflicts(struct catalog *c)
{
	struct table denied = { 0 };
	struct table_entry *te;

	read_denied(c, &denied);
	c->conflict.restoring = true;
	table_each (&c->items, te) {
		struct item *it = te->value;

		it->loaded->name =
			it->name; /* holders point to it, and it outlives what is loaded */
		restore_names(c, it->loaded, &denied);
	}
	c->conflict.restoring = false;
	table_each (&c->items, te) {
		struct item *it = te->value;

		item_claim(c, it, it->loaded);
	}
	table_clear(&denied);
}

void catalog_restore(struct catalog *c)
{
	autodir DIR *d = path_list(c->good.dir, ".", NULL);
	struct pointers names = { 0 };
	struct dirent *de;

	while (d && (de = readdir(d))) {
		char name[NAME_FILE_MAX + 1];

		if (name_of_file(de->d_name, name))
			pointers_add(&names, memory_dup(name));
	}
	pointers_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		restore_one(c, names.items[i]);
		free(names.items[i]);
	}
	pointers_clear(&names);
	restore_conflicts(c);
	absence_restore(c);
}
