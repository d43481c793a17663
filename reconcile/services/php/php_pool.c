/*
 * A webspace's place in PHP: which line serves it, and the link that leads
 * there. The link is touched only when the webspace comes or moves.
 *
 * To move (another version, shard, master) is: be added to the new line, and
 * when that serves, swap the link, and only then leave the old line, whose
 * outgoing master answers whoever was on the way. If the new line refuses the
 * pool, the old one goes on with what it had.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/services/php/php.h"
#include "renderers/renderers.h"

#define REQUEST_MAX_S 3600 /* how long a request without a limit is taken to last */

static void tell(const struct php_pool *p)
{
	const struct service_config *c = &p->service->config;

	c->condition(p->name, CONDITION_PHP, p->standing.status, p->standing.reason,
		     p->standing.message, c->data);
}

static void stand(struct php_pool *p, enum condition_status status, const char *reason,
		  const char *message)
{
	char *copy = memory_dup(message);

	free(p->standing.message);
	p->standing = (struct php_standing){ status, reason, copy };
	tell(p);
}

static struct php_line *place_of(const struct php_pool *p)
{
	return p->next ? p->next : p->line;
}

/* False: what was told last is the webspace's own affair, and no news of its line changes it. */
static bool told_of_place(const struct php_pool *p)
{
	static const char *const reasons[] = { "Pending", "Serving", "HostFault" };

	for (size_t i = 0; i < ELEMENTS(reasons); i++)
		if (strcmp(p->standing.reason, reasons[i]) == 0)
			return true;
	return false;
}

static bool is_in_force(const struct php_line *l, const struct member *m)
{
	return m->want && m->good && !m->quarantined && !m->changed &&
	       !table_get(&l->held, m->name);
}

/* To be accepted is not to be served: that takes a master, and a host can lose its last one. */
static void stand_as(struct php_pool *p, const struct php_line *l, const struct member *m)
{
	const char *fault = unit_fault(l->unit);

	if (m->quarantined)
		stand(p, CONDITION_FALSE, "Quarantined", m->quarantined);
	else if (is_in_force(l, m) && php_line_serves(l))
		stand(p, CONDITION_TRUE, "Serving", php_line_unlimited(l));
	else if (fault)
		stand(p, CONDITION_FALSE, "HostFault", fault);
	else
		stand(p, CONDITION_UNKNOWN, "Pending", NULL);
}

/* Nothing is new, except that what stood between it and its line may be gone. */
static void tell_again(struct php_pool *p)
{
	const struct php_line *l = place_of(p);
	const struct member *m = l ? unit_member(l->unit, p->name) : NULL;

	if (m && !told_of_place(p))
		stand_as(p, l, m);
	else if (l && p->standing.status == CONDITION_TRUE)
		stand(p, CONDITION_TRUE, p->standing.reason, php_line_unlimited(l));
	else
		tell(p);
}

static const char *link_name(const struct php_pool *p, struct arena *a)
{
	return arena_printf(a, "%s.sock", p->name);
}

static void put_back_link(struct php_pool *p)
{
	autoarena struct arena a = { 0 };
	struct err e = { 0 };
	const char *name = link_name(p, &a);
	int r = put_link(p->service->dir, name, arena_printf(&a, "line/%s/%s", p->line->id, name),
			 &e);

	if (r < 0)
		php_service_failed(p->service, name, &e);
	if (r > 0 && p->linked)
		php_service_repaired(p->service, name);
	p->linked = r >= 0;
}

/* The line that a former agent's link names, if it is one of those this webspace could be in. */
static bool linked_line(const struct php_pool *p, struct php_id *ret)
{
	autoarena struct arena a = { 0 };
	char target[128], *line = target + strlen("line/"), *slash;

	if (!path_read_link(p->service->dir, link_name(p, &a), target, sizeof(target)) ||
	    strncmp(target, "line/", strlen("line/")) != 0 || !(slash = strchr(line, '/')))
		return false;
	*slash = '\0';
	return php_id_parse_line(line, ret) &&
	       php_versions_has(&p->service->versions, ret->version);
}

static int render(const struct php_pool *p, const struct webspace *w, const char *version,
		  struct fragment **ret, struct err *e)
{
	const struct php_facts facts = { .uid = p->uid, .gid = p->gid, .version = version };
	struct buf sections[RENDER_SECTIONS] = { 0 };
	int r = php_fragment(p->service->config.host, w, &facts, sections, e);

	if (r >= 0)
		*ret = fragment_new(sections);
	for (size_t i = 0; i < RENDER_SECTIONS; i++)
		buf_clear(&sections[i]);
	return r;
}

/*
 * Before we were started the webspace was served somewhere. If that is not where
 * it belongs now, it stays a member there until it has moved, like any other.
 */
static void find_former_place(struct php_pool *p, const struct webspace *w,
			      const struct php_line *target)
{
	struct fragment *fragment;
	struct php_id was;

	if (!linked_line(p, &was) || php_line_get(p->service, was.line, &p->line, NULL) < 0)
		return;
	p->linked = true;
	if (p->line != target && render(p, w, was.version, &fragment, NULL) == 0)
		php_line_set(p->line, p->name, fragment);
}

