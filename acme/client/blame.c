/*
 * Whom a refusal is about. It holds up a name, a domain, an account, and nobody
 * else. A CA says by subproblems which names it means, Boulder only for two or
 * more: a single one stands in its sentence alone. Only names of our own order
 * count there, as a word of their own, one in quotes before any other, and of
 * several the first: a sentence begins with what it is about ("While processing
 * CAA for www.example.org: CAA record for example.org prevents issuance").
 *
 * Where a refused order names nobody, half of its names are ordered, then half of
 * those that are left, until one is left. These orders are not gone on with, so
 * that no certificate is issued for fewer names than are served.
 */
#include <ctype.h>
#include <string.h>

#include "acme/client/job.h"
#include "acme/client/limits.h"
#include "agent/base/clock.h"
#include "agent/base/hash.h"

#define DOUBTS        2 /* failures in a row that an order survives */
#define CONFIRMATIONS 3

/* By the sentence ----------------------------------------------------------- */

/* Of a host name, of an address on the web or of an e-mail. */
static bool is_of_word(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("-_.*/@", c));
}

static bool ends_word(const char *at)
{
	return !is_of_word(*at) || (*at == '.' && !is_of_word(at[1]));
}

static bool is_quoted(const char *text, const char *at, size_t len)
{
	const char *end = at + len + (at[len] == '.');

	return at > text && (at[-1] == '"' || at[-1] == '\'') && *end == at[-1];
}

/* Where the name stands first as a word of its own, be it followed by a full stop. */
static const char *find_word(const char *text, const char *name, bool quoted)
{
	size_t len = strlen(name);

	for (const char *at = text; (at = strcasestr(at, name)); at++)
		if ((at == text || !is_of_word(at[-1])) && ends_word(at + len) &&
		    (!quoted || is_quoted(text, at, len)))
			return at;
	return NULL;
}

/* The one that is mentioned first; NULL: none. */
static const char *first_name(const struct job *j, const char *text, bool quoted)
{
	const char *found = NULL, *first = NULL;

	for (size_t i = 0; i < j->order.n_names; i++) {
		const char *at = find_word(text, j->order.names[i], quoted);

		if (!at || (first && at >= first))
			continue;
		first = at;
		found = j->order.names[i];
	}
	return found;
}

static const char *blamed(const struct job *j, const struct failure *f)
{
	const char *name = first_name(j, f->text, true);

	return name ? name : first_name(j, f->text, false);
}

static bool hold_blamed(struct job *j, const struct failure *f)
{
	const char *name = blamed(j, f);

	if (name)
		job_hold_name(j, name, f);
	return name;
}

/* A pause lists names. */
static bool hold_all_mentioned(struct job *j, const struct failure *f)
{
	bool any = false;

	for (size_t i = 0; i < j->order.n_names; i++) {
		if (!find_word(f->text, j->order.names[i], false))
			continue;
		job_hold_name(j, j->order.names[i], f);
		any = true;
	}
	return any;
}

static void hold_all(struct job *j, const struct failure *f)
{
	for (size_t i = 0; i < j->order.n_names; i++)
		job_hold_name(j, j->order.names[i], f);
}

static bool has_subproblems(const struct job *j, const struct reply *r)
{
	for (size_t i = 0; i < r->n_subproblems; i++)
		if (job_name(j, r->subproblems[i].name))
			return true;
	return false;
}

static void hold_by_subproblems(struct job *j, const struct reply *r)
{
	for (size_t i = 0; i < r->n_subproblems; i++) {
		struct failure f;

		failure_of_problem(&r->subproblems[i], &f);
		job_hold_name(j, r->subproblems[i].name, &f);
	}
}

/* Limits -------------------------------------------------------------------- */

static bool is_of_domain(const char *name, const char *domain)
{
	return strcasecmp(limits_domain(name), domain) == 0;
}

/* Some of the names are of that domain, and some are not. */
static bool is_about_some(const struct job *j, const char *domain)
{
	size_t n = 0;

	for (size_t i = 0; i < j->order.n_names; i++)
		n += is_of_domain(j->order.names[i], domain);
	return n > 0 && n < j->order.n_names;
}

static void hold_domain(struct job *j, const struct failure *f)
{
	for (size_t i = 0; i < j->order.n_names; i++)
		if (is_of_domain(j->order.names[i], f->name))
			job_hold_name(j, j->order.names[i], f);
}

/* Holds up whom it is about. True: some names, so that the others go on. */
static bool keep_limit(struct job *j, const struct failure *f)
{
	struct ca *ca = j->cert->ca;
	time_t now = clock_wall();
	time_t until = now + failure_wait(f, 1, 0, hash_text(HASH_START, j->cert->place.site));
	bool some = false;
	struct err e;

	switch (f->scope) {
	case SCOPE_ACCOUNT:
		limits_drain_account(&ca->limits, until, now);
		break;
	case SCOPE_DOMAIN:
		limits_drain_domain(&ca->limits, f->name, until, now);
		some = is_about_some(j, f->name);
		if (some)
			hold_domain(j, f);
		break;
	case SCOPE_SET:
		limits_drain_set(&ca->limits, (const char *const *)j->order.names, j->order.n_names,
				 until, now);
		break;
	case SCOPE_NAME:
		some = true;
		if (!hold_all_mentioned(j, f))
			hold_all(j, f);
		break;
	case SCOPE_CERTIFICATE:
		break;
	}
	if (limits_write(&ca->limits, ca->dir, now, &e) < 0)
		acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: limits: %s", ca->origin, e.text);
	return some;
}

