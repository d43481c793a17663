/* PHP and nginx: do they live, and do they serve what was published? */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/loop.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/doctor/doctor.h"
#include "reconcile/services/nginx/listener.h"
#include "reconcile/services/nginx/nginx_instance.h"
#include "reconcile/services/nginx/verify.h"
#include "reconcile/services/php/php.h"
#include "reconcile/units/generation.h"
#include "reconcile/units/members.h"

#define PATIENCE (5 * USEC_PER_SEC)

/* PHP ---------------------------------------------------------------------- */

static int try_socket(const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		return err_set(e, EINVAL, "%s is too long for a socket", path);
	memcpy(a.sun_path, path, strlen(path));
	/* A full queue is a busy pool, not a dead one. */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EAGAIN)
		return err_sys(e, "%s", path);
	return 0;
}

/* Does the master answer at our own pool? */
static int ping(const char *path, struct err *e)
{
	uint64_t until = clock_usec() + PATIENCE;
	struct fastcgi_ask ask;
	const char *said;
	int r;

	fastcgi_ask_init(&ask);
	while ((r = fastcgi_ask_step(&ask, path, PHP_PING_PATH, &said, e)) == 0 &&
	       clock_usec() < until) {
		struct pollfd p = { .fd = ask.fd, .events = POLLIN };

		(void)poll(&p, 1, 100);
	}
	fastcgi_ask_clear(&ask);
	return r == 0 ? err_set(e, ETIMEDOUT, "%s: no answer within 5 s", path) : r < 0 ? r : 0;
}

/* "line/8.2-03/alice.sock" → "8.2-03"; "": there is no link. */
static void line_of(const struct patient *p, char ret[static PHP_LINE_ROOM])
{
	autofree char *path = memory_printf("%s/php/%s.sock", p->host->run_dir, p->name);
	char target[128];

	ret[0] = '\0';
	if (path_read_link(AT_FDCWD, path, target, sizeof(target)) &&
	    strncmp(target, "line/", 5) == 0)
		snprintf(ret, PHP_LINE_ROOM, "%.*s", (int)strcspn(target + 5, "/"), target + 5);
}

static bool wants_php(const struct webspace *w)
{
	return w->state == STATE_ENABLED && w->php.enabled;
}

static enum found php_is_dead(const struct err *e, const char *line, struct buf *said,
			      struct buf *cure)
{
	buf_printf(said, "line %s: %s", line, e->text);
	buf_adds(cure, "a running agent starts its master again: systemctl reload webspaces; its "
		       "log is below log_root, journalctl -u 'webspaces-php@*'");
	return FOUND_WRONG;
}

enum found step_php(struct patient *p, struct buf *said, struct buf *cure)
{
	autofree char *pool = memory_printf("%s/php/%s.sock", p->host->run_dir, p->name);
	autofree char *master = NULL;
	char line[PHP_LINE_ROOM];
	struct err e = { 0 };

	if (!wants_php(p->webspace))
		return FOUND_NOTHING;
	if (patient_has(p, "Php", "Quarantined", said)) {
		buf_printf(cure, "mend php in %s/%s.conf: what was good before is served meanwhile",
			   p->host->config_dir, p->name);
		return FOUND_WRONG;
	}
	if (patient_has(p, "Php", "VersionMissing", said) ||
	    patient_has(p, "Php", "Refused", said)) {
		buf_adds(cure, "install that PHP-FPM, or change php in the file");
		return FOUND_WRONG;
	}
	line_of(p, line);
	if (!*line) {
		buf_printf(said, "it has no pool yet: %s is not there", pool);
		buf_adds(cure, "systemctl reload webspaces");
		return FOUND_WRONG;
	}
	master = memory_printf("%s/php/line/%s/" PHP_OWN_SOCKET, p->host->run_dir, line);
	if (ping(master, &e) < 0 || try_socket(pool, &e) < 0)
		return php_is_dead(&e, line, said, cure);
	buf_printf(said, "its pool is served by line %s, whose master answers", line);
	return FOUND_WELL;
}

/* nginx ----------------------------------------------------------------------- */

struct answer {
	uint64_t generation;
	bool came;
};

static void heard(uint64_t generation, void *data)
{
	struct answer *a = data;

	*a = (struct answer){ generation, true };
}

/* 0: nobody answers. */
static uint64_t generation_served(const struct host *h)
{
	autofree char *path =
		memory_printf("%s/nginx/%s", h->run_dir, nginx_instance_of(h)->socket);
	uint64_t until = clock_usec() + PATIENCE;
	struct answer a = { 0 };
	struct loop *loop = NULL;
	struct verify *v;
	struct err e;

	if (loop_open(&loop, &e) < 0)
		return 0;
	if (verify_ask(loop, path, heard, &a, &v, &e) == 0)
		while (!a.came && clock_usec() < until)
			(void)loop_step(loop, 100 * USEC_PER_MSEC);
	loop_close(loop);
	return a.generation;
}

