/*
 * The proofs that the names are ours (RFC 8555, 7.5 and 8). For http-01 there is
 * nothing to do but to say "look": nginx answers by itself. Only for an account
 * that it does not know is the answer put into a file. For dns-01 the admin's
 * program puts a record, and we look whether it can be seen before the CA does.
 *
 * What came of the proofs is told by the order. Only if it has become invalid
 * are the authorizations asked, by whose fault.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/client/hook.h"
#include "acme/client/job.h"
#include "acme/client/jws.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"

#define TOKEN_LEAST 16
#define TOKEN_MOST  128
#define DNS_EVERY   (2 * USEC_PER_SEC)
#define DNS_FIRST   (200 * USEC_PER_MSEC)
#define FILES_DIR   "http01/.well-known/acme-challenge"

struct authorization {
	struct job *job;
	char *url, *challenge_url, *token, *name; /* name: without "*." */
	char value[44];                           /* of the TXT record */
	bool wildcard, has_file, has_record;
	struct call *call;
	struct hook_call *hook;
	uint32_t look; /* at DNS */
	struct loop_source *again;
	uint64_t looked_until_usec;
};

static char *file_path(const struct job *j)
{
	return memory_printf("%s/" FILES_DIR, j->cert->a->config.run_dir);
}

static void take_file_away(const struct authorization *z)
{
	autofree char *path = file_path(z->job);
	autofd int dir = path_open_dir(path, NULL);

	if (dir >= 0)
		(void)unlinkat(dir, z->token, 0);
}

/* The record may stay behind. It is of no use to anybody, but the admin wants to know. */
static void on_cleaned(const char *problem, void *data)
{
	if (problem)
		acme_tell(data, ACME_PROBLEM, NULL, "%s", problem);
}

static void authorization_clear(struct authorization *z)
{
	struct acme *a = z->job->cert->a;

	ca_drop(z->call);
	if (z->hook && !hook_drop(z->hook))
		z->has_record = false;
	loop_drop(z->again);
	if (z->look)
		link_drop(a->link, z->look);
	if (z->has_file)
		take_file_away(z);
	if (z->has_record && !a->closing)
		(void)hook_run(a->hooks, false, z->name, z->value, on_cleaned, a);
	free(z->url);
	free(z->challenge_url);
	free(z->token);
	free(z->name);
}

void authorizations_clear(struct job *j)
{
	for (size_t i = 0; i < j->n_authorizations; i++)
		authorization_clear(&j->authorizations[i]);
	free(take_ptr(j->authorizations));
	j->n_authorizations = 0;
}

/* The name as it was ordered. */
static void full_name(const struct authorization *z, char ret[static 260])
{
	snprintf(ret, 260, "%s%s", z->wildcard ? "*." : "", z->name);
}

static void name_failed(struct authorization *z, enum failure_class class, const char *text)
{
	struct failure f = { .class = class };
	struct job *j = z->job;
	char name[260];

	snprintf(f.text, sizeof f.text, "%s", text);
	full_name(z, name);
	job_hold_name(j, name, &f);
	job_names_failed(j);
}

/* When all have been said "look" ------------------------------------------------ */

static void on_proved(struct job *j, const struct reply *r)
{
	if (r->status == STATUS_READY)
		job_finalize(j);
	else if (r->status == STATUS_PROCESSING)
		job_await_certificate(j, r->retry_after);
	else if (r->status == STATUS_VALID)
		job_download(j, r);
	else
		job_find_fault(j, r);
}

static void one_less(struct job *j)
{
	if (--j->n_open == 0)
		job_poll(j, WAIT_VALIDATION, -1, on_proved);
}

static void on_challenged(const struct reply *r, void *data)
{
	struct authorization *z = data;
	struct job *j = z->job;
	struct failure f;

	z->call = NULL;
	failure_of(r, clock_wall(), &f);
	/* "malformed" is what a CA says of a proof that is being looked at already. */
	if (!reply_is_bad(r) || strcmp(r->problem.type, "malformed") == 0)
		one_less(j);
	else if (f.class == FAILURE_NAMES || f.class == FAILURE_IDENTIFIER)
		name_failed(z, f.class, f.text);
	else
		job_refused(j, r);
}

