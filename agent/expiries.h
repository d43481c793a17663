/* When the certificates that sites are served with end, the soonest first. */
#pragma once

#include <stddef.h>

#include "reconcile/reconcile.h"

struct expiries {
	struct served_certificate
		*soonest; /* sorted; texts are the webspaces', so not to be kept */
	size_t n, by_source[CERTIFICATE_SOURCES];
};

void expiries_take(const struct reconcile *r, struct expiries *ret);
void expiries_clear(struct expiries *x);
