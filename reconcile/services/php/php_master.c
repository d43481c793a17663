/*
 * One php-fpm master: started in a directory of its own, named by where it
 * serves and what, and never reloaded. Its sockets, its pid file and the answer
 * to our ping come from its environment, so one configuration serves any number
 * of masters.
 *
 * It has an IPC namespace of its own: System V memory, semaphores and queues are
 * neither the host's nor another master's, and end with it.
 *
 * Its directory is root's and the web user's alone (0710): PHP without a jail
 * cannot even see whose sockets lie there, and the sockets are 0600.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/own_places.h"
#include "reconcile/services/php/php.h"
#include "renderers/renderers.h"

#define ATTEMPTS_MAX 1000
#define PHP_ENV_ROOM 32

const char *master_path(const struct host *host, const char *id, struct arena *a)
{
	return arena_printf(a, "%s/php/masters/%s", host->run_dir, id);
}

void php_command(const struct host *host, const struct php_command *c, struct arena *a,
		 const char *const **ret_argv, const char *const **ret_env)
{
	const char **argv = arena_new(a, 8 * sizeof(*argv));
	const char **env = arena_new(a, PHP_ENV_ROOM * sizeof(*env));
	const char *const *values = php_environment(host, c->sockets, c->generation, a);
	size_t n = 0;

	argv[n++] = php_program(host, c->version, a);
	argv[n++] = c->test ? "--test" : "--nodaemonize";
	argv[n++] = "--fpm-config";
	argv[n++] = arena_printf(a, "%s/%s", c->dir, c->conf);
	argv[n++] = "-c";
	argv[n++] = arena_printf(a, "/etc/php/%s/fpm", c->version);
	n = 0;
	env[n++] = "PATH=/usr/local/bin:/usr/bin:/bin";
	env[n++] = "LANG=C.UTF-8";
	/* Ours comes last: it wins over the distribution's. */
	env[n++] =
		arena_printf(a, "PHP_INI_SCAN_DIR=/etc/php/%s/fpm/conf.d:%s", c->version, c->dir);
	for (size_t i = 0; values[i] && n < PHP_ENV_ROOM - 1; i++)
		env[n++] = values[i];
	*ret_argv = argv;
	*ret_env = env;
}

int master_spec(const struct host *host, const char *id, struct arena *a, struct daemon_spec *ret,
		struct err *e)
{
	struct php_command c = { 0 };
	struct php_id parts;

	if (!php_id_parse_master(id, &parts))
		return err_set(e, EINVAL, "%s is not the name of a PHP master", id);
	c.version = arena_dup(a, parts.version);
	c.dir = arena_printf(a, "%s/php/%s/%llu", host->state_dir, parts.line,
			     (unsigned long long)parts.generation);
	c.conf = PHP_CONF;
	c.sockets = master_path(host, id, a);
	c.generation = arena_printf(a, "%llu", (unsigned long long)parts.generation);
	*ret = (struct daemon_spec){
		.unit = arena_printf(a, "webspaces-php@%s.service", id),
		.pid_file = arena_printf(a, "%s/" PHP_PID_FILE, c.sockets),
		.own_ipc = true,
		.log_file = arena_printf(a, "%s/php-%s.log", host->log_root, parts.line),
	};
	php_command(host, &c, a, &ret->argv, &ret->env);
	return 0;
}

/* systemd wants to hear from the master itself when it is ready. */
static const char *const *with_notify(const char *const *env, struct arena *a)
{
	const char *socket = getenv("NOTIFY_SOCKET");
	const char **more = arena_new(a, (PHP_ENV_ROOM + 1) * sizeof(*more));
	size_t n = 0;

	for (; env[n]; n++)
		more[n] = env[n];
	if (socket)
		more[n] = arena_printf(a, "NOTIFY_SOCKET=%s", socket);
	return more;
}

int php_exec(const struct host *host, const char *id, struct err *e)
{
	autoarena struct arena a = { 0 };
	struct daemon_spec spec;
	int r = master_spec(host, id, &a, &spec, e);

	if (r < 0)
		return r;
	if (spec.own_ipc && unshare(CLONE_NEWIPC) < 0)
		return err_sys(e, "unshare an IPC namespace");
	umask(022);
	(void)execve(spec.argv[0], (char *const *)spec.argv,
		     (char *const *)with_notify(spec.env, &a));
	return err_sys(e, "%s", spec.argv[0]);
}

static void came(struct master *m, enum master_state state)
{
	m->state = state;
	m->since_usec = clock_usec();
}

static void ended(struct daemon *d, const char *how, void *data)
{
	struct master *m = data;
	struct php_service *s = m->service;

	(void)d;
	m->daemon = NULL;
	m->end = memory_dup(how);
	if (m->line)
		php_line_ended(m->line, m, how);
	/* One that serves or starts stays known to its line, which replaces it. */
	if (m->state >= PHP_DRAINING)
		master_forget(m);
	php_service_soon(s);
}

