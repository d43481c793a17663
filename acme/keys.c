/*
 * The only file that knows OpenSSL: keys, certificates, and what they say.
 *
 * Extensions are built from structures, never from OpenSSL's configuration
 * strings, so that no name can say more than a name. Reading a key through
 * OpenSSL 3.0's decoders takes 0.35 ms, too long for ten thousand at a start:
 * keys as we write them (P-256 in PKCS #8) are recognised by their bytes, and
 * their public half computed; any other goes the long way.
 */
#include "acme/keys.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"

#define owned(type, free_fn)               \
	static void free_fn##_at(type **p) \
	{                                  \
		free_fn(*p);               \
	}                                  \
	_Static_assert(1, "a semicolon may follow")

owned(BIO, BIO_free_all);
owned(X509, X509_free);
owned(BIGNUM, BN_free);
owned(EC_POINT, EC_POINT_free);
owned(EVP_PKEY, EVP_PKEY_free);
owned(GENERAL_NAMES, GENERAL_NAMES_free);
#define auto_of(free_fn) __attribute__((cleanup(free_fn##_at)))

/* struct key is an EVP_PKEY under a name of ours. */
static EVP_PKEY *evp(const struct key *k)
{
	return (EVP_PKEY *)(uintptr_t)k;
}

struct authority {
	struct key *key;
	X509 *certificate;
};

/* OpenSSL's own reason, and its queue is empty again. */
static int failed(struct err *e, int code, const char *what)
{
	unsigned long n = ERR_peek_last_error();
	const char *reason = n ? ERR_reason_error_string(n) : NULL;

	ERR_clear_error();
	return err_set(e, code, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

static int no_passphrase(char *text, int size, int writing, void *data)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)data;
	return 0;
}

int key_new(struct key **ret, struct err *e)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");

	if (!k)
		return failed(e, EIO, "make a P-256 key");
	*ret = (struct key *)k;
	return 0;
}

int key_parse(struct pem pem, struct key **ret, struct err *e)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);

	if (!k) {
		ERR_clear_error();
		return err_set(e, EBADMSG, "not a private key (PEM, without passphrase)");
	}
	*ret = (struct key *)k;
	return 0;
}

static void take_text(BIO *b, struct buf *ret)
{
	char *text;
	long n = BIO_get_mem_data(b, &text);

	if (n > 0)
		buf_add(ret, text, (size_t)n);
}

void key_write(const struct key *k, struct buf *ret)
{
	auto_of(BIO_free_all) BIO *b = BIO_new(BIO_s_secmem());

	if (PEM_write_bio_PrivateKey(b, evp(k), NULL, NULL, 0, NULL, NULL))
		take_text(b, ret);
}

void key_free(struct key *k)
{
	EVP_PKEY_free(evp(k));
}

void pem_clear(struct buf *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->len);
	buf_clear(b);
}

/* Building ------------------------------------------------------------- */

static bool set_serial(X509 *x)
{
	unsigned char random[16];

	if (RAND_bytes(random, sizeof random) != 1)
		return false;

	auto_of(BN_free) BIGNUM *n = BN_bin2bn(random, sizeof random, NULL);

	return n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
}

static bool set_common_name(X509_NAME *to, const char *text)
{
	/* ub-common-name of RFC 5280 */
	if (strlen(text) > 64)
		return true;
	return X509_NAME_add_entry_by_NID(to, NID_commonName, MBSTRING_ASC,
					  (const unsigned char *)text, -1, -1, 0) == 1;
}

static bool add_extension(X509 *x, int nid, void *value, bool critical)
{
	return value && X509_add1_ext_i2d(x, nid, value, critical, 0) == 1;
}

static bool add_basic_constraints(X509 *x, bool ca)
{
	BASIC_CONSTRAINTS *c = BASIC_CONSTRAINTS_new();

	c->ca = ca ? 0xff : 0;
	if (ca) {
		c->pathlen = ASN1_INTEGER_new();
		ASN1_INTEGER_set(c->pathlen, 0);
	}

	bool ok = add_extension(x, NID_basic_constraints, c, true);

	BASIC_CONSTRAINTS_free(c);
	return ok;
}

static bool add_usage(X509 *x, bool ca)
{
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	EXTENDED_KEY_USAGE *extended = EXTENDED_KEY_USAGE_new();

	if (ca) {
		ASN1_BIT_STRING_set_bit(bits, 5, 1); /* keyCertSign */
		ASN1_BIT_STRING_set_bit(bits, 6, 1); /* cRLSign */
	} else {
		ASN1_BIT_STRING_set_bit(bits, 0, 1); /* digitalSignature */
		sk_ASN1_OBJECT_push(extended, OBJ_nid2obj(NID_server_auth));
	}

	bool ok = add_extension(x, NID_key_usage, bits, true) &&
		  (ca || add_extension(x, NID_ext_key_usage, extended, false));

	ASN1_BIT_STRING_free(bits);
	EXTENDED_KEY_USAGE_free(extended);
	return ok;
}