static struct php_pool *pool_get(struct php_service *s, const char *name)
{
	struct php_pool *p = table_get(&s->pools, name);

	if (p)
		return p;
	p = memory_new(sizeof(*p));
	p->service = s;
	p->name = memory_dup(name);
	p->standing.reason = "Pending";
	table_set(&s->pools, name, p);
	return p;
}

/*
 * Where its link leads is its place. A move that was cut short has left it in a
 * second line, which it leaves; serve puts it there again if it belongs there.
 */
static void restore(struct php_line *l, const char *name)
{
	struct php_pool *p = pool_get(l->service, name);
	struct php_id was;
	bool is_linked = linked_line(p, &was) && strcmp(was.line, l->id) == 0;
	struct php_line *other = is_linked ? p->line : l;

	if (p->line && other)
		php_line_set(other, name, NULL);
	if (!p->line || is_linked)
		p->line = l;
	p->linked |= is_linked;
	p->former = true;
}

void php_pools_restore(struct php_line *l)
{
	struct table_entry *it;

	table_each (unit_members(l->unit), it)
		restore(l, it->key);
}

void php_pool_free(struct php_pool *p)
{
	(void)table_take(&p->service->pools, p->name);
	free(p->standing.message);
	free(p->name);
	free(p);
}

/* Its fragment belongs into this line from now on. */
static void place(struct php_pool *p, struct php_line *target, struct fragment *fragment)
{
	if (p->next && p->next != target)
		php_line_set(p->next, p->name, NULL);
	p->next = NULL;
	if (!p->line || (!p->linked && p->line != target)) {
		if (p->line)
			php_line_set(p->line, p->name, NULL);
		p->line = target;
	}
	if (p->line != target)
		p->next = target;
	php_line_set(target, p->name, fragment);
}

static int version_of(struct php_service *s, const struct webspace *w, const char **ret,
		      struct err *e)
{
	const char *version = w->php.version ? w->php.version : "";
	char list[200] = "";

	if (!*version)
		version = php_versions_newest(&s->versions);
	if (*version && php_versions_has(&s->versions, version)) {
		*ret = version;
		return 0;
	}
	for (size_t i = 0, n = 0; i < s->versions.count && n < sizeof(list) - 20; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
				      s->versions.items[i].name);
	if (!*list)
		return err_set(e, ENOENT, "no PHP-FPM is installed; install php-fpm");
	return err_set(e, ENOENT,
		       "PHP %s is not installed; installed: %s. Install php%s-fpm or choose "
		       "another php.version",
		       version, list, version);
}

/* unix(7): a longer path would be cut by php-fpm, without a word. */
static int check_path(const struct php_service *s, const char *name, const char *line,
		      struct err *e)
{
	size_t len = strlen(s->config.host->run_dir) + strlen("/php/masters//.4294967295.1000") +
		     strlen(line) + strlen(name) + strlen(".sock");

	if (len <= PHP_SOCKET_MAX)
		return 0;
	return err_set(e, ENAMETOOLONG,
		       "the path of its socket has %zu bytes where the system allows %d: run_dir "
		       "is too long",
		       len, PHP_SOCKET_MAX);
}

static void remember_longest(struct php_service *s, const struct webspace *w)
{
	unsigned t = w->php.request_terminate_timeout;

	if (t == 0 || t > REQUEST_MAX_S)
		t = REQUEST_MAX_S;
	if (t > s->longest_request_s)
		s->longest_request_s = t;
}

static bool unchanged(const struct php_pool *p, const struct webspace *w,
		      const struct account *account, const char *version)
{
	return p->fingerprint == w->fingerprint && p->n_lines == p->service->n_lines &&
	       p->uid == account->uid && p->gid == account->gid && strcmp(p->version, version) == 0;
}

/*
 * OPcache tells jails apart by the inode number of their root and nothing else. Two file systems
 * have the same numbers, so who is not on that of the home root gets a master (a cache) alone.
 */
static bool needs_own_cache(const struct host *host, const struct webspace *w)
{
	autoarena struct arena a = { 0 };
	struct stat root, jail;

	return w->php.chroot && stat(host->home_root, &root) == 0 &&
	       stat(arena_printf(&a, "%s/%s/chroot", host->home_root, w->name), &jail) == 0 &&
	       root.st_dev != jail.st_dev;
}

static void line_of(const struct php_pool *p, const struct webspace *w, const char *version,
		    char ret[static PHP_LINE_ROOM])
{
	const struct host *host = p->service->config.host;
	struct webspace as_if = *w;

	if (needs_own_cache(host, w))
		as_if.php.master = MASTER_DEDICATED;
	php_id_line(p->service->n_lines, &as_if, version, p->uid, ret);
}

