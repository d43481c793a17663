/*
 * A line: one unit whose daemon is replaced, never reloaded. A php-fpm that
 * reloads stops accepting until its slowest request has ended, and with it all
 * neighbours of the webspace that changed; so the new generation gets a master
 * of its own beside the old one, and when that answers, the line's one link
 * takes everybody over in one rename.
 *
 * Each change leaves a master that may have to finish long requests. More than
 * PHP_DRAINING_MAX of them at once would cost memory without end, so then the
 * line's next change waits until one has ended (and all changes that came
 * meanwhile go out together). The price: a webspace that holds long requests
 * and is changed again and again delays changes of its line by up to its
 * request_terminate_timeout. It never costs anybody a request.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/services/php/php.h"
#include "renderers/renderers.h"

#define CHECK_USEC (60 * USEC_PER_SEC)

/* A change that waits; fragment NULL: leaves. */
struct php_held {
	struct fragment *fragment;
};

struct views {
	struct text_view (*items)[RENDER_SECTIONS];
	size_t count;
};

static void views_add(struct views *v, const struct fragment *f)
{
	for (size_t s = 0; s < RENDER_SECTIONS; s++)
		v->items[v->count][s].text = fragment_section(f, s, &v->items[v->count][s].len);
	v->count++;
}

static void compose_conf(const struct php_line *l, const struct views *v, struct buf *ret)
{
	php_compose(l->service->config.host, l->id, l->version,
		    (const struct text_view(*)[RENDER_SECTIONS])v->items, v->count, ret);
}

/*
 * php-fpm reads its configuration with a system call a byte (1.65 million of them
 * for 1,250 pools: 0.6 s). A pool is right or wrong by itself, since names and
 * sockets cannot meet, so only those that were never in force are checked.
 */
static void compose(const struct unit *u, const char *dir, const struct fragment *const *fragments,
		    const char *const *names, size_t n, struct unit_file files[UNIT_FILES])
{
	struct php_line *l = unit_owner(u);
	struct views all = { .items = memory_new((n + 1) * sizeof(*all.items)) };
	struct views tried = { .items = memory_new((n + 1) * sizeof(*tried.items)) };

	for (size_t i = 0; i < n; i++) {
		views_add(&all, fragments[i]);
		if (fragments[i] != unit_member(u, names[i])->good)
			views_add(&tried, fragments[i]);
	}
	files[0].name = PHP_CONF;
	compose_conf(l, &all, &files[0].text);
	files[1].name = "webspaces.ini";
	php_compose_ini(unit_host(u), php_id_is_dedicated(l->id), &files[1].text);
	buf_reset(&l->trial);
	compose_conf(l, &tried, &l->trial);
	snprintf(l->trial_dir, sizeof(l->trial_dir), "%s", dir);
	free(all.items);
	free(tried.items);
}

/* The part on trial, beside the files it is part of; else all of them are tried. */
static const char *put_trial(struct php_line *l, const char *dir)
{
	autofd int fd = strcmp(dir, l->trial_dir) == 0 ? path_open_dir(dir, NULL) : -1;
	bool put = fd >= 0 && put_file(fd, PHP_TRIAL_CONF, 0600, buf_text(&l->trial), l->trial.len,
				       PUT_BATCH, NULL) >= 0;

	l->trial_dir[0] = '\0';
	buf_clear(&l->trial);
	return put ? PHP_TRIAL_CONF : PHP_CONF;
}

static int check(const struct unit *u, const char *dir, struct arena *a,
		 const char *const **ret_argv, const char *const **ret_env, struct err *e)
{
	struct php_line *l = unit_owner(u);
	const struct php_command c = {
		.version = l->version,
		.dir = dir,
		.conf = put_trial(l, dir),
		.sockets = arena_printf(a, "%s/php/masters", unit_host(u)->run_dir),
		.generation = "0",
		.test = true,
	};

	(void)e;
	php_command(unit_host(u), &c, a, ret_argv, ret_env);
	return 0;
}

static const char *link_target(const struct master *m, struct arena *a)
{
	return arena_printf(a, "../masters/%s", m->id);
}

static void abandon_starting(struct php_line *l)
{
	fastcgi_ask_clear(&l->ping);
	if (l->starting)
		master_end(take_ptr(l->starting));
}

/* The master that the line's link names; of the link only its name is believed. */
static bool linked_master(const struct php_line *l, char id[PHP_MASTER_ROOM])
{
	char target[PHP_MASTER_ROOM + 16];
	const char *slash;
	struct php_id parts;

	if (!path_read_link(l->service->line_dir, l->id, target, sizeof(target)))
		return false;
	slash = strrchr(target, '/');
	if (!slash || !php_id_parse_master(slash + 1, &parts) || strcmp(parts.line, l->id) != 0)
		return false;
	snprintf(id, PHP_MASTER_ROOM, "%s", slash + 1);
	return true;
}

