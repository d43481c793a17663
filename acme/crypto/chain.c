/*
 * What certificates say. Here nothing is refused but what is no certificate at
 * all: files of an admin come this way too. chain_check.c is for what came from
 * the network.
 *
 * Ten thousand leaves are read at start: of the leaf only what is asked for is
 * decoded, and not its key, which is most of the work: that is compared by its
 * bytes where it is one of ours.
 */
#include "acme/crypto/chain.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/digest.h"
#include "acme/crypto/openssl.h"
#include "acme/store/cover.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

/* What RFC 9773 makes an id of: longer ones are nobody's. */
#define KEY_ID_MAX 64
#define SERIAL_MAX 31

/* A library without algorithms: OpenSSL makes of a certificate's key no more than its bytes there. */
static OSSL_LIB_CTX *keyless(void)
{
	static OSSL_LIB_CTX *ctx;

	if (!ctx && (ctx = OSSL_LIB_CTX_new()))
		(void)OSSL_PROVIDER_load(ctx, "null");
	return ctx;
}

/* Its length, or -1; *ret is for OPENSSL_free. */
static long leaf_bytes(struct pem pem, unsigned char **ret)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	long len = -1;

	*ret = NULL;
	if (PEM_bytes_read_bio(ret, &len, NULL, PEM_STRING_X509, b, NULL, no_passphrase) != 1)
		len = -1;
	ERR_clear_error();
	return len;
}

/* At a tenth of the cost, without a key to compute with. len < 0: NULL. */
static X509 *decode_keyless(const unsigned char *der, long len)
{
	X509 *x = len < 0 ? NULL
			  : (X509 *)ASN1_item_d2i_ex(NULL, &der, len, ASN1_ITEM_rptr(X509),
						     keyless(), NULL);

	ERR_clear_error();
	return x;
}

/* As chain_first, but keyless. */
static X509 *first_keyless(struct pem pem)
{
	unsigned char *der;
	long len = leaf_bytes(pem, &der);
	X509 *x = decode_keyless(der, len);

	OPENSSL_free(der);
	return x;
}

X509 *chain_first(struct pem pem)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, no_passphrase);

	ERR_clear_error();
	return x;
}

void certificates_free(certificates *list)
{
	sk_X509_pop_free(list, X509_free);
}

certificates *certificates_read(struct pem pem)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	certificates *list = sk_X509_new_null();
	X509 *x;

	while (pem.len <= PEM_MAX_BYTES && (x = PEM_read_bio_X509(b, NULL, NULL, no_passphrase)))
		sk_X509_push(list, x);
	ERR_clear_error();
	if (sk_X509_num(list) > 0)
		return list;
	certificates_free(list);
	return NULL;
}

/* How it goes with a key and with names -------------------------------- */

/* leaf: of the chain, keyless. */
static bool key_goes_with(const X509 *leaf, struct pem chain, struct pem key)
{
	struct key *plain = key_read_plain(key);
	bool ok = plain && key_is_of(plain, leaf);

	key_free(plain);
	if (plain)
		return ok;

	auto_of(X509_free) X509 *x = chain_first(chain);
	auto_of(EVP_PKEY_free) EVP_PKEY *k = key_read_any(key);

	ok = x && k && X509_check_private_key(x, k) == 1;
	ERR_clear_error();
	return ok;
}

static void cover(const GENERAL_NAMES *list, const char *const *names, size_t n,
		  struct certificate *ret, const char **uncovered)
{
	size_t n_listed = list ? (size_t)sk_GENERAL_NAME_num(list) : 0;
	autofree const char **listed = memory_new((n_listed + 1) * sizeof *listed);

	for (size_t i = 0; i < n_listed; i++)
		listed[i] = names_at(list, (int)i);
	cover_names(listed, n_listed, names, n, ret, uncovered);
}

int chain_read(struct pem chain, struct pem key, const char *const *names, size_t n_names,
	       const struct authority *a, struct certificate *ret, const char **uncovered,
	       struct err *e)
{
	auto_of(X509_free) X509 *x = first_keyless(chain);
	struct certificate c = { 0 };

	if (uncovered)
		*uncovered = NULL;
	if (!x)
		return err_set(e, EBADMSG, "not a certificate (PEM)");

	auto_of(GENERAL_NAMES_free) GENERAL_NAMES *list =
		X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	(void)openssl_time(X509_get0_notBefore(x), &c.not_before);
	(void)openssl_time(X509_get0_notAfter(x), &c.not_after);
	cover(list, names, n_names, &c, uncovered);
	c.key_matches = key_goes_with(x, chain, key);
	c.internal = authority_issued(a, x);
	*ret = c;
	ERR_clear_error();
	return 0;
}

void chain_names(struct pem chain, struct buf *ret)
{
	auto_of(X509_free) X509 *x = first_keyless(chain);
	auto_of(GENERAL_NAMES_free) GENERAL_NAMES *list =
		x ? X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL) : NULL;

	for (int i = 0; list && i < sk_GENERAL_NAME_num(list); i++) {
		const char *name = names_at(list, i);

		if (name)
			buf_add(ret, name, strlen(name) + 1);
	}
	ERR_clear_error();
}

