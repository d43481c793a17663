/*
 * webspaces access: gives the web server its access to content that came
 * without it: unpacked archives, files moved in from elsewhere, mode 0600.
 *
 * The walk is the user's own: by then this process has the user's ids, no open
 * descriptor and no way back, so whatever the tree does to it, it does to itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/base/acl.h"
#include "agent/base/own.h"
#include "agent/model/load.h"
#include "agent/user.h"
#include "agent/verb.h"

#define OPEN_DIRECTORIES 64
#define READ             4u
#define SEARCH           1u

/* nftw(3) hands nothing through to its callback. */
static struct {
	uid_t web_uid;
	unsigned given, failed;
} walk;

/* Adds the entry or widens it. 1: changed, 0: was there, -ENOSPC: too many entries of others. */
static int give(struct acl_named *named, size_t *n, unsigned perm)
{
	for (size_t i = 0; i < *n; i++) {
		if (named[i].is_group || named[i].id != walk.web_uid)
			continue;
		if ((named[i].perm & perm) == perm)
			return 0;
		named[i].perm |= perm;
		return 1;
	}
	if (*n == ACL_NAMED_MAX)
		return -ENOSPC;
	named[(*n)++] = (struct acl_named){ .id = walk.web_uid, .perm = perm };
	return 1;
}

static int give_access(int fd, bool is_dir, struct err *e)
{
	struct acl_rights rights;
	bool masked;
	int r = acl_read(fd, &rights, &masked, e), more = 0;

	if (r < 0)
		return r;
	r = give(rights.named, &rights.n_named, is_dir ? READ | SEARCH : READ);
	if (r >= 0 && is_dir) {
		if (!rights.has_default)
			rights.default_mode = rights.mode & 0770;
		rights.has_default = true;
		more = give(rights.default_named, &rights.n_default, READ | SEARCH);
	}
	if (r < 0 || more < 0)
		return err_set(e, ENOSPC, "has too many ACL entries already");
	if (r == 0 && more == 0 && !masked)
		return 0;
	r = acl_write(fd, &rights, e);
	return r < 0 ? r : 1;
}

/* A name may have anything in it, also what a terminal takes for orders. */
static void print_name(const char *path)
{
	for (const unsigned char *at = (const unsigned char *)path; *at; at++)
		if (*at >= ' ' && *at < 127 && *at != '\\')
			fputc(*at, stderr);
		else
			fprintf(stderr, "\\%03o", *at);
}

static int visit(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	bool is_dir = S_ISDIR(st->st_mode);
	autofd int fd = -1;
	struct err e = { 0 };
	int r;

	/* The tree's own directory is root's and right already; links and the like have no content. */
	if (at->level == 0 || kind == FTW_NS || !(is_dir || S_ISREG(st->st_mode)))
		return 0;
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? err_sys(&e, "open") : give_access(fd, is_dir, &e);
	if (r < 0) {
		fputs("webspaces: ", stderr);
		print_name(path);
		fprintf(stderr, ": %s\n", e.text);
		walk.failed++;
	}
	walk.given += r > 0;
	return 0;
}

static int give_all(const struct host *host, const char *name, struct err *e)
{
	struct user user;
	int r = user_find(host, name, &user, e);

	if (r == 0)
		r = user_enter(host, &user, USER_HOME, e);
	if (r == 0)
		r = user_become(&user, e);
	if (r < 0)
		return r;
	/* Nothing of root's is left open, so the user may as well look into this process: /proc/self/fd needs it. */
	if (close_range(STDERR_FILENO + 1, ~0U, 0) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_sys(e, "let go of descriptors");
	walk.web_uid = host->web_uid;
	if (nftw(".", visit, OPEN_DIRECTORIES, FTW_PHYS) < 0)
		return err_sys(e, "%s: walk data", name);
	return 0;
}

static int run(const struct invocation *in)
{
	struct err e = { 0 };
	struct host *host;
	int r;

	if (in->argc != 1)
		return verb_usage(in, "one name");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	r = give_all(host, in->argv[0], &e);
	host_free(host);
	if (r < 0)
		return verb_failed(&e);
	printf("%u opened to the web server, %u could not be\n", walk.given, walk.failed);
	return walk.failed ? EXIT_FAILED : EXIT_OK;
}

const struct verb access_verb = {
	.name = "access",
	.option = "",
	.summary = "gives the web server access to content that came without it",
	.page = "Usage: webspaces [--config FILE] access NAME\n"
		"\n"
		"The web server reads content by an ACL entry that new files inherit. What came "
		"from\n"
		"elsewhere (an archive unpacked with its modes, a directory moved in) or was made\n"
		"with mode 0600 lacks it. This walks NAME's data, as NAME, and adds the entry to\n"
		"every file and directory of NAME's, through no link. Files with more than one "
		"hard\n"
		"link and files of other owners are left alone and told.\n"
		"\n"
		"Exit: 0 all done, 1 some could not be (said on stderr), 64 usage.\n",
	.run = run,
	.needs_root = true,
};
