/*
 * The order matters: the directories come first because the namespace is named
 * by one of them, and the home root is opened in the namespace, or its
 * descriptor would not see the mounts there.
 */
#include "reconcile/world.h"

#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/own_places.h"
#include "reconcile/ownership.h"
#include "reconcile/tree/namespace.h"

static int directories_make(const struct host *h, struct err *e)
{
	const struct {
		const char *path;
		mode_t mode;
	} all[] = {
		{ h->state_dir, 0755 },
		{ h->run_dir, 0755 },
		{ h->home_root, 0755 },
	};

	int r = own_places_log_root(h, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ELEMENTS(all); i++) {
		r = path_make_dirs(all[i].path, all[i].mode, e);

		if (r < 0)
			return r;
	}
	return path_require_kernel(e);
}

/* Only now, in the namespace, does the home root's descriptor see its mounts. */
static int home_open(struct world *w, struct err *e)
{
	w->home_root = path_open_dir(w->host->home_root, w->dry ? NULL : e);
	return w->home_root < 0 && !w->dry ? w->home_root : 0;
}

/* What is wrong with the key is told by whoever asks the CA; nginx then answers for nobody. */
static void find_account(struct world *w)
{
	const struct host *h = w->host;

	if (!h->acme.agree_tos || acme_thumbprint(w->store, h->acme.directory, h->acme.account_key,
						  !w->dry, w->thumbprint, NULL) < 0)
		w->thumbprint[0] = '\0';
}

int world_open(const struct host *host, bool dry, struct world *ret, struct err *e)
{
	int r = dry ? 0 : directories_make(host, e);

	*ret = (struct world){ .host = host, .dry = dry, .home_root = -1 };
	ret->now_usec = clock_usec();
	ret->wall = clock_wall();
	if (r == 0)
		r = namespace_enter(host, !dry, &ret->in_namespace, e);
	if (r == 0)
		r = home_open(ret, e);
	if (r == 0)
		r = accounts_open(&ret->accounts, e);
	if (r == 0)
		r = store_open(host->state_dir, host->web_gid, !dry, &ret->store, e);
	if (r == 0)
		r = ownership_open(host->state_dir, !dry, &ret->ownership, e);
	if (r < 0)
		return r;
	accounts_web_user(ret->accounts, host->web_user);
	find_account(ret);
	return 0;
}

void world_close(struct world *w)
{
	ownership_close(w->ownership);
	store_close(w->store);
	accounts_close(w->accounts);
	if (w->home_root >= 0)
		close(w->home_root);
}
