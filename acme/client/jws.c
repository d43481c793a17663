/*
 * JSON Web Signatures as ACME wants them. Members stand in the order in which
 * they are put, that of RFC 7638 where it matters: the same question is the same
 * text. What goes into a header is looked at first: it comes from a CA, by way of
 * the worker, and nothing of it may need an escape.
 */
#include "acme/client/jws.h"

#include <errno.h>
#include <string.h>

#include "acme/crypto/digest.h"
#include "agent/base/json.h"
#include "agent/base/own.h"

#define TOKEN_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* A nonce (RFC 8555, 6.5.2), a token (8.1), a thumbprint. */
static bool is_token(const char *text)
{
	return *text && text[strspn(text, TOKEN_LETTERS)] == '\0';
}

static bool is_printable(const char *text, char lowest)
{
	for (const char *c = text; *c; c++)
		if (*c < lowest || *c > '~')
			return false;
	return *text;
}

/* No character of a URL is a space. */
static bool is_url(const char *text)
{
	return is_printable(text, '!');
}

static void put_number(struct json *to, const char *key, const unsigned char number[static 32])
{
	autobuf struct buf text = { 0 };

	base64url_write(number, 32, &text);
	json_put_text(to, key, text.data);
}

/* RFC 7517, the required members only, in their order for RFC 7638. */
static int public_key(const struct key *k, struct json **ret, struct err *e)
{
	unsigned char x[32], y[32];
	int r = key_point(k, x, y, e);

	if (r < 0)
		return r;
	*ret = json_new_object();
	json_put_text(*ret, "crv", "P-256");
	json_put_text(*ret, "kty", "EC");
	put_number(*ret, "x", x);
	put_number(*ret, "y", y);
	return 0;
}

static void write_digest(const void *data, size_t len, char ret[static 44])
{
	unsigned char digest[DIGEST_BYTES];
	autobuf struct buf text = { 0 };

	digest_sha256(data, len, digest);
	base64url_write(digest, sizeof digest, &text);
	memcpy(ret, text.data, 44);
}

int jws_thumbprint(const struct key *account, char ret[static 44], struct err *e)
{
	autojson struct json *jwk = NULL;
	int r = public_key(account, &jwk, e);

	if (r < 0)
		return r;

	autofree char *text = json_write(jwk, false);

	write_digest(text, strlen(text), ret);
	return 0;
}

int jws_dns_01(const char *token, const char *thumbprint, char ret[static 44], struct err *e)
{
	autobuf struct buf text = { 0 };

	if (!is_token(token) || !is_token(thumbprint))
		return err_set(e, EINVAL, "not the token of a challenge");
	buf_printf(&text, "%s.%s", token, thumbprint);
	write_digest(text.data, text.len, ret);
	return 0;
}

/* Signing -------------------------------------------------------------- */

/* What is signed (RFC 7515, 5.1): header and payload as base64url, with a dot between. */
static void write_input(const struct json *header, const char *payload, struct buf *ret)
{
	autofree char *text = json_write(header, false);

	base64url_write(text, strlen(text), ret);
	buf_addc(ret, '.');
	base64url_write(payload, strlen(payload), ret);
}

/* Flattened JSON (RFC 7515, 7.2.2). input is taken apart. */
static void write_signed(struct buf *input, const unsigned char *signature, size_t len,
			 struct buf *ret)
{
	autobuf struct buf text = { 0 };
	autojson struct json *whole = json_new_object();
	char *dot = strchr(input->data, '.');

	*dot = '\0';
	base64url_write(signature, len, &text);
	json_put_text(whole, "protected", input->data);
	json_put_text(whole, "payload", dot + 1);
	json_put_text(whole, "signature", text.data);

	autofree char *written = json_write(whole, false);

	buf_adds(ret, written);
}

/* By whom it is signed: the account, or the key itself. */
static int put_signer(const struct jws *jws, struct json *header, struct err *e)
{
	struct json *jwk;
	int r = 0;

	if (jws->kid)
		json_put_text(header, "kid", jws->kid);
	else
		r = public_key(jws->key, &jwk, e);
	if (!jws->kid && r == 0)
		json_put(header, "jwk", jwk);
	return r;
}

int jws_sign(const struct jws *jws, struct buf *ret, struct err *e)
{
	autojson struct json *header = json_new_object();
	autobuf struct buf input = { 0 };
	unsigned char signature[64];

	if (!is_url(jws->url) || (jws->kid && !is_url(jws->kid)))
		return err_set(e, EINVAL, "not a URL");
	if (jws->nonce && !is_token(jws->nonce))
		return err_set(e, EINVAL, "not a nonce");

	json_put_text(header, "alg", "ES256");

	int r = put_signer(jws, header, e);

	if (r < 0)
		return r;
	if (jws->nonce)
		json_put_text(header, "nonce", jws->nonce);
	json_put_text(header, "url", jws->url);
	write_input(header, jws->payload ? jws->payload : "", &input);
	r = key_sign(jws->key, input.data, input.len, signature, e);
	if (r == 0)
		write_signed(&input, signature, sizeof signature, ret);
	return r;
}

static void sign_binding(const struct json *header, const struct json *jwk,
			 const struct buf *secret, struct buf *ret)
{
	autofree char *payload = json_write(jwk, false);
	autobuf struct buf input = { 0 };
	unsigned char signature[DIGEST_BYTES];

	write_input(header, payload, &input);
	digest_hmac(secret->data, secret->len, input.data, input.len, signature);
	write_signed(&input, signature, sizeof signature, ret);
}

int jws_bind(const struct key *account, const char *kid, const char *hmac_key, const char *url,
	     struct buf *ret, struct err *e)
{
	autojson struct json *jwk = NULL, *header = json_new_object();
	struct buf secret = { 0 };
	int r = public_key(account, &jwk, e);

	if (r < 0)
		return r;
	if (!is_url(url) || !is_printable(kid, ' '))
		return err_set(e, EINVAL, "external account: no URL, or no identifier");
	if (base64url_read(hmac_key, &secret, NULL) < 0 || secret.len == 0) {
		pem_clear(&secret);
		return err_set(e, EINVAL, "external account: the key is not base64url");
	}
	json_put_text(header, "alg", "HS256");
	json_put_text(header, "kid", kid);
	json_put_text(header, "url", url);
	sign_binding(header, jwk, &secret, ret);
	pem_clear(&secret);
	return 0;
}

int jws_key_change(struct key *old_key, struct key *new_key, const char *kid, const char *url,
		   struct buf *ret, struct err *e)
{
	autojson struct json *change = json_new_object();
	struct json *jwk;
	int r = public_key(old_key, &jwk, e);

	if (r < 0)
		return r;
	json_put_text(change, "account", kid);
	json_put(change, "oldKey", jwk);
	if (!is_url(kid))
		return err_set(e, EINVAL, "not the URL of an account");

	autofree char *payload = json_write(change, false);

	return jws_sign(&(struct jws){ .key = new_key, .url = url, .payload = payload }, ret, e);
}
