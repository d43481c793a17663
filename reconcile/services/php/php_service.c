/*
 * PHP, as the pass sees it. What a webspace has here is php_pool.c, where it is
 * served php_line.c, by which process php_master.c; this file opens, closes and
 * publishes.
 *
 * Units call back from the middle of their own affairs. What follows from that
 * (a pool has moved, so it leaves its old line) is done by one idle source,
 * when nothing else is on the stack.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/services/php/php.h"

#define FLIGHTS_LEAST 4

/* Hardly ever does anybody leave, and this is asked several times in each change. */
static void tidy_pools(struct php_service *s)
{
	struct table_entry *it;

	if (!s->leaving)
		return;
	s->leaving = false;
	table_each (&s->pools, it) {
		struct php_pool *p = it->value;

		if (p->leaving && !php_pool_gone(s, p->name))
			s->leaving = true;
	}
}

static bool is_anybodys(const struct php_service *s, const struct php_line *l)
{
	struct table_entry *it;

	table_each (&s->pools, it) {
		const struct php_pool *p = it->value;

		if (p->line == l || p->next == l)
			return true;
	}
	return false;
}

/*
 * A line whose pools move away to several others would be replaced once for each
 * of them. It can wait until no line is in flight: a pool that has moved costs
 * its old line nothing.
 */
static void publish_left(struct php_service *s)
{
	struct table_entry *it;

	if (s->gate.n_admitted > 0)
		return;
	table_each (&s->lines, it)
		if (((struct php_line *)it->value)->left)
			php_line_publish(it->value);
}

/* A pass publishes at its end; this is what had to wait for others. */
static void work(void *data)
{
	struct php_service *s = data;
	struct table_entry *it;

	tidy_pools(s);
	if (s->published)
		publish_left(s);
	table_each (&s->lines, it) {
		struct php_line *l = it->value;

		php_line_publish_due(l);
		if (php_line_empty(l) && !is_anybodys(s, l))
			php_line_close(l);
	}
}

void php_service_soon(struct php_service *s)
{
	loop_idle_set(s->soon);
}

void php_service_failed(struct php_service *s, const char *item, const struct err *e)
{
	s->config.report(
		&(struct report){
			.kind = REPORT_FAILED, .resource = "php", .item = item, .text = e->text },
		s->config.data);
}

void php_service_repaired(struct php_service *s, const char *item)
{
	s->config.report(&(struct report){ .kind = REPORT_CHANGED,
					   .change = CHANGE_DRIFT,
					   .resource = "php",
					   .item = item,
					   .old_value = "another link, or none",
					   .new_value = "the link to its master" },
			 s->config.data);
}

/* RUN_DIR/php/NAME, made if need be; -1 with 0 if it is absent and we are dry. */
static int open_place(const struct php_service *s, const char *name, int *ret, struct err *e)
{
	autoarena struct arena a = { 0 };
	const char *path = arena_printf(&a, "%s/php%s", s->config.host->run_dir, name);
	int r;

	if (!s->config.dry) {
		/* Others pass to sockets of their own names, and list nobody's. */
		r = path_make_dirs(path, 0711, e);
		if (r < 0)
			return r;
	}
	r = path_open_dir(path, e);
	*ret = r < 0 ? -1 : r;
	return s->config.dry || r >= 0 ? 0 : r;
}

/* Lines that a former agent left in force go on, whether their webspaces can be had now or not. */
static void restore_lines(struct php_service *s)
{
	autoarena struct arena a = { 0 };
	autofd int fd = path_open_dir(arena_printf(&a, "%s/php", s->config.host->state_dir), NULL);
	autodir DIR *dir = path_list(fd, ".", NULL);
	struct php_id parts;
	struct php_line *l;
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (php_id_parse_line(d->d_name, &parts) &&
		    php_versions_has(&s->versions, parts.version) &&
		    php_line_get(s, parts.line, &l, NULL) == 0)
			php_pools_restore(l);
}

