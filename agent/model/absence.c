/*
 * A line each: "alice\t4711\twait\tBOOT". Seconds of a clock that does not jump
 * mean something until the next boot; after it a time of grace begins anew.
 */
#include "agent/model/absence.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define FILE_NAME ".absent"

/* Which boot this is; "": unknown. */
static void boot_read(char ret[static 40])
{
	autofd int dir = path_open_dir("/proc/sys/kernel/random", NULL);
	autofree char *text = NULL;
	size_t len;

	ret[0] = '\0';
	if (dir >= 0 && path_read(dir, "boot_id", 4096, &text, &len, NULL) == 0)
		(void)snprintf(ret, 40, "%.*s", (int)strcspn(text, "\n"), text);
}

static const char *word_of(const struct item *it)
{
	if (it->entry.going || it->confirmed)
		return "go";
	return it->entry.held ? "held" : "wait";
}

int absence_put(struct catalog *c, struct err *e)
{
	autobuf struct buf all = { 0 };
	struct table_entry *te;
	char boot[40];

	boot_read(boot);
	c->absence_changed = false;
	table_each (&c->items, te) {
		const struct item *it = te->value;

		if (it->loaded && it->entry.absent_since)
			buf_printf(&all, "%s\t%lld\t%s\t%s\n", it->name,
				   (long long)it->entry.absent_since, word_of(it), boot);
	}
	return good_put(&c->good, FILE_NAME, buf_text(&all), all.len, e);
}

static void restore_line(struct catalog *c, char *line, const char *boot)
{
	const char *name = strsep(&line, "\t"), *since = strsep(&line, "\t");
	const char *word = strsep(&line, "\t");
	struct item *it = item_get(c, name);
	char *end;
	long long seconds = since ? strtoll(since, &end, 10) : 0;

	if (!it || !it->loaded || !word || seconds <= 0 || *end)
		return;
	/* Not of this boot: later than any look, which then begins it anew. */
	it->entry.absent_since =
		line && *boot && strcmp(line, boot) == 0 ? (time_t)seconds : (time_t)INT64_MAX;
	it->confirmed = strcmp(word, "go") == 0;
	table_set(&c->absent, it->name, it);
	item_set_held(c, it, strcmp(word, "held") == 0);
}

void absence_restore(struct catalog *c)
{
	size_t len;
	uint64_t hash;
	autofree char *text = good_read(&c->good, FILE_NAME, &len, &hash);
	char *rest = text, *line, boot[40];

	boot_read(boot);
	while (rest && (line = strsep(&rest, "\n")))
		restore_line(c, line, boot);
	c->absence_changed = false;
}
