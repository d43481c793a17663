/* webspaces namespace: what webspaces-ns.service runs, at boot and when all of it is to end. */
#include <string.h>

#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/tree/namespace.h"

static int run(const struct invocation *in)
{
	bool make = in->argc == 1 && strcmp(in->argv[0], "make") == 0;
	bool drop = in->argc == 1 && strcmp(in->argv[0], "drop") == 0;
	struct err e = { 0 };
	struct host *host;
	int r;

	if (!make && !drop)
		return verb_usage(in, "make or drop");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	r = make ? namespace_make(host, &e) : namespace_drop(host, &e);
	host_free(host);
	return r < 0 ? verb_failed(&e) : EXIT_OK;
}

const struct verb namespace_verb = {
	.name = "namespace",
	.summary = "makes the mount namespace of the jails, for its systemd unit",
	.page = "Usage: webspaces [--config FILE] namespace make|drop\n"
		"\n"
		"make: the mount namespace that all jails live in, named by RUN_DIR/ns/mnt, with "
		"the\n"
		"home tree as a mount of its own; one that is there stays. It has to be run where "
		"the\n"
		"host's own mounts are. drop: takes the name away, and the namespace ends with "
		"the\n"
		"last process in it. webspaces-ns.service runs these. Not for people.\n"
		"\n"
		"Exit: 0 done, 1 it could not be, 64 usage.\n",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
