/*
 * webspaces walk: the walk of `webspaces access` through a user's content. It is the user's own: this
 * process has the user's ids, no way back, nothing open but /dev/null and a pipe, an empty environment
 * and has read no file of the host's; so whatever the tree, or a process of the user's, does to it,
 * the user has done to himself.
 *
 * It says on the pipe what it finds, two texts that end with a NUL each: a letter (found_kind) with
 * the path, and why.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/base/acl.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/htaccess.h"
#include "agent/user.h"
#include "agent/verb.h"
#include "agent/walk.h"

#define OPEN_DIRECTORIES 64
#define READ             4u
#define SEARCH           1u

/* nftw(3) hands nothing through to its callback. */
static struct {
	uid_t web_uid;
	bool really; /* opens what it finds */
	bool named;  /* by its path: then nothing of it is closed on purpose */
} walk;

static void say(enum found_kind kind, const char *path, const char *why)
{
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	printf("%c%s%c%s%c", (char)kind, path, '\0', why, '\0');
}

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

/* What the mask, which is the group bits of the mode then, leaves of named entries. */
static bool is_masked(int fd, unsigned perm)
{
	struct stat st;

	return fstat(fd, &st) < 0 || (st.st_mode >> 3 & perm) != perm;
}

/* 1: it lacks the entry, which is in *rights now, or the mask takes it away. */
static int wanted_rights(int fd, bool is_dir, struct acl_rights *rights, struct err *e)
{
	unsigned perm = is_dir ? READ | SEARCH : READ;
	bool is_odd;
	int r = acl_read(fd, rights, &is_odd, e), more = 0;

	if (r < 0)
		return r;
	r = give(rights->named, &rights->n_named, perm);
	if (r >= 0 && is_dir) {
		if (!rights->has_default)
			rights->default_mode = rights->mode & 0770;
		rights->has_default = true;
		more = give(rights->default_named, &rights->n_default, perm);
	}
	if (r < 0 || more < 0)
		return err_set(e, ENOSPC, "has too many ACL entries already");
	return r > 0 || more > 0 || is_masked(fd, perm);
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && strcasecmp(name + len - end_len, end) == 0;
}

/* Nobody but its owner, and of a kind that the web server does not give out, or PHP alone reads. */
static const char *why_closed(const char *name, const struct stat *st)
{
	static const char *const scripts[] = { ".php", ".phtml", ".phar", ".inc" };

	if (st->st_mode & 077)
		return NULL;
	if (name[0] == '.' && strcmp(name, ".well-known") != 0)
		return "its name begins with a dot";
	for (size_t i = 0; i < ELEMENTS(scripts); i++)
		if (S_ISREG(st->st_mode) && ends_with(name, scripts[i]))
			return "PHP reads it as its owner";
	return NULL;
}

/* 1: opened, or would be; 0: it was open, or stays closed as *ret_why says. */
static int give_access(const char *path, const char *name, const char **ret_why, struct err *e)
{
	autofd int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct acl_rights rights;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "open");
	r = wanted_rights(fd, S_ISDIR(st.st_mode), &rights, e);
	if (r <= 0)
		return r;
	*ret_why = walk.named ? NULL : why_closed(name, &st);
	if (*ret_why)
		return 0;
	r = walk.really ? acl_write(fd, &rights, e) : 0;
	return r < 0 ? r : 1;
}

static int tell(const char *path, int r, const char *why, const struct err *e)
{
	if (r < 0)
		say(FOUND_FAILED, path, e->text);
	else if (why)
		say(FOUND_CLOSED, path, why);
	else if (r > 0)
		say(FOUND_OPEN, path, "");
	return why ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
}

static int visit(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	bool is_dir = S_ISDIR(st->st_mode);
	const char *why = NULL;
	struct err e = { 0 };
	int r = 0;

	/* The tree's own directory is root's and right already; links and the like have no content. */
	if (strcmp(path, ".") == 0 || (kind != FTW_NS && !is_dir && !S_ISREG(st->st_mode)))
		return FTW_CONTINUE;
	if (kind == FTW_NS)
		r = err_sys(&e, "stat");
	else if (is_dir && !walk.named && htaccess_denies_all(path))
		why = "its .htaccess denies everybody";
	else
		r = give_access(path, path + at->base, &why, &e);
	return tell(path, r, why, &e);
}

/* A path through a link leads somewhere else than it says. */
static void walk_from(const char *path)
{
	struct err e = { 0 };
	autofd int fd = path_open(AT_FDCWD, path, O_PATH, &e);

	if (fd < 0 || nftw(path, visit, OPEN_DIRECTORIES, FTW_PHYS | FTW_ACTIONRETVAL) < 0)
		say(FOUND_FAILED, path, fd < 0 ? e.text : strerrordesc_np(errno));
}

static int prepare(char **words, struct err *e)
{
	id_t uid, gid, web_uid;
	int r = user_parse_id(words[0], FIRST_USER_ID, &uid, e);

	if (r == 0)
		r = user_parse_id(words[1], FIRST_USER_ID, &gid, e);
	if (r == 0)
		r = user_parse_id(words[2], 1, &web_uid, e);
	if (r == 0)
		r = user_become(uid, gid, e);
	if (r == 0)
		walk.web_uid = web_uid;
	return r;
}

static int run(const struct invocation *in)
{
	struct err e = { 0 };

	if (in->argc < 4)
		return verb_usage(in, "it is for 'webspaces access'");
	if (prepare(in->argv, &e) < 0) {
		say(FOUND_FAILED, ".", e.text);
		return EXIT_FAILED;
	}
	walk.really = strcmp(in->argv[3], "open") == 0;
	walk.named = in->argc > 4;
	if (!walk.named)
		walk_from(".");
	for (int i = 4; i < in->argc; i++)
		walk_from(in->argv[i]);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

const struct verb walk_verb = {
	.name = "walk",
	.summary = "walks through a user's content for 'webspaces access'",
	.page = "Usage: webspaces walk UID GID WEB_UID look|open [PATH…]\n"
		"\n"
		"Takes on these ids and goes through the working directory, as 'webspaces access' "
		"has it\n"
		"done. Not for people.\n"
		"\n"
		"Exit: 0 all was seen, 1 it was not, 64 usage.\n",
	.run = run,
	.needs_root = true,
	.is_internal = true,
};
