/*
 * A CA as a whole: its place on disk, its breaker, and how much it is asked at a
 * time. The breaker is closed a minute at first and half an hour at last; what
 * waits meanwhile goes on by itself.
 *
 * How long a validation or an issuance takes differs from CA to CA by a factor
 * of a hundred, so the wait before the first look at an order is learnt from
 * those before: rather a little late than one request more.
 */
#include "acme/client/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/client/account_key.h"
#include "acme/client/call.h"
#include "acme/client/client.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define BREAK_FIRST       (60 * USEC_PER_SEC)
#define BREAK_LONGEST     (1800 * USEC_PER_SEC)
#define JOBS_KNOWN        16
#define JOBS_UNKNOWN      4
#define PATIENCE_LEAST    (10 * USEC_PER_MSEC)
#define PATIENCE_UNKNOWN  (250 * USEC_PER_MSEC)
#define PATIENCE_LONGEST  (5 * USEC_PER_SEC)
#define RETRY_AFTER_MAX_S 86400
#define BUSY_MAX_S        86400
#define SLOW_USEC         (600 * USEC_PER_SEC)
#define DAY_USEC          (RETRY_AFTER_MAX_S * USEC_PER_SEC)

static char *origin_of(const char *url)
{
	const char *host = strstr(url, "://"), *end = host ? strchr(host + 3, '/') : NULL;

	return end ? memory_printf("%.*s", (int)(end - url), url) : memory_dup(url);
}

static bool keeps_limits(const struct acme_config *c, const char *origin)
{
	size_t len = strlen(origin), tail = strlen(".letsencrypt.org");

	if (c->limits_always || c->limits_never)
		return c->limits_always;
	return len > tail && strcmp(origin + len - tail, ".letsencrypt.org") == 0;
}

int ca_open(struct acme *a, const char *directory, struct ca **ret, struct err *e)
{
	struct ca *ca = memory_new(sizeof *ca);
	int r;

	ca->a = a;
	ca->directory = memory_dup(directory);
	ca->origin = origin_of(directory);
	ca->keeps_limits = keeps_limits(&a->config, ca->origin);
	call_open(ca);
	r = ca->dir = account_dir(a->config.store, directory, true, e);
	if (r >= 0)
		r = account_open(ca, e);
	if (r < 0) {
		ca_close(ca);
		return r;
	}
	limits_read(&ca->limits, ca->dir, clock_wall());
	*ret = ca;
	return 0;
}

void ca_close(struct ca *ca)
{
	if (!ca)
		return;
	call_close(ca);
	directory_clear(ca);
	limits_clear(&ca->limits);
	key_free(ca->key);
	key_free(ca->next_key);
	free(ca->kid);
	free(ca->refused);
	free(ca->why_closed);
	free(ca->directory);
	free(ca->origin);
	if (ca->dir >= 0)
		close(ca->dir);
	free(ca);
}

void ca_close_for(struct ca *ca, uint64_t usec, const char *reason, const char *why)
{
	uint64_t until = clock_usec() + usec;

	if (ca->is_broken || until > ca->closed_until_usec)
		ca->closed_until_usec = until;
	ca->is_broken = false;
	ca->closed_reason = reason;
	free(ca->why_closed);
	ca->why_closed = memory_dup(why);
	acme_tell(ca->a, ACME_PROBLEM, NULL, "%s: %s", ca->origin, why);
	ca_note(ca, reason, why);
	ca_go_on(ca);
	acme_take_turn(ca->a); /* those who wait say why */
}

void ca_be_patient(struct ca *ca, time_t wait_s, const char *why)
{
	uint64_t usec = (uint64_t)(wait_s < BUSY_MAX_S ? wait_s : BUSY_MAX_S) * USEC_PER_SEC;

	ca_close_for(ca, usec, "CaBusy", why);
	ca->slow_until_usec = ca->closed_until_usec + SLOW_USEC;
}

