/* See handover.h. Whoever is told is found by its pid file, and not followed. */
#include "reconcile/services/nginx/handover.h"

#include <signal.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/services/nginx/host_include.h"

/* Never called: it is released at once. */
static void ended(struct daemon *d, const char *how, void *data)
{
	(void)d;
	(void)how;
	(void)data;
}

static void tell(const struct nginx_instance *instance, const struct host *host, struct manager *m,
		 const char *pid_file, int signo)
{
	autoarena struct arena a = { 0 };
	const struct daemon_spec spec = {
		.unit = instance->unit,
		.argv = instance->argv(host, &a),
		.pid_file = pid_file,
		.foreign = !instance->is_ours,
	};
	struct daemon *d;
	struct err e;

	if (m->type->adopt(m->self, &spec, ended, NULL, &d, &e) < 0)
		return;
	(void)m->type->signal(m->self, d, signo, &e);
	m->type->release(m->self, d);
}

int handover_from_system(struct world *world, const struct host *host, struct manager *m,
			 struct err *e)
{
	autofree char *pid_file = NULL;
	int r = host_include_remove(world, &pid_file, e);

	if (r > 0 && pid_file)
		tell(&nginx_system, host, m, pid_file, SIGHUP);
	return r;
}

void handover_from_own(const struct host *host, struct manager *m)
{
	autofree char *pid_file = memory_printf("%s/nginx/nginx.pid", host->run_dir);

	tell(&nginx_own, host, m, pid_file, SIGQUIT);
}

void handover_done(const struct host *host)
{
	const struct nginx_instance *now = nginx_instance_of(host);
	const struct nginx_instance *other = now == &nginx_own ? &nginx_system : &nginx_own;
	autofd int state = path_open_dir(host->state_dir, NULL);

	if (state >= 0)
		(void)path_remove_tree(state, other->generations, NULL);
}
