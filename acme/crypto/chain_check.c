/*
 * May a chain from the network be put in place? It comes through the worker,
 * which is no more trusted than the network itself.
 *
 * The text is taken apart by us, since OpenSSL skips whatever it does not know, and
 * every certificate has to be DER to the byte. What can go wrong in a CA's daily life is
 * looked at one by one, for a sentence that says so; then OpenSSL is asked as
 * any browser's library would be, which also sees what is rarer: path lengths,
 * name constraints, critical extensions that nobody knows. Whether the root is
 * trusted is not asked: an admin may use a CA of their own.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <strings.h>

#include "acme/crypto/chain.h"
#include "acme/crypto/openssl.h"
#include "agent/base/own.h"

#define DAY         ((time_t)86400)
#define DIGEST_BITS 128 /* of SHA-256, as OpenSSL counts */
#define KEY_BITS    112 /* of RSA 2048 */
#define KNOWN_MAX   8
#define SERIAL_MAX  20 /* octets: RFC 5280, 4.1.2.2 */
#define LETTERS     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
#define BEGIN       "-----BEGIN CERTIFICATE-----"
#define END         "-----END CERTIFICATE-----"

owned(X509_STORE, X509_STORE_free);
owned(X509_STORE_CTX, X509_STORE_CTX_free);

/* The text ------------------------------------------------------------- */

static size_t span(struct pem at, const char *set)
{
	size_t n = 0;

	while (n < at.len && at.text[n] && strchr(set, at.text[n]))
		n++;
	return n;
}

static bool take_word(struct pem *at, const char *word)
{
	size_t len = strlen(word);

	if (at->len < len || memcmp(at->text, word, len) != 0)
		return false;
	*at = (struct pem){ at->text + len, at->len - len };
	return true;
}

static void take_span(struct pem *at, const char *set)
{
	size_t n = span(*at, set);

	*at = (struct pem){ at->text + n, at->len - n };
}

/* One block, its text as OpenSSL's parser wants it. */
static bool take_block(struct pem *at, struct pem *ret)
{
	const char *start = at->text;

	if (!take_word(at, BEGIN))
		return false;
	take_span(at, LETTERS "\r\n");
	if (!take_word(at, END))
		return false;
	*ret = (struct pem){ start, (size_t)(at->text - start) };
	return true;
}

/*
 * OpenSSL takes 0.15 ms to decode a certificate, most of it for the key, and a CA
 * signs with few: those that came last are kept, known by their bytes.
 */
struct known {
	unsigned char *der;
	long len;
	X509 *x;
};
static struct known known[KNOWN_MAX];

/* Another reference to it, or NULL. */
static X509 *known_find(const unsigned char *der, long len)
{
	for (size_t i = 0; i < KNOWN_MAX; i++)
		if (known[i].x && known[i].len == len &&
		    memcmp(known[i].der, der, (size_t)len) == 0)
			return X509_up_ref(known[i].x), known[i].x;
	return NULL;
}

/* The oldest goes. Takes der. */
static void known_add(unsigned char *der, long len, X509 *x)
{
	static size_t next;
	struct known *k = &known[next++ % KNOWN_MAX];

	X509_free(k->x);
	OPENSSL_free(k->der);
	(void)X509_up_ref(x);
	*k = (struct known){ der, len, x };
}

/* NULL: its bytes are no certificate, or not the only way to write this one. */
static X509 *decode(const unsigned char *der, long len, bool is_leaf)
{
	unsigned char *again = NULL;
	const unsigned char *at = der;
	X509 *x = is_leaf ? NULL : known_find(der, len);

	if (x)
		return x;
	x = d2i_X509(NULL, &at, len);
	if (x && (i2d_X509(x, &again) != len || memcmp(der, again, (size_t)len) != 0)) {
		X509_free(x);
		x = NULL;
	}
	if (x && !is_leaf)
		known_add(take_ptr(again), len, x);
	OPENSSL_free(again);
	return x;
}

static X509 *parse_block(struct pem block, bool is_leaf)
{
	auto_of(BIO_free_all) BIO *b = BIO_new_mem_buf(block.text, (int)block.len);
	unsigned char *der = NULL;
	char *name = NULL, *header = NULL;
	long len = 0;
	X509 *x = NULL;

	if (PEM_read_bio(b, &name, &header, &der, &len) == 1)
		x = decode(der, len, is_leaf);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	ERR_clear_error();
	return x;
}

