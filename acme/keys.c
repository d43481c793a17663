/*
 * The only file that knows OpenSSL: keys, certificates, and what they say.
 *
 * Names are put into a certificate as structures, never through OpenSSL's
 * configuration strings, so that no name can say more than a name. OpenSSL 3.0's decoders
 * and encoders take up to 0.35 ms a key, too long for ten thousand: our own
 * keys (P-256 in PKCS #8) are read and written by their bytes; only what others
 * made goes the long way.
 */
#include "acme/keys.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "acme/cover.h"
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
owned(EVP_PKEY, EVP_PKEY_free);
owned(GENERAL_NAMES, GENERAL_NAMES_free);
#define auto_of(free_fn) __attribute__((cleanup(free_fn##_at)))

/* P-256. Most keys never sign anything here: their numbers are all that is needed. */
struct key {
	unsigned char private[32], public[65]; /* the point uncompressed */
	EVP_PKEY *evp;                         /* to sign with; NULL: not needed yet */
};

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

/* So that nothing asks the terminal for one. */
static char no_passphrase[] = "";

static struct key *key_of(EVP_PKEY *k)
{
	struct key *ret = memory_new(sizeof *ret);
	auto_of(BN_free) BIGNUM *n = NULL;
	char group[32];
	size_t len;

	if (EVP_PKEY_get_group_name(k, group, sizeof group, &len) == 1 &&
	    strcmp(group, "prime256v1") == 0 &&
	    EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_PRIV_KEY, &n) == 1 &&
	    BN_bn2binpad(n, ret->private, sizeof ret->private) == sizeof ret->private &&
	    EVP_PKEY_get_octet_string_param(k, OSSL_PKEY_PARAM_PUB_KEY, ret->public,
					    sizeof ret->public, &len) == 1 &&
	    len == sizeof ret->public && ret->public[0] == POINT_CONVERSION_UNCOMPRESSED) {
		ret->evp = k;
		BN_clear(n);
		return ret;
	}
	free(ret);
	return NULL;
}

int key_new(struct key **ret, struct err *e)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");

	*ret = k ? key_of(k) : NULL;
	if (*ret)
		return 0;
	EVP_PKEY_free(k);
	return failed(e, EIO, "make a P-256 key");
}

static EVP_PKEY *read_key(struct pem pem)
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

static struct key *read_plain(struct pem pem)
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
	*ret = read_plain(pem);
	if (*ret)
		return 0;

	EVP_PKEY *k = read_key(pem);

	if (!k)
		return err_set(e, EBADMSG, "not a private key (PEM, without passphrase)");
	*ret = key_of(k);
	if (*ret)
		return 0;
	EVP_PKEY_free(k);
	return err_set(e, EBADMSG, "not a P-256 key");
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
	auto_of(BIO_free_all) BIO *b = BIO_new(BIO_s_mem());
	unsigned char der[P256_DER_BYTES], *at = der;

	at = (unsigned char *)mempcpy(at, p256_head, sizeof p256_head);
	at = (unsigned char *)mempcpy(at, k->private, sizeof k->private);
	at = (unsigned char *)mempcpy(at, p256_middle, sizeof p256_middle);
	memcpy(at, k->public, sizeof k->public);
	if (PEM_write_bio(b, PEM_STRING_PKCS8INF, "", der, sizeof der) > 0)
		take_text(b, ret);
	OPENSSL_cleanse(der, sizeof der);
}

/* What signs with this key. */
static EVP_PKEY *signer(struct key *k)
{
	struct buf pem = { 0 };

	if (!k->evp) {
		key_write(k, &pem);
		k->evp = read_key((struct pem){ buf_text(&pem), pem.len });
		pem_clear(&pem);
	}
	return k->evp;
}

void key_free(struct key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->evp);
	OPENSSL_cleanse(k->private, sizeof k->private);
	free(k);
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

struct extension {
	int nid;
	const char *value; /* x509v3_config(5) */
};
static const struct extension authority_extensions[] = {
	{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ NID_subject_key_identifier, "hash" },
};
static const struct extension site_extensions[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "serverAuth" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
};

