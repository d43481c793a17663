/*
 * A subcommand: its name, one line for the overview, a page for --help, and
 * what it does. main.c has the table of them all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/model/host.h"

/* Exit codes of every command; sysexits(3) where it has a name for the case. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_CHANGES = 2,  /* plan: something would change */
	EXIT_NO_AGENT = 3, /* status */
	EXIT_USAGE = 64,   /* EX_USAGE */
	EXIT_BUSY = 75,    /* EX_TEMPFAIL: an agent runs */

	EXIT_CANNOT_EXECUTE = 126, /* enter: as shells say it */
};

#define PRESET_CONFIG_FILE "/etc/webspaces/webspaces.conf"

/* What a command gets: its own words after its name, and the host's file. */
struct invocation {
	const char *verb;
	int argc;
	char **argv; /* argv[0] is the first word after the command's name; NULL-ended */
	const char *config_file;
	bool config_given; /* by --config: then it must be there */
};

struct verb {
	const char *name;
	const char *summary;
	const char *page;   /* what --help prints */
	const char *option; /* those it knows, "--json --do"; NULL: it looks at its words itself */
	int (*run)(const struct invocation *in);
	bool needs_root;
	bool is_internal; /* not for people: not in the overview */
};

/* All there are (main.c). */
const struct verb *const *verb_all(size_t *ret_n);

/* "webspaces: …" on stderr. Each returns the exit code. */
int verb_usage(const struct invocation *in, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int verb_failed(const struct err *e);
/* What the agent answered (control_ask): its sentence, on stdout, or on stderr if it refused; e where r < 0. */
int verb_answered(int r, bool ok, const struct buf *message, const struct err *e);

/* The host's settings for this invocation, or NULL with the problems told on stderr. Owned by the caller. */
struct host *verb_host(const struct invocation *in);

/* True and the word taken out of argv if the flag is among the words. */
bool verb_flag(struct invocation *in, const char *flag);

extern const struct verb run_verb, apply_verb, plan_verb, check_verb, status_verb, render_verb,
	options_verb, mounts_verb, enter_verb, access_verb, confirm_verb, purge_verb, exec_php_verb,
	exec_nginx_verb, namespace_verb, reload_verb, make_key_verb, certs_verb, metrics_verb,
	rollback_verb, doctor_verb, completion_verb, session_verb, become_verb, walk_verb,
	end_processes_verb, settle_verb, reopen_logs_verb;
