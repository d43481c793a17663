/*
 * Which manager this host has. sd_booted(3) is one look at a directory, done
 * here so that libsystemd stays with the files that need more of it.
 */
#include "reconcile/manager.h"

#include <sys/stat.h>

static bool is_booted_by_systemd(void)
{
	struct stat st;

	return lstat("/run/systemd/system/", &st) == 0 && S_ISDIR(st.st_mode);
}

int manager_open(const struct host *host, struct loop *loop, struct manager *ret, struct err *e)
{
	bool systemd = host->manager == MANAGER_SYSTEMD ||
		       (host->manager == MANAGER_AUTO && is_booted_by_systemd());
	const struct manager_type *type = systemd ? &systemd_manager : &direct_manager;
	void *self;
	int r;

	r = type->open(host, loop, &self, e);
	if (r < 0)
		return err_in(e, "manager %s", type->name);
	*ret = (struct manager){ .type = type, .self = self };
	return 0;
}

void manager_close(struct manager *m)
{
	if (m->type)
		m->type->close(m->self);
	*m = (struct manager){ 0 };
}
