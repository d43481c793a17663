/* A line each: "alice\t1712345678\twait". */
#include "agent/model/absence.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"

#define FILE_NAME ".absent"

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

	c->absence_changed = false;
	table_each (&c->items, te) {
		const struct item *it = te->value;

		if (it->loaded && it->entry.absent_since)
			buf_printf(&all, "%s\t%lld\t%s\n", it->name,
				   (long long)it->entry.absent_since, word_of(it));
	}
	return good_put(&c->good, FILE_NAME, buf_text(&all), all.len, e);
}

static void restore_line(struct catalog *c, char *line)
{
	const char *name = strsep(&line, "\t"), *since = strsep(&line, "\t"), *word = line;
	struct item *it = item_get(c, name);
	char *end;
	long long seconds = since ? strtoll(since, &end, 10) : 0;

	if (!it || !it->loaded || !word || seconds <= 0 || *end)
		return;
	it->entry.absent_since = (time_t)seconds;
	it->confirmed = strcmp(word, "go") == 0;
	table_set(&c->absent, it->name, it);
	item_set_held(c, it, strcmp(word, "held") == 0);
}

void absence_restore(struct catalog *c)
{
	size_t len;
	uint64_t hash;
	autofree char *text = good_read(&c->good, FILE_NAME, &len, &hash);
	char *rest = text, *line;

	while (rest && (line = strsep(&rest, "\n")))
		restore_line(c, line);
	c->absence_changed = false;
}
