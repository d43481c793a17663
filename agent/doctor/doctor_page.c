/* From outside: where the names lead, and what our own listeners answer to them. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "acme/client/reach.h"
#include "acme/crypto/peek.h"
#include "agent/base/address.h"
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/doctor/doctor.h"

/* Names ---------------------------------------------------------------------- */

/* Addresses that only have a meaning near us: RFC 1918, 6598, 3927, 4193, 4291, loopback. */
static bool is_public(const struct sockaddr *s)
{
	if (s && s->sa_family == AF_INET) {
		uint32_t a = ntohl(((const struct sockaddr_in *)s)->sin_addr.s_addr);

		return a >> 24 != 10 && a >> 24 != 127 && a >> 20 != 0xAC1 && a >> 16 != 0xC0A8 &&
		       a >> 22 != 0x191 && a >> 16 != 0xA9FE;
	}
	if (s && s->sa_family == AF_INET6) {
		const struct in6_addr *a = &((const struct sockaddr_in6 *)s)->sin6_addr;

		return (a->s6_addr[0] & 0xE0) == 0x20;
	}
	return false;
}

static bool is_ours(const struct host *h, const struct ifaddrs *all, const char *address)
{
	for (size_t i = 0; i < h->acme.addresses.count; i++)
		if (strcasecmp(h->acme.addresses.items[i], address) == 0)
			return true;
	return address_is_among(all, address);
}

/* Behind NAT nobody here knows the address that names should lead to, unless acme.addresses says it. */
static bool knows_its_addresses(const struct host *h, const struct ifaddrs *all)
{
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (is_public(i->ifa_addr))
			return true;
	return h->acme.addresses.count > 0;
}

/* True: it leads here. Else a sentence. */
static bool leads_here(const struct host *h, const struct ifaddrs *all, const char *name,
		       struct buf *said)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char text[INET6_ADDRSTRLEN] = "";
	struct addrinfo *found = NULL;
	int r = getaddrinfo(name, NULL, &hints, &found);
	bool here = false;

	for (const struct addrinfo *i = found; r == 0 && i && !here; i = i->ai_next)
		here = address_text(i->ai_addr, text) && is_ours(h, all, text);
	if (found)
		freeaddrinfo(found);
	if (r != 0)
		buf_printf(said, "%s does not resolve: %s", name, gai_strerror(r));
	else if (!here)
		buf_printf(said, "%s leads to %s, which is not an address of this host", name,
			   text);
	return here;
}

enum found step_names(struct patient *p, struct buf *said, struct buf *cure)
{
	struct ifaddrs *all = NULL;
	enum found found = FOUND_WELL;

	(void)getifaddrs(&all);
	for (size_t i = 0; i < p->webspace->n_sites && found == FOUND_WELL; i++)
		for (size_t j = 0; j < p->webspace->sites[i].names.count; j++) {
			const char *name = p->webspace->sites[i].names.items[j];

			if (*name == '*' || leads_here(p->host, all, name, said))
				continue;
			found = knows_its_addresses(p->host, all) ? FOUND_WRONG : FOUND_HINT;
			buf_adds(cure,
				 "let its A and AAAA records lead to this host (behind NAT or a "
				 "proxy: acme.addresses says which addresses are its own)");
			break;
		}
	if (all)
		freeifaddrs(all);
	if (found == FOUND_WELL)
		buf_adds(said, "lead to this host");
	return found;
}

/* Pages ------------------------------------------------------------------------ */

/* A name that can be asked for: of a wildcard, something below it. */
static const char *name_to_ask(const struct site *s, char ret[static 300])
{
	const char *name = s->names.items[0];

	snprintf(ret, 300, "%s%s", *name == '*' ? "doctor" : "", *name == '*' ? name + 1 : name);
	return ret;
}

static bool is_expected(const struct patient *p, int status)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", status);
	return (status >= 200 && status < 400) || status == 401 ||
	       (p->webspace->state == STATE_SUSPENDED &&
		strcmp(text, p->host->nginx.suspended) == 0);
}

static void cure_status(const struct patient *p, const struct site *s, int status, struct buf *cure)
{
	if (status == 502 || status == 504)
		buf_printf(cure,
			   "PHP does not answer in time: %s/%s/logs/php-slow.log and "
			   "chroot/log/php-error.log say what it does",
			   p->host->home_root, p->name);
	else if (status == 403 || status == 404)
		buf_printf(cure,
			   "put an index page into %s/%s/chroot/data/%s; if there is one that came "
			   "by a move or an import, webspaces access %s",
			   p->host->home_root, p->name, s->root, p->name);
	else
		buf_printf(cure, "%s/%s/chroot/log/php-error.log and %s/nginx-error.log say why",
			   p->host->home_root, p->name, p->host->log_root);
}

static enum found look_at_page(struct patient *p, const struct site *s, bool tls, struct buf *said,
			       struct buf *cure)
{
	const struct text_list *at = tls ? &p->host->nginx.https : &p->host->nginx.http;
	char name[300], address[REACH_MAX];
	struct peek seen;
	struct err e = { 0 };
	int r;

	reach_of(at->items[0], address);
	name_to_ask(s, name);
	r = peek_ask(address, name, "/", tls, &seen, &e);
	if (r == -ETIMEDOUT) {
		buf_printf(said, "%s: %s", name, e.text);
		cure_status(p, s, 504, cure);
		return FOUND_WRONG;
	}
	if (r < 0) {
		buf_printf(said, "%s: %s", name, e.text);
		buf_printf(cure, "%s/nginx-error.log says why nginx hung up", p->host->log_root);
		return FOUND_WRONG;
	}
	if (tls && !seen.covers) {
		buf_printf(said, "%s is shown a certificate of %s that is not for it", name,
			   *seen.issuer ? seen.issuer : "nobody");
		buf_printf(cure, "systemctl reload webspaces; webspaces certs list %s", p->name);
		return FOUND_WRONG;
	}
	if (tls && seen.ends <= clock_wall()) {
		buf_printf(said, "the certificate that %s is shown has expired", name);
		buf_printf(cure, "webspaces certs renew %s", p->name);
		return FOUND_WRONG;
	}
	if (seen.status == 0) {
		buf_printf(said, "%s: nginx closed the connection without an answer", name);
		buf_printf(cure, "%s/nginx-error.log says why", p->host->log_root);
		return FOUND_WRONG;
	}
	buf_printf(said, "%s%s answers %d", said->len ? "; " : "", name, seen.status);
	if (tls)
		buf_printf(said, " with a certificate of %s", seen.issuer);
	if (is_expected(p, seen.status))
		return FOUND_WELL;
	cure_status(p, s, seen.status, cure);
	return FOUND_WRONG;
}

static enum found look_at_pages(struct patient *p, bool tls, struct buf *said, struct buf *cure)
{
	const struct webspace *w = p->webspace;
	enum found found = FOUND_NOTHING;

	if ((tls ? &p->host->nginx.https : &p->host->nginx.http)->count == 0)
		return FOUND_NOTHING;
	for (size_t i = 0; i < w->n_sites && found != FOUND_WRONG; i++)
		if (w->sites[i].names.count > 0 && !(tls && w->sites[i].tls.issuer == ISSUER_OFF))
			found = look_at_page(p, &w->sites[i], tls, said, cure);
	return found;
}

enum found step_http(struct patient *p, struct buf *said, struct buf *cure)
{
	return look_at_pages(p, false, said, cure);
}

enum found step_https(struct patient *p, struct buf *said, struct buf *cure)
{
	return look_at_pages(p, true, said, cure);
}
