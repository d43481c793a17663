/* webspaces exec-php: what the systemd unit of a PHP master runs; the instance's name says all. */
#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/service.h"
#include "reconcile/tree/namespace.h"

static int run(const struct invocation *in)
{
	struct err e = { 0 };
	struct host *host;

	if (in->argc != 1)
		return verb_usage(in, "the name of a master");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	if (namespace_require(host, &e) == 0)
		(void)php_exec(host, in->argv[0], &e);
	host_free(host);
	return verb_failed(&e);
}

const struct verb exec_php_verb = {
	.name = "exec-php",
	.summary = "becomes a PHP master, for its systemd unit",
	.page = "Usage: webspaces [--config FILE] exec-php LINE.GENERATION.ATTEMPT\n"
		"\n"
		"A systemd template unit cannot turn its instance's name into the path of a PHP\n"
		"version, so webspaces-php@.service runs this: it joins the mount namespace of "
		"the\n"
		"jails and becomes php-fpm with the configuration and the environment of that\n"
		"master. Not for people.\n"
		"\n"
		"Exit: php-fpm's own; 1 it could not be started, 64 usage.\n",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