/* Facts ---------------------------------------------------------------- */

/* As UTF-8, owned by the caller. NULL: it has none, or a NUL within. */
static char *name_part(const X509_NAME *name, int nid)
{
	int i = X509_NAME_get_index_by_NID(name, nid, -1);
	unsigned char *text = NULL;

	if (i < 0)
		return NULL;

	int len =
		ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
	char *copy =
		len > 0 && strlen((char *)text) == (size_t)len ? memory_dup((char *)text) : NULL;

	OPENSSL_free(text);
	return copy;
}

void openssl_name(const X509_NAME *name, char *ret, size_t room)
{
	autofree char *text = name_part(name, NID_commonName);
	size_t n = 0;

	if (!text)
		text = name_part(name, NID_organizationName);
	for (const char *c = text ? text : "?"; *c && n + 1 < room; c++) {
		if (((unsigned char)*c & 0xc0) == 0x80)
			continue;
		ret[n++] = *c < 0x20 || *c > 0x7e ? '?' : *c;
	}
	ret[n] = '\0';
}

static void print_hex(const unsigned char *bytes, size_t len, char *ret)
{
	for (size_t i = 0; i < len; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
	ret[2 * len] = '\0';
}

static void print_ari(X509 *x, const unsigned char *serial, size_t len, char *ret, size_t room)
{
	const ASN1_OCTET_STRING *id = X509_get0_authority_key_id(x);
	autobuf struct buf text = { 0 };

	*ret = '\0';
	if (!id || ASN1_STRING_length(id) < 1 || ASN1_STRING_length(id) > KEY_ID_MAX)
		return;
	base64url_write(ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id), &text);
	buf_addc(&text, '.');
	base64url_write(serial, len, &text);
	snprintf(ret, room, "%s", text.data);
}

/* Both are of the content of the serial's DER: with a 00 in front where its high bit is set. */
static void print_serial(X509 *x, struct chain_facts *ret)
{
	unsigned char *der = NULL;
	int n = i2d_ASN1_INTEGER(X509_get0_serialNumber(x), &der);

	/* A tag and a length of one byte each. */
	if (n > 2 && n - 2 <= SERIAL_MAX) {
		print_hex(der + 2, (size_t)n - 2, ret->serial);
		print_ari(x, der + 2, (size_t)n - 2, ret->ari, sizeof ret->ari);
	}
	OPENSSL_free(der);
}

void chain_describe(certificates *chain, struct chain_facts *ret)
{
	X509 *leaf = sk_X509_value(chain, 0);
	X509 *last = sk_X509_value(chain, sk_X509_num(chain) - 1);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	*ret = (struct chain_facts){ .key = key_type_of(X509_get0_pubkey(leaf)) };
	(void)openssl_time(X509_get0_notBefore(leaf), &ret->not_before);
	(void)openssl_time(X509_get0_notAfter(leaf), &ret->not_after);
	openssl_name(X509_get_issuer_name(leaf), ret->issuer, sizeof ret->issuer);
	openssl_name(X509_get_issuer_name(last), ret->root, sizeof ret->root);
	print_serial(leaf, ret);
	if (X509_digest(leaf, EVP_sha256(), digest, &len) == 1)
		print_hex(digest, len, ret->leaf_hash);
	ERR_clear_error();
}

int chain_facts(struct pem chain, struct chain_facts *ret, struct err *e)
{
	auto_of(certificates_free) certificates *all = certificates_read(chain);

	if (!all)
		return err_set(e, EBADMSG, "not a certificate (PEM)");
	chain_describe(all, ret);
	return 0;
}

static bool is_called(const X509_NAME *name, const char *common_name)
{
	autofree char *text = name_part(name, NID_commonName);

	return text && strcmp(text, common_name) == 0;
}

bool chain_leads_to(struct pem chain, const char *common_name)
{
	auto_of(certificates_free) certificates *all = certificates_read(chain);
	int n = all ? sk_X509_num(all) : 0;
	bool found =
		n > 0 && is_called(X509_get_issuer_name(sk_X509_value(all, n - 1)), common_name);

	for (int i = 0; i < n && !found; i++)
		found = is_called(X509_get_subject_name(sk_X509_value(all, i)), common_name);
	ERR_clear_error();
	return found;
}

/* The leaf's bytes ----------------------------------------------------- */

int chain_leaf(struct pem chain, struct buf *ret, struct err *e)
{
	unsigned char *der;
	long len = leaf_bytes(chain, &der);
	auto_of(X509_free) X509 *x = decode_keyless(der, len);

	if (x)
		base64url_write(der, (size_t)len, ret);
	OPENSSL_free(der);
	return x ? 0 : err_set(e, EBADMSG, "not a certificate (PEM)");
}

bool chain_same_leaf(struct pem a, struct pem b)
{
	unsigned char *bytes_a, *bytes_b;
	long len_a = leaf_bytes(a, &bytes_a), len_b = leaf_bytes(b, &bytes_b);
	bool same = len_a > 0 && len_a == len_b && memcmp(bytes_a, bytes_b, (size_t)len_a) == 0;

	OPENSSL_free(bytes_a);
	OPENSSL_free(bytes_b);
	return same;
}
