/*
 * Private keys: P-256, which is what we make unless asked otherwise, and RSA.
 *
 * OpenSSL 3.0's decoders and encoders take up to 0.35 ms a key, too long for ten thousand:
 * our own keys (P-256 in PKCS #8) are read and written by their bytes; only
 * RSA and what others made goes the long way. To make an RSA key takes 0.1 to
 * 0.8 s, so that is left to a process of its own (webspaces make-key).
 */
#include "acme/crypto/key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/digest.h"
#include "acme/crypto/openssl.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

owned(ECDSA_SIG, ECDSA_SIG_free);

const char *const key_type_names[] = { "ECDSA P-256", "RSA 2048", "RSA 3072", "RSA 4096", "other" };
const char *const key_type_words[] = { "p256", "rsa2048", "rsa3072", "rsa4096", "other" };
static const unsigned rsa_bits[] = {
	[KEY_RSA2048] = 2048, [KEY_RSA3072] = 3072, [KEY_RSA4096] = 4096
};

enum key_type key_type_of_word(const char *word)
{
	enum key_type t = KEY_P256;

	while (t < KEY_OTHER && strcmp(key_type_words[t], word) != 0)
		t++;
	return t;
}

enum key_type key_type_of(const EVP_PKEY *k)
{
	char group[32];
	size_t len;
	enum key_type t = KEY_RSA2048;

	if (k && EVP_PKEY_is_a(k, "EC") &&
	    EVP_PKEY_get_group_name(k, group, sizeof group, &len) == 1 &&
	    strcmp(group, "prime256v1") == 0)
		return KEY_P256;
	if (!k || !EVP_PKEY_is_a(k, "RSA"))
		return KEY_OTHER;
	while (t < KEY_OTHER && rsa_bits[t] != (unsigned)EVP_PKEY_get_bits(k))
		t++;
	return t;
}

/* Their numbers, so that it can be written and compared by its bytes. */
static bool take_numbers(struct key *k)
{
	auto_of(BN_free) BIGNUM *n = NULL;
	size_t len;

	if (EVP_PKEY_get_bn_param(k->evp, OSSL_PKEY_PARAM_PRIV_KEY, &n) != 1)
		return false;

	bool ok = BN_bn2binpad(n, k->private, sizeof k->private) == sizeof k->private &&
		  EVP_PKEY_get_octet_string_param(k->evp, OSSL_PKEY_PARAM_PUB_KEY, k->public,
						  sizeof k->public, &len) == 1 &&
		  len == sizeof k->public && k->public[0] == POINT_CONVERSION_UNCOMPRESSED;

	BN_clear(n);
	return ok;
}

/* Takes evp in any case. NULL: it is of no type that is known here. */
static struct key *key_of(EVP_PKEY *evp)
{
	struct key *k = memory_new(sizeof *k);

	k->evp = evp;
	k->type = key_type_of(evp);
	if (k->type != KEY_OTHER && (k->type != KEY_P256 || take_numbers(k)))
		return k;
	key_free(k);
	return NULL;
}

int key_new(enum key_type type, struct key **ret, struct err *e)
{
	if (type >= KEY_OTHER)
		return err_set(e, EINVAL, "no type of key that is made here");
	*ret = key_of(type == KEY_P256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(rsa_bits[type]));
	return *ret ? 0 : openssl_failed(e, EIO, "make a key");
}

EVP_PKEY *key_read_any(struct pem pem)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, no_passphrase);

	ERR_clear_error();
	return k;
}

/*
 * A P-256 key as OpenSSL and we write it (RFC 5958, RFC 5915): between these only the private
 * number and the public point differ.
 */
#define P256_DER_BYTES 138
static const unsigned char p256_head[] = {
	0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86,
	0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
};
static const unsigned char p256_middle[] = { 0xa1, 0x44, 0x03, 0x42, 0x00 };

struct key *key_read_plain(struct pem pem)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	struct key *k = memory_new(sizeof *k);
	unsigned char *der = NULL;
	char *name = NULL, *header = NULL;
	long len = 0;
	bool ok = PEM_read_bio(b, &name, &header, &der, &len) && len == P256_DER_BYTES &&
		  memcmp(der, p256_head, sizeof p256_head) == 0;

	if (ok) {
		memcpy(k->private, der + sizeof p256_head, sizeof k->private);
		memcpy(k->public, der + P256_DER_BYTES - 65, sizeof k->public);
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, der ? (size_t)len : 0);
	ERR_clear_error();
	if (ok)
		return k;
	key_free(k);
	return NULL;
}

int key_parse(struct pem pem, struct key **ret, struct err *e)
{
	*ret = key_read_plain(pem);
	if (*ret)
		return 0;

	EVP_PKEY *evp = key_read_any(pem);

	if (!evp)
		return err_set(e, EBADMSG, "not a private key (PEM, without passphrase)");
	*ret = key_of(evp);
	ERR_clear_error();
	if (*ret)
		return 0;
	return err_set(e, EBADMSG, "not a key of P-256 or RSA with 2048, 3072 or 4096 bits");
}