bool ca_break(struct ca *ca, const char *why)
{
	uint64_t usec = BREAK_FIRST << (ca->n_breaks < 5 ? ca->n_breaks : 5);

	/* All that were under way fail together: that is one failure. */
	if (ca->closed_until_usec > clock_usec())
		return false;
	ca->n_breaks++;
	ca_close_for(ca, usec < BREAK_LONGEST ? usec : BREAK_LONGEST, "CaUnreachable", why);
	ca->is_broken = true;
	return true;
}

void ca_note(struct ca *ca, const char *reason, const char *why)
{
	autofree char *text = memory_printf("%s: %s", ca->origin, why);
	struct table_entry *it;
	time_t now = clock_wall();

	table_each (&ca->a->owners, it) {
		const struct owner *o = it->value;

		for (size_t i = 0; i < o->n; i++)
			if (o->certs[i]->ca == ca && (o->certs[i]->job || o->certs[i]->due <= now))
				cert_note(o->certs[i], reason, text);
	}
}

void ca_mend(struct ca *ca)
{
	ca->n_breaks = 0;
	if (!ca->is_broken && ca->closed_until_usec > clock_usec())
		return;
	ca->closed_until_usec = 0;
	free(take_ptr(ca->why_closed));
}

bool ca_owns(const struct ca *ca, const char *url)
{
	size_t len = strlen(ca->origin);

	return strncmp(url, ca->origin, len) == 0 && url[len] == '/';
}

static size_t jobs_at_once(const struct ca *ca)
{
	size_t n = ca->proven ? JOBS_KNOWN : JOBS_UNKNOWN;

	return clock_usec() < ca->slow_until_usec ? n / 2 : n;
}

bool ca_takes_orders(const struct ca *ca, const char **ret_reason, char ret_text[static 480],
		     uint64_t *ret_until_usec)
{
	*ret_until_usec = UINT64_MAX;
	if (account_is_refused(ca)) {
		*ret_reason = "AccountRefused";
		*ret_until_usec =
			ca->deactivated ? clock_usec() + DAY_USEC : ca->refused_until_usec;
		snprintf(ret_text, 480, "%s: %s", ca->origin,
			 ca->deactivated ? "our account was deactivated" : ca->refused);
	} else if (ca->closed_until_usec > clock_usec()) {
		*ret_reason = ca->closed_reason;
		*ret_until_usec = ca->closed_until_usec;
		snprintf(ret_text, 480, "%s: %s", ca->origin, ca->why_closed);
	} else if (ca->n_jobs >= jobs_at_once(ca)) {
		*ret_reason = "Pending";
		snprintf(ret_text, 480, "it waits for other orders to end");
	} else {
		return true;
	}
	return false;
}

uint64_t ca_patience(const struct ca *ca, enum wait_kind what, unsigned n, int64_t retry_after)
{
	uint64_t usec = ca->patience_usec[what], asked;

	if (!usec)
		usec = ca->round_trip_usec < PATIENCE_UNKNOWN ? ca->round_trip_usec
							      : PATIENCE_UNKNOWN;
	if (usec < PATIENCE_LEAST)
		usec = PATIENCE_LEAST;
	/* Once it was too early: half as long again, then longer and longer. */
	for (unsigned i = 1; i < n && usec < PATIENCE_LONGEST; i++)
		usec *= 2;
	if (n > 0)
		usec /= 2;
	if (usec > PATIENCE_LONGEST)
		usec = PATIENCE_LONGEST;
	if (retry_after > RETRY_AFTER_MAX_S)
		retry_after = RETRY_AFTER_MAX_S;
	asked = retry_after > 0 ? (uint64_t)retry_after * USEC_PER_SEC : 0;
	return usec < asked ? asked : usec;
}

void ca_learn(struct ca *ca, enum wait_kind what, uint64_t too_early_usec)
{
	uint64_t usec = ca_patience(ca, what, 0, -1), middle = (usec + too_early_usec) / 2;

	if (!too_early_usec)
		usec -= usec / 300;
	else
		/* One that took very long says little of the next. */
		usec = middle < usec + usec / 10 ? usec + usec / 10
		       : middle < 2 * usec       ? middle
						 : 2 * usec;
	ca->patience_usec[what] = usec < PATIENCE_LONGEST ? usec : PATIENCE_LONGEST;
}
