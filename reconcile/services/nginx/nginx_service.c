/*
 * Sites: every enabled webspace with names is a member of one unit, nginx. Its
 * fragment is rendered again only when what it is made of has changed: its file,
 * or what is known of its certificates.
 *
 * How nginx is run is nginx_daemon.c; what its configuration says, renderers/;
 * who broke it, unit.c. Left to do here is to bring these together and to tell
 * each webspace how its sites stand.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/service.h"
#include "reconcile/services/nginx/handover.h"
#include "reconcile/services/nginx/listener.h"
#include "reconcile/services/nginx/nginx_daemon.h"
#include "reconcile/services/nginx/nginx_dropins.h"
#include "reconcile/services/nginx/surveyor.h"
#include "reconcile/services/site_facts.h"
#include "renderers/renderers.h"

_Static_assert(FRAGMENT_SECTIONS == RENDER_SECTIONS, "a fragment has the renderer's sections");
_Static_assert(NGINX_FILES < UNIT_FILES, "the renderer's files, and generation.conf");

#define CHECK_PATIENCE (60 * USEC_PER_SEC)
#define PROBE_PATIENCE (15 * USEC_PER_SEC)

struct nginx {
	struct service_config config;
	struct unit *unit;
	const struct nginx_instance *instance;
	struct surveyor *surveyor;    /* NULL where nginx is ours */
	struct nginx_daemon *daemon;  /* NULL when dry */
	struct nginx_dropins dropins; /* where nginx is ours */
	struct table made_of; /* webspace → uint64_t: what its fragment was rendered from */
	bool publish_later; /* once the daemon has said what it serves, and what else it is told */
	bool was_published; /* somebody has asked for it: all there is has been set */
	bool told_waiting;  /* somebody waits for nginx alone, not for a change of its own */
	char *fault;        /* the host's, while it lasts */
};

/* The unit's type ---------------------------------------------------- */

static struct nginx *owner(const struct unit *u)
{
	return unit_owner(u);
}

/* All sections in one go: there are tens of thousands. */
static void view(const struct fragment *f, struct text_view ret[RENDER_SECTIONS])
{
	const char *at = f->text;

	for (size_t s = 0; s < RENDER_SECTIONS; s++) {
		ret[s] = (struct text_view){ at, f->len[s] };
		at += f->len[s];
	}
}

static void nginx_files(const struct unit *u, const char *dir,
			const struct fragment *const *fragments, const char *const *names, size_t n,
			struct unit_file files[UNIT_FILES])
{
	struct text_view(*views)[RENDER_SECTIONS] = memory_new((n + 1) * sizeof(*views));
	struct buf texts[NGINX_FILES] = { 0 };
	const struct survey *s = owner(u)->surveyor ? surveyor_result(owner(u)->surveyor) : NULL;
	const struct nginx_facts facts = { .thumbprint = owner(u)->config.thumbprint,
					   .around = s ? &s->around : NULL };
	const char *number = strrchr(dir, '/');

	(void)names;
	for (size_t i = 0; i < n; i++)
		view(fragments[i], views[i]);
	nginx_compose(unit_host(u), &facts, dir, (const struct text_view(*)[RENDER_SECTIONS])views,
		      n, texts);
	for (size_t i = 0; i < NGINX_FILES; i++)
		files[i] = (struct unit_file){ .name = nginx_file_names[i], .text = texts[i] };
	files[NGINX_FILES].name = "generation.conf";
	nginx_generation_conf(number ? strtoull(number + 1, NULL, 10) : 0,
			      &files[NGINX_FILES].text);
	free(views);
}

static int nginx_check(const struct unit *u, const char *dir, struct arena *a,
		       const char *const **ret_argv, const char *const **ret_env, struct err *e)
{
	const struct nginx *n = owner(u);
	const struct survey *s = n->surveyor ? surveyor_result(n->surveyor) : NULL;
	int r;

	(void)ret_env;
	if (s && s->problem)
		return err_set(e, EHOSTDOWN, "%s", s->problem);
	r = listener_check_addresses(unit_host(u), e);
	*ret_argv = n->instance->check(unit_host(u), dir, a);
	return r < 0 ? r : nginx_dropins_link(&n->dropins, dir, e);
}

static int nginx_activate(struct unit *u, uint64_t generation, struct err *e)
{
	(void)generation;
	return nginx_daemon_load(owner(u)->daemon, e);
}

static int nginx_probe(struct unit *u, uint64_t generation, struct err *e)
{
	return nginx_daemon_probe(owner(u)->daemon, generation, e);
}

/* `current` is back already: to load it again is to go back. One that never came up is of no use. */
static void nginx_revert(struct unit *u, uint64_t generation)
{
	struct nginx *n = owner(u);
	struct err e;

	if (generation != 0 && nginx_daemon_is_up(n->daemon))
		(void)nginx_daemon_load(n->daemon, &e);
	else
		nginx_daemon_stop(n->daemon);
}

static void nginx_stop(struct unit *u)
{
	nginx_daemon_stop(owner(u)->daemon);
}

