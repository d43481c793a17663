/* Private keys, and what is signed with them. OpenSSL stays within this folder. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/err.h"

#define PEM_MAX_BYTES 65536

struct pem {
	const char *text;
	size_t len;
};

enum key_type { KEY_P256, KEY_RSA2048, KEY_RSA3072, KEY_RSA4096, KEY_OTHER };
extern const char *const key_type_names[]; /* "ECDSA P-256", "RSA 2048" …; KEY_OTHER: "other" */
extern const char *const key_type_words[]; /* "p256", "rsa2048" …; KEY_OTHER: "other" */
/* By its word. KEY_OTHER: no type that we make. */
enum key_type key_type_of_word(const char *word);

struct key;
/* P-256 takes 28 µs; RSA 4096 most of a second: not on the loop. -EINVAL: KEY_OTHER. */
int key_new(enum key_type type, struct key **ret, struct err *e);
/* PEM without passphrase. -EBADMSG: not a key of the types above. */
int key_parse(struct pem pem, struct key **ret, struct err *e);
/* PKCS #8, PEM. */
void key_write(const struct key *k, struct buf *ret);
enum key_type key_type(const struct key *k);
void key_free(struct key *k);
#define autokey __attribute__((cleanup(key_free_at)))
void key_free_at(struct key **k);

/* Of a P-256 key only (-EINVAL): the public point, and ES256 (RFC 7518, 3.4: r and s). */
int key_point(const struct key *k, unsigned char ret_x[static 32], unsigned char ret_y[static 32],
	      struct err *e);
int key_sign(struct key *k, const void *data, size_t len, unsigned char ret[static 64],
	     struct err *e);

/* A signing request (RFC 2986) for these names as subjectAltName, DER as base64url. -EINVAL: no names. */
int key_request(struct key *k, const char *const *names, size_t n_names, struct buf *ret,
		struct err *e);

/* Overwrites and frees text that was secret. */
void pem_clear(struct buf *b);
