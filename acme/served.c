/*
 * Is what was installed also served? A second after it, and if something else
 * is met then, again a little and a good while later, for the first certificate
 * of a site comes with a reload. What is wrong at the second look is kept in the
 * record, at the last it is told.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/chain.h"
#include "acme/job.h"
#include "acme/reach.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

static const unsigned waits_s[] = { 1, 5, 30 };

struct served {
	struct cert *cert;
	struct loop_source *timer;
	unsigned n;      /* looks that are over */
	size_t listener; /* at hand */
	uint32_t id;
	char at[REACH_MAX], problem[300];
};

void served_drop(struct cert *c)
{
	struct served *s = take_ptr(c->served);

	if (!s)
		return;
	if (s->id)
		link_drop(c->a->link, s->id);
	loop_drop(s->timer);
	free(s);
}

/* Most often there is nothing to be said, and nothing was. */
static void keep(struct served *s)
{
	struct record *r = cert_record(s->cert);

	if (!*s->problem && !r->served_problem)
		return;
	record_set_text(&r->served_problem, s->problem);
	cert_save(s->cert);
}

static void finish(struct served *s)
{
	struct cert *c = s->cert;
	bool is_last = !*s->problem || ++s->n == ELEMENTS(waits_s);

	if (is_last || s->n > 1)
		keep(s);
	if (!is_last) {
		loop_timer_set(s->timer, clock_usec() + waits_s[s->n] * USEC_PER_SEC);
		return;
	}
	if (*s->problem)
		acme_tell(c->a, ACME_PROBLEM, c->webspace, "%s: %s", c->want.site, s->problem);
	served_drop(c);
}

static bool is_installed(const struct cert *c, const char *chain)
{
	autopair struct pair live = { 0 };

	store_load(c->a->config.store, &c->place, store_generation(c->a->config.store, &c->place),
		   &live);
	return chain_same_leaf((struct pem){ chain, strlen(chain) },
			       (struct pem){ buf_text(&live.chain), live.chain.len });
}

static void look(struct served *s);

static void add_problem(struct served *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add_problem(struct served *s, const char *format, ...)
{
	size_t len = strlen(s->problem);
	va_list ap;

	len += (size_t)snprintf(s->problem + len, sizeof s->problem - len, "%s", len ? "; " : "");
	if (len >= sizeof s->problem)
		return;
	va_start(ap, format);
	vsnprintf(s->problem + len, sizeof s->problem - len, format, ap);
	va_end(ap);
}

static void on_handshake(const struct reply *r, void *data)
{
	struct served *s = data;

	s->id = 0;
	if (r->error != REPLY_OK)
		add_problem(s, "no TLS at %s: %s", s->at, r->text);
	else if (!is_installed(s->cert, r->chain))
		add_problem(s, "at %s another certificate is served than the installed one", s->at);
	s->listener++;
	look(s);
}

static void look(struct served *s)
{
	const struct acme_config *c = &s->cert->a->config;
	const char *name = s->cert->want.names[0];
	autofree char *below = NULL;

	if (s->listener == c->n_https) {
		finish(s);
		return;
	}
	if (strncmp(name, "*.", 2) == 0)
		name = below = memory_printf("www.%s", name + 2);
	reach_of(c->https[s->listener], s->at);
	s->id = link_ask(s->cert->a->link,
			 &(struct request){
				 .kind = REQUEST_HANDSHAKE,
				 .connect = s->at,
				 .name = name,
				 .expect = s->cert->want.key == KEY_P256 ? "ecdsa" : "rsa",
			 },
			 on_handshake, s);
}

static void on_timer(void *data)
{
	struct served *s = data;

	s->listener = 0;
	s->problem[0] = '\0';
	look(s);
}

void served_check(struct cert *c)
{
	struct served *s;

	served_drop(c);
	if (c->a->config.n_https == 0 || strcmp(c->webspace, ACME_HOST) == 0)
		return;
	s = memory_new(sizeof *s);
	s->cert = c;
	s->timer = loop_timer(c->a->config.loop, clock_usec() + waits_s[0] * USEC_PER_SEC, on_timer,
			      s);
	c->served = s;
}