static void service_free(struct php_service *s)
{
	php_versions_clear(&s->versions);
	loop_drop(s->soon);
	if (s->dir >= 0)
		close(s->dir);
	if (s->line_dir >= 0)
		close(s->line_dir);
	if (s->masters_dir >= 0)
		close(s->masters_dir);
	free(s);
}

static void all_landed(void *data)
{
	php_service_soon(data);
}

/* Each keeps about one processor busy; a few more, since a daemon that is slow to start must not hold up all others. */
static unsigned flights_at_once(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	return processors > FLIGHTS_LEAST ? (unsigned)processors : FLIGHTS_LEAST;
}

static int service_open(const struct service_config *config, void **ret, struct err *e)
{
	struct php_service *s = memory_new(sizeof(*s));
	int r;

	*s = (struct php_service){
		.config = *config,
		.gate = { .max = flights_at_once(), .empty = all_landed, .data = s },
		.dir = -1,
		.line_dir = -1,
		.masters_dir = -1,
	};
	r = open_place(s, "", &s->dir, e);
	if (r == 0)
		r = open_place(s, "/line", &s->line_dir, e);
	if (r == 0)
		r = open_place(s, "/masters", &s->masters_dir, e);
	if (r < 0) {
		service_free(s);
		return err_in(e, "php");
	}
	/* None installed, or none to be seen: each webspace that wants PHP says so. */
	(void)php_versions_look(&s->versions, config->host, NULL);
	s->soon = loop_idle(config->loop, work, s);
	restore_lines(s);
	*ret = s;
	return 0;
}

static void service_close(void *service)
{
	struct php_service *s = service;
	struct table_entry *it;

	php_drain_close(s);
	table_each (&s->lines, it)
		php_line_close(it->value);
	table_each (&s->pools, it)
		php_pool_free(it->value);
	table_clear(&s->lines);
	table_clear(&s->pools);
	while (s->masters)
		master_forget(s->masters);
	service_free(s);
}

static void service_serve(void *service, const struct webspace *webspace)
{
	php_pool_serve(service, webspace);
}

static void service_list(void *service, struct table *ret_names)
{
	struct php_service *s = service;
	struct table_entry *it;

	table_each (&s->pools, it)
		(void)table_set(ret_names, it->key, s);
}

static void service_withdraw(void *service, const char *name)
{
	php_pool_withdraw(service, name);
}

static bool service_withdrawn(void *service, const char *name)
{
	return php_pool_gone(service, name);
}

static void service_publish(void *service)
{
	struct php_service *s = service;
	bool first = !s->published;
	struct table_entry *it;

	s->published = true;
	table_each (&s->lines, it)
		php_line_publish(it->value);
	if (first) /* the look before it could not yet know who is whose */
		php_leftovers_look(s);
}

static void service_look(void *service)
{
	struct php_service *s = service;
	struct table_entry *it;

	(void)php_versions_look(&s->versions, s->config.host, NULL);
	if (s->config.dry)
		return;
	table_each (&s->lines, it)
		php_line_look(it->value);
	php_pools_look(s);
	php_leftovers_look(s);
}

static bool service_idle(void *service)
{
	struct php_service *s = service;
	struct table_entry *it;

	table_each (&s->lines, it)
		if (!php_line_idle(it->value))
			return false;
	/* Told to finish, a master ends by itself; before that it needs us (and `apply` would leave). */
	for (const struct master *m = s->masters; m; m = m->next)
		if (m->state == PHP_DRAINING)
			return false;
	return true;
}

static uint64_t service_generation(void *service)
{
	struct php_service *s = service;
	struct table_entry *it;
	uint64_t newest = 0;

	table_each (&s->lines, it) {
		uint64_t n = unit_generation(((struct php_line *)it->value)->unit);

		if (n > newest)
			newest = n;
	}
	return newest;
}

const struct service_type php_service_type = {
	.name = "php",
	.open = service_open,
	.close = service_close,
	.serve = service_serve,
	.withdraw = service_withdraw,
	.list = service_list,
	.withdrawn = service_withdrawn,
	.publish = service_publish,
	.look = service_look,
	.idle = service_idle,
	.generation = service_generation,
};
