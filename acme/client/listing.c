/* The store's certificates for people to read: from the files alone, whether or not an agent runs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "acme/client/renew.h"
#include "acme/crypto/chain.h"
#include "acme/store/store.h"
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

struct listing {
	struct store *store;
	certificate_entry_fn *fn;
	void *data;
};

/* Names in a directory below certs, in order; the caller's. -errno. */
static int entries(const struct store *s, const char *path, struct dirent ***ret)
{
	int fd = path_open(s->certs, path, O_RDONLY | O_DIRECTORY, NULL);
	int n = fd < 0 ? fd : scandirat(fd, ".", ret, NULL, alphasort);

	if (fd >= 0)
		close(fd);
	return n;
}

static time_t renewal_of(const struct record *r, const struct chain_facts *f, const char *place,
			 bool is_of_record)
{
	const struct lifetime life = { f->not_before, f->not_after };
	time_t at =
		renew_at(&life, place, is_of_record ? r->chosen : 0, is_of_record ? r->success : 0);

	return at > r->next_try ? at : r->next_try;
}

/* There is none, and what is known about it says why. */
static void tell_unissued(const struct listing *l, const char *webspace, const char *site,
			  const struct record *r)
{
	const struct certificate_entry entry = {
		.webspace = webspace, .site = site, .names = "", .record = r
	};

	if (r->reason || r->forced || r->n_held)
		l->fn(&entry, l->data);
}

static void tell(const struct listing *l, const char *webspace, const char *site)
{
	autopair struct pair pair = { 0 };
	autobuf struct buf names = { 0 };
	struct certificate c = { 0 };
	struct chain_facts f;
	struct place p;

	if (store_place(webspace, site, &p, NULL) < 0)
		return;
	store_load(l->store, &p, store_generation(l->store, &p), &pair);

	struct pem chain = { buf_text(&pair.chain), pair.chain.len };

	(void)store_authority(l->store, false, clock_wall(), NULL);
	if (chain_facts(chain, &f, NULL) < 0 ||
	    chain_read(chain, (struct pem){ buf_text(&pair.key), pair.key.len }, NULL, 0,
		       l->store->authority, &c, NULL, NULL) < 0) {
		tell_unissued(l, webspace, site, store_record_of(l->store, &p));
		return;
	}
	chain_names(chain, &names);
	buf_addc(&names, '\0');

	const struct record *r = store_record_of(l->store, &p);
	bool is_of_record = r->content == pair_content(&pair);
	struct certificate_entry entry = {
		.webspace = webspace,
		.site = site,
		.names = buf_text(&names),
		.issuer = f.issuer,
		.serial = f.serial,
		.key = key_type_words[f.key],
		.not_before = f.not_before,
		.not_after = f.not_after,
		.internal = c.internal,
		.renews = c.internal || is_of_record ? renewal_of(r, &f, p.site, is_of_record) : 0,
		.record = r,
	};

	l->fn(&entry, l->data);
}

static void tell_sites(const struct listing *l, const char *webspace)
{
	struct dirent **sites;
	int n = entries(l->store, webspace, &sites);

	for (int i = 0; i < n; i++) {
		if (sites[i]->d_name[0] != '.')
			tell(l, webspace, sites[i]->d_name);
		free(sites[i]);
	}
	if (n >= 0)
		free(sites);
}

int store_each(struct store *s, const char *webspace, certificate_entry_fn *fn, void *data,
	       struct err *e)
{
	const struct listing l = { s, fn, data };
	struct dirent **webspaces;
	int n;

	if (s->certs < 0)
		return 0;
	if (webspace) {
		tell_sites(&l, webspace);
		return 0;
	}
	n = entries(s, ".", &webspaces);
	if (n < 0)
		return err_set(e, EIO, "list %s/certs: %m", s->state_dir);
	for (int i = 0; i < n; i++) {
		const char *name = webspaces[i]->d_name;

		if (name[0] != '.' || strcmp(name, ACME_HOST) == 0)
			tell_sites(&l, name);
		free(webspaces[i]);
	}
	free(webspaces);
	return 0;
}