/* A former agent's master goes on with us, whatever its generation: it serves until another does. */
static void adopt_linked(struct php_line *l)
{
	char id[PHP_MASTER_ROOM];

	if (l->adopted)
		return;
	l->adopted = true;
	if (linked_master(l, id))
		(void)master_adopt(l->service, l, id, &l->serving, NULL);
}

static int activate(struct unit *u, uint64_t generation, struct err *e)
{
	struct php_line *l = unit_owner(u);

	adopt_linked(l); /* whom it will replace */
	abandon_starting(l);
	return master_start(l, generation, &l->starting, e);
}

/*
 * php-fpm makes and listens at every socket before it answers at one of them, and
 * ends if one cannot be made. So our own pool's answer speaks for all, and no
 * pool of a user's is made to fork, or waited for while it is busy.
 */
static int probe(struct unit *u, uint64_t generation, struct err *e)
{
	struct php_line *l = unit_owner(u);
	struct master *m = l->starting;
	autoarena struct arena a = { 0 };
	char want[24];
	const char *said;

	if (!m)
		return l->serving && l->serving->daemon && l->serving->generation == generation
			       ? 1
			       : err_set(e, ESRCH, "no PHP master was started");
	if (!m->daemon)
		return err_set(e, ECHILD, "PHP master %s ended at its start: %s", m->id, m->end);
	if (fastcgi_ask_step(
		    &l->ping,
		    arena_printf(&a, "%s/" PHP_OWN_SOCKET, master_path(unit_host(u), m->id, &a)),
		    PHP_PING_PATH, &said, e) <= 0)
		return 0; /* no socket yet, say; the unit ends our patience */
	snprintf(want, sizeof(want), "%llu", (unsigned long long)generation);
	if (strcmp(said, want) != 0)
		return err_set(e, EPROTO, "PHP master %s answers \"%.40s\", not %s", m->id, said,
			       want);
	return 1;
}

/* As long as the link leads to the old master, that is who serves. */
static int commit(struct unit *u, uint64_t generation, struct err *e)
{
	struct php_line *l = unit_owner(u);
	autoarena struct arena a = { 0 };
	struct master *old = l->serving;
	int r;

	(void)generation;
	if (!l->starting)
		return 0;
	r = put_link(l->service->line_dir, l->id, link_target(l->starting, &a), e);
	if (r < 0)
		return r;
	l->serving = take_ptr(l->starting);
	l->serving->state = PHP_SERVING;
	if (old)
		master_drain(old);
	return 0;
}

static void revert(struct unit *u, uint64_t generation)
{
	(void)generation;
	abandon_starting(unit_owner(u)); /* the old master has never stopped to serve */
}

static void stop(struct unit *u)
{
	struct php_line *l = unit_owner(u);

	adopt_linked(l);
	abandon_starting(l);
	if (l->serving)
		master_drain(take_ptr(l->serving));
	(void)unlinkat(l->service->line_dir, l->id, 0);
}

static void put_back_link(struct php_line *l)
{
	autoarena struct arena a = { 0 };
	struct err e = { 0 };
	int r = put_link(l->service->line_dir, l->id, link_target(l->serving, &a), &e);

	if (r < 0)
		php_service_failed(l->service, l->id, &e);
	if (r > 0)
		php_service_repaired(l->service, l->id);
}

/* It would go on with a program, settings and extensions that are no longer those installed. */
static bool is_outdated(const struct php_line *l)
{
	return master_is_older(l->serving, php_versions_changed(&l->service->versions, l->version));
}

static bool alive(struct unit *u, uint64_t generation)
{
	struct php_line *l = unit_owner(u);

	adopt_linked(l);
	if (!l->serving || !l->serving->daemon)
		return false;
	put_back_link(l);
	return l->serving->generation == generation && !is_outdated(l);
}

static const struct unit_type php_unit_type = {
	.service = "php",
	.compose = compose,
	.check = check,
	.activate = activate,
	.probe = probe,
	.commit = commit,
	.revert = revert,
	.stop = stop,
	.alive = alive,
};

static void settled(struct unit *u, struct member *m, void *data)
{
	(void)u;
	php_pool_settled(data, m);
}

static void reported(const struct report *r, void *data)
{
	struct php_line *l = data;

	/* Not when a master dies: mostly another serves before anybody could be told. */
	if (r->kind == REPORT_HOST_FAULT || r->kind == REPORT_PUBLISHED)
		php_pools_tell(l);
	l->service->config.report(r, l->service->config.data);
}

