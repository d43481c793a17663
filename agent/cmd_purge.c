/* webspaces purge: data, certificates and account of a webspace whose file has gone. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/control.h"
#include "agent/model/history.h"
#include "agent/model/load.h"
#include "agent/model/names.h"
#include "agent/verb.h"
#include "reconcile/purge.h"

#define ROOM_BYTES  (1u << 20)
#define ROOM_INODES 64
#define ROOM_USEC   (60 * USEC_PER_SEC)
#define LOOK_MSEC   200

static bool is_there(const char *dir, const char *name)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s.conf", dir, name);
	return lstat(path, &st) == 0;
}

/* In service, or could be at the agent's next look. */
static bool is_served(const struct host *host, const char *name)
{
	autobuf struct buf message = { 0 };
	char good[4096];
	bool serves = false;

	snprintf(good, sizeof(good), "%s/good", host->state_dir);
	if (control_ask(host, "serves", name, &serves, &message, NULL) < 0)
		serves = is_there(good, name);
	return serves;
}

static bool is_full(const char *path)
{
	struct statvfs room;

	return statvfs(path, &room) == 0 && (room.f_bavail * room.f_frsize < ROOM_BYTES ||
					     (room.f_files && room.f_favail < ROOM_INODES));
}

/* The agent writes there before it takes anybody out of service. */
static bool has_no_room(const struct host *host)
{
	return is_full(host->state_dir) || is_full(host->run_dir) || is_full(host->home_root);
}

static int refuse_served(const char *name, struct err *e)
{
	return err_set(e, EBUSY,
		       "%s is still in service: its removal is not done yet (see "
		       "'webspaces status')",
		       name);
}

/* Refuses what is in service, unless that can only end once there is room. */
static int check_gone(const struct host *host, const char *name, bool *ret_serves, struct err *e)
{
	int r = name_check_webspace(name, e);

	if (r < 0)
		return r;
	if (is_there(host->config_dir, name))
		return err_set(e, EBUSY, "%s is a webspace: remove %s/%s.conf first", name,
			       host->config_dir, name);
	*ret_serves = is_served(host, name);
	return *ret_serves && !has_no_room(host) ? refuse_served(name, e) : 0;
}

/* Makes room, and waits for the agent to use it. */
static int make_room(const struct host *host, const char *name, struct err *e)
{
	uint64_t deadline = clock_usec() + ROOM_USEC;
	int r = purge_content(host, name, e);

	while (r == 0 && is_served(host, name) && clock_usec() < deadline)
		(void)poll(NULL, 0, LOOK_MSEC);
	if (r == 0 && is_served(host, name))
		r = err_set(e, EAGAIN,
			    "the disk was full, so the data of %s is gone already; it is still in "
			    "service: purge it again when it is not",
			    name);
	return r;
}

/* A person has to write the name, so that no stray key purges anything. */
static bool asked_and_confirmed(const struct host *host, const char *name)
{
	char answer[64];
	size_t len;

	printf("This ends %s/%s with all data, the certificates and the account of %s, for good.\n"
	       "Write the name to go on: ",
	       host->home_root, name, name);
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	len = strcspn(answer, "\n");
	answer[len] = '\0';
	return strcmp(answer, name) == 0;
}

static int forget(const struct host *host, const char *name, struct err *e)
{
	struct history history;
	int r = history_open(host->state_dir, false, &history, e);

	if (r == 0)
		r = history_forget(&history, name, e);
	history_close(&history);
	return r;
}

static int run(const struct invocation *in)
{
	struct invocation words = *in;
	bool yes = verb_flag(&words, "--yes");
	struct err e = { 0 };
	bool serves = false;
	struct host *host;
	int r;

	if (words.argc != 1)
		return verb_usage(in, "one name");
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	r = check_gone(host, words.argv[0], &serves, &e);
	if (r == 0 && !yes && !asked_and_confirmed(host, words.argv[0]))
		r = err_set(&e, ECANCELED, "nothing was purged");
	if (r == 0 && serves)
		r = make_room(host, words.argv[0], &e);
	if (r == 0)
		r = purge(host, words.argv[0], &e);
	if (r == 0)
		r = forget(host, words.argv[0], &e);
	if (r == 0)
		printf("nothing is left of %s\n", words.argv[0]);
	host_free(host);
	return r < 0 ? verb_failed(&e) : EXIT_OK;
}

const struct verb purge_verb = {
	.name = "purge",
	.option = "--yes",
	.summary = "data and account of a removed webspace",
	.page = "Usage: webspaces [--config FILE] purge NAME [--yes]\n"
		"\n"
		"Removing a webspace's file stops serving it and keeps its data. This ends the "
		"data\n"
		"too: home_root/NAME, its certificates, and the account if the agent made it, with "
		"all its\n"
		"processes and what it left elsewhere: objects of System V IPC, its files and "
		"directories in\n"
		"/tmp, /var/tmp, /dev/shm and the like, its crontab and its mail. An account that "
		"came\n"
		"from elsewhere is left alone. It asks for the name first; --yes does not.\n"
		"\n"
		"It refuses while the file is there or the webspace is still in service. Where the "
		"disk is\n"
		"full, so that the agent cannot take it out of service, its data goes first. The "
		"account's\n"
		"id is not given to anybody else later.\n"
		"\n"
		"Exit: 0 done, 1 refused or failed, 64 usage.\n",
	.run = run,
	.needs_root = true,
};
