/*
 * Opens all that a pass needs: the world, the daemons' manager, the types and
 * the services. The two tables here are the whole list of what a webspace has and of what all
 * share: a new type or service is a file of its own and a row.
 */
#include "reconcile/reconcile.h"

#include <stdlib.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/pass/pass.h"
#include "reconcile/world.h"

/* In the order in which they depend on each other. */
static const struct resource_type *const types[] = {
	&account_type,
	&directory_type,
	&mount_type,
	&certificate_type,
};

/* PHP first: a site is served when its pool is there. */
static const struct service_type *const services[] = {
	&acme_service_type,
	&php_service_type,
	&nginx_service_type,
};

_Static_assert(ELEMENTS(types) <= TYPES_MAX, "more types than TYPES_MAX");
_Static_assert(ELEMENTS(services) <= SERVICES_MAX, "more services than SERVICES_MAX");

static int ready(struct reconcile *r, struct err *e)
{
	const struct reconcile_config *c = &r->config;
	int result = world_open(c->host, c->dry, &r->world, e);

	if (result == 0 && !c->dry)
		result = store_claim(r->world.store, e);
	if (result == 0 && !c->dry) {
		result = manager_open(c->host, c->loop, &r->manager, e);
		r->has_manager = result == 0;
	}
	return result < 0 ? result : parts_open(r, e);
}

static void unready(struct reconcile *r)
{
	if (r->has_manager)
		manager_close(&r->manager);
	world_close(&r->world);
	free(r);
}

int reconcile_open(const struct reconcile_config *config, struct reconcile **ret, struct err *e)
{
	struct reconcile *r = memory_new(sizeof *r);
	int result;

	r->config = *config;
	r->parts = (struct parts){ types, ELEMENTS(types), services, ELEMENTS(services) };
	result = ready(r, e);
	if (result < 0) {
		unready(r);
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
	unready(r);
}