static bool add_extensions(X509 *x, X509 *issuer, const struct extension *rows, size_t n)
{
	X509V3_CTX context;
	bool ok = true;

	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	for (size_t i = 0; i < n && ok; i++) {
		X509_EXTENSION *ext =
			X509V3_EXT_conf_nid(NULL, &context, rows[i].nid, rows[i].value);

		ok = ext && X509_add_ext(x, ext, -1) == 1;
		X509_EXTENSION_free(ext);
	}
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
	return X509_add1_ext_i2d(x, NID_subject_alt_name, list, critical, 0) == 1;
}

/* X509_set_pubkey would encode and decode the key, which takes longer than to make it. */
static bool set_public(X509 *x, const struct key *k)
{
	unsigned char *copy = OPENSSL_memdup(k->public, sizeof k->public);

	return copy && X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(x),
					      OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
					      OBJ_nid2obj(NID_X9_62_prime256v1), copy,
					      sizeof k->public) == 1;
}

static X509 *new_certificate(const struct key *k, time_t not_before, time_t not_after)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), not_before) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), not_after) && set_public(x, k))
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

int authority_certify(struct key *k, time_t not_before, time_t not_after, struct buf *ret,
		      struct err *e)
{
	auto_of(X509_free) X509 *x = new_certificate(k, not_before, not_after);

	if (!x || !set_authority_name(x) ||
	    !add_extensions(x, x, authority_extensions, ELEMENTS(authority_extensions)) ||
	    !X509_sign(x, signer(k), EVP_sha256()))
		return failed(e, EIO, "make the certificate of a CA");
	return write_certificate(x, ret, e);
}

int authority_issue(const struct authority *a, const struct issue *what, struct buf *ret,
		    struct err *e)
{
	auto_of(X509_free) X509 *x = new_certificate(what->key, what->not_before, what->not_after);

	if (!x || !set_common_name(X509_get_subject_name(x), what->names[0]) ||
	    !X509_set_issuer_name(x, X509_get_subject_name(a->certificate)) ||
	    !add_extensions(x, a->certificate, site_extensions, ELEMENTS(site_extensions)) ||
	    !add_names(x, what->names, what->n_names) ||
	    !X509_sign(x, signer(a->key), EVP_sha256()))
		return failed(e, EIO, "issue a certificate");
	return write_certificate(x, ret, e);
}

/* Reading -------------------------------------------------------------- */

static X509 *read_certificate(struct pem pem)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, no_passphrase);

	ERR_clear_error();
	return x;
}

static time_t wall(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

static bool is_public_of(const X509 *x, const struct key *k)
{
	const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(x);

	return bits && bits->length == sizeof k->public &&
	       memcmp(bits->data, k->public, sizeof k->public) == 0;
}

static int check_authority(X509 *x, const struct key *k, struct err *e)
{
	if (!x)
		return err_set(e, EBADMSG, "not a certificate (PEM)");
	if (X509_check_ca(x) != 1 || !X509_get0_subject_key_id(x))
		return err_set(e, EBADMSG, "not the certificate of a CA");
	if (!is_public_of(x, k))
		return err_set(e, EBADMSG, "the certificate is not that of the key");
	return 0;
}

int authority_open(struct pem certificate, struct key *k, struct authority **ret, struct err *e)
{
	auto_of(X509_free) X509 *x = read_certificate(certificate);
	int r = check_authority(x, k, e);

	if (r < 0) {
		key_free(k);
		return r;
	}

	struct authority *a = memory_new(sizeof *a);

	a->key = k;
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

static bool key_goes_with(const X509 *x, struct pem pem)
{
	struct key *plain = read_plain(pem);
	bool ok = plain && is_public_of(x, plain);

	key_free(plain);
	if (plain)
		return ok;

	auto_of(EVP_PKEY_free) EVP_PKEY *k = read_key(pem);

	ok = k && X509_check_private_key(x, k) == 1;
	ERR_clear_error();
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

static void cover(const GENERAL_NAMES *list, const char *const *names, size_t n,
		  struct certificate *ret, const char **uncovered)
{
	size_t n_listed = list ? (size_t)sk_GENERAL_NAME_num(list) : 0;
	autofree const char **listed = memory_new((n_listed + 1) * sizeof *listed);

	for (size_t i = 0; i < n_listed; i++)
		listed[i] = dns_name(list, (int)i);
	cover_names(listed, n_listed, names, n, ret, uncovered);
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
	cover(list, names, n_names, &c, uncovered);
	c.key_matches = key_goes_with(x, key);
	c.internal = issued_by(x, a);
	*ret = c;
	ERR_clear_error();
	return 0;
}
