/*
 * Which certificates of a CA a webspace's sites ask for: one a site, one for all
 * of a webspace's (or more, if they have more names than one takes), or the host's
 * own for *.base_domain; and a second one each with an RSA key where both kinds are
 * wanted.
 */
#pragma once

#include "acme/acme.h"
#include "agent/base/arena.h"
#include "agent/model/host.h"
#include "agent/model/webspace.h"

/* Of one site: whose certificate it is (the webspace's name, or ACME_HOST), and which. Texts in the arena. */
struct site_want {
	const char *webspace;
	struct acme_want first, second; /* second.site NULL: there is none */
};
/* False: the site wants none of a CA. */
bool site_want(const struct host *host, const struct webspace *webspace, const struct site *site,
	       struct arena *a, struct site_want *ret);

/* All of the webspace's own, each once; the host's own left out. */
size_t site_wants(const struct host *host, const struct webspace *webspace, struct arena *a,
		  struct acme_want **ret);

/* The host's own; false: it wants none. */
bool host_want(const struct host *host, struct arena *a, struct acme_want *ret);
