/*
 * The agent only begins: how it ends is in the records of the certificates, which
 * are read until each of them says so. Certificates that no CA of others issues are
 * not asked for at all, and what renews them instead is said.
 */
#include "agent/renewal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "acme/acme.h"
#include "agent/base/clock.h"
#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/control.h"
#include "agent/model/catalog.h"
#include "agent/verb.h"

#define PAUSE_MS   100
#define PATIENCE_S 300

/* Who else ---------------------------------------------------------------------- */

static bool is_of_ca(const struct site *s)
{
	return s->tls.issuer == ISSUER_ACME && !*s->tls.certificate;
}

/* False: none of its certificates is a CA's; e says whose they are. */
static bool asks_a_ca(const struct webspace *w, struct err *e)
{
	const struct site *s = w->n_sites ? &w->sites[0] : NULL;

	for (size_t i = 0; i < w->n_sites; i++)
		if (is_of_ca(&w->sites[i]))
			return true;
	if (!s || (s->tls.issuer == ISSUER_OFF && !*s->tls.certificate))
		(void)err_set(e, EINVAL, "not renewed: %s has no certificate", w->name);
	else if (*s->tls.certificate)
		(void)err_set(e, EINVAL,
			      "not renewed: the certificate of %s is a file of your own; replace "
			      "%s, and it is served at once",
			      w->name, s->tls.certificate);
	else
		(void)err_set(e, EINVAL,
			      "not renewed: the certificate of %s is of the internal CA, and the "
			      "agent renews it by itself",
			      w->name);
	return false;
}

static int check_name(const struct host *host, const char *name, struct err *e)
{
	struct catalog *c = NULL;
	const struct entry *entry = NULL;
	int r = catalog_open(host, false, &c, e);

	if (r == 0)
		r = catalog_look_all(c, clock_steady(), NULL, NULL, e);
	if (r == 0) {
		entry = catalog_get(c, name);
		if (!entry)
			r = err_set(e, ENOENT, "%s: no such webspace", name);
		else if (entry->webspace && !asks_a_ca(entry->webspace, e))
			r = -EINVAL;
	}
	catalog_close(c);
	return r;
}

/* How it goes -------------------------------------------------------------------- */

struct progress {
	time_t began;
	bool speaks;
	size_t failed, open;
};

/* Asked for by this command: not renewed yet, or since then. */
static bool is_meant(const struct progress *p, const struct record *r)
{
	return r->forced || r->success >= p->began;
}

static void say(const struct certificate_entry *c)
{
	const struct record *r = c->record;
	char at[21] = "";

	clock_rfc3339(r->forced ? r->next_try : c->not_after, at);
	if (!r->forced)
		shown_line(stdout, "%s: renewed, until %s", c->site, at);
	if (r->reason)
		shown_line(stderr, "webspaces: %s: %s: %s: %s", c->site,
			   r->forced ? "not renewed" : "renewed without some of its names",
			   r->reason, r->problem ? r->problem : "");
	if (r->reason && r->forced && r->next_try > clock_wall())
		shown_line(stderr, "webspaces: %s: next try %s", c->site, at);
	if (r->forced && !r->reason)
		shown_line(stderr,
			   "webspaces: %s: not renewed yet; 'webspaces certs list %s' shows how it "
			   "goes on",
			   c->site, c->webspace);
}

static void count(const struct certificate_entry *c, void *data)
{
	struct progress *p = data;
	const struct record *r = c->record;

	if (!is_meant(p, r))
		return;
	if (r->reason)
		p->failed++;
	else if (r->forced)
		p->open++;
	if (p->speaks)
		say(c);
}

static int look(const struct host *host, const char *name, struct progress *p, struct err *e)
{
	struct store *s = NULL;
	int r = store_open(host->state_dir, host->web_gid, false, &s, e);

	p->failed = p->open = 0;
	if (r == 0)
		r = store_each(s, name, count, p, e);
	store_close(s);
	return r;
}

static int follow(const struct host *host, const char *name, time_t began)
{
	struct progress p = { .began = began };
	uint64_t until_usec = clock_usec() + PATIENCE_S * USEC_PER_SEC;
	struct err e = { 0 };
	int r;

	while ((r = look(host, name, &p, &e)) == 0 && p.open > 0 && clock_usec() < until_usec)
		(void)poll(NULL, 0, PAUSE_MS);
	p.speaks = true;
	if (r == 0)
		r = look(host, name, &p, &e);
	if (r < 0)
		return verb_failed(&e);
	return p.failed ? EXIT_FAILED : p.open ? EXIT_BUSY : EXIT_OK;
}

int renewal_run(const struct host *host, const char *name, bool waits)
{
	autobuf struct buf message = { 0 };
	struct err e = { 0 };
	time_t began = clock_wall();
	bool ok = false;
	int r = strcmp(name, ACME_HOST) == 0 ? 0 : check_name(host, name, &e);

	if (r < 0)
		return verb_failed(&e);
	r = control_ask(host, "certs-renew", name, &ok, &message, &e);
	if (r == -ENOENT || r == -ECONNREFUSED)
		(void)err_set(&e, ESRCH, "not renewed: no agent runs, and only it talks to CAs");
	if (r < 0 || !ok || !waits)
		return verb_answered(r, ok, &message, &e);
	return follow(host, name, began);
}
