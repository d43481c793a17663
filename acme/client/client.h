/*
 * Inside of the client: what its files share. A certificate that is wanted
 * (struct cert) hangs on its CA; while something is done about it, it has a job.
 *
 *     engine.c     the certificates, and whose turn it is
 *     cert.c       one of them: what is to be done about it, and when
 *     ca.c         a CA; call.c: signed calls, retries; ca_nonce.c: nonces; ca_account.c: our account there
 *     job.c        one certificate's way, begun anew or gone on with
 *     order.c      … from the limits to the order
 *     blame.c      … and whom it is about that a CA refuses
 *     authorize.c  … through the proofs that the names are ours
 *     deliver.c    … to the installed certificate
 *     served.c     is it served? window.c: when does the CA want it renewed?
 *     preflight.c  what can be known before the CA is asked
 *     hook.c       TXT records by a program of the admin's
 *     revoke.c, account_change.c   what only a person asks for
 *
 * All of it runs on the loop: every function returns at once, and what has to
 * wait is called back.
 */
#pragma once

#include "acme/acme.h"
#include "acme/client/ca.h"
#include "acme/client/failure.h"
#include "acme/client/hook.h"
#include "acme/client/renew.h"
#include "acme/crypto/key.h"
#include "acme/link.h"
#include "acme/store/record.h"
#include "acme/store/store.h"
#include "agent/base/arena.h"
#include "agent/base/loop.h"
#include "agent/base/table.h"

struct job;
struct served;

struct cert {
	struct acme *a;
	struct ca *ca;
	struct arena arena; /* owns the texts of want */
	const char *webspace;
	struct acme_want want;
	struct place place;
	bool wanted; /* still, while acme_set goes through a webspace's */

	struct job *job;     /* NULL: nothing is under way */
	struct call *window; /* the CA is being asked for its window */
	struct call *revocation;
	struct served *served; /* what is served is being looked at */

	time_t due;           /* when it is to be ordered */
	time_t ask;           /* when the CA is to be asked for its window; 0: never */
	bool urgent;          /* there is nothing good, or not for long */
	struct lifetime life; /* of the live certificate, … */
	time_t ends;          /* … 0: there is none of this CA's */
	unsigned told_urgency;
	unsigned host_failures; /* in a row */
};

/* The certificates of one webspace. */
struct owner {
	struct cert **certs;
	size_t n;
};

struct acme {
	struct acme_config config; /* texts in the arena */
	struct arena arena;
	struct link *link;
	struct table cas;    /* directory → struct ca */
	struct table owners; /* webspace → struct owner */
	size_t n_certs, n_asked_windows;
	struct loop_source *timer, *turn;
	struct hooks *hooks;
	uint64_t issued, failed;
	bool closing, turn_due;
};

struct owner *acme_owner(const struct acme *a, const char *webspace);
/* Somebody's turn may have come. */
void acme_take_turn(struct acme *a);

/* cert.c. Something is new about it: what is to be done with it, and when, is found anew. */
void cert_look(struct cert *c);
/* The condition says something else now. */
void cert_note(struct cert *c, const char *reason, const char *text);
/* What was wrong before does not hold it back. */
void cert_forgive(struct cert *c);
/* … if it is wanted in another way than then. */
void cert_compare(struct cert *c);
/* The job is done, well or not: it ends, and the record is written. f: NULL: well. */
void cert_done(struct cert *c, const struct failure *f);
/* The certificate's directory, made if need be: a descriptor, or -errno. */
int cert_dir(const struct cert *c, struct err *e);
/* A certificate for these names is to be had: the live one lacks some, or its time has come. */
bool cert_needs(const struct cert *c, const char *const *names, size_t n);
/* An order would say which certificate it replaces (RFC 9773, 5). */
bool cert_replaces(const struct cert *c);
/* As far as limits go. False: until when, in ret. ret_order: what it would cost. */
bool cert_may_order(const struct cert *c, const char *const *names, size_t n,
		    struct limits_order *ret_order, struct failure *ret);
struct record *cert_record(const struct cert *c);
void cert_save(struct cert *c);
void acme_tell(struct acme *a, enum acme_news news, const char *webspace, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* job.c */
void job_begin(struct cert *c);
/* Ends it where it is; what is on disk stays. */
void job_free(struct job *j);
