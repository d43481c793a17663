/*
 * Files that people put together by hand: every way in which they are usually put
 * together wrongly has its own sentence, with the command that puts it right.
 *
 * What nginx would load is decided as nginx decides it (OpenSSL's security level 2),
 * for a pair that it refuses in a handshake is a site that is down.
 */
#include "acme/crypto/own_pair.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/openssl.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define SECURITY_BITS 112 /* of OpenSSL's level 2, which is Debian's: RSA 2048, SHA-224 */
#define CERTIFICATE   "-----BEGIN CERTIFICATE-----"

owned(PKCS12, PKCS12_free);
owned(X509_STORE, X509_STORE_free);
owned(X509_STORE_CTX, X509_STORE_CTX_free);

static bool holds(struct pem text, const char *what)
{
	return memmem(text.text, text.len, what, strlen(what));
}

static bool is_der(struct pem text)
{
	return text.len > 0 && text.text[0] == 0x30;
}

/* Files that are of another kind --------------------------------------------- */

struct kind {
	const char *mark; /* in the text; NULL: see is_it */
	bool (*is_it)(struct pem text);
	const char *advice; /* "@" stands for the path */
};

static bool is_empty(struct pem text)
{
	return text.len == 0 || !text.text[0];
}

static bool is_der_certificate(struct pem text)
{
	const unsigned char *at = (const unsigned char *)text.text;
	auto_of(X509_free) X509 *x = is_der(text) ? d2i_X509(NULL, &at, (long)text.len) : NULL;

	return x;
}

static bool is_der_key(struct pem text)
{
	const unsigned char *at = (const unsigned char *)text.text;
	auto_of(EVP_PKEY_free) EVP_PKEY *k =
		is_der(text) ? d2i_AutoPrivateKey(NULL, &at, (long)text.len) : NULL;

	return k;
}

static bool is_archive(struct pem text)
{
	const unsigned char *at = (const unsigned char *)text.text;
	auto_of(PKCS12_free) PKCS12 *p =
		is_der(text) ? d2i_PKCS12(NULL, &at, (long)text.len) : NULL;

	return p;
}

#define ARCHIVE                                                                      \
	"@ is a PKCS #12 archive; take it apart: openssl pkcs12 -in @ -nokeys -out " \
	"CERTIFICATE, and openssl pkcs12 -in @ -nocerts -noenc -out KEY"

static const struct kind certificate_kinds[] = {
	{ NULL, is_empty, "@ is empty; it should hold the certificate and its chain (PEM)" },
	{ NULL, is_der_certificate,
	  "@ is DER; tls.certificate takes PEM: openssl x509 -inform DER -in @ -out FILE" },
	{ NULL, is_archive, ARCHIVE },
	{ "-----BEGIN PKCS7-----", NULL,
	  "@ is PKCS #7; tls.certificate takes PEM: openssl pkcs7 -print_certs -in @ -out "
	  "FILE" },
	{ "CERTIFICATE REQUEST-----", NULL,
	  "@ is a request for a certificate; tls.certificate takes what the CA issued for it" },
	{ "PRIVATE KEY-----", NULL,
	  "@ holds a private key and not a certificate; are tls.certificate and tls.key "
	  "swapped?" },
	{ CERTIFICATE, NULL, "certificate 1 of @ is damaged" },
	{ "", NULL, "@: not a certificate (PEM); the file should begin with " CERTIFICATE },
};

static const struct kind key_kinds[] = {
	{ NULL, is_empty, "@ is empty; it should hold the private key (PEM)" },
	{ NULL, is_der_key,
	  "@ is DER; tls.key takes PEM: openssl pkey -inform DER -in @ -out FILE" },
	{ NULL, is_archive, ARCHIVE },
	{ "ENCRYPTED", NULL,
	  "@ is encrypted; remove the passphrase: openssl pkey -in @ -out FILE" },
	{ "OPENSSH PRIVATE KEY-----", NULL,
	  "@ is in OpenSSH's own format; convert a copy of it: ssh-keygen -p -m PEM -f COPY" },
	{ "PRIVATE KEY-----", NULL, "the private key in @ is damaged" },
	{ "PUBLIC KEY-----", NULL, "@ is a public key; tls.key takes the private one" },
	{ CERTIFICATE, NULL,
	  "@ holds a certificate and not a private key; are tls.certificate and tls.key "
	  "swapped?" },
	{ "", NULL,
	  "@: not a private key (PEM); the file should begin with -----BEGIN PRIVATE KEY-----" },
};

static int of_another_kind(struct pem text, const char *path, const struct kind *kinds,
			   struct err *e)
{
	autobuf struct buf sentence = { 0 };

	while (kinds->is_it ? !kinds->is_it(text) : !holds(text, kinds->mark))
		kinds++;
	ERR_clear_error();
	for (const char *c = kinds->advice; *c; c++) {
		if (*c == '@')
			buf_adds(&sentence, path);
		else
			buf_addc(&sentence, *c);
	}
	return err_set(e, EBADMSG, "%s", buf_text(&sentence));
}

/* A pair ------------------------------------------------------------------------ */

static size_t count_blocks(struct pem text)
{
	size_t n = 0;

	while (holds(text, CERTIFICATE)) {
		const char *at = memmem(text.text, text.len, CERTIFICATE, strlen(CERTIFICATE));

		at += strlen(CERTIFICATE);
		text = (struct pem){ at, text.len - (size_t)(at - text.text) };
		n++;
	}
	return n;
}

