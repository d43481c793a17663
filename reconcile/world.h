/* What every look at the machine stands on, opened and closed as one. */
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/model/host.h"
#include "reconcile/resource.h"

/*
 * Joins the mount namespace and opens the home root in it, accounts, the store
 * of certificates and the record of what we made. Unless dry, what is missing of
 * the host's directories, and the namespace, is made. The arena is the caller's
 * to set. On failure *ret can still be closed.
 */
int world_open(const struct host *host, bool dry, struct world *ret, struct err *e);
void world_close(struct world *w);
