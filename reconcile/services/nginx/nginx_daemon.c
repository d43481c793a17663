/*
 * See nginx_daemon.h. Two things keep nginx from starting that a check of its
 * configuration does not see: a port that somebody else has, and a socket file
 * that a killed nginx left. Both are looked at before each start; a port gets a
 * moment, because the workers of a killed master may still be on their way out.
 *
 * An nginx that was still starting when its agent died is found late: by its pid
 * file, or as the holder of the socket. So one is looked for before each start
 * and after each that failed, and an answer counts only if ours has given it.
 *
 * The host's own nginx is never started or ended. Where it does not run we wait,
 * first for the moment that a restart takes, then as for any fault of the host.
 */
#include "reconcile/services/nginx/nginx_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "reconcile/service.h"
#include "reconcile/services/nginx/handover.h"
#include "reconcile/services/nginx/host_include.h"
#include "reconcile/services/nginx/listener.h"
#include "reconcile/services/nginx/nginx_instance.h"
#include "reconcile/services/nginx/nginx_places.h"
#include "reconcile/services/nginx/verify.h"

#define SYSTEM_PID_FILE "/run/nginx.pid" /* as Debian's nginx is built */
#define STALE_SECONDS   2                /* nginx needs less between bind and listen */

/*
 * After new workers are up the master gives the old ones another 100 ms before it tells them
 * to accept no more. Until then either may answer anybody.
 */
#define HAND_OVER (120 * USEC_PER_MSEC)

struct nginx_daemon {
	struct nginx_daemon_config config;
	const struct nginx_instance *instance;
	struct arena arena; /* of argv */
	const char *const *argv;
	char *pid_file, *log_file, *socket;
	struct nginx_around around; /* the host's own: what it has besides us */
	unsigned patience_usec;
	struct daemon *process; /* NULL: none that we know */
	struct verify *question;
	pid_t questioned;      /* who listened where it was asked */
	uint64_t serves;       /* its last answer, 0: none yet */
	uint64_t serves_since; /* the first of the answers that were the same since */
	uint64_t hand_over;    /* how long answers have to be the same */
	bool asked;            /* was ever asked, and answered or did not */
	uint64_t wait_until;   /* ports, or the host's own, are waited for; 0: nothing is */
	char how[512];         /* how the last one ended */
};

/* Asking ------------------------------------------------------------- */

static void heard(uint64_t generation, void *data)
{
	struct nginx_daemon *d = data;
	bool news;

	d->question = NULL;
	/* Another's answer. But the host's own may have its sockets from the one before it. */
	if (!d->process || (d->instance->is_ours && d->questioned != d->process->pid))
		generation = 0;
	news = !d->asked || generation != d->serves;
	if (news)
		d->serves_since = clock_usec();
	d->serves = generation;
	d->asked = true;
	if (news)
		d->config.answered(d->config.data);
}

/* One question at a time. */
static void ask(struct nginx_daemon *d)
{
	struct err e;

	if (d->question || !d->process)
		return;
	if (verify_ask(d->config.loop, d->socket, heard, d, &d->question, &e) == 0)
		d->questioned = verify_holder(d->question);
}

/* Starting ----------------------------------------------------------- */

/* A socket file that nobody answers at keeps nginx from starting. */
static int remove_stale_socket(struct nginx_daemon *d, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(e, "socket");
	if (strlen(d->socket) >= sizeof(a.sun_path))
		return err_set(e, EHOSTDOWN, "%s is too long for a socket", d->socket);
	memcpy(a.sun_path, d->socket, strlen(d->socket));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN)
		return err_set(e, EADDRINUSE, "another nginx answers at %s", d->socket);
	if (errno == ECONNREFUSED && unlink(d->socket) < 0)
		return err_sys(e, "remove the stale socket %s", d->socket);
	return 0;
}

/* Of the host's own, also while it may be starting by somebody else's hand: not one that it has just made. */
static void remove_old_socket(struct nginx_daemon *d)
{
	struct stat st;
	struct err e;

	if (lstat(d->socket, &st) == 0 && clock_wall() - st.st_ctim.tv_sec > STALE_SECONDS)
		(void)remove_stale_socket(d, &e);
}

static void ended(struct daemon *process, const char *how, void *data)
{
	struct nginx_daemon *d = data;
	bool served = d->serves != 0, asked = d->asked;

	(void)process;
	d->process = NULL;
	d->serves = 0;
	d->asked = true;
	verify_drop(take_ptr(d->question));
	snprintf(d->how, sizeof(d->how), "%s", how);
	if (!d->instance
		     ->is_ours) /* it could not be started by anybody while the socket is there */
		remove_old_socket(d);
	if (served)
		d->config.died(d->how, d->config.data);
	else if (!asked) /* somebody may wait for what will not be said any more */
		d->config.answered(d->config.data);
}

