/*
 * A module NAME is libnss_NAME.so.2 with functions _nss_NAME_getpwnam_r and so
 * on: the documented interface of the GNU C library's name services ("NSS
 * Modules Interface"). `files` and `compat` are left out, accounts.c reads those.
 * A module that is not installed is passed over, as the C library does.
 */
#include "reconcile/accounts/nss.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"

#define MODULES_MAX 8
#define ROOM_START  4096
#define ROOM_MAX    (4u << 20)

typedef enum nss_status by_name_fn(const char *name, struct passwd *ret, char *room, size_t len,
				   int *ret_errno);
typedef enum nss_status by_uid_fn(uid_t uid, struct passwd *ret, char *room, size_t len,
				  int *ret_errno);
typedef enum nss_status group_by_name_fn(const char *name, struct group *ret, char *room,
					 size_t len, int *ret_errno);
typedef enum nss_status by_gid_fn(gid_t gid, struct group *ret, char *room, size_t len,
				  int *ret_errno);

struct module {
	void *library;
	by_name_fn *user_by_name;
	by_uid_fn *user_by_uid;
	group_by_name_fn *group_by_name;
	by_gid_fn *group_by_gid;
};

struct nss {
	size_t n_modules;
	struct module modules[MODULES_MAX];
	size_t room;
	char *text; /* what answers point into */
};

static void *module_function(void *library, const char *module, const char *function)
{
	char symbol[96];

	(void)snprintf(symbol, sizeof symbol, "_nss_%s_%s", module, function);
	return dlsym(library, symbol);
}

static void nss_add(struct nss *n, const char *name)
{
	/* systemd's users are services' and home directories', far from our ids: only names count. */
	bool ids = strcmp(name, "systemd") != 0;
	struct module *m = &n->modules[n->n_modules];
	char library[96];

	if (strcmp(name, "files") == 0 || strcmp(name, "compat") == 0 ||
	    n->n_modules == MODULES_MAX || strlen(name) > 32 || strchr(name, '/'))
		return;
	(void)snprintf(library, sizeof library, "libnss_%s.so.2", name);
	m->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!m->library)
		return;
	*(void **)&m->user_by_name = module_function(m->library, name, "getpwnam_r");
	*(void **)&m->group_by_name = module_function(m->library, name, "getgrnam_r");
	if (ids) {
		*(void **)&m->user_by_uid = module_function(m->library, name, "getpwuid_r");
		*(void **)&m->group_by_gid = module_function(m->library, name, "getgrgid_r");
	}
	n->n_modules++;
}

struct nss *nss_open(const char *services)
{
	autofree char *copy = memory_dup(services);
	struct nss *n = memory_new(sizeof *n);
	char *rest = copy;
	bool in_action = false;

	for (char *word; (word = strsep(&rest, " \t"));) {
		if (*word == '[')
			in_action = true;
		if (*word && !in_action)
			nss_add(n, word);
		if (*word && word[strlen(word) - 1] == ']')
			in_action = false;
	}
	n->room = ROOM_START;
	n->text = memory_new(n->room);
	return n;
}

void nss_close(struct nss *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_modules; i++)
		(void)dlclose(n->modules[i].library);
	free(n->text);
	free(n);
}

/* The answer did not fit: more room, and true to ask again. */
static bool nss_grow(struct nss *n, enum nss_status status, int error)
{
	if (status != NSS_STATUS_TRYAGAIN || error != ERANGE || n->room >= ROOM_MAX)
		return false;
	n->room *= 4;
	n->text = memory_resize(n->text, n->room, 1);
	return true;
}

/* Not there (ENOENT) is how systemd's module says that nothing of it runs. */
static bool is_unsure(enum nss_status status, int error)
{
	return status == NSS_STATUS_TRYAGAIN || (status == NSS_STATUS_UNAVAIL && error != ENOENT);
}

int nss_user(struct nss *n, const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	bool unsure = false;

	for (size_t i = 0; i < n->n_modules; i++) {
		struct module *m = &n->modules[i];
		enum nss_status status;
		struct passwd user;
		int error = 0;

		if (!m->user_by_name)
			continue;
		do
			status = m->user_by_name(name, &user, n->text, n->room, &error);
		while (nss_grow(n, status, error));
		if (status == NSS_STATUS_SUCCESS) {
			*ret_uid = user.pw_uid;
			*ret_gid = user.pw_gid;
			return 0;
		}
		unsure |= is_unsure(status, error);
	}
	return unsure ? -EAGAIN : -ENOENT;
}

static bool group_has_others(const struct group *group, const char *name)
{
	for (char **member = group->gr_mem; member && *member; member++)
		if (strcmp(*member, name) != 0)
			return true;
	return false;
}

int nss_group_named(struct nss *n, const char *name, gid_t *ret_gid, bool *ret_has_members)
{
	bool unsure = false;

	for (size_t i = 0; i < n->n_modules; i++) {
		struct module *m = &n->modules[i];
		enum nss_status status;
		struct group group;
		int error = 0;

		if (!m->group_by_name)
			continue;
		do
			status = m->group_by_name(name, &group, n->text, n->room, &error);
		while (nss_grow(n, status, error));
		if (status == NSS_STATUS_SUCCESS) {
			*ret_gid = group.gr_gid;
			*ret_has_members = group_has_others(&group, name);
			return 0;
		}
		unsure |= is_unsure(status, error);
	}
	return unsure ? -EAGAIN : -ENOENT;
}

static enum nss_status nss_group(struct nss *n, const struct module *m, gid_t gid,
				 struct group *ret)
{
	enum nss_status status;
	int error = 0;

	if (!m->group_by_gid)
		return NSS_STATUS_NOTFOUND;
	do
		status = m->group_by_gid(gid, ret, n->text, n->room, &error);
	while (nss_grow(n, status, error));
	return status;
}

int nss_group_is_shared(struct nss *n, gid_t gid, const char *name)
{
	for (size_t i = 0; i < n->n_modules; i++) {
		struct group group;

		if (nss_group(n, &n->modules[i], gid, &group) != NSS_STATUS_SUCCESS)
			continue;
		if (strcmp(group.gr_name, name) != 0 || group_has_others(&group, name))
			return 1;
	}
	return 0;
}

bool nss_user_of_id(struct nss *n, id_t id, const char *but, struct buf *ret_who)
{
	for (size_t i = 0; i < n->n_modules; i++) {
		struct module *m = &n->modules[i];
		enum nss_status status;
		struct passwd user;
		int error = 0;

		if (!m->user_by_uid)
			continue;
		do
			status = m->user_by_uid(id, &user, n->text, n->room, &error);
		while (nss_grow(n, status, error));
		if (status == NSS_STATUS_SUCCESS && strcmp(user.pw_name, but) != 0) {
			buf_printf(ret_who, "the user %s", user.pw_name);
			return true;
		}
	}
	return false;
}

bool nss_group_of_id(struct nss *n, id_t id, const char *but, struct buf *ret_who)
{
	for (size_t i = 0; i < n->n_modules; i++) {
		struct group group;

		if (nss_group(n, &n->modules[i], id, &group) == NSS_STATUS_SUCCESS &&
		    strcmp(group.gr_name, but) != 0) {
			buf_printf(ret_who, "the group %s", group.gr_name);
			return true;
		}
	}
	return false;
}