static const char *weakness(X509 *x)
{
	int bits = 0;

	if (!X509_get0_pubkey(x) || EVP_PKEY_get_security_bits(X509_get0_pubkey(x)) < SECURITY_BITS)
		return "has a key that is too weak (RSA takes 2048 bits or more)";
	if (X509_self_signed(x, 0) != 1 &&
	    (X509_get_signature_info(x, NULL, NULL, &bits, NULL) != 1 || bits < SECURITY_BITS))
		return "is signed with a digest that browsers do not take any more (SHA-256 is "
		       "wanted)";
	return NULL;
}

static int check_strength(certificates *all, const char *path, struct err *e)
{
	for (int i = 0; i < sk_X509_num(all); i++) {
		const char *weak = weakness(sk_X509_value(all, i));

		if (weak)
			return err_set(e, EBADMSG, "certificate %d of %s %s", i + 1, path, weak);
	}
	return 0;
}

/* Which of the certificates the key is of, from 0; -1: none. */
static int owner_of(certificates *all, EVP_PKEY *key)
{
	for (int i = 0; i < sk_X509_num(all); i++)
		if (X509_check_private_key(sk_X509_value(all, i), key) == 1)
			return i;
	return -1;
}

static int check_match(const struct own_pair *p, certificates *all, EVP_PKEY *key, struct err *e)
{
	int at = owner_of(all, key);

	ERR_clear_error();
	if (at == 0)
		return 0;
	if (at > 0)
		return err_set(e, EBADMSG,
			       "%s is in the wrong order: %s is the key of its certificate %d; "
			       "that must come first, then the one that signed it, and so on",
			       p->certificate_path, p->key_path, at + 1);
	return err_set(e, EBADMSG, "%s is not the key of %s", p->key_path, p->certificate_path);
}

int own_pair_check(const struct own_pair *p, struct err *e)
{
	auto_of(certificates_free) certificates *all = certificates_read(p->certificate);
	auto_of(EVP_PKEY_free) EVP_PKEY *key = key_read_any(p->key);
	int r;

	if (!all)
		return of_another_kind(p->certificate, p->certificate_path, certificate_kinds, e);
	if ((size_t)sk_X509_num(all) < count_blocks(p->certificate))
		return err_set(e, EBADMSG, "certificate %d of %s is damaged", sk_X509_num(all) + 1,
			       p->certificate_path);
	if (!key)
		return of_another_kind(p->key, p->key_path, key_kinds, e);
	r = check_match(p, all, key, e);
	return r < 0 ? r : check_strength(all, p->certificate_path, e);
}

/* The way to a root --------------------------------------------------------------- */

/* What this host trusts is read as it is asked for, by the hash of its name: cheap, and always of now. */
static X509_STORE *roots_new(void)
{
	X509_STORE *store = X509_STORE_new();
	X509_LOOKUP *lookup = store ? X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir()) : NULL;

	if (lookup)
		(void)X509_LOOKUP_add_dir(lookup, NULL, X509_FILETYPE_DEFAULT);
	return store;
}

static bool leads_to_root(int error)
{
	return error == X509_V_OK || error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
	       error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
}

static bool lacks_issuer(int error)
{
	return error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
	       error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
	       error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static void say_incomplete(const char *path, X509_STORE_CTX *c, struct err *e)
{
	int error = X509_STORE_CTX_get_error(c);
	const X509 *last = X509_STORE_CTX_get_current_cert(c);
	char issuer[200] = "?";

	if (last)
		openssl_name(X509_get_issuer_name(last), issuer, sizeof issuer);
	if (lacks_issuer(error))
		(void)err_set(
			e, EBADMSG,
			"%s lacks the certificate of its issuer \"%s\", so that browsers may "
			"refuse it; append that to the file, or, if it is a root of your own, "
			"trust it on this host (update-ca-certificates)",
			path, issuer);
	else
		(void)err_set(e, EBADMSG, "browsers may refuse %s: %s", path,
			      X509_verify_cert_error_string(error));
}

bool own_pair_is_complete(const struct own_pair *p, struct err *e)
{
	auto_of(certificates_free) certificates *all = certificates_read(p->certificate);
	auto_of(X509_STORE_free) X509_STORE *roots = roots_new();
	auto_of(X509_STORE_CTX_free) X509_STORE_CTX *c = X509_STORE_CTX_new();
	bool complete;

	if (!all || !roots || !c ||
	    X509_STORE_CTX_init(c, roots, sk_X509_value(all, 0), all) != 1 ||
	    X509_STORE_CTX_set_default(c, "ssl_server") != 1) {
		ERR_clear_error();
		return true;
	}
	X509_STORE_CTX_set_flags(c, X509_V_FLAG_NO_CHECK_TIME);
	complete = X509_verify_cert(c) == 1 || leads_to_root(X509_STORE_CTX_get_error(c));
	if (!complete)
		say_incomplete(p->certificate_path, c, e);
	ERR_clear_error();
	return complete;
}

void own_pair_chain(struct pem certificate, struct buf *ret)
{
	auto_of(certificates_free) certificates *all = certificates_read(certificate);
	auto_of(BIO_free_all) BIO *b = BIO_new(BIO_s_mem());

	for (int i = 0; all && i < sk_X509_num(all); i++)
		(void)PEM_write_bio_X509(b, sk_X509_value(all, i));
	openssl_take_text(b, ret);
	ERR_clear_error();
}