static struct daemon_spec spec_of(struct nginx_daemon *d)
{
	return (struct daemon_spec){
		.unit = d->instance->unit,
		.argv = d->argv,
		.pid_file = d->pid_file,
		.log_file = d->log_file,
		.foreign = !d->instance->is_ours,
	};
}

/* The process that made the socket listen, which is a master, not its workers; 0: none. */
static pid_t socket_holder(struct nginx_daemon *d)
{
	struct verify *v;
	struct err e;
	pid_t pid;

	if (verify_ask(d->config.loop, d->socket, NULL, NULL, &v, &e) < 0)
		return 0;
	pid = verify_holder(v);
	verify_drop(v);
	return pid;
}

/* Finds one of our configuration that runs: by its pid file, or as holder of the socket. */
static bool adopt(struct nginx_daemon *d)
{
	struct manager *m = d->config.manager;
	struct daemon_spec spec = spec_of(d);
	struct err e;

	if (m->type->adopt(m->self, &spec, ended, d, &d->process, &e) == 0)
		return true;
	spec.pid = socket_holder(d);
	/* One that listens already but does not catch SIGHUP yet would die of it. */
	if (spec.pid > 1 && spawn_catches(spec.pid, SIGHUP) &&
	    m->type->adopt(m->self, &spec, ended, d, &d->process, &e) == 0)
		return true;
	d->process = NULL;
	return false;
}

/* shared: those that are not to be free. */
static int ports_check(const struct text_list *addresses, uint64_t shared, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < addresses->count; i++)
		if (i >= NGINX_ADDRESSES_MAX || !(shared >> i & 1))
			r = listener_check(addresses->items[i], e);
	return r;
}

/* The host's own does not have us yet: what we are to be served at has to be free. */
static int take_over(struct nginx_daemon *d, struct err *e)
{
	const struct host *h = d->config.host;
	int r;

	if (socket_holder(d) > 0)
		return 0;
	if (!d->wait_until) /* not at each try */
		handover_from_own(h, d->config.manager);
	remove_old_socket(d);
	r = ports_check(&h->nginx.http, d->around.http_shared, e);
	return r < 0 ? r : ports_check(&h->nginx.https, d->around.https_shared, e);
}

static int reload(struct nginx_daemon *d, struct err *e)
{
	struct manager *m = d->config.manager;
	int r = d->instance->is_ours ? 0 : take_over(d, e);

	if (r < 0)
		return r;
	d->wait_until = 0;
	d->hand_over = HAND_OVER;
	return m->type->signal(m->self, d->process, SIGHUP, e);
}

static int start(struct nginx_daemon *d, struct err *e)
{
	const struct host *h = d->config.host;
	struct manager *m = d->config.manager;
	struct daemon_spec spec = spec_of(d);
	int r = remove_stale_socket(d, e);

	if (r == 0)
		r = ports_check(&h->nginx.http, 0, e);
	if (r == 0)
		r = ports_check(&h->nginx.https, 0, e);
	if (r == 0)
		r = m->type->start(m->self, &spec, ended, d, &d->process, e);
	if (r == 0)
		d->wait_until = 0;
	return r;
}

static int not_running(struct nginx_daemon *d, struct err *e)
{
	remove_old_socket(d);
	return err_set(e, EHOSTDOWN,
		       "the host's own nginx does not run (no process of %s by %s): it is to be "
		       "started as ever, by `systemctl start nginx`",
		       d->config.host->nginx.binary, d->pid_file);
}

static int bring_up(struct nginx_daemon *d, struct err *e)
{
	int r = nginx_places_make(d->config.host, e);

	if (r < 0)
		return r;
	if (d->process || adopt(d))
		return reload(d, e);
	return d->instance->is_ours ? start(d, e) : not_running(d, e);
}

/* May it pass if we wait a little? */
static bool may_pass(int r)
{
	return r == -EADDRINUSE || r == -EHOSTDOWN;
}

int nginx_daemon_load(struct nginx_daemon *d, struct err *e)
{
	int r;

	d->hand_over = 0;
	d->wait_until = 0;
	r = bring_up(d, e);
	if (!may_pass(r))
		return r;
	d->wait_until = clock_usec() + d->patience_usec;
	return 0;
}

/* It may have lost against one that was not to be seen yet; the host's own may be on its way back. */
static int find_again(struct nginx_daemon *d, struct err *e)
{
	if (!d->instance->is_ours)
		return nginx_daemon_load(d, e);
	return adopt(d) ? reload(d, e) : err_set(e, ECONNREFUSED, "nginx: %s", d->how);
}

int nginx_daemon_probe(struct nginx_daemon *d, uint64_t generation, struct err *e)
{
	if (d->wait_until) {
		bool late = clock_usec() > d->wait_until;
		int r = bring_up(d, e);

		if (r < 0 && (late || !may_pass(r))) {
			d->wait_until = 0;
			return r;
		}
		return 0;
	}
	if (!d->process)
		return find_again(d, e);
	if (d->serves == generation && clock_usec() - d->serves_since >= d->hand_over)
		return 1;
	ask(d);
	return 0;
}

