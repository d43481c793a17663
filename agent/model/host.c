/* What the host's file does not say but the host does: who the web user is, and who reads logs. */
#include "agent/model/host.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "agent/model/load.h"
#include "agent/model/names.h"

void host_free(struct host *h)
{
	if (!h)
		return;
	arena_clear(&h->arena);
	free(h);
}

int host_resolve(struct host *h, struct err *e)
{
	struct passwd *p;
	struct group *g;

	errno = 0;
	p = getpwnam(h->web_user);
	if (!p && errno)
		return err_sys(e, "web_user %s", h->web_user);
	if (!p)
		return err_set(e, ENOENT, "web_user %s: there is no such user", h->web_user);
	h->web_uid = p->pw_uid;
	h->web_gid = p->pw_gid;
	g = getgrnam("adm");
	h->log_gid = g ? g->gr_gid : 0;
	return 0;
}

bool host_has_placed(const struct host *h, const struct webspace *w)
{
	return name_is_placed(&w->hosts, h->name);
}