static bool nginx_alive(struct unit *u, uint64_t generation)
{
	return nginx_daemon_serves(owner(u)->daemon, generation);
}

static const struct unit_type nginx_unit = {
	.service = "nginx",
	.compose = nginx_files,
	.check = nginx_check,
	.explain = nginx_dropins_explain,
	.may_break = nginx_dropins_is_member,
	.activate = nginx_activate,
	.probe = nginx_probe,
	.revert = nginx_revert,
	.stop = nginx_stop,
	.alive = nginx_alive,
};

/* Conditions --------------------------------------------------------- */

static void tell(struct nginx *n, const char *name, enum condition_status status,
		 const char *reason, const char *message)
{
	n->config.condition(name, CONDITION_SITES, status, reason, message, n->config.data);
}

static void tell_standing(struct nginx *n, const struct member *m)
{
	bool in_force = !m->changed && unit_generation(n->unit) != 0;

	if (!m->want || nginx_dropins_is_member(m->name))
		return;
	if (m->quarantined) {
		tell(n, m->name, CONDITION_FALSE, "Quarantined", m->quarantined);
	} else if (in_force) {
		tell(n, m->name, CONDITION_TRUE, "Served", NULL);
	} else {
		n->told_waiting |= !m->changed; /* the others settle when they are accepted */
		if (n->fault)
			tell(n, m->name, CONDITION_FALSE, "HostFault", n->fault);
		else
			tell(n, m->name, CONDITION_UNKNOWN, "Pending", NULL);
	}
}

static void settled(struct unit *u, struct member *m, void *data)
{
	(void)u;
	tell_standing(data, m);
}

static void tell_all(struct nginx *n)
{
	struct table_entry *it;

	n->told_waiting = false; /* set again by those who wait still */
	table_each (unit_members(n->unit), it)
		tell_standing(n, it->value);
}

static void heard(const struct report *r, void *data)
{
	struct nginx *n = data;

	if (r->kind == REPORT_HOST_FAULT) {
		free(n->fault);
		n->fault = memory_dup(r->text);
		tell_all(n);
	} else if (r->kind == REPORT_PUBLISHED) {
		handover_done(n->config.host);
		free(take_ptr(n->fault));
		if (n->told_waiting)
			tell_all(n);
	}
	n->config.report(r, n->config.data);
}

/* Opening ------------------------------------------------------------ */

static void died(const char *how, void *data)
{
	struct nginx *n = data;

	unit_died(n->unit, how);
}

/* Is all known that a generation depends on? */
static bool is_surveyed(const struct nginx *n)
{
	return !n->surveyor || surveyor_result(n->surveyor);
}

/* … and has a daemon that was found said what it serves? Before that it would be reloaded for nothing. */
static bool is_known(const struct nginx *n)
{
	return is_surveyed(n) && !(n->daemon && nginx_daemon_is_asked(n->daemon));
}

static void answered(void *data)
{
	struct nginx *n = data;

	if (!is_surveyed(n))
		return;
	/* In flight the probe sees it; else it may be news that something else is served. */
	if (n->publish_later || (unit_idle(n->unit) && unit_generation(n->unit) != 0))
		unit_publish(n->unit);
	n->publish_later = false;
}

/* What is shared with the host's own nginx is known now, or is other than before. */
static void surveyed(const struct survey *s, void *data)
{
	struct nginx *n = data;

	if (n->daemon)
		nginx_daemon_follow(n->daemon, s);
	if (!n->publish_later) {
		if (n->was_published && !n->config.dry)
			unit_force(n->unit);
		return;
	}
	if (!is_known(n))
		return;
	n->publish_later = false;
	unit_publish(n->unit);
}

static int unit_make(struct nginx *n, struct err *e)
{
	const struct unit_config config = {
		.type = &nginx_unit,
		.name = "nginx",
		.dir = n->instance->generations,
		.host = n->config.host,
		.loop = n->config.loop,
		.dry = n->config.dry,
		.check_usec = CHECK_PATIENCE,
		.probe_usec = PROBE_PATIENCE,
		.report = heard,
		.settled = settled,
		.data = n,
		.owner = n,
	};

	return unit_open(&config, &n->unit, e);
}

static void nginx_close(void *service)
{
	struct nginx *n = service;

	if (n->unit)
		unit_close(n->unit);
	surveyor_close(n->surveyor);
	nginx_daemon_close(n->daemon);
	nginx_dropins_clear(&n->dropins);
	table_free_values(&n->made_of);
	free(n->fault);
	free(n);
}

static int nginx_open(const struct service_config *config, void **ret, struct err *e)
{
	struct nginx *n = memory_new(sizeof(*n));
	int r = 0;

	n->config = *config;
	n->instance = nginx_instance_of(config->host);
	if (!config->dry) {
		const struct nginx_daemon_config daemon = {
			.host = config->host,
			.loop = config->loop,
			.manager = config->manager,
			.world = config->world,
			.died = died,
			.answered = answered,
			.data = n,
		};
		r = nginx_daemon_open(&daemon, &n->daemon, e);
	}
	if (r == 0)
		r = unit_make(n, e);
	if (r == 0 && !n->instance->is_ours)
		n->surveyor = surveyor_open(config->host, config->loop, surveyed, n);
	if (r < 0) {
		nginx_close(n);
		return r;
	}
	*ret = n;
	return 0;
}

