/*
 * webspaces reopen-logs: what logrotate runs when it has put logs aside. Daemons
 * are found by their pid files, in directories of root's, so it needs no agent;
 * each is looked at before it gets a signal: the number may be another's by now.
 *
 * To SIGUSR1 nginx and php-fpm open their logs anew, and go on. php-fpm has its
 * children finish what they do, and starts others. Nothing is reloaded.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "agent/base/number.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/spawn.h"
#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/managers/orphans.h"
#include "reconcile/services/nginx/nginx_daemon.h"
#include "reconcile/services/php/php.h"

/* The descriptor is taken first: then what is looked at is what gets the signal. */
static int reopen_one(int dir, const char *pid_file, const char *program, struct err *e)
{
	autofree char *text = NULL;
	autofd int fd = -1;
	size_t len;
	pid_t pid;

	if (path_read(dir, pid_file, 32, &text, &len, NULL) < 0)
		return 0; /* it does not run */
	text[strcspn(text, "\n")] = '\0';
	pid = (pid_t)number_parse(text);
	fd = pid > 1 ? pidfd_open(pid, 0) : -1;
	if (fd < 0 || !process_runs(pid, program) || !spawn_catches(pid, SIGUSR1))
		return 0;
	return pidfd_send_signal(fd, SIGUSR1, NULL, 0) < 0
		       ? err_sys(e, "signal to process %d (%s)", (int)pid, program)
		       : 0;
}

static int reopen_nginx(const struct host *host, struct arena *a, struct err *e)
{
	const char *pid_file = nginx_daemon_pid_file(host, a);
	const char *slash = strrchr(pid_file, '/');
	autofd int dir =
		path_open_dir(arena_printf(a, "%.*s", (int)(slash - pid_file), pid_file), NULL);

	return dir < 0 ? 0 : reopen_one(dir, slash + 1, host->nginx.binary, e);
}

/* Those that finish their last requests as well: they write to the same logs. */
static int reopen_php(const struct host *host, struct arena *a, struct err *e)
{
	autofd int masters = path_open_dir(arena_printf(a, "%s/php/masters", host->run_dir), NULL);
	autodir DIR *list = masters < 0 ? NULL : path_list(masters, ".", NULL);
	struct php_id id;
	int first = 0;

	for (struct dirent *it; list && (it = readdir(list)) != NULL;) {
		int r;

		if (!php_id_parse_master(it->d_name, &id))
			continue;
		r = reopen_one(masters, arena_printf(a, "%s/" PHP_PID_FILE, it->d_name),
			       php_program(host, id.version, a), first < 0 ? NULL : e);
		first = first < 0 ? first : r;
	}
	return first;
}

static int run(const struct invocation *in)
{
	autoarena struct arena a = { 0 };
	struct host *host = verb_host(in);
	struct err e = { 0 };
	int r, other;

	if (!host)
		return EXIT_FAILED;
	r = reopen_nginx(host, &a, &e);
	other = reopen_php(host, &a, r < 0 ? NULL : &e);
	host_free(host);
	return r < 0 || other < 0 ? verb_failed(&e) : EXIT_OK;
}

const struct verb reopen_logs_verb = {
	.name = "reopen-logs",
	.summary = "has nginx and PHP open their logs anew, for logrotate",
	.page = "Usage: webspaces [--config FILE] reopen-logs\n"
		"\n"
		"Has nginx and every PHP master open their logs anew, after these were renamed.\n"
		"No request is interrupted and nothing is reloaded; it needs no agent. logrotate\n"
		"runs this (/etc/logrotate.d/webspaces). An access log is opened anew within a\n"
		"second: leave that long before you compress what was renamed.\n"
		"\n"
		"Exit: 0 done, 1 a daemon could not be reached, 64 usage.\n",
	.option = "",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