static void say_look(struct authorization *z)
{
	z->call = ca_call(z->job->cert->ca, &(struct call_spec){ .kind = REQUEST_CHALLENGE,
								 .url = z->challenge_url,
								 .payload = "{}",
								 .fn = on_challenged,
								 .data = z });
}

/* http-01 --------------------------------------------------------------------- */

static int put_answer(struct authorization *z, struct err *e)
{
	const struct acme *a = z->job->cert->a;
	autofree char *path = file_path(z->job);
	autofree char *text = memory_printf("%s.%s", z->token, z->job->cert->ca->thumbprint);
	autofd int dir = path_open_dir(path, e);
	int r = dir < 0 ? dir : put_file(dir, z->token, 0640, text, strlen(text), PUT_BATCH, e);

	if (r < 0)
		return r;
	z->has_file = true;
	if (fchownat(dir, z->token, (uid_t)-1, a->config.store->web_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, "%s/%s", path, z->token);
	return 0;
}

static void prove_by_http(struct authorization *z)
{
	struct job *j = z->job;
	struct err e = { 0 };

	if (strcmp(j->cert->ca->thumbprint, j->cert->a->config.thumbprint) != 0 &&
	    put_answer(z, &e) < 0)
		job_fail_text(j, FAILURE_HOST, "%s", e.text);
	else
		say_look(z);
}

/* dns-01 ---------------------------------------------------------------------- */

static void look_for_record(void *data);

static void on_record(const struct reply *r, void *data)
{
	struct authorization *z = data;
	unsigned wait_s = z->job->cert->a->config.dns_wait_s;

	z->look = 0;
	if (r->error == REPLY_OK && r->found) {
		say_look(z);
	} else if (clock_usec() < z->looked_until_usec) {
		loop_timer_set(z->again, clock_usec() + DNS_EVERY);
	} else {
		autofree char *text =
			memory_printf("the TXT record of _acme-challenge.%s was not seen in DNS "
				      "within %u s%s%s",
				      z->name, wait_s, *r->text ? ": " : "", r->text);

		name_failed(z, FAILURE_NAMES, text);
	}
}

static void look_for_record(void *data)
{
	struct authorization *z = data;
	autofree char *name = memory_printf("_acme-challenge.%s", z->name);

	z->look =
		link_ask(z->job->cert->a->link,
			 &(struct request){ .kind = REQUEST_TXT, .name = name, .expect = z->value },
			 on_record, z);
}

static void on_present(const char *problem, void *data)
{
	struct authorization *z = data;
	struct acme *a = z->job->cert->a;

	z->hook = NULL;
	if (problem) {
		name_failed(z, FAILURE_NAMES, problem);
		return;
	}
	if (a->config.dns_wait_s == 0) {
		say_look(z);
		return;
	}
	z->looked_until_usec = clock_usec() + a->config.dns_wait_s * USEC_PER_SEC;
	z->again = loop_timer(a->config.loop, clock_usec() + DNS_FIRST, look_for_record, z);
}

static void prove_by_dns(struct authorization *z)
{
	struct acme *a = z->job->cert->a;
	struct err e = { 0 };

	if (jws_dns_01(z->token, z->job->cert->ca->thumbprint, z->value, &e) < 0) {
		job_fail_text(z->job, FAILURE_PROTOCOL, "%s", e.text);
		return;
	}
	z->has_record = true;
	z->hook = hook_run(a->hooks, true, z->name, z->value, on_present, z);
}

/* The authorization ------------------------------------------------------------- */

static bool is_token(const char *text)
{
	size_t len = strlen(text);

	return len >= TOKEN_LEAST && len <= TOKEN_MOST &&
	       text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789-_")] == '\0';
}

static bool is_ours(const struct authorization *z)
{
	char name[260];

	full_name(z, name);
	return job_name(z->job, name) != NULL;
}

static void prove(struct authorization *z, const struct reply *r)
{
	struct job *j = z->job;
	bool dns = z->wildcard || j->cert->want.dns_01;
	enum challenge_type type = dns ? CHALLENGE_DNS_01 : CHALLENGE_HTTP_01;
	const struct offer *offer = NULL;

	for (size_t i = 0; i < r->n_offers && !offer; i++)
		if (r->offers[i].type == type)
			offer = &r->offers[i];
	if (!offer) {
		job_fail_text(j, FAILURE_CERTIFICATE, "the CA offers no %s for %s",
			      dns ? "dns-01" : "http-01", z->name);
	} else if (!is_token(offer->token) || !ca_owns(j->cert->ca, offer->url)) {
		order_drop(j->dir);
		job_fail_text(j, FAILURE_PROTOCOL,
			      "a challenge for %s without a valid token or address", z->name);
	} else if (offer->status != STATUS_PENDING && offer->status != STATUS_NONE) {
		one_less(j); /* it is looking already */
	} else {
		z->token = memory_dup(offer->token);
		z->challenge_url = memory_dup(offer->url);
		(dns ? prove_by_dns : prove_by_http)(z);
	}
}

static const struct problem *problem_of(const struct reply *r)
{
	for (size_t i = 0; i < r->n_offers; i++)
		if (*r->offers[i].problem.type)
			return &r->offers[i].problem;
	return NULL;
}

static void on_authorization(const struct reply *r, void *data)
{
	struct authorization *z = data;
	struct job *j = z->job;

	z->call = NULL;
	if (reply_is_bad(r)) {
		job_refused(j, r);
		return;
	}
	z->name = memory_dup(r->identifier);
	z->wildcard = r->wildcard;
	if (!is_ours(z)) {
		order_drop(j->dir);
		job_fail_text(j, FAILURE_PROTOCOL, "an authorization for %s, which was not ordered",
			      r->identifier);
	} else if (r->status == STATUS_VALID) {
		one_less(j);
	} else if (r->status == STATUS_PENDING) {
		prove(z, r);
	} else {
		const struct problem *p = problem_of(r);

		name_failed(z, FAILURE_NAMES, p ? p->detail : "its authorization is not valid");
	}
}

static void ask_all(struct job *j, const struct reply *order,
		    void (*fn)(const struct reply *r, void *data))
{
	struct ca *ca = j->cert->ca;

	authorizations_clear(j);
	j->n_authorizations = j->n_open = order->authorizations.count;
	j->authorizations = memory_new(j->n_open * sizeof *j->authorizations);
	for (size_t i = 0; i < j->n_authorizations; i++) {
		struct authorization *z = &j->authorizations[i];

		z->job = j;
		z->call = ca_call(ca, &(struct call_spec){ .kind = REQUEST_AUTHORIZATION,
							   .url = order->authorizations.items[i],
							   .fn = fn,
							   .data = z });
	}
}

void job_authorize(struct job *j, const struct reply *order)
{
	ask_all(j, order, on_authorization);
}

/* Whose fault it is --------------------------------------------------------------- */

static void on_fault(const struct reply *r, void *data)
{
	struct authorization *z = data;
	struct job *j = z->job;
	const struct problem *p = problem_of(r);
	struct failure f = { .class = FAILURE_NAMES };

	z->call = NULL;
	if (!reply_is_bad(r) && r->status != STATUS_VALID && r->status != STATUS_PENDING) {
		z->name = memory_dup(r->identifier);
		z->wildcard = r->wildcard;
		if (p)
			failure_of_problem(p, &f);
		else
			snprintf(f.text, sizeof f.text, "its authorization is not valid");
		if (is_ours(z)) {
			char name[260];

			full_name(z, name);
			job_hold_name(j, name, &f);
			j->found_fault = true;
		}
	}
	if (--j->n_open > 0)
		return;
	if (j->found_fault)
		job_names_failed(j);
	else if (j->fault.class != FAILURE_NONE)
		job_failed(j, &j->fault);
	else
		job_fail_text(j, FAILURE_PROTOCOL,
			      "the order became invalid, and no name is at fault");
}

/* The order says itself what is wrong, and it is nothing that a single name can be at fault for. */
static bool is_about_all(const struct reply *order)
{
	struct failure f;

	if (!*order->problem.type || order->n_subproblems ||
	    strcmp(order->problem.type, "compound") == 0)
		return false;
	failure_of_problem(&order->problem, &f);
	return f.class != FAILURE_NAMES;
}

void job_find_fault(struct job *j, const struct reply *order)
{
	order_drop(j->dir);
	if (is_about_all(order)) {
		job_refused(j, order);
		return;
	}
	j->found_fault = false;
	j->fault = (struct failure){ .class = FAILURE_NONE };
	if (*order->problem.type)
		failure_of_problem(&order->problem, &j->fault);
	ask_all(j, order, on_fault);
}