/* Serving ------------------------------------------------------------ */

static bool is_made_of(struct nginx *n, const char *name, uint64_t what)
{
	const uint64_t *known = table_get(&n->made_of, name);

	return known && *known == what;
}

static void remember(struct nginx *n, const char *name, uint64_t what)
{
	*(uint64_t *)table_make(&n->made_of, name, sizeof(uint64_t)) = what;
}

static void leave(struct nginx *n, const char *name)
{
	free(table_take(&n->made_of, name));
	unit_set(n->unit, name, NULL);
}

static int render(struct nginx *n, const struct webspace *w, const struct site_facts *facts,
		  struct fragment **ret, struct err *e)
{
	struct buf sections[RENDER_SECTIONS] = { 0 };
	int r = nginx_fragment(n->config.host, w, facts, sections, e);

	if (r >= 0)
		*ret = fragment_new(sections);
	for (size_t s = 0; s < RENDER_SECTIONS; s++)
		buf_clear(&sections[s]);
	return r;
}

/* A webspace that cannot be said in nginx's language keeps what it has. */
static void serve_sites(struct nginx *n, const struct webspace *w)
{
	autoarena struct arena a = { 0 };
	const struct site_facts *facts =
		site_facts_gather(n->config.store, n->config.host, w, clock_wall(), &a);
	uint64_t what = site_facts_hash(w, facts);
	struct fragment *fragment;
	struct err e = { 0 };

	if (!is_made_of(n, w->name, what)) {
		if (render(n, w, facts, &fragment, &e) < 0) {
			tell(n, w->name, CONDITION_FALSE, "Refused", e.text);
			return;
		}
		remember(n, w->name, what);
		unit_set(n->unit, w->name, fragment);
	}
	tell_standing(n, unit_member(n->unit, w->name));
}

static void nginx_serve(void *service, const struct webspace *w)
{
	struct nginx *n = service;

	if (w->state != STATE_DISABLED && w->n_sites > 0) {
		serve_sites(n, w);
		return;
	}
	leave(n, w->name);
	if (w->state == STATE_DISABLED)
		tell(n, w->name, CONDITION_UNKNOWN, "NotWanted", NULL);
	else
		tell(n, w->name, CONDITION_FALSE, "NoNames",
		     "it has no name to serve: give its site `names`, or the host a base_domain");
}

static void nginx_withdraw(void *service, const char *name)
{
	leave(service, name);
}

static void nginx_list(void *service, struct table *ret_names)
{
	struct nginx *n = service;
	struct table_entry *it;

	table_each (unit_members(n->unit), it)
		if (!nginx_dropins_is_member(it->key))
			(void)table_set(ret_names, it->key, n);
}

static bool nginx_withdrawn(void *service, const char *name)
{
	struct nginx *n = service;

	return unit_has_left(n->unit, name);
}

static void dropins_read(struct nginx *n)
{
	if (n->instance->is_ours)
		nginx_dropins_read(&n->dropins, n->unit, n->config.report, n->config.data);
}

static void nginx_publish(void *service)
{
	struct nginx *n = service;

	n->was_published = true;
	dropins_read(n);
	if (!is_known(n))
		n->publish_later = true;
	else
		unit_publish(n->unit);
}

static void look_at_include(struct nginx *n)
{
	struct err e;

	if (!n->daemon || nginx_daemon_look(n->daemon, &e) <= 0)
		return;
	n->config.report(&(struct report){ .kind = REPORT_CHANGED,
					   .change = CHANGE_DRIFT,
					   .resource = "nginx",
					   .item = n->config.host->nginx.include,
					   .old_value = "changed",
					   .new_value = "as composed" },
			 n->config.data);
	if (n->was_published && !n->publish_later)
		unit_force(n->unit);
}

static void nginx_look(void *service)
{
	struct nginx *n = service;

	look_at_include(n);
	dropins_read(n);
	if (!n->publish_later && is_known(n))
		unit_look(n->unit);
	if (n->surveyor)
		surveyor_look(n->surveyor);
}

static bool nginx_idle(void *service)
{
	struct nginx *n = service;

	return !n->publish_later && unit_idle(n->unit);
}

static uint64_t nginx_generation(void *service)
{
	struct nginx *n = service;

	return unit_generation(n->unit);
}

static void nginx_complain(const void *service, struct buf *ret)
{
	const struct nginx *n = service;

	nginx_dropins_complain(&n->dropins, n->unit, ret);
}

const struct service_type nginx_service_type = {
	.name = "nginx",
	.open = nginx_open,
	.close = nginx_close,
	.serve = nginx_serve,
	.withdraw = nginx_withdraw,
	.list = nginx_list,
	.withdrawn = nginx_withdrawn,
	.publish = nginx_publish,
	.look = nginx_look,
	.idle = nginx_idle,
	.generation = nginx_generation,
	.complain = nginx_complain,
};