static int take_apart(struct pem text, certificates *list, struct err *e)
{
	const char *start = text.text;

	if (text.len > PEM_MAX_BYTES)
		return err_set(e, EBADMSG, "the chain is longer than %d bytes", PEM_MAX_BYTES);
	for (take_span(&text, " \t\r\n"); text.len > 0; take_span(&text, " \t\r\n")) {
		struct pem block;

		/* Within a line it begins a certificate for us, but for no other reader of PEM. */
		if ((text.text > start && text.text[-1] != '\n') || !take_block(&text, &block))
			return err_set(e, EBADMSG,
				       "the chain has something in it that is no "
				       "certificate (PEM)");
		if (sk_X509_num(list) == CHAIN_MAX)
			return err_set(e, EBADMSG, "the chain has more than %d certificates",
				       CHAIN_MAX);

		X509 *x = parse_block(block, sk_X509_num(list) == 0);

		if (!x)
			return err_set(e, EBADMSG, "certificate %d of the chain is damaged",
				       sk_X509_num(list) + 1);
		sk_X509_push(list, x);
	}
	return sk_X509_num(list) > 0 ? 0 : err_set(e, EBADMSG, "the chain is empty");
}

/* Each certificate ----------------------------------------------------- */

static const char *validity_problem(const X509 *x, time_t now)
{
	time_t from, until;

	if (!openssl_time(X509_get0_notBefore(x), &from) ||
	    !openssl_time(X509_get0_notAfter(x), &until))
		return "has no validity that can be read";
	if (until <= now)
		return "has expired";
	return from > now + DAY ? "is not valid yet" : NULL;
}

static bool serial_is_sane(X509 *x)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);

	return ASN1_STRING_type(serial) == V_ASN1_INTEGER &&
	       ASN1_STRING_length(serial) <= SERIAL_MAX;
}

static const char *problem_of(X509 *x, time_t now)
{
	int signature_bits = 0;
	const char *problem = validity_problem(x, now);

	if (problem)
		return problem;
	if (X509_get_version(x) != X509_VERSION_3 ||
	    X509_get_extension_flags(x) & (EXFLAG_INVALID | EXFLAG_CRITICAL))
		return "is not as RFC 5280 wants it";
	if (!serial_is_sane(x))
		return "has an impossible serial number";
	if (X509_get_signature_info(x, NULL, NULL, &signature_bits, NULL) != 1 ||
	    signature_bits < DIGEST_BITS)
		return "is signed by something weaker than SHA-256";
	if (!X509_get0_pubkey(x) || EVP_PKEY_get_security_bits(X509_get0_pubkey(x)) < KEY_BITS)
		return "has a key that is too weak";
	return NULL;
}

static const char *leaf_problem(X509 *x, const struct key *key)
{
	uint32_t usage = X509_get_extended_key_usage(x);

	if (!key_is_of(key, x))
		return "is for another key";
	if (X509_check_ca(x) != 0 || X509_get_extension_flags(x) & EXFLAG_CA)
		return "is that of a CA";
	if (X509_self_signed(x, 0) != 0)
		return "is signed by itself";
	if (usage == UINT32_MAX || !(usage & XKU_SSL_SERVER))
		return "is not for servers";
	/* UINT32_MAX, every bit set, where nothing is said. */
	return X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE ? NULL : "is not for TLS";
}

/* The names ------------------------------------------------------------ */

static bool is_among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

static bool is_listed(const GENERAL_NAMES *list, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcasecmp(names_at(list, i), name) == 0)
			return true;
	return false;
}

static int check_names(X509 *leaf, const char *const *names, size_t n_names, struct err *e)
{
	auto_of(GENERAL_NAMES_free) GENERAL_NAMES *list =
		X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	int n = list ? sk_GENERAL_NAME_num(list) : 0;

	/* No name of the certificate's own is printed: it could be anything. */
	for (int i = 0; i < n; i++) {
		const char *name = names_at(list, i);

		if (!name)
			return err_set(e, EBADMSG, "has a name that is not a host name");
		if (!is_among(name, names, n_names))
			return err_set(e, EBADMSG, "has a name that was not asked for");
		if (is_listed(list, i, name))
			return err_set(e, EBADMSG, "has a name twice");
	}
	for (size_t i = 0; i < n_names; i++)
		if (!is_listed(list, n, names[i]))
			return err_set(e, EBADMSG, "lacks the name %s", names[i]);
	return n > 0 ? 0 : err_set(e, EBADMSG, "has no names");
}

