/*
 * The building of certificates for a CA of our own.
 *
 * Names are put into a certificate as structures, never through OpenSSL's
 * configuration strings, so that no name can say more than a name.
 */
#include "acme/crypto/authority.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/chain.h"
#include "acme/crypto/openssl.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

struct authority {
	struct key *key;
	X509 *certificate;
};

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
	auto_of(GENERAL_NAMES_free) GENERAL_NAMES *list = names_new(names, n);
	bool critical = X509_NAME_entry_count(X509_get_subject_name(x)) == 0;

	return list && X509_add1_ext_i2d(x, NID_subject_alt_name, list, critical, 0) == 1;
}

static X509 *new_certificate(const struct key *k, time_t not_before, time_t not_after)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), not_before) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), not_after) &&
	    key_publish(k, X509_get_X509_PUBKEY(x)))
		return x;
	X509_free(x);
	return NULL;
}

static int write_certificate(X509 *x, struct buf *ret, struct err *e)
{
	auto_of(BIO_free_all) BIO *b = BIO_new(BIO_s_mem());

	if (!PEM_write_bio_X509(b, x))
		return openssl_failed(e, EIO, "write a certificate");
	openssl_take_text(b, ret);
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
	    !X509_sign(x, key_signer(k), EVP_sha256()))
		return openssl_failed(e, EIO, "make the certificate of a CA");
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
	    !X509_sign(x, key_signer(a->key), EVP_sha256()))
		return openssl_failed(e, EIO, "issue a certificate");
	return write_certificate(x, ret, e);
}

static int check_authority(X509 *x, const struct key *k, struct err *e)
{
	if (!x)
		return err_set(e, EBADMSG, "not a certificate (PEM)");
	if (X509_check_ca(x) != 1 || !X509_get0_subject_key_id(x))
		return err_set(e, EBADMSG, "not the certificate of a CA");
	if (!key_is_of(k, x))
		return err_set(e, EBADMSG, "not the certificate of ca.key");
	return 0;
}

int authority_open(struct pem certificate, struct key *k, struct authority **ret, struct err *e)
{
	auto_of(X509_free) X509 *x = chain_first(certificate);
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

time_t authority_begins(const struct authority *a)
{
	time_t begin;

	(void)openssl_time(X509_get0_notBefore(a->certificate), &begin);
	return begin;
}

time_t authority_ends(const struct authority *a)
{
	time_t end;

	(void)openssl_time(X509_get0_notAfter(a->certificate), &end);
	return end;
}

bool authority_issued(const struct authority *a, X509 *x)
{
	const ASN1_OCTET_STRING *id = X509_get0_authority_key_id(x);
	const ASN1_OCTET_STRING *ours = a ? X509_get0_subject_key_id(a->certificate) : NULL;

	return id && ours && ASN1_OCTET_STRING_cmp(id, ours) == 0 &&
	       X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(a->certificate)) == 0;
}
