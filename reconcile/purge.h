/* The end of a webspace's data. Everything else that goes away keeps it. */
#pragma once

#include "agent/base/err.h"
#include "agent/model/host.h"

/*
 * Removes what is left of a webspace that is out of service: its mounts, tree,
 * certificates and record, and the account if we made it, with its processes
 * and what it left elsewhere (leavings.h). Gone already is
 * success, so an interrupted purge is finished by the next. Joins the mount
 * namespace; the caller has made sure that no agent serves it.
 */
int purge(const struct host *host, const char *name, struct err *e);

/*
 * Of a webspace whose file is gone but that is in service still: ends the processes of its user, if we
 * made that, and empties what the user writes to. For a disk that is full, on which the agent cannot
 * write what takes it out of service. Needs no room, nor that anything can be written.
 */
int purge_content(const struct host *host, const char *name, struct err *e);
