/* One webspace's configuration by itself: the renderers with the facts that the services would give them. */
#include "reconcile/services/render_alone.h"

#include <errno.h>

#include "agent/base/own.h"
#include "reconcile/services/php/php.h"
#include "reconcile/site_certificate.h"
#include "renderers/renderers.h"

int render_alone_nginx(const struct world *w, const struct webspace *webspace, struct buf *ret,
		       struct err *e)
{
	const struct nginx_facts host = { .thumbprint = w->thumbprint };
	struct site_facts *facts = arena_new(w->arena, webspace->n_sites * sizeof(*facts));

	for (size_t i = 0; i < webspace->n_sites; i++) {
		struct site_certificate c = { 0 };

		site_certificate_look(w->store, w->host, webspace, &webspace->sites[i], w->wall,
				      &c);
		facts[i] = (struct site_facts){
			.certificate = c.installed,
			.trusted = c.trusted,
			.certificate_dir = c.dir[0] ? arena_dup(w->arena, c.dir) : NULL,
			.rsa_dir = c.rsa_dir[0] ? arena_dup(w->arena, c.rsa_dir) : NULL,
		};
	}
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
