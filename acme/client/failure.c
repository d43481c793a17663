/*
 * Problem types are RFC 8555's (6.7) and RFC 9773's; one row each. Sentences of
 * rate limits are Let's Encrypt's; of an unknown one only the certificate at
 * hand is held up.
 */
#include "acme/client/failure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"

#define MINUTE       ((time_t)60)
#define HOUR         (60 * MINUTE)
#define DAY          (24 * HOUR)
#define LONGEST      (7 * DAY)
#define LIMIT_UNSAID HOUR

struct type_row {
	const char *type;
	enum failure_class class;
};

static const struct type_row types[] = {
	{ "badNonce", FAILURE_NONCE },
	{ "rateLimited", FAILURE_LIMITED },
	{ "dns", FAILURE_NAMES },
	{ "connection", FAILURE_NAMES },
	{ "tls", FAILURE_NAMES },
	{ "unauthorized", FAILURE_NAMES },
	{ "caa", FAILURE_NAMES },
	{ "incorrectResponse", FAILURE_NAMES },
	{ "rejectedIdentifier", FAILURE_IDENTIFIER },
	{ "unsupportedIdentifier", FAILURE_IDENTIFIER },
	{ "malformed", FAILURE_IDENTIFIER },
	{ "badCSR", FAILURE_CERTIFICATE },
	{ "badPublicKey", FAILURE_CERTIFICATE },
	{ "badSignatureAlgorithm", FAILURE_CERTIFICATE },
	{ "invalidProfile", FAILURE_CERTIFICATE },
	{ "alreadyReplaced", FAILURE_REPLACED },
	{ "orderNotReady", FAILURE_NOT_READY },
	{ "accountDoesNotExist", FAILURE_ACCOUNT },
	{ "externalAccountRequired", FAILURE_ACCOUNT },
	{ "userActionRequired", FAILURE_ACCOUNT },
	{ "invalidContact", FAILURE_ACCOUNT },
	{ "unsupportedContact", FAILURE_ACCOUNT },
	{ "serverInternal", FAILURE_TRANSPORT },
};

static enum failure_class class_of(const char *type)
{
	for (size_t i = 0; i < ELEMENTS(types); i++)
		if (strcmp(types[i].type, type) == 0)
			return types[i].class;
	return FAILURE_CERTIFICATE;
}

/* What stands in the first "…" behind the given words. */
static bool quoted_behind(const char *text, const char *words, char ret[static 256])
{
	const char *at = strstr(text, words), *begin = at ? strchr(at, '"') : NULL;
	const char *end = begin ? strchr(begin + 1, '"') : NULL;

	if (!end || end - begin - 1 > 255)
		return false;
	snprintf(ret, 256, "%.*s", (int)(end - begin - 1), begin + 1);
	return true;
}

/* "retry after 2026-11-25 10:00:00 UTC" (also with a T, as in RFC 3339). */
static time_t wait_until_date(const char *text, time_t now)
{
	const char *at = strstr(text, "etry after ");
	struct tm tm = { 0 };
	char *end = at ? strptime(at + strlen("etry after "), "%Y-%m-%d", &tm) : NULL;
	time_t until;

	if (!end || (*end != ' ' && *end != 'T') || !strptime(end + 1, "%H:%M:%S", &tm))
		return 0;
	until = timegm(&tm);
	return until > now ? until - now : 1;
}

static void read_limit(const char *text, struct failure *f)
{
	if (strstr(text, "unpause") || strstr(text, "paused")) {
		f->class = FAILURE_PAUSED;
		f->scope = SCOPE_NAME;
	} else if (strstr(text, "exact set of")) {
		f->scope = SCOPE_SET;
	} else if (strstr(text, "too many failed authorizations")) {
		f->scope = SCOPE_NAME;
	} else if (strstr(text, "already issued for")) {
		f->scope = quoted_behind(text, "for ", f->name) ? SCOPE_DOMAIN : SCOPE_CERTIFICATE;
	} else if (strstr(text, "new orders") || strstr(text, "this account")) {
		f->scope = SCOPE_ACCOUNT;
	}
}

void failure_of_problem(const struct problem *p, struct failure *ret)
{
	*ret = (struct failure){ .class = class_of(p->type) };
	snprintf(ret->text, sizeof ret->text, "%s%s%s", p->type, *p->detail ? ": " : "", p->detail);
	snprintf(ret->name, sizeof ret->name, "%s", p->name);
	if (ret->class == FAILURE_LIMITED)
		read_limit(p->detail, ret);
}

static void transport(const struct reply *r, struct failure *ret)
{
	bool is_odd = r->error == REPLY_ODD || (r->error == REPLY_OK && r->http < 400);

	*ret = (struct failure){ .class = is_odd ? FAILURE_PROTOCOL : FAILURE_TRANSPORT };
	if (r->error != REPLY_OK)
		snprintf(ret->text, sizeof ret->text, "%s", *r->text ? r->text : "no answer");
	else
		snprintf(ret->text, sizeof ret->text, "HTTP %s",
			 *r->text ? r->text : "without a status");
}

