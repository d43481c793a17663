/*
 * A record grows by appending a line, which a crash can cut but not corrupt: a
 * last line without its line break does not count. Forgetting writes it anew in
 * one step. Nothing is synced: after a power failure things we made may be
 * missing from it, which errs on the side of touching nothing.
 */
#include "reconcile/ownership.h"

#include <dirent.h>
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
#include "reconcile/own_places.h"

#define RECORD_MAX (1u << 20)

struct ownership {
	int dir; /* state_dir/made; -1: there is none (dry) */
	bool writable;
	char *name;      /* whose record is at hand; NULL: nobody's */
	struct buf text; /* whole lines only */
	bool torn;       /* on disk, half a line follows them */
};

int ownership_open(const char *state_dir, bool writable, struct ownership **ret, struct err *e)
{
	autofree char *path = memory_printf("%s/made", state_dir);
	struct ownership *o;
	int r;

	if (writable) {
		r = own_place_make(&(struct own_place){ .path = path, .mode = 0700 }, e);
		if (r < 0)
			return r;
	}
	o = memory_new(sizeof *o);
	o->writable = writable;
	o->dir = path_open_dir(path, writable ? e : NULL);
	if (o->dir < 0 && writable) {
		r = o->dir;
		free(o);
		return r;
	}
	*ret = o;
	return 0;
}

void ownership_close(struct ownership *o)
{
	if (!o)
		return;
	if (o->dir >= 0)
		close(o->dir);
	free(o->name);
	buf_clear(&o->text);
	free(o);
}

/* Reads name's record, unless it is at hand. A file that is not there is an empty record. */
static int record_load(struct ownership *o, const char *name, struct err *e)
{
	autofree char *text = NULL;
	size_t len = 0, whole;
	int r = -ENOENT;

	if (o->name && strcmp(o->name, name) == 0)
		return 0;
	free(take_ptr(o->name));
	buf_reset(&o->text);
	if (o->dir >= 0)
		r = path_read(o->dir, name, RECORD_MAX, &text, &len, e);
	if (r < 0 && r != -ENOENT)
		return err_in(e, "record of what was made");
	for (whole = len; whole > 0 && text[whole - 1] != '\n';)
		whole--;
	o->torn = whole != len;
	if (whole)
		buf_add(&o->text, text, whole);
	o->name = memory_dup(name);
	return 0;
}

/* Begins with *p at the text; the next line's kind and item, which are not NUL-ended. */
struct line {
	const char *start, *item;
	size_t kind_len, item_len, len;
};

static bool line_next(const char **p, struct line *ret)
{
	const char *end = strchr(*p, '\n');
	const char *space;

	if (!end)
		return false;
	space = memchr(*p, ' ', (size_t)(end - *p));
	*ret = (struct line){ .start = *p, .len = (size_t)(end - *p) + 1 };
	ret->kind_len = (size_t)((space ? space : end) - *p);
	ret->item = space ? space + 1 : end;
	ret->item_len = (size_t)(end - ret->item);
	*p = end + 1;
	return true;
}

static bool line_is(const struct line *l, const char *kind, const char *item)
{
	return (!kind ||
		(l->kind_len == strlen(kind) && strncmp(l->start, kind, l->kind_len) == 0)) &&
	       (!item || (l->item_len == strlen(item) && strncmp(l->item, item, l->item_len) == 0));
}

static bool record_has(const struct ownership *o, const char *kind, const char *item)
{
	const char *p = buf_text(&o->text);

	for (struct line l; line_next(&p, &l);)
		if (line_is(&l, kind, item))
			return true;
	return false;
}

int ownership_note(struct world *w, const char *name, const char *kind, const char *item,
		   struct err *e)
{
	struct ownership *o = w->ownership;
	autobuf struct buf line = { 0 };
	autofd int fd = -1;
	int r;

	if (strchr(item, '\n') || strchr(kind, ' '))
		return err_set(e, EINVAL, "what was made cannot be noted: \"%s\"", item);
	r = record_load(o, name, e);
	if (r < 0 || record_has(o, kind, item) || !o->writable)
		return r;
	fd = openat(o->dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "note what was made for %s", name);
	/* Ended by a line break, half a line would become a record of what was never made. */
	if (o->torn && ftruncate(fd, (off_t)o->text.len) < 0)
		return err_sys(e, "note what was made for %s", name);
	buf_printf(&line, "%s %s\n", kind, item);
	r = put_all(fd, line.data, line.len, e);
	if (r < 0) {
		free(take_ptr(o->name)); /* to be read again */
		return r;
	}
	buf_adds(&o->text, buf_text(&line));
	o->torn = false;
	return 1;
}

bool ownership_has(struct world *w, const char *name, const char *kind, const char *item)
{
	return record_load(w->ownership, name, NULL) == 0 && record_has(w->ownership, kind, item);
}

int ownership_forget(struct world *w, const char *name, const char *kind, const char *item,
		     struct err *e)
{
	struct ownership *o = w->ownership;
	autobuf struct buf kept = { 0 };
	const char *p;
	int r = record_load(o, name, e);

	if (r < 0 || !record_has(o, kind, item) || !o->writable)
		return r;
	p = buf_text(&o->text);
	for (struct line l; line_next(&p, &l);)
		if (!line_is(&l, kind, item))
			buf_add(&kept, l.start, l.len);
	free(take_ptr(o->name));
	if (kept.len > 0) {
		r = put_file(o->dir, name, 0600, kept.data, kept.len, PUT_BATCH, e);
		return r < 0 ? r : 1;
	}
	if (unlinkat(o->dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(e, "forget what was made for %s", name);
	return 1;
}

int ownership_items(struct world *w, const char *name, const char *kind, struct arena *a,
		    struct text_list *ret, struct err *e)
{
	struct ownership *o = w->ownership;
	const char **items;
	size_t n = 0;
	const char *p;
	int r = record_load(o, name, e);

	if (r < 0)
		return r;
	p = buf_text(&o->text);
	for (struct line l; line_next(&p, &l);)
		n += line_is(&l, kind, NULL);
	items = arena_new(a, (n + 1) * sizeof *items);
	n = 0;
	p = buf_text(&o->text);
	for (struct line l; line_next(&p, &l);)
		if (line_is(&l, kind, NULL))
			items[n++] = arena_dupn(a, l.item, l.item_len);
	*ret = (struct text_list){ items, n };
	return 0;
}

int ownership_names(struct world *w, const char *kind, struct table *ret_names, struct err *e)
{
	if (w->ownership->dir < 0)
		return 0;

	autodir DIR *d = path_list(w->ownership->dir, ".", e);

	if (!d)
		return err_in(e, "records of what was made");
	for (const struct dirent *entry; (entry = readdir(d));)
		if (entry->d_name[0] != '.' && ownership_has(w, entry->d_name, kind, NULL))
			(void)table_set(ret_names, entry->d_name, w->ownership);
	return 0;
}