static bool add_subject_key_id(X509 *x)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	bool ok = X509_pubkey_digest(x, EVP_sha1(), digest, &len) == 1 &&
		  ASN1_OCTET_STRING_set(id, digest, (int)len) == 1 &&
		  add_extension(x, NID_subject_key_identifier, id, false);

	ASN1_OCTET_STRING_free(id);
	return ok;
}

static bool add_authority_key_id(X509 *x, X509 *issuer)
{
	AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();

	id->keyid = ASN1_OCTET_STRING_dup(X509_get0_subject_key_id(issuer));

	bool ok = add_extension(x, NID_authority_key_identifier, id, false);

	AUTHORITY_KEYID_free(id);
	return ok;
}

static bool add_names(X509 *x, const char *const *names, size_t n)
{
	auto_of(GENERAL_NAMES_free) GENERAL_NAMES *list = GENERAL_NAMES_new();
	bool critical = X509_NAME_entry_count(X509_get_subject_name(x)) == 0;

	for (size_t i = 0; i < n; i++) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		if (!ASN1_STRING_set(text, names[i], -1))
			return false;
		GENERAL_NAME_set0_value(g, GEN_DNS, text);
		sk_GENERAL_NAME_push(list, g);
	}
	return add_extension(x, NID_subject_alt_name, list, critical);
}

static X509 *new_certificate(EVP_PKEY *k, time_t not_before, time_t not_after)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), not_before) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), not_after) && X509_set_pubkey(x, k))
		return x;
	X509_free(x);
	return NULL;
}

static int write_certificate(X509 *x, struct buf *ret, struct err *e)
{
	auto_of(BIO_free_all) BIO *b = BIO_new(BIO_s_mem());

	if (!PEM_write_bio_X509(b, x))
		return failed(e, EIO, "write a certificate");
	take_text(b, ret);
	return 0;
}

/* Several hosts' CAs may be in one browser: the name tells them apart. */
static bool set_authority_name(X509 *x)
{
	unsigned char id[EVP_MAX_MD_SIZE];
	unsigned len;

	if (X509_pubkey_digest(x, EVP_sha1(), id, &len) != 1)
		return false;

	autofree char *name =
		memory_printf("webspaces internal CA %02x%02x%02x%02x", id[0], id[1], id[2], id[3]);

	return set_common_name(X509_get_subject_name(x), name) &&
	       X509_set_issuer_name(x, X509_get_subject_name(x));
}

int authority_certify(const struct key *k, time_t not_before, time_t not_after, struct buf *ret,
		      struct err *e)
{
	auto_of(X509_free) X509 *x = new_certificate(evp(k), not_before, not_after);

	if (!x || !add_basic_constraints(x, true) || !add_usage(x, true) ||
	    !add_subject_key_id(x) || !set_authority_name(x) || !X509_sign(x, evp(k), EVP_sha256()))
		return failed(e, EIO, "make the certificate of a CA");
	return write_certificate(x, ret, e);
}

int authority_issue(const struct authority *a, const struct issue *what, struct buf *ret,
		    struct err *e)
{
	auto_of(X509_free) X509 *x =
		new_certificate(evp(what->key), what->not_before, what->not_after);

	if (!x || !set_common_name(X509_get_subject_name(x), what->names[0]) ||
	    !X509_set_issuer_name(x, X509_get_subject_name(a->certificate)) ||
	    !add_basic_constraints(x, false) || !add_usage(x, false) || !add_subject_key_id(x) ||
	    !add_authority_key_id(x, a->certificate) || !add_names(x, what->names, what->n_names) ||
	    !X509_sign(x, evp(a->key), EVP_sha256()))
		return failed(e, EIO, "issue a certificate");
	return write_certificate(x, ret, e);
}

/* Reading -------------------------------------------------------------- */

static X509 *read_certificate(struct pem pem)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	X509 *x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL);

	ERR_clear_error();
	return x;
}