/* RFC 8555, 6.7: "unauthorized" also says that the account is not valid any more; a name says whose it is. */
static bool is_about_account(const struct reply *r)
{
	return strcmp(r->problem.type, "unauthorized") == 0 && strstr(r->problem.detail, "ccount");
}

/* What stands before a CA says so with either status, and without ACME's words. */
static bool is_overload(const struct reply *r)
{
	return r->error == REPLY_OK && r->retry_after >= 0 &&
	       (r->http == 503 || (r->http == 429 && !*r->problem.type));
}

void failure_of(const struct reply *reply, time_t now, struct failure *ret)
{
	if (!reply_is_bad(reply) && !*reply->problem.type) {
		*ret = (struct failure){ .class = FAILURE_NONE };
		return;
	}
	if (reply->error != REPLY_OK || !*reply->problem.type) {
		transport(reply, ret);
	} else {
		failure_of_problem(&reply->problem, ret);
		if (is_about_account(reply))
			ret->class = FAILURE_ACCOUNT;
		else if (reply->http >= 500 &&
			 (ret->class == FAILURE_CERTIFICATE || ret->class == FAILURE_IDENTIFIER))
			ret->class =
				FAILURE_TRANSPORT; /* a problem of its own, whatever its type */
	}
	if (is_overload(reply))
		ret->class = FAILURE_BUSY;
	if (reply->error == REPLY_OK && reply->retry_after >= 0)
		ret->wait = (time_t)reply->retry_after;
	else if (ret->class == FAILURE_LIMITED)
		ret->wait = wait_until_date(reply->problem.detail, now);
}

bool failure_is_of_ca(enum failure_class class)
{
	return class == FAILURE_TRANSPORT || class == FAILURE_BUSY || class == FAILURE_ACCOUNT;
}

/* 1, 10, 100 minutes, then daily; a certificate that soon ends is tried four times a day. */
static time_t wait_for_names(unsigned n, time_t left)
{
	static const time_t steps[] = { MINUTE, 10 * MINUTE, 100 * MINUTE };
	bool urgent = left > 0 && left < 7 * DAY;

	if (n >= 1 && n <= ELEMENTS(steps))
		return steps[n - 1];
	return urgent ? 6 * HOUR : DAY;
}

time_t failure_wait(const struct failure *f, unsigned n, time_t left, uint64_t hash)
{
	time_t wait = DAY, spread;

	switch (f->class) {
	case FAILURE_LIMITED:
	case FAILURE_BUSY:
		wait = f->wait ? f->wait : LIMIT_UNSAID;
		if (wait > LONGEST)
			wait = LONGEST;
		/* Never earlier than asked for. */
		return wait + (time_t)(hash % (uint64_t)(wait / 20 + 2));
	case FAILURE_HOST: /* to look costs the CA nothing: 1, 2, 4 … 256 seconds */
		return (time_t)1 << (n < 9 ? (n ? n - 1 : 0) : 8);
	case FAILURE_NAMES:
	case FAILURE_PROTOCOL:
		wait = wait_for_names(n, left);
		break;
	case FAILURE_TRANSPORT:
		wait = MINUTE;
		break;
	default:
		break;
	}
	spread = wait / 5 * 2;
	return spread > 0 ? wait - spread / 2 + (time_t)(hash % (uint64_t)spread) : wait;
}

static const char *const reasons[] = {
	[FAILURE_NONE] = "Pending",
	[FAILURE_NONCE] = "CaUnreachable",
	[FAILURE_TRANSPORT] = "CaUnreachable",
	[FAILURE_BUSY] = "CaBusy",
	[FAILURE_LIMITED] = "RateLimited",
	[FAILURE_NAMES] = "NotValidated",
	[FAILURE_PAUSED] = "Paused",
	[FAILURE_IDENTIFIER] = "Refused",
	[FAILURE_CERTIFICATE] = "Refused",
	[FAILURE_ACCOUNT] = "AccountRefused",
	[FAILURE_REPLACED] = "Pending",
	[FAILURE_NOT_READY] = "Pending",
	[FAILURE_PROTOCOL] = "CaMisbehaves",
	[FAILURE_HOST] = "HostFault",
};
static const char *const more_reasons[] = { "ClockWrong", "NamesHeld" };

const char *failure_reason(enum failure_class class)
{
	return reasons[class];
}

const char *failure_word(const char *text)
{
	for (size_t i = 0; text && i < ELEMENTS(reasons); i++)
		if (strcmp(reasons[i], text) == 0)
			return reasons[i];
	for (size_t i = 0; text && i < ELEMENTS(more_reasons); i++)
		if (strcmp(more_reasons[i], text) == 0)
			return more_reasons[i];
	return reasons[FAILURE_NONE];
}
