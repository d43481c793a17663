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

/* Facts about a chain, for the record and for the CA. */
struct chain_facts {
	time_t not_before, not_after;
	char issuer[200]; /* who signed the leaf: its common name, or organisation; printable */
	char root[200];   /* … the last certificate: by this preferred chains are chosen */
	char serial[64];  /* hex */
	char ari[160]; /* RFC 9773: base64url(key id of the issuer) "." base64url(serial); "": it names no issuer's key */
	char leaf_hash[65]; /* SHA-256 of the leaf, hex */
	enum key_type key;
};
/* -EBADMSG: not a certificate. */
int chain_facts(struct pem chain, struct chain_facts *ret, struct err *e);

/*
 * May this be installed for key and names? At most CHAIN_MAX certificates and PEM_MAX_BYTES, nothing
 * else in the text; the leaf is of this key, names exactly these, is for servers and of no CA, in
 * date (a day of clock skew in its beginning is allowed); each is signed by the next. -EBADMSG with a
 * sentence that names what is wrong. ret_text: the chain as we write it, PEM alone.
 */
int chain_check(struct pem chain, const struct key *key, const char *const *names, size_t n_names,
		time_t now, struct buf *ret_text, struct chain_facts *ret, struct err *e);

/* The leaf's DER as base64url, for revocation (RFC 8555, 7.6). */
int chain_leaf(struct pem chain, struct buf *ret, struct err *e);
