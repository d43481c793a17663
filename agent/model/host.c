/* What the host's file does not say but the host does: who the web user is, who reads logs, what the kernel has. */
#include "agent/model/host.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "agent/model/load.h"
#include "agent/model/names.h"

void host_free(struct host *h)
{
	if (!h)
		return;
	arena_clear(&h->arena);
	free(h);
}

static bool kernel_has(int family)
{
	autofd int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 || errno != EAFNOSUPPORT;
}

/* Adds to left_out each address that is taken off the list. */
static int leave_out(struct host *h, const char *key, struct text_list *list, struct buf *left_out,
		     struct err *e)
{
	const char **kept = list->count ? arena_new(&h->arena, list->count * sizeof(*kept)) : NULL;
	size_t n = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (kernel_has(list->items[i][0] == '[' ? AF_INET6 : AF_INET))
			kept[n++] = list->items[i];
		else
			buf_printf(left_out, "%s%s", left_out->len ? ", " : "", list->items[i]);
	}
	if (list->count > 0 && n == 0)
		return err_set(e, EAFNOSUPPORT,
			       "%s: the kernel has no %s: add an address of the other family", key,
			       list->items[0][0] == '[' ? "IPv6" : "IPv4");
	*list = (struct text_list){ .items = kept, .count = n };
	return 0;
}

/* nginx would not start with an address of a family that the kernel lacks. */
static int resolve_listeners(struct host *h, struct err *e)
{
	autobuf struct buf left_out = { 0 };
	int r = leave_out(h, "nginx.http", &h->nginx.http, &left_out, e);

	if (r == 0)
		r = leave_out(h, "nginx.https", &h->nginx.https, &left_out, e);
	if (r == 0 && left_out.len > 0)
		h->left_out =
			arena_printf(&h->arena, "nginx does not listen on %s: the kernel has no %s",
				     buf_text(&left_out), kernel_has(AF_INET6) ? "IPv4" : "IPv6");
	return r;
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
	return resolve_listeners(h, e);
}

bool host_has_placed(const struct host *h, const struct webspace *w)
{
	return name_is_placed(&w->hosts, h->name);
}