bool nginx_daemon_serves(struct nginx_daemon *d, uint64_t generation)
{
	ask(d);
	return d->process && d->serves == generation;
}

bool nginx_daemon_is_asked(const struct nginx_daemon *d)
{
	return d->process && !d->asked;
}

bool nginx_daemon_is_up(const struct nginx_daemon *d)
{
	return d->process && d->serves != 0;
}

void nginx_daemon_stop(struct nginx_daemon *d)
{
	struct manager *m = d->config.manager;

	d->wait_until = 0;
	d->serves = 0; /* its end is no surprise */
	if (d->process)
		(void)m->type->signal(m->self, d->process, d->instance->is_ours ? SIGTERM : SIGHUP,
				      NULL);
}

/* Opening ------------------------------------------------------------ */

const char *nginx_daemon_pid_file(const struct host *host, struct arena *a)
{
	return nginx_instance_of(host)->is_ours
		       ? arena_printf(a, "%s/nginx/nginx.pid", host->run_dir)
		       : SYSTEM_PID_FILE;
}

static struct nginx_daemon *daemon_new(const struct nginx_daemon_config *config)
{
	const struct host *h = config->host;
	const struct nginx_instance *instance = nginx_instance_of(h);
	struct nginx_daemon *d = memory_new(sizeof(*d));

	d->config = *config;
	d->instance = instance;
	d->patience_usec = instance->patience_usec;
	d->argv = instance->argv(h, &d->arena);
	d->pid_file = memory_dup(nginx_daemon_pid_file(h, &d->arena));
	d->log_file = instance->is_ours ? memory_printf("%s/" NGINX_LOG, h->log_root) : NULL;
	d->socket = memory_printf("%s/nginx/%s", h->run_dir, instance->socket);
	return d;
}

static void look_for(struct nginx_daemon *d)
{
	if (!d->process && adopt(d)) {
		ask(d);
		d->asked = d->question == NULL; /* nobody answers there: that is an answer */
	}
}

void nginx_daemon_follow(struct nginx_daemon *d, const struct survey *s)
{
	d->around = s->around;
	if (s->pid_file) {
		free(d->pid_file);
		d->pid_file = memory_dup(s->pid_file);
	}
	host_include_note_pid_file(d->config.world, d->pid_file);
	look_for(d);
}

int nginx_daemon_look(struct nginx_daemon *d, struct err *e)
{
	const struct nginx_daemon_config *c = &d->config;

	return d->instance->is_ours ? nginx_places_make(c->host, e)
				    : host_include_put(c->world, c->host, e);
}

/*
 * Makes the host's own read us, or no longer do so. Where the include file cannot be put, the
 * survey will say so too, as the host's fault.
 */
static int open_instance(struct nginx_daemon *d, struct err *e)
{
	const struct nginx_daemon_config *c = &d->config;
	int r;

	if (!d->instance->is_ours) {
		(void)host_include_put(c->world, c->host, e);
		return 0;
	}
	r = handover_from_system(c->world, c->host, c->manager, e);
	if (r > 0) /* its old workers have our ports until they have heard of it */
		d->patience_usec = nginx_system.patience_usec;
	look_for(d);
	return r;
}

int nginx_daemon_open(const struct nginx_daemon_config *config, struct nginx_daemon **ret,
		      struct err *e)
{
	struct nginx_daemon *d;
	int r = nginx_places_make(config->host, e);

	if (r < 0)
		return err_in(e, "nginx");
	d = daemon_new(config);
	r = open_instance(d, e);
	if (r < 0) {
		nginx_daemon_close(d);
		return err_in(e, "nginx");
	}
	*ret = d;
	return 0;
}

void nginx_daemon_close(struct nginx_daemon *d)
{
	if (!d)
		return;
	verify_drop(d->question);
	if (d->process)
		d->config.manager->type->release(d->config.manager->self, d->process);
	arena_clear(&d->arena);
	free(d->pid_file);
	free(d->log_file);
	free(d->socket);
	free(d);
}

/* As the agent would start it: what it looks at before each start is looked at here too. */
int nginx_exec(const struct host *host, struct err *e)
{
	struct nginx_daemon *d = daemon_new(&(struct nginx_daemon_config){ .host = host });
	int r = nginx_places_make(host, e);

	if (r == 0)
		r = remove_stale_socket(d, e);
	if (r == 0) {
		(void)execve(d->argv[0], (char *const *)d->argv, (char *const *)nginx_environment);
		r = err_sys(e, "%s", d->argv[0]);
	}
	nginx_daemon_close(d);
	return err_in(e, "nginx");
}
