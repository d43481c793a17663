/*
 * See nginx_daemon.h. Two things keep nginx from starting that a check of its
 * configuration does not see: a port that somebody else has, and a socket file
 * that a killed nginx left. Both are looked at before each start; a port gets a
 * moment, because the workers of a killed master may still be on their way out.
 *
 * An nginx that was still starting when its agent died is found late: by its pid
 * file, or as the holder of the socket. So one is looked for before each start
 * and after each that failed, and an answer counts only if ours has given it.
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
#include "reconcile/service.h"
#include "reconcile/services/nginx/listener.h"
#include "reconcile/services/nginx/verify.h"

#define PORT_PATIENCE (500 * USEC_PER_MSEC)

/*
 * After new workers are up the master gives the old ones another 100 ms before it tells them
 * to accept no more. Until then either may answer anybody.
 */
#define HAND_OVER (120 * USEC_PER_MSEC)

struct nginx_daemon {
	struct nginx_daemon_config config;
	char *conf, *pid_file, *log_file, *socket;
	const char *argv[6];
	struct daemon *process; /* NULL: none that we know */
	struct verify *question;
	pid_t questioned;      /* who listened where it was asked */
	uint64_t serves;       /* its last answer, 0: none yet */
	uint64_t serves_since; /* the first of the answers that were the same since */
	uint64_t hand_over;    /* how long answers have to be the same */
	bool asked;            /* was ever asked, and answered or did not */
	uint64_t ports_until;  /* a start waits for its ports; 0: none does */
	char how[512];         /* how the last one ended */
};

/* Directories -------------------------------------------------------- */

struct place {
	const char *path;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

static int place_make(const struct place *p, struct err *e)
{
	autofd int fd = -1;
	struct stat st;
	int r = path_make_dirs(p->path, p->mode, e);

	if (r < 0)
		return r;
	fd = path_open_dir(p->path, e);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "%s", p->path);
	if (st.st_uid == p->uid && st.st_gid == p->gid && (st.st_mode & 07777) == p->mode)
		return 0;
	if (fchown(fd, p->uid, p->gid) < 0 || fchmod(fd, p->mode) < 0)
		return err_sys(e, "%s", p->path);
	return 0;
}

/* Workers pass through the parents; only those that are made here get a mode, the admin's stay. */
static int parents_make(const struct host *h, struct err *e)
{
	int r = path_make_dirs(h->state_dir, 0711, e);

	if (r >= 0)
		r = path_make_dirs(h->run_dir, 0755, e);
	if (r >= 0)
		r = path_make_dirs(h->log_root, 0755, e);
	return r;
}

/*
 * The temporary directories are the web user's, the one they lie in is not: as root, nginx makes
 * them and gives them to the web user by path, who could have put a link there. What lies in http01
 * is said to everybody; but only who knows a token finds it.
 */
static int places_make(const struct host *h, struct err *e)
{
	autofree char *run = memory_printf("%s/nginx", h->run_dir);
	autofree char *temp = memory_printf("%s/nginx-temp", h->state_dir);
	autofree char *http01 = memory_printf("%s/http01", h->run_dir);
	autofree char *known = memory_printf("%s/.well-known", http01);
	autofree char *challenges = memory_printf("%s/acme-challenge", known);
	const struct place places[] = {
		{ run, 0, 0, 0700 },
		{ temp, 0, h->web_gid, 0710 },
		{ http01, 0, h->web_gid, 0710 },
		{ known, 0, h->web_gid, 0710 },
		{ challenges, 0, h->web_gid, 0710 },
	};
	int r = parents_make(h, e);

	for (size_t i = 0; r >= 0 && i < ELEMENTS(places); i++)
		r = place_make(&places[i], e);
	return r < 0 ? r : 0;
}

/* Asking ------------------------------------------------------------- */

static void heard(uint64_t generation, void *data)
{
	struct nginx_daemon *d = data;
	bool news;

	d->question = NULL;
	if (!d->process || d->questioned != d->process->pid)
		generation = 0; /* another's answer */
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
	if (served)
		d->config.died(d->how, d->config.data);
	else if (!asked) /* somebody may wait for what will not be said any more */
		d->config.answered(d->config.data);
}

static struct daemon_spec spec_of(struct nginx_daemon *d)
{
	return (struct daemon_spec){
		.unit = "webspaces-nginx.service",
		.argv = d->argv,
		.pid_file = d->pid_file,
		.log_file = d->log_file,
	};
}

