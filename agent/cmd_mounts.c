/*
 * webspaces mounts: what is mounted in each jail, and the verbs for work by
 * hand. Only what the record says we made is ever taken away.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/control.h"
#include "agent/model/catalog.h"
#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/world.h"

struct mounts_work {
	const char *name, *action; /* NULL: all webspaces; just show */
	bool really;               /* --do */
	struct world world;
	void *state, *places; /* of the types mount and directory */
	struct catalog *catalog;
	struct json *list,
		*items; /* --json: of webspaces, and of the mounts of the one at hand; or NULL */
	unsigned wrong;
};

static bool is_action(const struct mounts_work *m, const char *action)
{
	return m->action && strcmp(m->action, action) == 0;
}

static void say_wrong(const struct finding *f, struct buf *ret)
{
	if (*f->text)
		buf_adds(ret, f->text);
	else if (f->state == OBSERVED_MISSING)
		buf_adds(ret, "not mounted");
	else
		buf_printf(ret, "%s is %s, not %s", f->what ? f->what : "mount", f->old_value,
			   f->new_value);
}

static void add_item(struct mounts_work *m, const struct item *item, const char *wrong)
{
	struct json *j = json_new_object();

	json_put_text(j, "path", item->name);
	json_put_bool(j, "mounted", !wrong);
	json_put_text(j, "problem", wrong);
	json_add(m->items, j);
}

/* "+ path" for what is right, "- path: what is wrong" for what is not. */
static void print_item(struct mounts_work *m, const struct item *item, const struct finding *f)
{
	autobuf struct buf wrong = { 0 };
	bool right = f->state == OBSERVED_IN_SYNC;

	if (!right)
		say_wrong(f, &wrong);
	m->wrong += !right;
	if (m->items) {
		add_item(m, item, right ? NULL : buf_text(&wrong));
		return;
	}
	putchar('\t');
	if (right)
		shown_line(stdout, "+ %s", item->name);
	else
		shown_line(stdout, "- %s: %s", item->name, buf_text(&wrong));
}

/* What unbind took away besides the mounts: the mount points. */
static int make_places(struct mounts_work *m, const struct webspace *webspace, struct err *e)
{
	struct item_list items = { 0 };
	int r = directory_type.prepare
			? directory_type.prepare(&m->world, m->places, &webspace, 1, e)
			: 0;

	directory_type.desire(&m->world, m->places, webspace, &items);
	for (size_t i = 0; i < items.count && r >= 0; i++) {
		const struct item *item = &items.items[i];
		struct finding f = { 0 };

		directory_type.observe(&m->world, m->places, webspace, item, &f);
		if (f.state == OBSERVED_MISSING || f.state == OBSERVED_DIFFERS)
			r = directory_type.apply(&m->world, m->places, webspace, item, &f, e);
	}
	if (r >= 0 && directory_type.flush)
		r = directory_type.flush(&m->world, m->places, e);
	return r < 0 ? r : 0;
}

static int bind_item(struct mounts_work *m, const struct webspace *webspace,
		     const struct item *item, struct finding *f, struct err *e)
{
	int r;

	if (f->state != OBSERVED_MISSING && f->state != OBSERVED_DIFFERS)
		return 0;
	r = mount_type.apply(&m->world, m->state, webspace, item, f, e);
	if (r < 0)
		return r;
	*f = (struct finding){ 0 };
	mount_type.observe(&m->world, m->state, webspace, item, f);
	return 0;
}

static void begin_webspace(struct mounts_work *m, const char *name)
{
	struct json *j;

	if (!m->list) {
		shown_line(stdout, "%s", name);
		return;
	}
	j = json_new_object();
	m->items = json_new_array();
	json_put_text(j, "name", name);
	json_put(j, "mounts", m->items);
	json_add(m->list, j);
}

static int work_on_items(struct mounts_work *m, const struct webspace *webspace, struct err *e)
{
	struct item_list items = { 0 };
	int r = is_action(m, "bind") ? make_places(m, webspace, e) : 0;

	if (r == 0)
		r = mount_type.prepare(&m->world, m->state, &webspace, 1, e);

	if (r < 0)
		return r;
	mount_type.desire(&m->world, m->state, webspace, &items);
	begin_webspace(m, webspace->name);
	for (size_t i = 0; i < items.count; i++) {
		struct finding f = { 0 };

		mount_type.observe(&m->world, m->state, webspace, &items.items[i], &f);
		if (is_action(m, "bind"))
			r = bind_item(m, webspace, &items.items[i], &f, e);
		if (r < 0)
			return r;
		print_item(m, &items.items[i], &f);
	}
	return 0;
}

static int work_on_webspace(struct mounts_work *m, const struct webspace *webspace, struct err *e)
{
	int r = 0;

	if (is_action(m, "unbind"))
		r = mount_type.remove(&m->world, m->state, webspace->name, e);
	if (r == 0)
		r = work_on_items(m, webspace, e);
	arena_clear(m->world.arena);
	return r < 0 ? err_in(e, "%s", webspace->name) : 0;
}