static uint64_t generation_published(const struct host *h)
{
	autofd int dir = generation_open(h, nginx_instance_of(h)->generations, false, NULL);

	return generation_current(dir);
}

/* Somebody else at one of our addresses is why ours is not there. */
static bool say_holder(const struct text_list *addresses, struct buf *said)
{
	struct err e = { 0 };

	for (size_t i = 0; i < addresses->count; i++)
		if (listener_check(addresses->items[i], &e) < 0) {
			buf_printf(said, "nginx does not run: %s", e.text);
			return true;
		}
	return false;
}

static enum found nginx_is_dead(const struct patient *p, struct buf *said, struct buf *cure)
{
	bool is_ours = nginx_instance_of(p->host)->is_ours;
	struct err e = { 0 };

	if (listener_check_addresses(p->host, &e) < 0) {
		buf_adds(said, e.text);
		buf_adds(cure, "give the host that address, or say another in webspaces.conf and "
			       "restart the agent");
		return FOUND_WRONG;
	}
	if (is_ours &&
	    (say_holder(&p->host->nginx.http, said) || say_holder(&p->host->nginx.https, said))) {
		buf_adds(cure, "stop that program (or move its sites into webspaces), or have ours "
			       "served by it: nginx = { instance = \"system\"; } in "
			       "webspaces.conf");
		return FOUND_WRONG;
	}
	buf_adds(said,
		 is_ours ? "nginx does not answer" : "the host's own nginx does not serve it");
	if (json_text(patient_condition(p, "Sites"), "message"))
		buf_printf(said, ": %s", json_text(patient_condition(p, "Sites"), "message"));
	if (is_ours)
		buf_printf(cure,
			   "a running agent starts it: systemctl reload webspaces; its log is "
			   "%s/nginx-error.log",
			   p->host->log_root);
	else
		buf_adds(cure, "nginx -t says whether its configuration is right; systemctl start "
			       "nginx, where it does not run; then systemctl reload webspaces");
	return FOUND_WRONG;
}

enum found step_nginx(struct patient *p, struct buf *said, struct buf *cure)
{
	uint64_t published = generation_published(p->host), served = generation_served(p->host);

	if (served == 0)
		return nginx_is_dead(p, said, cure);
	if (served != published) {
		buf_printf(said, "it serves generation %" PRIu64 ", but %" PRIu64 " is published",
			   served, published);
		buf_printf(cure,
			   "systemctl reload webspaces; if that does not help, %s/nginx-error.log "
			   "says why it does not load it",
			   p->host->log_root);
		return FOUND_WRONG;
	}
	buf_printf(said, "serves generation %" PRIu64 ", the one that is published%s%s", served,
		   p->host->left_out ? "; " : "", p->host->left_out ?: "");
	return FOUND_WELL;
}

struct search {
	const char *name;
	bool found;
};

static void is_member(const char *name, struct fragment *fragment, void *data)
{
	struct search *s = data;

	s->found |= strcmp(name, s->name) == 0;
	fragment_free(fragment);
}

enum found step_site(struct patient *p, struct buf *said, struct buf *cure)
{
	autofd int dir =
		generation_open(p->host, nginx_instance_of(p->host)->generations, false, NULL);
	size_t len = 0;
	autofree char *text = generation_read(dir, generation_current(dir), MEMBERS_FILE, &len);
	struct search s = { .name = p->name };
	size_t n;

	if (patient_has(p, "Sites", "Quarantined", said)) {
		buf_printf(cure,
			   "mend its sites in %s/%s.conf: what was good before is served meanwhile",
			   p->host->config_dir, p->name);
		return FOUND_WRONG;
	}
	if (text)
		(void)members_read(text, len, is_member, &s);
	if (!s.found) {
		buf_adds(said, "it is not part of what nginx serves");
		buf_printf(cure, "webspaces status %s says what it waits for", p->name);
		return FOUND_WRONG;
	}
	buf_adds(said, "part of what nginx serves");
	n = doctor_htaccess_count(p);
	if (n > 0) {
		buf_printf(said, "; %zu .htaccess file%s in its tree %s ignored: nginx reads none",
			   n, n == 1 ? "" : "s", n == 1 ? "is" : "are");
		buf_adds(cure,
			 "what they deny is served: write their rules into the webspace's file, "
			 "or move what nobody may see out of the site's root");
		return FOUND_HINT;
	}
	return FOUND_WELL;
}
