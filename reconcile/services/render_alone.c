/* One webspace's configuration by itself: the renderers with the facts that the services would give them. */
#include "reconcile/services/render_alone.h"

#include <errno.h>

#include "agent/base/own.h"
#include "reconcile/services/php/php.h"
#include "reconcile/services/site_facts.h"
#include "renderers/renderers.h"

int render_alone_nginx(const struct world *w, const struct webspace *webspace, struct buf *ret,
		       struct err *e)
{
	const struct nginx_facts host = { .thumbprint = w->thumbprint };
	const struct site_facts *facts =
		site_facts_gather(w->store, w->host, webspace, w->wall, w->arena);

	return nginx_render_alone(w->host, &host, webspace, facts, ret, e);
}

static int find_version(const struct world *w, const struct webspace *webspace,
			struct php_versions *installed, const char **ret, struct err *e)
{
	int r = php_versions_look(installed, w->host, e);

	if (r < 0)
		return r;
	*ret = *webspace->php.version ? webspace->php.version : php_versions_newest(installed);
	if (!php_versions_has(installed, *ret))
		return err_set(e, ENOENT, "%s: PHP %s is not installed", webspace->name, *ret);
	return 0;
}

int render_alone_php(const struct world *w, const struct webspace *webspace, struct buf *ret,
		     struct err *e)
{
	struct php_versions installed = { 0 };
	struct php_facts facts = { 0 };
	struct account account;
	int r;

	if (!webspace->php.enabled)
		return 0;
	r = accounts_get(w->accounts, webspace->name, &account, e);
	if (r < 0)
		return r;
	facts.uid = account.uid;
	facts.gid = account.gid;
	r = find_version(w, webspace, &installed, &facts.version, e);
	if (r == 0)
		r = php_render_alone(w->host, webspace, &facts, ret, e);
	php_versions_clear(&installed);
	return r;
}
