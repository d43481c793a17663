/*
 * Signed requests to an ACME CA (RFC 8555, 6.2; RFC 7515, flattened JSON), and
 * what else is made with an account's key. Text only: nothing here knows a CA.
 */
#pragma once

#include "acme/crypto/key.h"
#include "agent/base/buf.h"
#include "agent/base/err.h"

/* base64url(SHA-256(JWK)) (RFC 7638): 43 characters. */
int jws_thumbprint(const struct key *account, char ret[static 44], struct err *e);

struct jws {
	struct key *key;   /* P-256; signs with ES256 */
	const char *kid;   /* the account's URL; NULL: the key itself goes along ("jwk") */
	const char *nonce; /* NULL: none (inner objects) */
	const char *url;
	const char *payload; /* JSON; NULL: POST-as-GET, the empty payload */
};
/* -EINVAL: a text that JSON or HTTP cannot take, or a key of another type. */
int jws_sign(const struct jws *jws, struct buf *ret, struct err *e);

/*
 * External account binding (RFC 8555, 7.3.4): an object for newAccount's payload. hmac_key:
 * base64url, as the CA gave it. -EINVAL: it is not, or kid or url is nothing that can be sent.
 */
int jws_bind(const struct key *account, const char *kid, const char *hmac_key, const char *url,
	     struct buf *ret, struct err *e);

/* The payload of a key change (7.3.5), signed by the new key. kid: the account's URL; url: the CA's keyChange. */
int jws_key_change(struct key *old_key, struct key *new_key, const char *kid, const char *url,
		   struct buf *ret, struct err *e);

/* keyAuthorization (8.1) as TXT record of dns-01 (8.4): base64url(SHA-256(token "." thumbprint)). -EINVAL: no such token. */
int jws_dns_01(const char *token, const char *thumbprint, char ret[static 44], struct err *e);
