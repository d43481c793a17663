/*
 * The request for a certificate (RFC 2986), as an ACME CA wants it: the names
 * as subjectAltName, the subject empty (RFC 8555, 7.4 reads names from either; a
 * common name has room for 64 characters and says nothing more).
 */
#include <errno.h>
#include <openssl/err.h>

#include "acme/crypto/digest.h"
#include "acme/crypto/openssl.h"

typedef STACK_OF(X509_EXTENSION) extensions;
static void extensions_free(extensions *list)
{
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
}

owned(extensions, extensions_free);
owned(X509_REQ, X509_REQ_free);

/* Names are put in as structures, so that no name can say more than a name. */
static bool ask_for(X509_REQ *request, const char *const *names, size_t n)
{
	auto_of(GENERAL_NAMES_free) GENERAL_NAMES *list = names_new(names, n);
	auto_of(extensions_free) extensions *all = NULL;

	return list &&
	       X509V3_add1_i2d(&all, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1 &&
	       X509_REQ_add_extensions(request, all) == 1;
}

static bool write_request(X509_REQ *request, struct buf *ret)
{
	unsigned char *der = NULL;
	int len = i2d_X509_REQ(request, &der);

	if (len <= 0)
		return false;
	base64url_write(der, (size_t)len, ret);
	OPENSSL_free(der);
	return true;
}

int key_request(struct key *k, const char *const *names, size_t n_names, struct buf *ret,
		struct err *e)
{
	auto_of(X509_REQ_free) X509_REQ *request = X509_REQ_new();
	EVP_PKEY *evp = key_signer(k);

	if (n_names == 0)
		return err_set(e, EINVAL, "a request for no name");
	if (!request || !evp || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1)
		return openssl_failed(e, EIO, "make a signing request");
	if (!key_publish(k, X509_REQ_get_X509_PUBKEY(request)) ||
	    !ask_for(request, names, n_names) || X509_REQ_sign(request, evp, EVP_sha256()) <= 0 ||
	    !write_request(request, ret))
		return openssl_failed(e, EIO, "make a signing request");
	return 0;
}
