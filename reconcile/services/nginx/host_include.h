/*
 * The one file that is ours in the configuration of the host's own nginx. It is
 * noted in the record of what we made (ownership.h, as of a webspace ".host"),
 * with the pid file of the nginx that reads it, so that a later agent that runs
 * an nginx of its own can take it away again and say so to that nginx.
 */
#pragma once

#include "agent/base/err.h"
#include "reconcile/resource.h"

/* Puts it there, and takes away one in another place. 1: changed. world NULL: no record. */
int host_include_put(struct world *world, const struct host *host, struct err *e);
/* Notes what a later host_include_remove needs. */
void host_include_note_pid_file(struct world *world, const char *pid_file);
/* Takes away all that is noted. 1: there was something; then *ret_pid_file (NULL: not known) is the caller's. */
int host_include_remove(struct world *world, char **ret_pid_file, struct err *e);
