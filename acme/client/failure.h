/*
 * What a failed exchange means: whom it concerns, and how long to leave them
 * alone. Pure. The one place that reads a CA's sentences, and only where the
 * protocol has no field for what they say.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "acme/wire.h"

enum failure_class {
	FAILURE_NONE,
	FAILURE_NONCE,     /* the request: at once, with another nonce */
	FAILURE_TRANSPORT, /* the CA: no answer, or none of ACME's */
	FAILURE_BUSY,      /* the CA: 503 with Retry-After */
	FAILURE_LIMITED,   /* its scope: Retry-After */
	FAILURE_NAMES,     /* names that cannot be validated now */
	FAILURE_PAUSED,    /* a name that only a person can unpause at the CA */
	FAILURE_IDENTIFIER, /* a name that the CA never issues for; or all that was asked is not as it wants it */
	FAILURE_CERTIFICATE, /* this certificate will never be issued as it is configured */
	FAILURE_ACCOUNT,     /* the account: nothing can be had with it */
	FAILURE_REPLACED,    /* the certificate to be replaced has been: again without saying so */
	FAILURE_NOT_READY,   /* the order is elsewhere than we thought: look at it */
	FAILURE_PROTOCOL,    /* an answer that no CA should give */
	FAILURE_HOST,        /* this machine: no room, no program, nginx does not answer */
};

enum failure_scope {
	SCOPE_CERTIFICATE,
	SCOPE_NAME,
	SCOPE_SET,    /* these names together */
	SCOPE_DOMAIN, /* all names of a registered domain */
	SCOPE_ACCOUNT,
};

struct failure {
	enum failure_class class;
	enum failure_scope scope; /* of FAILURE_LIMITED and FAILURE_PAUSED */
	char name[256];           /* SCOPE_DOMAIN: which; "": not said */
	time_t wait;              /* seconds that the CA asked for; 0: it did not say */
	char text[1200];          /* for a person: the CA's own sentence, or what went wrong */
};

/* now: for "retry after DATE" in a sentence. */
void failure_of(const struct reply *reply, time_t now, struct failure *ret);
/* The same for a problem within an object (an order's error, a challenge's). */
void failure_of_problem(const struct problem *p, struct failure *ret);

/* Is this the CA's affair, so that no certificate is to be counted as failed? */
bool failure_is_of_ca(enum failure_class class);

/*
 * Seconds until it may be tried again, after the n-th failure in a row (from 1), a fifth more or
 * less by hash; left: of the live certificate, seconds (0 or less: there is none).
 */
time_t failure_wait(const struct failure *f, unsigned n, time_t left, uint64_t hash);

/* "NotPointedHere" …: a CamelCase word for the condition. */
const char *failure_reason(enum failure_class class);
/* The same word as a static text, for a condition keeps it longer than any record; an unknown one, or NULL: "Pending". */
const char *failure_word(const char *text);
