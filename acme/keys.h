/* Keys and certificates as PEM text; OpenSSL stays behind this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "acme/acme.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"

#define PEM_MAX_BYTES 65536

struct pem {
	const char *text;
	size_t len;
};

/* A private key, P-256. -EBADMSG: it is something else. */
struct key;
int key_new(struct key **ret, struct err *e);
int key_parse(struct pem pem, struct key **ret, struct err *e);
void key_write(const struct key *k, struct buf *ret);
void key_free(struct key *k);

/* A CA: a key and its certificate. */
struct authority;
/* A certificate for a CA of this key, signed by itself. */
int authority_certify(struct key *k, time_t not_before, time_t not_after, struct buf *ret,
		      struct err *e);
/* Takes k in any case. -EBADMSG: no certificate of a CA, or of another key. */
int authority_open(struct pem certificate, struct key *k, struct authority **ret, struct err *e);
void authority_close(struct authority *a);
time_t authority_ends(const struct authority *a);

struct issue {
	const struct key *key;
	const char *const *names;
	size_t n_names;
	time_t not_before, not_after;
};
int authority_issue(const struct authority *a, const struct issue *what, struct buf *ret,
		    struct err *e);

/*
 * What the chain's first certificate is. key: its private key. a: for .internal, may be NULL.
 * uncovered: if not NULL, the first name that is not covered, or NULL. -EBADMSG: no certificate.
 */
int chain_read(struct pem chain, struct pem key, const char *const *names, size_t n_names,
	       const struct authority *a, struct certificate *ret, const char **uncovered,
	       struct err *e);

/* Overwrites and frees text that was secret. */
void pem_clear(struct buf *b);
