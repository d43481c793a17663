/* Inside of this folder: what its files share of OpenSSL and of each other. */
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <time.h>

#include "acme/crypto/chain.h"
#include "acme/crypto/key.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"

#define owned(type, free_fn)                      \
	static inline void free_fn##_at(type **p) \
	{                                         \
		free_fn(*p);                      \
	}                                         \
	_Static_assert(1, "a semicolon may follow")

owned(BIO, BIO_free_all);
owned(X509, X509_free);
owned(BIGNUM, BN_free);
owned(EVP_PKEY, EVP_PKEY_free);
owned(GENERAL_NAMES, GENERAL_NAMES_free);
#define auto_of(free_fn) __attribute__((cleanup(free_fn##_at)))

/* Most P-256 keys never sign anything here: their numbers are all that is needed. */
struct key {
	enum key_type type;
	unsigned char private[32], public[65]; /* P-256 only; the point uncompressed */
	EVP_PKEY *evp;                         /* to sign with; P-256: NULL while not needed */
	EVP_PKEY_CTX *signing;                 /* NULL: nothing has been signed yet */
};

/* OpenSSL's own reason, and its queue is empty again. Returns -code. */
int openssl_failed(struct err *e, int code, const char *what);
/* What was written to b in memory. */
void openssl_take_text(BIO *b, struct buf *ret);
/* False: before 1970, or no time at all. */
bool openssl_time(const ASN1_TIME *t, time_t *ret);

/* So that nothing asks the terminal for one. */
extern char no_passphrase[];

/* DNS names as a subjectAltName. NULL: no memory. */
GENERAL_NAMES *names_new(const char *const *names, size_t n);
/* The i-th DNS name, or NULL where it is something else. */
const char *names_at(const GENERAL_NAMES *list, int i);

/* A P-256 key as we write it, by its bytes. NULL: it is something else. */
struct key *key_read_plain(struct pem pem);
/* A key of any type. */
EVP_PKEY *key_read_any(struct pem pem);
/* What signs with this key. NULL: it is none. */
EVP_PKEY *key_signer(struct key *k);
enum key_type key_type_of(const EVP_PKEY *k);
/* Puts the public half into a certificate or a request. */
bool key_publish(const struct key *k, X509_PUBKEY *to);
bool key_is_of(const struct key *k, const X509 *x);

/* The first certificate of a text. NULL: there is none. */
X509 *chain_first(struct pem pem);
/* The leaf comes first. */
void chain_describe(STACK_OF(X509) * chain, struct chain_facts *ret);
typedef STACK_OF(X509) certificates;
void certificates_free(certificates *list);
owned(certificates, certificates_free);
/* All of a text, up to what is none. NULL: there is none, or the text is too long. */
certificates *certificates_read(struct pem pem);
/* Its common name, or organisation, as printable ASCII; a character beyond is one "?", whatever its bytes. */
void openssl_name(const X509_NAME *name, char *ret, size_t room);

/* a may be NULL. By its names: the signature is not looked at. */
bool authority_issued(const struct authority *a, X509 *x);