static int enter(struct php_pool *p, const struct webspace *w, const struct account *account,
		 const char *version, struct err *e)
{
	struct php_service *s = p->service;
	char id[PHP_LINE_ROOM];
	struct fragment *fragment;
	struct php_line *line;
	int r;

	p->uid = account->uid;
	p->gid = account->gid;
	line_of(p, w, version, id);
	r = check_path(s, p->name, id, e);
	if (r == 0)
		r = php_line_get(s, id, &line, e);
	if (r == 0)
		r = render(p, w, version, &fragment, e);
	if (r < 0)
		return r;
	if (!p->line)
		find_former_place(p, w, line);
	remember_longest(s, w);
	php_line_limit(line, w);
	p->fingerprint = w->fingerprint;
	p->n_lines = s->n_lines;
	snprintf(p->version, sizeof(p->version), "%s", version);
	if (p->line == line && !p->next && php_line_has(line, p->name, fragment)) {
		fragment_free(fragment); /* what changed is no affair of PHP's */
		tell_again(p);
		return 0;
	}
	stand(p, CONDITION_UNKNOWN, "Pending", NULL);
	place(p, line, fragment);
	return 0;
}

/* More webspaces than these lines are good for: pools move to new ones as they are looked at. */
static void grow(struct php_service *s)
{
	const struct table *all = s->config.webspaces ? s->config.webspaces : &s->pools;
	unsigned n_lines = php_lines_for(s->config.host, all->count);

	if (n_lines > s->n_lines)
		s->n_lines = n_lines;
}

void php_pool_serve(struct php_service *s, const struct webspace *w)
{
	const struct service_config *c = &s->config;
	struct account account;
	const char *version = "";
	struct err e = { 0 };
	struct php_pool *p;

	if (w->state != STATE_ENABLED || !w->php.enabled) {
		php_pool_withdraw(s, w->name);
		c->condition(w->name, CONDITION_PHP, CONDITION_UNKNOWN, "NotWanted", NULL, c->data);
		return;
	}
	p = pool_get(s, w->name);
	p->leaving = false;
	grow(s);
	if (accounts_get(c->accounts, w->name, &account, &e) < 0) {
		stand(p, CONDITION_FALSE, "NoAccount", e.text);
		return;
	}
	if (version_of(s, w, &version, &e) < 0) {
		p->version[0] = '\0';
		stand(p, CONDITION_FALSE, "VersionMissing", e.text);
		return;
	}
	if (unchanged(p, w, &account, version)) {
		tell_again(p);
		return;
	}
	if (enter(p, w, &account, version, &e) < 0)
		stand(p, CONDITION_FALSE, "Refused", e.text);
}

static void remove_link(struct php_service *s, const char *name)
{
	autoarena struct arena a = { 0 };

	if (s->dir >= 0 && !s->config.dry)
		(void)unlinkat(s->dir, arena_printf(&a, "%s.sock", name), 0);
}

void php_pool_withdraw(struct php_service *s, const char *name)
{
	struct php_pool *p = table_get(&s->pools, name);

	if (!p || p->leaving)
		return;
	p->leaving = s->leaving = true;
	p->version[0] = '\0'; /* coming back is a change */
	if (p->next)
		php_line_set(p->next, name, NULL);
	if (p->line)
		php_line_set(p->line, name, NULL);
	php_service_soon(s);
}

bool php_pool_gone(struct php_service *s, const char *name)
{
	struct php_pool *p = table_get(&s->pools, name);

	if (!p) {
		remove_link(s, name);
		return true;
	}
	if (!p->leaving || (p->line && php_line_holds(p->line, name)) ||
	    (p->next && php_line_holds(p->next, name)))
		return false;
	remove_link(s, name);
	php_pool_free(p);
	return true;
}

static void moved(struct php_pool *p)
{
	struct php_line *old = p->line;

	p->line = take_ptr(p->next);
	p->linked = false;
	put_back_link(p);
	php_line_set(old, p->name, NULL);
	old->left = true;
	php_service_soon(p->service);
}

void php_pool_settled(struct php_line *l, const struct member *m)
{
	struct php_pool *p = table_get(&l->service->pools, m->name);

	if (!p || p->leaving) {
		php_service_soon(l->service);
		return;
	}
	if (p->next && l != p->next && !m->quarantined)
		return; /* the old place; the new one decides */
	if (m->quarantined)
		stand_as(p, l, m);
	if (l->service->config.dry || !m->good)
		return;
	if (is_in_force(l, m) && l == p->next)
		moved(p);
	else if (l == p->line && !p->linked)
		put_back_link(p);
	if (is_in_force(l, m) && l == p->line)
		stand_as(p, l, m);
}

/* Members alone: whose change is held waits, whatever becomes of the line. */
void php_pools_tell(struct php_line *l)
{
	struct table_entry *it;

	table_each (unit_members(l->unit), it) {
		struct php_pool *p = table_get(&l->service->pools, it->key);

		if (p && !p->leaving && place_of(p) == l && told_of_place(p))
			stand_as(p, l, it->value);
	}
}

void php_pools_look(struct php_service *s)
{
	struct table_entry *it;

	table_each (&s->pools, it) {
		struct php_pool *p = it->value;

		if ((p->linked || p->former) && !p->leaving)
			put_back_link(p);
	}
}
