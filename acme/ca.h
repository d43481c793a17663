/*
 * A CA: its directory, our account there, its nonces, and how it is doing. A
 * call is one signed request, and everything that may stand in its way is dealt
 * with here: no directory yet, no account, no nonce, a nonce refused, no answer,
 * a CA that is overloaded, a clock that is wrong. Whoever called gets an answer
 * that the CA meant, or waits; that the CA cannot be reached is nobody's failure.
 */
#pragma once

#include "acme/crypto/key.h"
#include "acme/failure.h"
#include "acme/limits.h"
#include "acme/wire.h"
#include "agent/base/loop.h"

struct acme;
struct call;

#define NONCES_MAX  32
#define NONCES_USED 64

enum known { KNOWN_NOT, KNOWN_ASKED, KNOWN_YES };

/* Of the directory (RFC 8555, 7.1.1). */
enum resource {
	RESOURCE_NONE, /* the call has a URL of its own */
	RESOURCE_DIRECTORY,
	RESOURCE_NEW_NONCE,
	RESOURCE_NEW_ACCOUNT,
	RESOURCE_NEW_ORDER,
	RESOURCE_REVOKE_CERT,
	RESOURCE_KEY_CHANGE,
	RESOURCE_RENEWAL_INFO,
	RESOURCES
};

struct ca {
	struct acme *a;
	char *directory, *origin; /* "https://host:port" */
	int dir;                  /* state_dir/acme/CA */

	enum known directory_known;
	uint64_t directory_usec;
	char *resources[RESOURCES]; /* URLs; NULL: it has none */
	char **caa_identities, **profiles;
	size_t n_caa_identities, n_profiles;
	bool eab_required;

	struct key *key,
		*next_key; /* next_key: a change to it is in flight, or was when we ended */
	char thumbprint[44];
	unsigned key_number; /* of the keys that it has had since our start */
	enum known account_known;
	char *kid;
	bool deactivated;
	char *refused; /* why nothing can be had with our account; NULL: it is well */
	uint64_t refused_until_usec, repaired_usec;

	char *nonces[NONCES_MAX]; /* the newest last */
	uint64_t nonce_usec[NONCES_MAX];
	size_t n_nonces, n_asked_nonces;
	uint64_t used_nonces[NONCES_USED]; /* hashes of the last ones */
	unsigned next_used;
	unsigned bad_nonces; /* in a row */

	struct call *first,
		*last;   /* all calls, under way or waiting; what others wait for comes first */
	size_t n_signed; /* under way, each of which brings a nonce back */
	uint64_t round;
	struct loop_source *timer, *idle;

	uint64_t closed_until_usec; /* the breaker; 0: open */
	bool is_broken; /* … since it failed; else since it asked for it, or our clock is wrong */
	uint64_t slow_until_usec;  /* it was overloaded: half as many orders at a time */
	unsigned n_breaks;         /* in a row */
	const char *closed_reason; /* CamelCase, static */
	char *why_closed;          /* NULL: it is open */

	uint64_t answered_usec; /* when it last answered what a certificate needs */
	uint64_t round_trip_usec;
	uint64_t patience_usec
		[2]; /* until the first poll: for a validation, for a certificate; 0: not learnt */
	size_t n_jobs, n_names; /* in flight */
	bool proven;            /* it has issued something to us */
	bool keeps_limits;
	struct limits limits;
};

/* -errno: no place on disk, or no key of the account. */
int ca_open(struct acme *a, const char *directory, struct ca **ret, struct err *e);
void ca_close(struct ca *ca);

struct call_spec {
	enum request_kind kind;
	enum resource resource;
	const char *url;     /* RESOURCE_NONE: where; else what follows the resource's, or NULL */
	const char *payload; /* NULL: POST-as-GET */
	bool with_key;       /* signed as the key, not as the account: for newAccount */
	struct key *key;     /* … another one than the account's; NULL: that. Borrowed */
	bool about_account;  /* a refusal is for whoever asked: it holds no certificate up */
	bool unsigned_get;
	void (*fn)(const struct reply *reply, void *data);
	void *data;
};
/*
 * Copies texts. fn is called once, later, unless the call is dropped. A resource that the CA does
 * not have answers with HTTP status 404.
 */
struct call *ca_call(struct ca *ca, const struct call_spec *spec);
void ca_drop(struct call *call);
/* Something may go on now. */
void ca_go_on(struct ca *ca);
/* Answers what waits and needs the account: it is refused. */
void ca_fail_waiting(struct ca *ca, const char *why);

/* It is overloaded, and has asked for so long a pause; a day at most is believed. */
void ca_be_patient(struct ca *ca, time_t wait_s, const char *why);
/* Nothing is sent for so long, whatever it answers meanwhile; reason: static. */
void ca_close_for(struct ca *ca, uint64_t usec, const char *reason, const char *why);
/* … once more, for longer each time. False: it is closed already. */
bool ca_break(struct ca *ca, const char *why);
/* It answers: what was only broken is open again. */
void ca_mend(struct ca *ca);

/* All that is under way with it, or would be, is held up by this: their conditions say so. */
void ca_note(struct ca *ca, const char *reason, const char *why);

/* Whether a new order may be begun now. False: why and until when (clock_usec; UINT64_MAX: until another ends). */
bool ca_takes_orders(const struct ca *ca, const char **ret_reason, char ret_text[static 480],
		     uint64_t *ret_until_usec);
/* Of the CA's own origin? Nothing is signed for any other. */
bool ca_owns(const struct ca *ca, const char *url);

enum wait_kind { WAIT_VALIDATION, WAIT_ISSUANCE };
/* How long to leave the CA alone before the n-th look (from 0) at an order. retry_after: -1: not said. */
uint64_t ca_patience(const struct ca *ca, enum wait_kind what, unsigned n, int64_t retry_after);
/* It was ready. too_early_usec: after so long it was not yet; 0: the first look came at the right time. */
void ca_learn(struct ca *ca, enum wait_kind what, uint64_t too_early_usec);

/* ca_nonce.c */
void nonce_keep(struct ca *ca, const char *nonce);
/* The newest; the caller's. NULL: there is none. */
char *nonce_take(struct ca *ca);
void nonces_keep_newest(struct ca *ca, size_t n);
/* Unless enough of them will come by themselves. */
void nonce_ask(struct ca *ca);

/* ca_directory.c */
void directory_ask(struct ca *ca);
bool directory_is_known(struct ca *ca);
void directory_clear(struct ca *ca);

/* ca_account.c */
int account_open(struct ca *ca, struct err *e);
/* Finds our account, or makes it. */
void account_begin(struct ca *ca);
void account_save(const struct ca *ca);
/* No more with this account, for a day. */
void account_refuse(struct ca *ca, const char *why);
bool account_is_refused(const struct ca *ca);
/* A key change was in flight when we ended: which of the two keys the CA knows is asked first. */
void account_settle_key(struct ca *ca);
/* It was forgotten at the CA: made again with the same key, once an hour at most. */
bool account_repair(struct ca *ca);
