/*
 * One certificate's way: job.c begins it, order.c orders, authorize.c proves the
 * names, deliver.c fetches and installs; blame.c finds out whom a refusal is about. Each step ends in the next, in a call
 * whose answer is the next, or in job_fail. What has to survive a crash is in
 * order.json and in the key's generation.
 */
#pragma once

#include "acme/client/client.h"
#include "acme/client/preflight.h"
#include "acme/client/program.h"
#include "acme/crypto/chain.h"

struct authorization;

/* Some of an order's names; borrowed. */
struct name_range {
	const char *const *names;
	size_t n;
};

struct job {
	struct cert *cert;
	int dir;                   /* of the certificate */
	struct order_record order; /* its names are those that are ordered */
	bool resumed;
	struct limits_order
		spent; /* that it has taken from the limits; no names: nothing. Borrows from order */

	struct preflight *preflight;
	struct program *program; /* makes a key */
	struct key *key;

	struct call *call; /* the one that is awaited; NULL: none */
	void (*after_call)(struct job *j, const struct reply *r);
	struct loop_source *timer;
	void (*after_wait)(struct job *j);
	unsigned polls, finalized;
	uint64_t began_usec, looked_usec, too_early_usec; /* waiting for the order to get on */
	enum wait_kind waiting;
	void (*after_poll)(struct job *j, const struct reply *r);

	struct authorization *authorizations; /* as many as order names */
	size_t n_authorizations, n_open;
	bool found_fault;
	struct failure
		fault; /* what the refused order says of itself; class FAILURE_NONE: nothing */
	struct name_range suspects, probe; /* of a search for the name that it is about: blame.c */
	bool taken;                        /* … one of its orders was */
	unsigned confirming; /* … orders that are made to learn whether the CA takes any */

	struct buf chain; /* as checked, to be installed */
	struct chain_facts facts;
	bool installed;
	struct text_array alternates; /* owned texts */
	size_t next_alternate;
};

/* A call of this job, the only one at a time; fn gets the job. */
void job_call(struct job *j, const struct call_spec *spec,
	      void (*fn)(struct job *j, const struct reply *r));
/* Goes on with fn after a while. */
void job_wait(struct job *j, uint64_t usec, void (*fn)(struct job *j));
/* It ends, the certificate has failed by this. */
void job_fail(struct job *j, const struct failure *f);
void job_fail_text(struct job *j, enum failure_class class, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* As it was ordered; NULL: it was not. */
const char *job_name(const struct job *j, const char *name);
/* These failed; the others are ordered anew. */
void job_hold_name(struct job *j, const char *name, const struct failure *f);
void job_names_failed(struct job *j);
/* order.c. Orders the names that are set. */
void job_order(struct job *j);
/* Orders only these, to learn whether the CA takes them. */
void job_probe(struct job *j, const struct name_range *range,
	       void (*fn)(struct job *j, const struct reply *r));
/* With an order, by its status. */
void job_go_on(struct job *j, const struct reply *r);

/* blame.c */
/* The CA says nothing usable of it: it may yet, so that a new one is begun only after a few times. */
void job_doubt_order(struct job *j);
/* By what a CA says: those of its names that this is about are held, or the certificate failed. */
void job_failed(struct job *j, const struct failure *f);
/* A failed answer to something that is about all of it: also by subproblems, and by the scope of a limit. */
void job_refused(struct job *j, const struct reply *r);
/* … to the order itself: if it does not say which name is wrong, that is found out. */
void job_order_refused(struct job *j, const struct reply *r);
/* Looks at the order until it is no longer as it was; then the answer goes to fn. */
void job_poll(struct job *j, enum wait_kind what, int64_t retry_after,
	      void (*fn)(struct job *j, const struct reply *r));
/* What an order's answer says of itself has to be so. False: the job has failed by it. */
bool job_takes_order(struct job *j, const struct reply *r);

/* authorize.c */
void job_authorize(struct job *j, const struct reply *order);
void authorizations_clear(struct job *j);
/* The order is invalid: finds out by whose fault. */
void job_find_fault(struct job *j, const struct reply *order);

/* deliver.c */
void job_finalize(struct job *j);
void job_await_certificate(struct job *j, int64_t retry_after);
void job_download(struct job *j, const struct reply *order);

/* served.c: is what is served what was installed? In a while, and again later if not. */
void served_check(struct cert *c);
void served_drop(struct cert *c);

/* window.c */
void window_ask(struct cert *c);