static void tell_removal(struct mounts_work *m, const char *name)
{
	if (!m->list) {
		shown_line(stdout, "%s %s", m->really ? "removed" : "would remove", name);
		return;
	}
	begin_webspace(m, name);
	json_put_bool(json_at(m->list, json_count(m->list) - 1), "removed", m->really);
}

/* What is left of webspaces that are none any more. */
static int clean(struct mounts_work *m, struct err *e)
{
	struct table names = { 0 };
	struct table_entry *it;
	int r = mount_type.list(&m->world, m->state, &names, e);

	table_each (&names, it) {
		if (catalog_get(m->catalog, it->key) || (m->name && strcmp(m->name, it->key) != 0))
			continue;
		tell_removal(m, it->key);
		if (r == 0 && m->really)
			r = mount_type.remove(&m->world, m->state, it->key, e);
	}
	table_clear(&names);
	return r;
}

static int work_on_all(struct mounts_work *m, struct err *e)
{
	struct table_entry *it;
	bool found = false;
	int r = 0;

	if (is_action(m, "clean"))
		return clean(m, e);
	table_each (catalog_entries(m->catalog), it) {
		const struct entry *entry = it->value;

		if ((m->name && strcmp(m->name, entry->name) != 0) || !entry->webspace)
			continue;
		found = true;
		if (r == 0)
			r = work_on_webspace(m, entry->webspace, e);
	}
	if (m->name && !found)
		return err_set(e, ENOENT, "%s: no such webspace", m->name);
	return r;
}

static int work(struct mounts_work *m, const struct host *host, struct err *e)
{
	autoarena struct arena arena = { 0 };
	int r = world_open(host, !m->action, &m->world, e);

	m->world.arena = &arena;
	if (r == 0)
		r = accounts_refresh(m->world.accounts, e);
	if (r == 0 && directory_type.open)
		r = directory_type.open(&m->world, &m->places, e);
	if (r == 0)
		r = mount_type.open(&m->world, &m->state, e);
	if (r == 0) {
		r = work_on_all(m, e);
		mount_type.close(m->state);
	}
	if (m->places)
		directory_type.close(m->places);
	world_close(&m->world);
	return r;
}

/* The verbs change what an agent would change back. */
static int work_alone(struct mounts_work *m, const struct host *host, struct err *e)
{
	autofd int lock = m->action ? control_lock(host, e) : -1;
	int r = m->action && lock < 0 ? lock : catalog_open(host, false, &m->catalog, e);

	if (r == 0)
		r = catalog_look_all(m->catalog, clock_steady(), NULL, NULL, e);
	if (r == 0)
		r = work(m, host, e);
	catalog_close(m->catalog);
	return r;
}

static bool is_known_action(const char *word)
{
	return strcmp(word, "bind") == 0 || strcmp(word, "unbind") == 0 ||
	       strcmp(word, "clean") == 0;
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool as_json = verb_flag(&words, "--json");
	autojson struct json *list = as_json ? json_new_array() : NULL;
	autofree char *text = NULL;
	struct mounts_work m = { .really = verb_flag(&words, "--do"), .list = list };
	struct err e = { 0 };
	struct host *host;
	int r;

	for (int i = 0; i < words.argc; i++) {
		if (!m.action && is_known_action(words.argv[i]))
			m.action = words.argv[i];
		else if (!m.name && !m.action)
			m.name = words.argv[i];
		else
			return verb_usage(in, "unexpected word '%s'", words.argv[i]);
	}
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	r = work_alone(&m, host, &e);
	host_free(host);
	if (r == 0 && list) {
		text = json_write(list, true);
		puts(text);
	}
	if (r < 0) {
		verb_failed(&e);
		return r == -EBUSY ? EXIT_BUSY : EXIT_FAILED;
	}
	return m.wrong && !is_action(&m, "unbind") ? EXIT_FAILED : EXIT_OK;
}

const struct verb mounts_verb = {
	.name = "mounts",
	.option = "--do --json",
	.summary = "what is mounted in each jail, and the verbs for work by hand",
	.page = "Usage: webspaces [--config FILE] mounts [NAME] [bind|unbind|clean [--do]] "
		"[--json]\n"
		"\n"
		"Shows each jail and its mounts: + mounted as it should be, - not, and what is "
		"wrong:\n"
		"\n"
		"    alice\n"
		"            + chroot/.base\n"
		"            - chroot/srv/media: source /srv/media does not exist\n"
		"\n"
		"The mounts live in a mount namespace of their own (run_dir/ns/mnt); 'mount' does "
		"not\n"
		"list them. The verbs need that no agent runs, which would undo them:\n"
		"\n"
		"  bind    mounts what is missing or wrong\n"
		"  unbind  takes all mounts of the jail off, and the mount points that were made\n"
		"  clean   shows what is left of webspaces that are none any more; --do removes "
		"it.\n"
		"          Only what was made by webspaces is ever removed.\n"
		"\n"
		"Exit: 0 all right, 1 something is not, 64 usage, 75 an agent runs.\n",
	.run = run,
	.needs_root = true,
};