int php_line_get(struct php_service *s, const char *id, struct php_line **ret, struct err *e)
{
	autoarena struct arena a = { 0 };
	struct php_line *l = table_get(&s->lines, id);
	struct unit_config config = {
		.type = &php_unit_type,
		.name = arena_printf(&a, "php %s", id),
		.dir = arena_printf(&a, "php/%s", id),
		.host = s->config.host,
		.loop = s->config.loop,
		.dry = s->config.dry,
		.need_members = true,
		.gate = &s->gate,
		.check_usec = CHECK_USEC,
		.probe_usec = PHP_PROBE_USEC,
		.report = reported,
		.settled = settled,
	};
	struct php_id parts;
	int r;

	if (l) {
		*ret = l;
		return 0;
	}
	if (!php_id_parse_line(id, &parts))
		return err_set(e, EINVAL, "%s is not the name of a PHP line", id);
	l = memory_new(sizeof(*l));
	l->service = s;
	memcpy(l->id, parts.line, sizeof(l->id));
	memcpy(l->version, parts.version, sizeof(l->version));
	fastcgi_ask_init(&l->ping);
	config.data = config.owner = l;
	r = unit_open(&config, &l->unit, e);
	if (r < 0) {
		free(l);
		return r;
	}
	table_set(&s->lines, id, l);
	*ret = l;
	return 0;
}

static void held_free(struct php_held *h)
{
	if (h)
		fragment_free(h->fragment);
	free(h);
}

void php_line_close(struct php_line *l)
{
	struct table_entry *it;

	unit_close(l->unit);
	fastcgi_ask_clear(&l->ping);
	buf_clear(&l->trial);
	table_each (&l->held, it)
		held_free(it->value);
	table_clear(&l->held);
	for (struct master *m = l->service->masters; m; m = m->next)
		if (m->line == l)
			m->line = NULL;
	(void)table_take(&l->service->lines, l->id);
	free(l);
}

static bool has_room(const struct php_line *l)
{
	return l->n_draining < PHP_DRAINING_MAX;
}

void php_line_set(struct php_line *l, const char *name, struct fragment *fragment)
{
	struct php_held *h;

	l->dirty = true;
	if (has_room(l) && l->held.count == 0) {
		unit_set(l->unit, name, fragment);
		return;
	}
	h = memory_new(sizeof(*h));
	h->fragment = fragment;
	held_free(table_set(&l->held, name, h));
}

static void set_held(struct php_line *l)
{
	struct table_entry *it;

	table_each (&l->held, it) {
		struct php_held *h = it->value;

		unit_set(l->unit, it->key, take_ptr(h->fragment));
		free(h);
	}
	table_clear(&l->held);
}

void php_line_publish(struct php_line *l)
{
	l->due = l->dirty;
	php_line_publish_due(l);
}

void php_line_publish_due(struct php_line *l)
{
	if (!l->due || !has_room(l))
		return;
	set_held(l);
	l->dirty = l->due = l->left = false;
	unit_publish(l->unit);
}

bool php_line_has(const struct php_line *l, const char *name, const struct fragment *fragment)
{
	const struct member *m = unit_member(l->unit, name);

	return m && !m->former && !table_get(&l->held, name) && fragment_same(m->want, fragment);
}

void php_line_look(struct php_line *l)
{
	if (l->serving && l->serving->daemon && unit_idle(l->unit) && is_outdated(l))
		l->service->config.report(
			&(struct report){ .kind = REPORT_CHANGED,
					  .change = CHANGE_DRIFT,
					  .resource = "php",
					  .item = l->id,
					  .old_value = "a master from before PHP was changed",
					  .new_value = "one of what is installed now" },
			l->service->config.data);
	unit_look(l->unit);
}

bool php_line_holds(const struct php_line *l, const char *name)
{
	const struct php_held *h = table_get(&l->held, name);

	return (h && h->fragment) || unit_member(l->unit, name);
}

bool php_line_serves(const struct php_line *l)
{
	uint64_t generation = unit_generation(l->unit);

	return generation != 0 && l->serving && l->serving->daemon &&
	       l->serving->generation == generation;
}

bool php_line_idle(const struct php_line *l)
{
	return !l->dirty && unit_idle(l->unit);
}

bool php_line_empty(const struct php_line *l)
{
	return php_line_idle(l) && unit_members(l->unit)->count == 0 && !l->serving && !l->starting;
}

void php_line_ended(struct php_line *l, struct master *m, const char *how)
{
	if (m != l->serving)
		return; /* one that starts is missed by the probe, one that drains by nobody */
	l->serving = NULL;
	m->state = PHP_ENDING; /* freed by our caller */
	m->line = NULL;
	unit_died(l->unit, how);
}
