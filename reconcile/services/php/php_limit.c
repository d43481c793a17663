/*
 * Limits of a webspace's PHP. They are kept by the control group of its master,
 * so only a master of its own has any; a line passes them on to whoever serves
 * there. They are no part of a configuration: when they alone change, systemd is
 * told, and no master is replaced.
 */
#include <string.h>

#include "reconcile/services/php/php.h"

static const struct php_limits none;

static bool is_same(const struct php_limits *a, const struct php_limits *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

void master_limit(struct master *m)
{
	struct manager *manager = m->service->config.manager;
	struct err e;

	if (!manager->type->limit || !m->daemon || !m->line || !m->line->knows_limits)
		return;
	if (manager->type->limit(manager->self, m->daemon, &m->line->limits, &e) < 0)
		php_service_failed(m->service, m->id, &e);
}

/* Whoever shares a master is limited by nothing: the neighbours would be, too. */
void php_line_limit(struct php_line *l, const struct webspace *w)
{
	const struct php_limits *limits = webspace_is_dedicated(w) ? &w->php.limits : &none;

	if (l->knows_limits && is_same(&l->limits, limits))
		return;
	l->limits = *limits;
	l->knows_limits = true;
	for (struct master *m = l->service->masters; m; m = m->next)
		if (m->line == l)
			master_limit(m);
}

const char *php_line_unlimited(const struct php_line *l)
{
	const struct manager *manager = l->service->config.manager;

	if (!manager || manager->type->limit || is_same(&l->limits, &none))
		return NULL;
	return "php.limits do not hold: systemd would keep them, and the manager of this host is "
	       "direct";
}
