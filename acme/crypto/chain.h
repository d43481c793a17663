/*
 * Chains of certificates as PEM text: reading them, and all that has to be true
 * of one that came from the network before it is put in place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "acme/acme.h"
#include "acme/crypto/key.h"

struct authority;

/*
 * What the chain's first certificate is. key: its private key. a: for .internal, may be NULL.
 * uncovered: if not NULL, the first name that is not covered, or NULL. -EBADMSG: no certificate.
 */
int chain_read(struct pem chain, struct pem key, const char *const *names, size_t n_names,
	       const struct authority *a, struct certificate *ret, const char **uncovered,
	       struct err *e);

#define CHAIN_MAX 10

/* Facts about a chain, for the record and for the CA. Names are printable ASCII, what is not is "?". */
struct chain_facts {
	time_t not_before, not_after;
	char issuer[200]; /* who signed the leaf: its common name, or organisation */
	char root[200];   /* … and the last certificate: what the chain leads to */
	char serial[64];  /* hex; "": longer than there may be */
	char ari[160]; /* RFC 9773: base64url(key id of the issuer) "." base64url(serial); "": it names no issuer's key */
	char leaf_hash[65]; /* SHA-256 of the leaf, hex */
	enum key_type key;
};
/* -EBADMSG: not a certificate. */
int chain_facts(struct pem chain, struct chain_facts *ret, struct err *e);

/*
 * May this be installed for key and names? At most CHAIN_MAX certificates and PEM_MAX_BYTES, nothing
 * else in the text; the leaf is of this key, names exactly these, is for servers and of no CA, in
 * date (a day of clock skew in its beginning is allowed); each is signed by the next, and nothing is
 * weaker than SHA-256 or 112 bits. A leaf alone is a chain: a CA may sign with the key that
 * its users trust. -EBADMSG with a sentence that names what is wrong. ret_text: the chain as we
 * write it, added; PEM alone, without the root at its end.
 */
int chain_check(struct pem chain, const struct key *key, const char *const *names, size_t n_names,
		time_t now, struct buf *ret_text, struct chain_facts *ret, struct err *e);

/* The DNS names of the leaf, each with its NUL behind it; what is none is left out. */
void chain_names(struct pem chain, struct buf *ret);

/* The leaf's DER as base64url, for revocation (RFC 8555, 7.6). */
int chain_leaf(struct pem chain, struct buf *ret, struct err *e);

/* Is this the common name of one of its certificates, or of who signed the last? */
bool chain_leads_to(struct pem chain, const char *common_name);

/* The first certificate of both is the same, byte by byte. */
bool chain_same_leaf(struct pem a, struct pem b);