static time_t wall(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

int authority_open(struct pem certificate, struct key *k, struct authority **ret, struct err *e)
{
	auto_of(EVP_PKEY_free) EVP_PKEY *mine = evp(k);
	auto_of(X509_free) X509 *x = read_certificate(certificate);

	if (!x)
		return err_set(e, EBADMSG, "not a certificate (PEM)");
	if (X509_check_ca(x) != 1 || !X509_get0_subject_key_id(x))
		return err_set(e, EBADMSG, "not the certificate of a CA");
	if (X509_check_private_key(x, mine) != 1) {
		ERR_clear_error();
		return err_set(e, EBADMSG, "the certificate is not that of the key");
	}

	struct authority *a = memory_new(sizeof *a);

	a->key = (struct key *)take_ptr(mine);
	a->certificate = take_ptr(x);
	*ret = a;
	return 0;
}

void authority_close(struct authority *a)
{
	if (!a)
		return;
	key_free(a->key);
	X509_free(a->certificate);
	free(a);
}

time_t authority_ends(const struct authority *a)
{
	return wall(X509_get0_notAfter(a->certificate));
}

/*
 * A P-256 key as EVP_EC_gen and PEM_write_bio_PrivateKey put it (RFC 5958, RFC 5915): only the
 * private number and the public point differ between two of them.
 */
static const unsigned char p256_head[] = {
	0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86,
	0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
};

/* The uncompressed public point of such a key, computed from its private number. */
static bool p256_public(struct pem pem, unsigned char ret[65])
{
	static EC_GROUP *group; /* a constant; never freed */
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	unsigned char *der = NULL;
	char *name = NULL, *header = NULL;
	long len = 0;
	bool ok = false;

	if (!group)
		group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	if (group && PEM_read_bio(b, &name, &header, &der, &len) && len == 138 &&
	    memcmp(der, p256_head, sizeof p256_head) == 0) {
		auto_of(BN_free) BIGNUM *n = BN_bin2bn(der + sizeof p256_head, 32, NULL);
		auto_of(EC_POINT_free) EC_POINT *p = EC_POINT_new(group);

		ok = n && p && EC_POINT_mul(group, p, n, NULL, NULL, NULL) &&
		     EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, ret, 65, NULL) ==
			     65;
		BN_clear(n);
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, der ? (size_t)len : 0);
	ERR_clear_error();
	return ok;
}

static bool key_goes_with(const X509 *x, struct pem pem)
{
	const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(x);
	unsigned char public[65];
	struct key *k;

	if (p256_public(pem, public))
		return bits && bits->length == 65 && memcmp(bits->data, public, 65) == 0;
	if (key_parse(pem, &k, NULL) < 0)
		return false;

	bool ok = X509_check_private_key(x, evp(k)) == 1;

	ERR_clear_error();
	key_free(k);
	return ok;
}

/* The i-th DNS name, or NULL where it is something else. */
static const char *dns_name(const GENERAL_NAMES *list, int i)
{
	const GENERAL_NAME *g = sk_GENERAL_NAME_value(list, i);
	const char *text =
		g->type == GEN_DNS ? (const char *)ASN1_STRING_get0_data(g->d.dNSName) : NULL;

	/* A NUL within would make a longer name look like a shorter one. */
	return text && strlen(text) == (size_t)ASN1_STRING_length(g->d.dNSName) ? text : NULL;
}

static bool lists(const GENERAL_NAMES *list, const char *name)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
		const char *text = dns_name(list, i);

		if (text && strcasecmp(text, name) == 0)
			return true;
	}
	return false;
}

static bool lists_by_wildcard(const GENERAL_NAMES *list, const char *name)
{
	const char *dot = strchr(name, '.');
	autofree char *wildcard = dot && name[0] != '*' ? memory_printf("*%s", dot) : NULL;

	return wildcard && lists(list, wildcard);
}

static void compare_names(const GENERAL_NAMES *list, const char *const *names, size_t n,
			  struct certificate *ret, const char **uncovered)
{
	size_t listed = 0;

	ret->covers = n > 0;
	for (size_t i = 0; i < n; i++) {
		bool is_listed = list && lists(list, names[i]);

		listed += is_listed;
		if (is_listed || (list && lists_by_wildcard(list, names[i])))
			continue;
		if (ret->covers && uncovered)
			*uncovered = names[i];
		ret->covers = false;
	}
	ret->exact = ret->covers && listed == n && (size_t)sk_GENERAL_NAME_num(list) == n;
}

static bool issued_by(const X509 *x, const struct authority *a)
{
	const ASN1_OCTET_STRING *id = X509_get0_authority_key_id((X509 *)(uintptr_t)x);
	const ASN1_OCTET_STRING *ours = a ? X509_get0_subject_key_id(a->certificate) : NULL;

	return id && ours && ASN1_OCTET_STRING_cmp(id, ours) == 0 &&
	       X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(a->certificate)) == 0;
}

int chain_read(struct pem chain, struct pem key, const char *const *names, size_t n_names,
	       const struct authority *a, struct certificate *ret, const char **uncovered,
	       struct err *e)
{
	auto_of(X509_free) X509 *x = read_certificate(chain);
	struct certificate c = { 0 };

	if (uncovered)
		*uncovered = NULL;
	if (!x)
		return err_set(e, EBADMSG, "not a certificate (PEM)");

	auto_of(GENERAL_NAMES_free) GENERAL_NAMES *list =
		X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	c.not_before = wall(X509_get0_notBefore(x));
	c.not_after = wall(X509_get0_notAfter(x));
	compare_names(list, names, n_names, &c, uncovered);
	c.key_matches = key_goes_with(x, key);
	c.internal = issued_by(x, a);
	*ret = c;
	ERR_clear_error();
	return 0;
}