static void write_plain(const struct key *k, BIO *b)
{
	unsigned char der[P256_DER_BYTES], *at = der;

	at = (unsigned char *)mempcpy(at, p256_head, sizeof p256_head);
	at = (unsigned char *)mempcpy(at, k->private, sizeof k->private);
	at = (unsigned char *)mempcpy(at, p256_middle, sizeof p256_middle);
	memcpy(at, k->public, sizeof k->public);
	(void)PEM_write_bio(b, PEM_STRING_PKCS8INF, "", der, sizeof der);
	OPENSSL_cleanse(der, sizeof der);
}

void key_write(const struct key *k, struct buf *ret)
{
	auto_of(BIO_free_all) BIO *b = BIO_new(BIO_s_mem());

	if (k->type == KEY_P256)
		write_plain(k, b);
	else
		(void)PEM_write_bio_PKCS8PrivateKey(b, k->evp, NULL, NULL, 0, NULL, NULL);
	openssl_take_text(b, ret);
	ERR_clear_error();
}

EVP_PKEY *key_signer(struct key *k)
{
	struct buf pem = { 0 };

	if (!k->evp) {
		key_write(k, &pem);
		k->evp = key_read_any((struct pem){ buf_text(&pem), pem.len });
		pem_clear(&pem);
	}
	return k->evp;
}

enum key_type key_type(const struct key *k)
{
	return k->type;
}

void key_free(struct key *k)
{
	if (!k)
		return;
	EVP_PKEY_CTX_free(k->signing);
	EVP_PKEY_free(k->evp);
	OPENSSL_cleanse(k->private, sizeof k->private);
	free(k);
}

void key_free_at(struct key **k)
{
	key_free(*k);
	*k = NULL;
}

void pem_clear(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->len);
	buf_clear(b);
}

/* The public half ------------------------------------------------------ */

/* X509_PUBKEY_set would encode and decode a P-256 key, which takes longer than to make it. */
bool key_publish(const struct key *k, X509_PUBKEY *to)
{
	bool is_rsa = k->type != KEY_P256;
	unsigned char *copy = is_rsa ? NULL : OPENSSL_memdup(k->public, sizeof k->public);
	int len = is_rsa ? i2d_PublicKey(k->evp, &copy) : (int)sizeof k->public;
	int algorithm = is_rsa ? NID_rsaEncryption : NID_X9_62_id_ecPublicKey;

	if (copy && len > 0 &&
	    X509_PUBKEY_set0_param(to, OBJ_nid2obj(algorithm), is_rsa ? V_ASN1_NULL : V_ASN1_OBJECT,
				   is_rsa ? NULL : OBJ_nid2obj(NID_X9_62_prime256v1), copy,
				   len) == 1)
		return true;
	OPENSSL_free(copy);
	return false;
}

static bool is_on_p256(const X509 *x)
{
	X509_ALGOR *algorithm = NULL;
	const void *group = NULL;
	int type = V_ASN1_UNDEF;

	if (X509_PUBKEY_get0_param(NULL, NULL, NULL, &algorithm, X509_get_X509_PUBKEY(x)) != 1)
		return false;
	X509_ALGOR_get0(NULL, &type, &group, algorithm);
	return type == V_ASN1_OBJECT && OBJ_obj2nid(group) == NID_X9_62_prime256v1;
}

bool key_is_of(const struct key *k, const X509 *x)
{
	const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(x);

	if (k->type != KEY_P256)
		return EVP_PKEY_eq(X509_get0_pubkey(x), k->evp) == 1;
	return bits && bits->length == sizeof k->public && is_on_p256(x) &&
	       memcmp(bits->data, k->public, sizeof k->public) == 0;
}

int key_point(const struct key *k, unsigned char ret_x[static 32], unsigned char ret_y[static 32],
	      struct err *e)
{
	if (k->type != KEY_P256)
		return err_set(e, EINVAL, "not a P-256 key");
	memcpy(ret_x, k->public + 1, 32);
	memcpy(ret_y, k->public + 33, 32);
	return 0;
}

/* Signing -------------------------------------------------------------- */

/* OpenSSL signs as ASN.1, JSON Web Signatures are the two numbers alone. */
static bool take_signature(const unsigned char *der, size_t len, unsigned char ret[static 64])
{
	auto_of(ECDSA_SIG_free) ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)len);

	return s && BN_bn2binpad(ECDSA_SIG_get0_r(s), ret, 32) == 32 &&
	       BN_bn2binpad(ECDSA_SIG_get0_s(s), ret + 32, 32) == 32;
}

/* An account's key signs seven times a certificate. */
static bool prepare_signing(struct key *k)
{
	EVP_PKEY *evp;

	if (k->signing)
		return true;
	evp = key_signer(k);
	k->signing = evp ? EVP_PKEY_CTX_new(evp, NULL) : NULL;
	if (k->signing && EVP_PKEY_sign_init(k->signing) == 1)
		return true;
	EVP_PKEY_CTX_free(take_ptr(k->signing));
	return false;
}

int key_sign(struct key *k, const void *data, size_t len, unsigned char ret[static 64],
	     struct err *e)
{
	unsigned char digest[DIGEST_BYTES], der[80];
	size_t der_len = sizeof der;

	if (k->type != KEY_P256)
		return err_set(e, EINVAL, "not a P-256 key");

	digest_sha256(data, len, digest);
	if (!prepare_signing(k) ||
	    EVP_PKEY_sign(k->signing, der, &der_len, digest, sizeof digest) != 1 ||
	    !take_signature(der, der_len, ret))
		return openssl_failed(e, EIO, "sign");
	return 0;
}
