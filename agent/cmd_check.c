/*
 * `webspaces check`: would these files load? The same code that the agent
 * uses, without root, without daemons and without touching anything, so that a
 * commit hook or a CI job can ask before a host does. Names that two webspaces
 * want are problems here too: of the one that would go without.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/base/table.h"
#include "agent/model/conflict.h"
#include "agent/model/load.h"
#include "agent/model/names.h"
#include "agent/model/secrets.h"
#include "agent/model/trusted.h"
#include "agent/verb.h"

struct check {
	const struct host *host;
	struct problems problems;
	struct table webspaces; /* of the directory at hand: name → struct webspace */
};

/* No problem of what the file says: it would load. */
static void warn_of_secret(int dir, const char *file, const char *shown, const char *key)
{
	autoarena struct arena a = { 0 };
	struct stat st;

	if (key && fstatat(dir, file, &st, 0) == 0 && secrets_are_open(&st))
		fprintf(stderr, "%s: warning: %s\n", shown, secrets_warning(key, &st, &a));
}

/* Takes what loads into c->webspaces. */
static void check_file(struct check *c, int dir, const char *file, const char *shown)
{
	autoarena struct arena temporary = { 0 };
	autofree char *text = NULL;
	char name[NAME_FILE_MAX + 1];
	struct webspace *w = NULL;
	struct err e = { 0 };
	size_t len = 0;

	if (!name_of_file(file, name))
		problems_add(&c->problems, shown, 0, "",
			     "not a webspace's file: it must be named NAME.conf");
	else if (load_read(dir, file, &text, &len, &e) < 0)
		problems_add(&c->problems, shown, 0, "", "%s", e.text);
	else if (load_webspace(c->host, name, shown, text, len, &w, &c->problems) == 0)
		webspace_free(table_set(&c->webspaces, name, w));
	if (w)
		warn_of_secret(dir, file, shown, secrets_of_webspace(w, &temporary));
}

/* names that two want --------------------------------------------------- */

static const struct webspace *find(const char *name, void *data)
{
	const struct check *c = data;

	return table_get(&c->webspaces, name);
}

static void affected(const char *name, void *data)
{
	(void)name;
	(void)data;
}

static void check_names(struct check *c)
{
	autoarena struct arena temporary = { 0 };
	struct conflict conflict;
	struct table_entry *te;

	conflict_init(&conflict, &(struct conflict_config){ .base_domain = c->host->base_domain,
							    .find = find,
							    .affected = affected,
							    .data = c });
	table_each (&c->webspaces, te) {
		const struct webspace *w = te->value;

		if (host_has_placed(c->host, w))
			conflict_set(&conflict, w->name, NULL, w);
	}
	table_each (&c->webspaces, te) {
		const struct webspace *w = te->value;
		const char *lost = host_has_placed(c->host, w)
					   ? conflict_lost(&conflict, w, &temporary)
					   : NULL;

		if (lost)
			problems_add(&c->problems, w->file, 0, "sites", "%s", lost);
	}
	conflict_clear(&conflict);
}

static void clear_webspaces(struct check *c)
{
	struct table_entry *te;

	table_each (&c->webspaces, te)
		webspace_free(te->value);
	table_clear(&c->webspaces);
}

/* paths ------------------------------------------------------------------ */

/* As the agent takes them: by the webspace's name, so that "a.conf" comes before "a-b.conf". */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	size_t n = strcspn((*a)->d_name, "."), m = strcspn((*b)->d_name, ".");
	int r = strncmp((*a)->d_name, (*b)->d_name, n < m ? n : m);

	if (r == 0 && n != m)
		return n < m ? -1 : 1;
	return r ? r : strcmp((*a)->d_name, (*b)->d_name);
}

static int is_mentioned(const struct dirent *de)
{
	char name[NAME_FILE_MAX + 1];

	return name_of_file(de->d_name, name) || name_is_passed_over(de->d_name);
}

static void check_directory(struct check *c, const char *path)
{
	autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **found = NULL;
	int n = scandir(path, &found, is_mentioned, by_name);

	if (dir < 0 || n < 0)
		problems_add(&c->problems, path, 0, "", "%s", strerror(errno));
	for (int i = 0; i < n; i++) {
		size_t len = strlen(path);
		autofree char *shown = memory_printf(
			"%s%s%s", path, len && path[len - 1] == '/' ? "" : "/", found[i]->d_name);

		if (name_is_passed_over(found[i]->d_name))
			shown_line(stdout, "%s: ignored: a webspace's file is named NAME.conf",
				   shown);
		else if (dir >= 0)
			check_file(c, dir, found[i]->d_name, shown);
		free(found[i]);
	}
	free(found);
	check_names(c);
	clear_webspaces(c);
}

/* The host's own directory: the agent takes it only from root's hands. */
static void check_own(struct check *c)
{
	const char *path = c->host->config_dir;
	struct err e = { 0 };
	autofd int dir = trusted_open_dir(path, &e);

	if (dir < 0)
		problems_add(&c->problems, path, 0, "", "%s", e.text);
	else
		check_directory(c, path);
}

static void check_path(struct check *c, const char *path)
{
	const char *slash = strrchr(path, '/');
	autofree char *parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		check_directory(c, path);
		return;
	}

	autofd int dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		problems_add(&c->problems, path, 0, "", "%s", strerror(errno));
	else
		check_file(c, dir, slash ? slash + 1 : path, path);
	clear_webspaces(c);
}

static int run(const struct invocation *in)
{
	struct host *host = NULL;
	struct check c = { 0 };
	int status;

	for (int i = 0; i < in->argc; i++)
		if (in->argv[i][0] == '-')
			return verb_usage(in, "no option %s", in->argv[i]);
	if (load_host(in->config_file, !in->config_given, &host, &c.problems) == 0) {
		c.host = host;
		warn_of_secret(AT_FDCWD, in->config_file, in->config_file,
			       secrets_of_host(host, &host->arena));
		for (int i = 0; i < in->argc; i++)
			check_path(&c, in->argv[i]);
		if (in->argc == 0)
			check_own(&c);
	}
	problems_sort(&c.problems);
	problems_print(&c.problems, stderr);
	status = c.problems.count > 0;
	problems_clear(&c.problems);
	host_free(host);
	return status;
}

const struct verb check_verb = {
	.name = "check",
	.summary = "validates configuration files or directories; no root, no daemons",
	.page = "Usage: webspaces [--config FILE] check [PATH…]\n"
		"\n"
		"Validates configuration: webspaces' files (NAME.conf), directories of them, and\n"
		"the host's file that --config names. Without PATH: the host's config_dir. In a\n"
		"directory also names that two webspaces want are reported, and on stdout the "
		"files\n"
		"that are ignored. Needs no root and no daemons, changes nothing.\n"
		"\n"
		"Every problem is a line on stderr: file:line: key: what is wrong\n"
		"\n"
		"Exit: 0 all is well, 1 there are problems, 64 usage.\n"
		"\n"
		"Examples:\n"
		"  webspaces check\n"
		"  webspaces check /etc/webspaces.d/alice.conf\n"
		"  webspaces --config ci/webspaces.conf check webspaces.d/   # in a commit hook\n",
	.run = run,
};
