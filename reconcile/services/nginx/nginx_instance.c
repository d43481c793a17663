/*
 * See nginx_instance.h. Each has generations, a socket and a check of its own, so
 * that neither ever reads what was made for the other, and one can go on serving
 * until the other has taken over.
 */
#include "reconcile/services/nginx/nginx_instance.h"

#include <string.h>

#include "agent/base/clock.h"
#include "reconcile/services/nginx/rehearsal.h"

const char *const nginx_environment[] = {
	"PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LANG=C.UTF-8",
	NULL,
};

static const char *const *own_argv(const struct host *host, struct arena *a)
{
	const char *const argv[] = {
		host->nginx.binary,
		"-c",
		arena_printf(a, "%s/%s/current/nginx.conf", host->state_dir, nginx_own.generations),
		"-g",
		"daemon off;",
		NULL,
	};

	return memcpy(arena_new(a, sizeof(argv)), argv, sizeof(argv));
}

static const char *const *own_check(const struct host *host, const char *dir, struct arena *a)
{
	const char *const argv[] = {
		host->nginx.binary, "-t", "-q", "-c", arena_printf(a, "%s/nginx.conf", dir), NULL,
	};

	return memcpy(arena_new(a, sizeof(argv)), argv, sizeof(argv));
}

static const char *const *system_argv(const struct host *host, struct arena *a)
{
	const char *const argv[] = { host->nginx.binary, NULL };

	return memcpy(arena_new(a, sizeof(argv)), argv, sizeof(argv));
}

/* The workers of a killed master may still be on their way out, with its ports. */
const struct nginx_instance nginx_own = {
	.generations = "nginx",
	.socket = "verify.sock",
	.unit = "webspaces-nginx.service",
	.is_ours = true,
	.patience_usec = 500 * USEC_PER_MSEC,
	.argv = own_argv,
	.check = own_check,
};

/* The admin may be restarting it. */
const struct nginx_instance nginx_system = {
	.generations = "nginx-system",
	.socket = "system.sock",
	.unit = "nginx.service",
	.is_ours = false,
	.patience_usec = 5 * USEC_PER_SEC,
	.argv = system_argv,
	.check = rehearsal_argv,
};

const struct nginx_instance *nginx_instance_of(const struct host *host)
{
	return host->nginx.instance == NGINX_SYSTEM ? &nginx_system : &nginx_own;
}