static int check_leaf(X509 *leaf, const struct key *key, const char *const *names, size_t n_names,
		      time_t now, struct err *e)
{
	const char *problem = problem_of(leaf, now);

	if (!problem)
		problem = leaf_problem(leaf, key);
	if (problem)
		return err_set(e, EBADMSG, "the certificate %s", problem);

	int r = check_names(leaf, names, n_names, e);

	return r < 0 ? err_in(e, "the certificate") : 0;
}

/* The links ------------------------------------------------------------ */

static int check_links(certificates *chain, time_t now, struct err *e)
{
	int n = sk_X509_num(chain);

	for (int i = 1; i < n; i++) {
		X509 *x = sk_X509_value(chain, i), *before = sk_X509_value(chain, i - 1);
		bool is_root = i == n - 1 && X509_self_signed(x, 1) == 1;
		/* Of a root only its key counts; it is not installed. */
		const char *problem = is_root ? NULL : problem_of(x, now);

		if (!problem && !is_root && X509_check_ca(x) != 1)
			problem = "is not that of a CA";
		if (problem)
			return err_set(e, EBADMSG, "certificate %d of the chain %s", i + 1,
				       problem);
		if (X509_check_issued(x, before) != X509_V_OK ||
		    X509_verify(before, X509_get0_pubkey(x)) != 1)
			return err_set(e, EBADMSG,
				       "certificate %d of the chain is not signed by the next", i);
	}
	return 0;
}

/* As a client would that trusts the last certificate. Times have been looked at. */
static int ask_openssl(certificates *chain, struct err *e)
{
	auto_of(X509_STORE_free) X509_STORE *store = X509_STORE_new();
	auto_of(X509_STORE_CTX_free) X509_STORE_CTX *c = X509_STORE_CTX_new();
	X509 *leaf = sk_X509_value(chain, 0);

	if (!store || !c ||
	    X509_STORE_add_cert(store, sk_X509_value(chain, sk_X509_num(chain) - 1)) != 1 ||
	    X509_STORE_CTX_init(c, store, leaf, chain) != 1 ||
	    X509_STORE_CTX_set_default(c, "ssl_server") != 1)
		return openssl_failed(e, EIO, "look at the chain");
	X509_STORE_CTX_set_flags(c, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
	if (X509_verify_cert(c) == 1)
		return 0;
	return err_set(e, EBADMSG, "the chain does not hold: %s",
		       X509_verify_cert_error_string(X509_STORE_CTX_get_error(c)));
}

/* Clients have their own root. */
static void drop_root(certificates *chain)
{
	int n = sk_X509_num(chain);

	if (n > 1 && X509_self_signed(sk_X509_value(chain, n - 1), 1) == 1)
		X509_free(sk_X509_pop(chain));
}

static int write_chain(certificates *chain, struct buf *ret, struct err *e)
{
	auto_of(BIO_free_all) BIO *b = BIO_new(BIO_s_mem());
	char *text;

	for (int i = 0; i < sk_X509_num(chain); i++)
		if (!PEM_write_bio_X509(b, sk_X509_value(chain, i)))
			return openssl_failed(e, EIO, "write a chain");
	/* Longer than it was, where its lines were longer than ours. */
	if (BIO_get_mem_data(b, &text) > PEM_MAX_BYTES)
		return err_set(e, EBADMSG, "the chain is longer than %d bytes", PEM_MAX_BYTES);
	openssl_take_text(b, ret);
	return 0;
}

int chain_check(struct pem chain, const struct key *key, const char *const *names, size_t n_names,
		time_t now, struct buf *ret_text, struct chain_facts *ret, struct err *e)
{
	auto_of(certificates_free) certificates *all = sk_X509_new_null();
	int r = take_apart(chain, all, e);

	if (r == 0)
		r = check_leaf(sk_X509_value(all, 0), key, names, n_names, now, e);
	if (r == 0)
		r = check_links(all, now, e);
	if (r == 0)
		r = ask_openssl(all, e);
	if (r == 0) {
		drop_root(all);
		r = write_chain(all, ret_text, e);
	}
	if (r == 0)
		chain_describe(all, ret);
	ERR_clear_error();
	return r;
}