static struct master *master_new(struct php_service *s, struct php_line *line, const char *id)
{
	struct master *m = memory_new(sizeof(*m));
	struct php_id parts;

	snprintf(m->id, sizeof(m->id), "%s", id);
	if (php_id_parse_master(id, &parts))
		m->generation = parts.generation;
	m->service = s;
	m->line = line;
	m->next = s->masters;
	s->masters = m;
	return m;
}

static void unlink_from_list(struct master *m)
{
	struct master **at = &m->service->masters;

	while (*at && *at != m)
		at = &(*at)->next;
	if (*at)
		*at = m->next;
}

void master_forget(struct master *m)
{
	if (!m)
		return;
	if (m->daemon)
		m->service->config.manager->type->release(m->service->config.manager->self,
							  m->daemon);
	else
		(void)path_remove_tree(m->service->masters_dir, m->id, NULL);
	if (m->line && m->state >= PHP_DRAINING)
		m->line->n_draining--;
	unlink_from_list(m);
	queues_return(m->queues);
	free(m->end);
	free(m);
}

/* A new directory for a new master; its name is the master's id. */
static int make_dir(struct php_line *line, uint64_t generation, char id[PHP_MASTER_ROOM],
		    struct err *e)
{
	struct php_service *s = line->service;
	unsigned n = 1;

	for (; n <= ATTEMPTS_MAX; n++) {
		snprintf(id, PHP_MASTER_ROOM, "%s.%llu.%u", line->id,
			 (unsigned long long)generation, n);
		if (mkdirat(s->masters_dir, id, 0700) == 0)
			break;
		if (errno != EEXIST)
			return err_sys(e, "make the directory of PHP master %s", id);
	}
	if (n > ATTEMPTS_MAX)
		return err_set(e, EEXIST, "too many directories of PHP masters %s", id);
	if (fchownat(s->masters_dir, id, 0, s->config.host->web_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(s->masters_dir, id, 0710, 0) < 0)
		return err_sys(e, "set up the directory of PHP master %s", id);
	return 0;
}

int master_start(struct php_line *line, uint64_t generation, struct master **ret, struct err *e)
{
	struct php_service *s = line->service;
	struct manager *manager = s->config.manager;
	autoarena struct arena a = { 0 };
	struct daemon_spec spec;
	char id[PHP_MASTER_ROOM];
	struct master *m;
	int r;

	r = make_dir(line, generation, id, e);
	if (r == 0)
		r = master_spec(s->config.host, id, &a, &spec, e);
	if (r < 0)
		return r;
	(void)own_places_log(s->config.host, strrchr(spec.log_file, '/') + 1,
			     NULL); /* else it says why */
	spec.limits = &line->limits;
	m = master_new(s, line, id);
	came(m, PHP_STARTING);
	r = manager->type->start(manager->self, &spec, ended, m, &m->daemon, e);
	if (r < 0) {
		m->daemon = NULL;
		master_forget(m);
		return err_in(e, "start PHP master %s", id);
	}
	*ret = m;
	return 0;
}

int master_adopt(struct php_service *s, struct php_line *line, const char *id, struct master **ret,
		 struct err *e)
{
	struct manager *manager = s->config.manager;
	autoarena struct arena a = { 0 };
	struct daemon_spec spec;
	struct daemon *daemon;
	struct master *m;
	int r;

	r = master_spec(s->config.host, id, &a, &spec, e);
	if (r < 0)
		return r;
	m = master_new(s, line, id);
	came(m, PHP_SERVING);
	r = manager->type->adopt(manager->self, &spec, ended, m, &daemon, e);
	if (r < 0) {
		unlink_from_list(m);
		free(m);
		return r;
	}
	m->daemon = daemon;
	master_limit(m); /* they may have changed while nobody looked */
	*ret = m;
	return 0;
}

/* php-fpm writes its pid file once, when it starts; an adopted one tells as well as one of ours. */
bool master_is_older(const struct master *m, uint64_t usec)
{
	autoarena struct arena a = { 0 };
	const char *pid_file = arena_printf(&a, "%s/" PHP_PID_FILE, m->id);
	struct stat st;

	if (fstatat(m->service->masters_dir, pid_file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return (uint64_t)st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t)st.st_mtim.tv_nsec / 1000 <
	       usec;
}

static void let_go(struct master *m, enum master_state state)
{
	if (!m->daemon) {
		master_forget(m);
		return;
	}
	if (m->line && m->state < PHP_DRAINING)
		m->line->n_draining++;
	m->n_quiet = 0;
	came(m, state);
	php_drain_wake(m->service);
}

void master_drain(struct master *m)
{
	let_go(m, PHP_DRAINING);
}

void master_end(struct master *m)
{
	struct manager *manager = m->service->config.manager;

	if (m->daemon)
		(void)manager->type->signal(manager->self, m->daemon, SIGQUIT, NULL);
	let_go(m, PHP_ENDING);
}