/* Refusals ------------------------------------------------------------------ */

void job_doubt_order(struct job *j)
{
	if (cert_record(j->cert)->failures >= DOUBTS)
		order_drop(j->dir);
}

static bool is_limit(const struct failure *f)
{
	return f->class == FAILURE_LIMITED || f->class == FAILURE_PAUSED;
}

/* A name can be at fault for it. */
static bool is_about_names(const struct failure *f)
{
	return f->class == FAILURE_NAMES || f->class == FAILURE_IDENTIFIER;
}

void job_failed(struct job *j, const struct failure *f)
{
	struct failure mine = *f;
	bool names = false;

	if (is_limit(f))
		names = keep_limit(j, f);
	else if (is_about_names(f) && j->order.n_names > 1)
		names = hold_blamed(j, f);
	if (!names && f->class == FAILURE_NAMES) {
		hold_all(j, f);
		names = true;
	}
	if (names) {
		job_names_failed(j);
		return;
	}
	if (f->class == FAILURE_NONE || f->class == FAILURE_TRANSPORT)
		mine.class = FAILURE_PROTOCOL;
	job_fail(j, &mine);
}

void job_refused(struct job *j, const struct reply *r)
{
	struct failure f;

	failure_of(r, clock_wall(), &f);
	if (is_limit(&f) || f.class == FAILURE_ACCOUNT) {
		job_failed(j, &f); /* which says nothing of the order */
	} else if (has_subproblems(j, r)) {
		hold_by_subproblems(j, r);
		job_names_failed(j);
	} else {
		if (*r->problem.type)
			order_drop(j->dir);
		else
			job_doubt_order(j);
		job_failed(j, &f);
	}
}

/* By orders of fewer names ---------------------------------------------------- */

/* It is about names, and does not say which. */
static bool is_vague(const struct job *j, const struct reply *r, const struct failure *f)
{
	return is_about_names(f) && !has_subproblems(j, r) && !blamed(j, f);
}

/* The CA issued nothing for it. */
static void return_probe(struct job *j)
{
	if (j->spent.n_names)
		limits_return(&j->cert->ca->limits, &j->spent);
	j->spent.n_names = 0;
}

static void hold_suspect(struct job *j)
{
	job_hold_name(j, j->suspects.names[0], &j->fault);
	job_names_failed(j);
}

static void on_probed(struct job *j, const struct reply *r);

static void probe(struct job *j, const char *const *names, size_t n)
{
	j->probe = (struct name_range){ names, n };
	job_probe(j, &j->probe, on_probed);
}

/* If the CA takes this half of them, the fault is in the other. */
static void probe_half(struct job *j)
{
	probe(j, j->suspects.names, (j->suspects.n + 1) / 2);
}

static void on_taken(struct job *j)
{
	if (j->confirming) {
		hold_suspect(j);
		return;
	}
	j->taken = true;
	j->suspects.names += j->probe.n;
	j->suspects.n -= j->probe.n;
	if (j->suspects.n > 0)
		probe_half(j);
	else /* each name is taken, they are not together */
		job_fail(j, &j->fault);
}

/* A CA that has not taken any name may refuse all of them for another reason: a few more are tried. */
static void confirm(struct job *j)
{
	size_t last = j->order.n_names - ++j->confirming;

	/* Without one that was taken the suspect is the first of all. */
	if (j->confirming > CONFIRMATIONS || last == 0)
		job_fail(j, &j->fault);
	else
		probe(j, (const char *const *)&j->order.names[last], 1);
}

static void on_vague(struct job *j, const struct failure *f)
{
	if (j->confirming) {
		confirm(j);
		return;
	}
	j->fault = *f;
	j->suspects = j->probe;
	if (j->probe.n > 1)
		probe_half(j);
	else if (j->taken)
		hold_suspect(j);
	else
		confirm(j);
}

static void on_probed(struct job *j, const struct reply *r)
{
	struct failure f;

	return_probe(j);
	failure_of(r, clock_wall(), &f);
	if (!reply_is_bad(r))
		on_taken(j);
	else if (is_vague(j, r, &f))
		on_vague(j, &f);
	else
		job_refused(j, r);
}

void job_order_refused(struct job *j, const struct reply *r)
{
	failure_of(r, clock_wall(), &j->fault);
	if (j->order.n_names == 1 || !is_vague(j, r, &j->fault)) {
		job_refused(j, r);
		return;
	}
	return_probe(j);
	j->suspects = (struct name_range){ (const char *const *)j->order.names, j->order.n_names };
	probe_half(j);
}
