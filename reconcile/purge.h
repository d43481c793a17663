/* The end of a webspace's data. Everything else that goes away keeps it. */
#pragma once

#include "agent/base/err.h"
#include "agent/model/host.h"

/*
 * Removes what is left of a webspace that is out of service: its mounts, tree,
 * certificates and record, and the account if we made it. Gone already is
 * success, so an interrupted purge is finished by the next. Joins the mount
 * namespace; the caller has made sure that no agent serves it.
 */
int purge(const struct host *host, const char *name, struct err *e);
