/* webspaces render: the effective configuration of one webspace, as if it stood alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/shown.h"
#include "agent/model/catalog.h"
#include "agent/model/load.h"
#include "agent/verb.h"
#include "reconcile/services/render_alone.h"
#include "reconcile/world.h"

static int render(const struct world *w, const struct webspace *webspace, const char *which,
		  struct buf *ret, struct err *e)
{
	int r = accounts_refresh(w->accounts, e);

	if (r == 0 && (!which || strcmp(which, "nginx") == 0))
		r = render_alone_nginx(w, webspace, ret, e);
	if (r == 0 && (!which || strcmp(which, "php") == 0))
		r = render_alone_php(w, webspace, ret, e);
	return r;
}

static int render_in_world(const struct host *host, const struct webspace *webspace,
			   const char *which, struct buf *ret, struct err *e)
{
	autoarena struct arena arena = { 0 };
	struct world w;
	int r = world_open(host, true, &w, e);

	w.arena = &arena;
	if (r == 0)
		r = render(&w, webspace, which, ret, e);
	world_close(&w);
	return r;
}

static int find(const struct catalog *catalog, const char *name, const struct webspace **ret,
		struct err *e)
{
	const struct entry *entry = catalog_get(catalog, name);

	if (!entry)
		return err_set(e, ENOENT, "%s: no such webspace", name);
	if (!entry->webspace)
		return err_set(e, EINVAL, "%s", entry->problem);
	*ret = entry->webspace;
	return 0;
}

static int render_name(const struct host *host, const char *name, const char *which, struct err *e)
{
	const struct webspace *webspace = NULL;
	struct catalog *catalog = NULL;
	autobuf struct buf text = { 0 };
	int code = catalog_open(host, false, &catalog, e);

	if (code == 0)
		code = catalog_look_all(catalog, clock_steady(), NULL, NULL, e);
	if (code == 0)
		code = find(catalog, name, &webspace, e);
	if (code == 0)
		code = render_in_world(host, webspace, which, &text, e);
	if (code == 0)
		shown_text(stdout, buf_text(&text));
	catalog_close(catalog);
	return code;
}

static int run(const struct invocation *in)
{
	const char *which = in->argc > 1 ? in->argv[1] : NULL;
	struct err e = { 0 };
	struct host *host;
	int r;

	if (in->argc < 1 || in->argc > 2)
		return verb_usage(in, "a name, and nginx or php");
	if (which && strcmp(which, "nginx") != 0 && strcmp(which, "php") != 0)
		return verb_usage(in, "nginx or php, not '%s'", which);
	host = verb_host(in);
	if (!host)
		return EXIT_FAILED;
	r = render_name(host, in->argv[0], which, &e);
	host_free(host);
	return r < 0 ? verb_failed(&e) : EXIT_OK;
}

const struct verb render_verb = {
	.name = "render",
	.option = "",
	.summary = "the effective configuration of one webspace, as if it stood alone",
	.page = "Usage: webspaces [--config FILE] render NAME [nginx|php]\n"
		"\n"
		"In the files that nginx really reads, sites that are alike share one server "
		"block\n"
		"and differ by maps, which is what makes ten thousand of them cheap, and hard to\n"
		"read. This prints what these files come to for one webspace: server blocks of "
		"its\n"
		"own with every value put in, and its PHP pool.\n"
		"\n"
		"Exit: 0, 1 no such webspace or it cannot be rendered, 64 usage.\n",
	.run = run,
};
