/*
 * Makes the world ready: the directories of the host, the mount namespace,
 * accounts, certificates, the record of what we made and the daemons' manager.
 * The two tables here are the whole list of what a webspace has and of what all
 * share: a new type or service is a file of its own and a row.
 */
#include "reconcile/reconcile.h"

#include <stdlib.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/namespace.h"
#include "reconcile/ownership.h"
#include "reconcile/pass.h"

/* In the order in which they depend on each other. */
static const struct resource_type *const types[] = {
	&account_type,
	&directory_type,
	&mount_type,
	&certificate_type,
};

/* PHP first: a site is served when its pool is there. */
static const struct service_type *const services[] = {
	&php_service_type,
	&nginx_service_type,
};

_Static_assert(ELEMENTS(types) <= TYPES_MAX, "more types than TYPES_MAX");
_Static_assert(ELEMENTS(services) <= SERVICES_MAX, "more services than SERVICES_MAX");

static int directories_make(const struct host *h, struct err *e)
{
	const struct {
		const char *path;
		mode_t mode;
	} all[] = {
		{ h->state_dir, 0755 },
		{ h->run_dir, 0755 },
		{ h->log_root, 0755 },
		{ h->home_root, 0755 },
	};

	for (size_t i = 0; i < ELEMENTS(all); i++) {
		int r = path_make_dirs(all[i].path, all[i].mode, e);

		if (r < 0)
			return r;
	}
	return path_require_kernel(e);
}

/* Only now, in the namespace, does the home root's descriptor see its mounts. */
static int home_open(struct reconcile *r, struct err *e)
{
	bool dry = r->config.dry;

	r->world.home_root = path_open_dir(r->config.host->home_root, dry ? NULL : e);
	return r->world.home_root < 0 && !dry ? r->world.home_root : 0;
}

static int world_open(struct reconcile *r, struct err *e)
{
	const struct host *h = r->config.host;
	bool dry = r->config.dry;
	int result = dry ? 0 : directories_make(h, e);

	if (result == 0)
		result = namespace_enter(h, !dry, &r->world.in_namespace, e);
	if (result == 0)
		result = home_open(r, e);
	if (result == 0)
		result = accounts_open(&r->world.accounts, e);
	if (result == 0)
		result = store_open(h->state_dir, h->web_gid, !dry, &r->world.store, e);
	if (result == 0)
		result = ownership_open(h->state_dir, !dry, &r->world.ownership, e);
	if (result == 0 && !dry) {
		result = manager_open(h, r->config.loop, &r->manager, e);
		r->has_manager = result == 0;
	}
	if (result < 0)
		return result;
	accounts_web_user(r->world.accounts, h->web_user);
	return 0;
}

static void world_close(struct reconcile *r)
{
	if (r->has_manager)
		manager_close(&r->manager);
	ownership_close(r->world.ownership);
	store_close(r->world.store);
	accounts_close(r->world.accounts);
	if (r->world.home_root >= 0)
		close(r->world.home_root);
}

int reconcile_open(const struct reconcile_config *config, struct reconcile **ret, struct err *e)
{
	struct reconcile *r = memory_new(sizeof *r);
	int result;

	r->config = *config;
	r->parts = (struct parts){ types, ELEMENTS(types), services, ELEMENTS(services) };
	r->world = (struct world){ .host = config->host, .dry = config->dry, .home_root = -1 };
	result = world_open(r, e);
	if (result == 0)
		result = parts_open(r, e);
	if (result < 0) {
		world_close(r);
		free(r);
		return result;
	}
	*ret = r;
	return 0;
}

void reconcile_close(struct reconcile *r)
{
	if (!r)
		return;
	parts_close(r);
	world_close(r);
	free(r);
}
