/* See nginx_places.h. What is there already with other rights gets ours, but for the admin's own directories. */
#include "reconcile/services/nginx/nginx_places.h"

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "reconcile/own_places.h"

/* Workers pass through the parents; only those that are made here get a mode, the admin's stay. */
static int parents_make(const struct host *h, struct err *e)
{
	int r = path_make_dirs(h->state_dir, 0711, e);

	if (r >= 0)
		r = path_make_dirs(h->run_dir, 0755, e);
	if (r >= 0)
		r = own_places_log_root(h, e);
	return r;
}

/*
 * The temporary directories are the web user's, the one they lie in is not: as root, nginx makes
 * them and gives them to the web user by path, who could have put a link there. What lies in http01
 * is said to everybody; but only who knows a token finds it.
 */
int nginx_places_make(const struct host *h, struct err *e)
{
	autofree char *run = memory_printf("%s/nginx", h->run_dir);
	autofree char *temp = memory_printf("%s/nginx-temp", h->state_dir);
	autofree char *http01 = memory_printf("%s/http01", h->run_dir);
	autofree char *known = memory_printf("%s/.well-known", http01);
	autofree char *challenges = memory_printf("%s/acme-challenge", known);
	const struct own_place places[] = {
		{ run, 0, 0, 0700 },
		{ temp, 0, h->web_gid, 0710 },
		{ http01, 0, h->web_gid, 0710 },
		{ known, 0, h->web_gid, 0710 },
		{ challenges, 0, h->web_gid, 0710 },
	};
	int r = parents_make(h, e);

	for (size_t i = 0; r >= 0 && i < ELEMENTS(places); i++)
		r = own_place_make(&places[i], e);
	if (r >= 0)
		r = own_places_log(h, NGINX_LOG, e);
	return r < 0 ? r : 0;
}
