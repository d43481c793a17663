/* See host_include.h. A file that we did not make, or that is no longer as we make them, is not taken away. */
#include "reconcile/services/nginx/host_include.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/ownership.h"
#include "renderers/renderers.h"

#define RECORD       ".host"
#define MADE_INCLUDE "nginx-include"
#define HOST_PID     "nginx-pid"
#define MARK         "# Made by webspaces"
#define FILE_MAX     65536

/* The directory that path lies in; its last part begins at *ret_name. */
static int open_parent(const char *path, const char **ret_name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	autofree char *dir = memory_printf("%.*s", slash > path ? (int)(slash - path) : 1, path);

	*ret_name = slash + 1;
	return path_open_dir(dir, e);
}

static int remove_one(const char *path, struct err *e)
{
	const char *name;
	autofd int dir = open_parent(path, &name, NULL);
	autofree char *text = NULL;
	size_t len;

	if (dir < 0 || path_read(dir, name, FILE_MAX, &text, &len, NULL) < 0 ||
	    strncmp(text, MARK, strlen(MARK)) != 0)
		return 0;
	return unlinkat(dir, name, 0) < 0 ? err_sys(e, "remove %s", path) : 0;
}

/* keep: the one that stays; NULL: none does. 1: there was one. */
static int remove_others(struct world *w, const char *keep, struct err *e)
{
	autoarena struct arena a = { 0 };
	struct text_list made = { 0 };
	int r = ownership_items(w, RECORD, MADE_INCLUDE, &a, &made, e), any = 0;

	for (size_t i = 0; r >= 0 && i < made.count; i++) {
		if (keep && strcmp(keep, made.items[i]) == 0)
			continue;
		any = 1;
		r = remove_one(made.items[i], e);
		if (r >= 0)
			r = ownership_forget(w, RECORD, MADE_INCLUDE, made.items[i], e);
	}
	return r < 0 ? r : any;
}

int host_include_put(struct world *world, const struct host *host, struct err *e)
{
	const char *path = host->nginx.include, *name;
	autobuf struct buf text = { 0 };
	autofd int dir = open_parent(path, &name, e);
	int r = dir;

	nginx_include_conf(host, &text);
	if (r >= 0 && world)
		r = remove_others(world, path, e);
	if (r >= 0 && world)
		r = ownership_note(world, RECORD, MADE_INCLUDE, path, e);
	if (r >= 0)
		r = put_file(dir, name, 0644, buf_text(&text), text.len, PUT_SYNC, e);
	return r < 0 ? err_in(e, "nginx.include") : r;
}

void host_include_note_pid_file(struct world *world, const char *pid_file)
{
	if (!world || !pid_file || ownership_has(world, RECORD, HOST_PID, pid_file))
		return;
	(void)ownership_forget(world, RECORD, HOST_PID, NULL, NULL);
	(void)ownership_note(world, RECORD, HOST_PID, pid_file, NULL);
}

static char *noted_pid_file(struct world *w)
{
	autoarena struct arena a = { 0 };
	struct text_list noted = { 0 };

	if (ownership_items(w, RECORD, HOST_PID, &a, &noted, NULL) < 0 || noted.count == 0)
		return NULL;
	return memory_dup(noted.items[noted.count - 1]);
}

int host_include_remove(struct world *world, char **ret_pid_file, struct err *e)
{
	autofree char *pid_file = NULL;
	int r;

	if (!world || !ownership_has(world, RECORD, NULL, NULL))
		return 0;
	pid_file = noted_pid_file(world);
	r = remove_others(world, NULL, e);
	if (r >= 0)
		(void)ownership_forget(world, RECORD, HOST_PID, NULL, NULL);
	if (r > 0)
		*ret_pid_file = take_ptr(pid_file);
	return r;
}