/* One that listens already but does not catch SIGHUP yet would die of it. */
static bool catches_hup(pid_t pid)
{
	char path[40], line[200];
	unsigned long long caught = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SigCgt: %llx", &caught) == 1)
			break;
	if (f)
		fclose(f);
	return caught >> (SIGHUP - 1) & 1;
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
	if (spec.pid > 1 && catches_hup(spec.pid) &&
	    m->type->adopt(m->self, &spec, ended, d, &d->process, &e) == 0)
		return true;
	d->process = NULL;
	return false;
}

static int reload(struct nginx_daemon *d, struct err *e)
{
	struct manager *m = d->config.manager;

	d->ports_until = 0;
	d->hand_over = HAND_OVER;
	return m->type->signal(m->self, d->process, SIGHUP, e);
}

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

static int ports_check(const struct text_list *addresses, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < addresses->count; i++)
		r = listener_check(addresses->items[i], e);
	return r;
}

static int start(struct nginx_daemon *d, struct err *e)
{
	const struct host *h = d->config.host;
	struct manager *m = d->config.manager;
	struct daemon_spec spec = spec_of(d);
	int r = places_make(h, e);

	if (r == 0 && adopt(d))
		return reload(d, e);
	if (r == 0)
		r = remove_stale_socket(d, e);
	if (r == 0)
		r = ports_check(&h->nginx.http, e);
	if (r == 0)
		r = ports_check(&h->nginx.https, e);
	if (r == 0)
		r = m->type->start(m->self, &spec, ended, d, &d->process, e);
	if (r == 0)
		d->ports_until = 0;
	return r;
}

int nginx_daemon_load(struct nginx_daemon *d, struct err *e)
{
	int r;

	if (d->process)
		return reload(d, e);
	d->hand_over = 0;
	r = start(d, e);
	if (r != -EADDRINUSE)
		return r;
	d->ports_until = clock_usec() + PORT_PATIENCE;
	return 0;
}

int nginx_daemon_probe(struct nginx_daemon *d, uint64_t generation, struct err *e)
{
	if (d->ports_until) {
		bool late = clock_usec() > d->ports_until;
		int r = start(d, e);

		if (r < 0 && (late || r != -EADDRINUSE)) {
			d->ports_until = 0;
			return r;
		}
		return 0;
	}
	if (!d->process) /* it may have lost against one that was not to be seen yet */
		return adopt(d) ? reload(d, e) : err_set(e, ECONNREFUSED, "nginx: %s", d->how);
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

	d->ports_until = 0;
	d->serves = 0; /* its end is no surprise */
	if (d->process)
		(void)m->type->signal(m->self, d->process, SIGTERM, NULL);
}

/* Opening ------------------------------------------------------------ */

static struct nginx_daemon *daemon_new(const struct nginx_daemon_config *config)
{
	const struct host *h = config->host;
	struct nginx_daemon *d = memory_new(sizeof(*d));

	d->config = *config;
	d->conf = memory_printf("%s/nginx/current/nginx.conf", h->state_dir);
	d->pid_file = memory_printf("%s/nginx/nginx.pid", h->run_dir);
	d->log_file = memory_printf("%s/nginx-error.log", h->log_root);
	d->socket = memory_printf("%s/nginx/verify.sock", h->run_dir);
	memcpy(d->argv,
	       (const char *[]){ h->nginx.binary, "-c", d->conf, "-g", "daemon off;", NULL },
	       sizeof(d->argv));
	return d;
}

int nginx_daemon_open(const struct nginx_daemon_config *config, struct nginx_daemon **ret,
		      struct err *e)
{
	struct nginx_daemon *d;
	int r = places_make(config->host, e);

	if (r < 0)
		return err_in(e, "nginx");
	d = daemon_new(config);
	if (adopt(d)) {
		ask(d);
		d->asked = d->question == NULL; /* nobody answers there: that is an answer */
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
	free(d->conf);
	free(d->pid_file);
	free(d->log_file);
	free(d->socket);
	free(d);
}

/* As the agent would start it: what it looks at before each start is looked at here too. */
int nginx_exec(const struct host *host, struct err *e)
{
	static const char *const env[] = { "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
					   "LANG=C.UTF-8", NULL };
	struct nginx_daemon *d = daemon_new(&(struct nginx_daemon_config){ .host = host });
	int r = places_make(host, e);

	if (r == 0)
		r = remove_stale_socket(d, e);
	if (r == 0) {
		(void)execve(d->argv[0], (char *const *)d->argv, (char *const *)env);
		r = err_sys(e, "%s", d->argv[0]);
	}
	nginx_daemon_close(d);
	return err_in(e, "nginx");
}
