/* A table from name to a word, and the file that is written when it has changed. */
#include "reconcile/accounts/loss.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "agent/base/table.h"

#define FILE_NAME "accounts.held"
#define FILE_MAX  (16u << 20)

static const char word_held[] = "held", word_go[] = "go";

struct loss {
	char *state_dir;
	struct table words; /* name → word_held or word_go */
	size_t n_held;
	bool writable, changed;
};

static void word_set(struct loss *l, const char *name, const char *word)
{
	const char *before = table_set(&l->words, name, (void *)word);

	if (before == word)
		return;
	l->n_held -= before == word_held;
	l->n_held += word == word_held;
	l->changed = true;
}

struct loss *loss_open(const char *state_dir, bool writable)
{
	autofd int dir = path_open_dir(state_dir, NULL);
	struct loss *l = memory_new(sizeof *l);
	autofree char *text = NULL;
	char *rest, *line;
	size_t len;

	l->state_dir = memory_dup(state_dir);
	l->writable = writable;
	if (dir >= 0 && path_read(dir, FILE_NAME, FILE_MAX, &text, &len, NULL) == 0) {
		rest = text;
		while ((line = strsep(&rest, "\n"))) {
			const char *name = strsep(&line, "\t");

			if (line)
				word_set(l, name, strcmp(line, word_go) ? word_held : word_go);
		}
	}
	l->changed = false;
	return l;
}

void loss_close(struct loss *l)
{
	if (!l)
		return;
	table_clear(&l->words);
	free(l->state_dir);
	free(l);
}

bool loss_is_held(const struct loss *l, const char *name)
{
	return table_get(&l->words, name) == word_held;
}

bool loss_knows(const struct loss *l, const char *name)
{
	return table_get(&l->words, name);
}

void loss_hold(struct loss *l, const char *name)
{
	if (!loss_knows(l, name))
		word_set(l, name, word_held);
}

void loss_end(struct loss *l, const char *name)
{
	const char *before = table_take(&l->words, name);

	l->n_held -= before == word_held;
	l->changed |= before != NULL;
}

size_t loss_confirm(struct loss *l)
{
	struct table_entry *it;
	size_t n = l->n_held;

	table_each (&l->words, it)
		it->value = (void *)word_go;
	l->n_held = 0;
	l->changed |= n > 0;
	return n;
}

size_t loss_count(const struct loss *l)
{
	return l->n_held;
}

int loss_write(struct loss *l, struct err *e)
{
	autofd int dir = -1;
	autobuf struct buf text = { 0 };
	struct table_entry *it;
	int r;

	if (!l->changed || !l->writable)
		return 0;
	dir = path_open_dir(l->state_dir, e);
	if (dir < 0)
		return dir;
	table_each (&l->words, it)
		buf_printf(&text, "%s\t%s\n", it->key, (const char *)it->value);
	if (text.len == 0)
		r = unlinkat(dir, FILE_NAME, 0) < 0 && errno != ENOENT
			    ? err_sys(e, "remove %s/" FILE_NAME, l->state_dir)
			    : 0;
	else
		r = put_file(dir, FILE_NAME, 0644, text.data, text.len, PUT_SYNC, e);
	if (r < 0)
		return r;
	l->changed = false;
	return 0;
}
