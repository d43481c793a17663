/* Chains: what may be installed, what is refused and with which words, and what they say. */
#include "acme/crypto/chain.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/crypto/authority.h"
#include "acme/crypto/digest.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define NOW ((time_t)1800000000)
#define DAY ((time_t)86400)

/* A CA for tests ------------------------------------------------------- */

enum who { SITE, OTHER_SITE, WEAK_SITE, RSA_SITE, ROOT, MIDDLE, STRANGER, LOW, WEAK, KEYS };

/* What a certificate is to be; the zero value is a good leaf of MIDDLE for SITE. */
struct spec {
	enum who key;
	const char *subject; /* NULL: empty */
	const char *issuer;  /* NULL: "Middle" */
	enum who by;         /* SITE: MIDDLE */
	const char *names;   /* of x509v3_config(5); NULL: those wanted; "": none */
	const char *constraints, *usage, *purpose; /* NULL: as it should be; "": none */
	time_t from, until;                        /* after NOW; 0: good ones */
	const char *serial;                        /* hex */
	const EVP_MD *(*digest)(void);
	const char *riddle; /* an extension's OID */
	bool version_1, no_authority_id, by_itself;
};

static const char *const wanted[] = { "a.example.org", "*.b.example.org" };
#define WANTED_NAMES "DNS:*.b.example.org,DNS:A.example.org"

static EVP_PKEY *keys[KEYS];
static struct key *site_key, *rsa_site_key;

static void add_extension(X509 *x, X509V3_CTX *context, int nid, const char *value)
{
	X509_EXTENSION *ext = *value ? X509V3_EXT_conf_nid(NULL, context, nid, value) : NULL;

	assert_true(!*value || (ext && X509_add_ext(x, ext, -1)));
	X509_EXTENSION_free(ext);
}

/* An extension that nobody understands and everybody has to. */
static void add_riddle(X509 *x, const char *oid)
{
	ASN1_OCTET_STRING *content = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *id = OBJ_txt2obj(oid, 1);

	ASN1_OCTET_STRING_set(content, (const unsigned char *)"\x05", 2);

	X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, id, 1, content);

	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	ASN1_OBJECT_free(id);
	ASN1_OCTET_STRING_free(content);
}

static void name(X509_NAME *to, const char *text)
{
	if (text)
		assert_int_equal(X509_NAME_add_entry_by_NID(to, NID_commonName, MBSTRING_UTF8,
							    (const unsigned char *)text, -1, -1, 0),
				 1);
}

static const char *either(const char *given, const char *preset)
{
	return given ? given : preset;
}

static void add_extensions(X509 *x, EVP_PKEY *issuer_key, const struct spec *s)
{
	X509 *issuer = X509_new(); /* for its key's id only */
	X509V3_CTX context;

	X509_set_pubkey(issuer, issuer_key);
	X509V3_set_ctx(&context, issuer, issuer, NULL, NULL, 0);
	add_extension(issuer, &context, NID_subject_key_identifier, "hash");
	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	add_extension(x, &context, NID_basic_constraints,
		      either(s->constraints, "critical,CA:FALSE"));
	add_extension(x, &context, NID_key_usage, either(s->usage, "critical,digitalSignature"));
	add_extension(x, &context, NID_ext_key_usage, either(s->purpose, "serverAuth,clientAuth"));
	add_extension(x, &context, NID_subject_alt_name, either(s->names, WANTED_NAMES));
	add_extension(x, &context, NID_subject_key_identifier, "hash");
	if (!s->no_authority_id)
		add_extension(x, &context, NID_authority_key_identifier, "keyid:always");
	if (s->riddle)
		add_riddle(x, s->riddle);
	X509_free(issuer);
}

static X509 *make(const struct spec *s)
{
	EVP_PKEY *by = keys[s->by_itself ? s->key : s->by ? s->by : MIDDLE];
	X509 *x = X509_new();
	BIGNUM *serial = NULL;

	X509_set_version(x, s->version_1 ? X509_VERSION_1 : X509_VERSION_3);
	BN_hex2bn(&serial, either(s->serial, "0087654321"));
	BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x));
	BN_free(serial);
	ASN1_TIME_set(X509_getm_notBefore(x), NOW + (s->from ? s->from : -DAY));
	ASN1_TIME_set(X509_getm_notAfter(x), NOW + (s->until ? s->until : 90 * DAY));
	X509_set_pubkey(x, keys[s->key]);
	name(X509_get_subject_name(x), s->subject);
	name(X509_get_issuer_name(x), either(s->issuer, "Middle"));
	if (!s->version_1)
		add_extensions(x, by, s);
	assert_true(X509_sign(x, by, s->digest ? s->digest() : EVP_sha256()) > 0);
	return x;
}

static void write_pem(X509 *x, struct buf *ret)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;

	PEM_write_bio_X509(b, x);

	long len = BIO_get_mem_data(b, &text);

	buf_add(ret, text, (size_t)len);
	BIO_free(b);
	X509_free(x);
}

#define AUTHORITY_OF(constraint)                                                           \
	.names = "", .constraints = (constraint), .usage = "critical,keyCertSign,cRLSign", \
	.purpose = ""
#define AN_AUTHORITY AUTHORITY_OF("critical,CA:TRUE")

/* The letters of chains in the tables below. */
static const struct {
	char letter;
	struct spec spec;
} pieces[] = {
	{ 'L', { 0 } },
	{ 'I', { MIDDLE, "Middle", "Root", ROOT, AN_AUTHORITY } },
	{ 'R', { ROOT, "Root", "Root", ROOT, AN_AUTHORITY, .digest = EVP_sha1 } },
	/* in the place of the one between */
	{ 'e', { MIDDLE, "Middle", "Root", ROOT, AN_AUTHORITY, .until = -1 } },
	{ 'y', { MIDDLE, "Middle", "Root", ROOT, AN_AUTHORITY, .from = 2 * DAY } },
	{ 's', { MIDDLE, "Middle", "Root", ROOT, AN_AUTHORITY, .digest = EVP_sha1 } },
	{ 'n', { MIDDLE, "Middle", "Root", ROOT, AUTHORITY_OF("CA:FALSE") } },
	{ 'o', { STRANGER, "Middle", "Root", ROOT, AN_AUTHORITY } },
	{ 'm', { MIDDLE, "Muddle", "Root", ROOT, AN_AUTHORITY } },
	{ 'i', { MIDDLE, "Middle", "Middle", STRANGER, AN_AUTHORITY } },
	{ 'q', { STRANGER, "Root", "Root", STRANGER, AN_AUTHORITY } },
	/* longer: M signed by J, J by I or P */
	{ 'M', { .issuer = "Low", .by = LOW } },
	{ 'J', { LOW, "Low", "Middle", MIDDLE, AN_AUTHORITY } },
	{ 'P', { MIDDLE, "Middle", "Root", ROOT, AUTHORITY_OF("critical,CA:TRUE,pathlen:0") } },
	/* W signed by w, whose RSA key has 1024 bits */
	{ 'W', { .issuer = "Weak", .by = WEAK } },
	{ 'w', { WEAK, "Weak", "Root", ROOT, AN_AUTHORITY } },
};
static struct buf texts[128];

static int make_ca(void **state)
{
	autobuf struct buf pem = { 0 }, rsa = { 0 };

	(void)state;
	for (int i = 0; i < KEYS; i++)
		keys[i] = i == WEAK_SITE || i == WEAK ? EVP_RSA_gen(1024)
			  : i == RSA_SITE             ? EVP_RSA_gen(2048)
						      : EVP_EC_gen("P-256");
	for (int i = 0; i < 2; i++) {
		BIO *b = BIO_new(BIO_s_mem());
		char *text;

		PEM_write_bio_PKCS8PrivateKey(b, keys[i ? RSA_SITE : SITE], NULL, NULL, 0, NULL,
					      NULL);
		long len = BIO_get_mem_data(b, &text);

		buf_add(i ? &rsa : &pem, text, (size_t)len);
		BIO_free(b);
	}
	for (size_t i = 0; i < ELEMENTS(pieces); i++)
		write_pem(make(&pieces[i].spec), &texts[(unsigned char)pieces[i].letter]);
	buf_add(&texts['K'], pem.data, pem.len);
	return key_parse((struct pem){ pem.data, pem.len }, &site_key, NULL) < 0 ||
	       key_parse((struct pem){ rsa.data, rsa.len }, &rsa_site_key, NULL) < 0;
}

static int forget_ca(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++)
		EVP_PKEY_free(keys[i]);
	for (size_t i = 0; i < ELEMENTS(texts); i++)
		buf_clear(&texts[i]);
	key_free(site_key);
	key_free(rsa_site_key);
	return 0;
}

/* A chain by its letters; what is no letter of a piece stands for itself. */
static void compose(const char *letters, struct buf *ret)
{
	for (; *letters; letters++) {
		const struct buf *piece = &texts[(unsigned char)*letters];

		buf_add(ret, piece->len ? piece->data : letters, piece->len ? piece->len : 1);
	}
}

static struct pem pem_of(const struct buf *b)
{
	return (struct pem){ buf_text(b), b->len };
}

static int check(struct pem chain, struct buf *ret, struct err *e)
{
	struct chain_facts facts;

	return chain_check(chain, site_key, wanted, 2, NOW, ret, &facts, e);
}

static void assert_refused(const char *what, struct pem chain, const char *says)
{
	autobuf struct buf written = { 0 };
	struct err e = { 0 };

	if (check(chain, &written, &e) != -EBADMSG || !strstr(e.text, says))
		fail_msg("%s: %s", what, e.code ? e.text : "accepted");
	assert_int_equal(written.len, 0);
}

/* Checking ------------------------------------------------------------- */

static void good_chains_are_written_without_their_root(void **state)
{
	static const struct {
		const char *letters, *written;
	} cases[] = {
		{ "L", "L" },     { "LI", "LI" },    { "LIR", "LI" },
		{ "MJI", "MJI" }, { "MJIR", "MJI" }, { " \nL\r\n\t\nI ", "LI" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf chain = { 0 }, expected = { 0 }, written = { 0 };
		struct err e = { 0 };

		compose(cases[i].letters, &chain);
		compose(cases[i].written, &expected);
		if (check(pem_of(&chain), &written, &e) < 0)
			fail_msg("%s: %s", cases[i].letters, e.text);
		assert_string_equal(written.data, expected.data);
	}
}

static void lines_may_end_and_break_as_they_like(void **state)
{
	autobuf struct buf chain = { 0 }, written = { 0 }, both = { 0 };

	(void)state;
	compose("LI", &both);
	for (const char *c = both.data; *c; c++)
		buf_add(&chain, *c == '\n' ? "\r\n" : c, *c == '\n' ? 2 : 1);
	assert_int_equal(check(pem_of(&chain), &written, NULL), 0);
	assert_string_equal(written.data, both.data);
	/* What was there before stays in front. */
	assert_int_equal(check(pem_of(&both), &written, NULL), 0);
	assert_int_equal(written.len, 2 * both.len);
}

#define BLOCK(content) "-----BEGIN CERTIFICATE-----\n" content "-----END CERTIFICATE-----\n"

static void bad_chains_are_refused(void **state)
{
	static const struct {
		const char *letters, *says;
	} cases[] = {
		{ "", "empty" },
		{ " \r\n", "empty" },
		{ "IL", "another key" },
		{ "LL", "certificate 2 of the chain is not that of a CA" },
		{ "LR", "1 of the chain is not signed by the next" },
		{ "LIJ", "2 of the chain is not signed by the next" },
		{ "MIJ", "1 of the chain is not signed by the next" },
		{ "LII", "2 of the chain is not signed by the next" },
		{ "LRI", "2 of the chain is signed by something weaker" },
		{ "Lo", "1 of the chain is not signed by the next" },
		{ "Lm", "1 of the chain is not signed by the next" },
		{ "LIq", "2 of the chain is not signed by the next" },
		{ "LiR", "2 of the chain is not signed by the next" },
		{ "LiI", "2 of the chain is not signed by the next" },
		{ "Le", "2 of the chain has expired" },
		{ "Ly", "2 of the chain is not valid yet" },
		{ "Ls", "2 of the chain is signed by something weaker than SHA-256" },
		{ "Ln", "2 of the chain is not that of a CA" },
		{ "Ww", "2 of the chain has a key that is too weak" },
		{ "MJP", "does not hold: path length" },
		{ "LIIIIIIIIII", "more than 10" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf chain = { 0 };

		compose(cases[i].letters, &chain);
		assert_refused(cases[i].letters, pem_of(&chain), cases[i].says);
	}
}

static void nothing_but_certificates_may_be_in_it(void **state)
{
	static const struct {
		const char *before, *text, *after, *says;
	} cases[] = {
		{ "", "garbage", "LI", "no certificate (PEM)" },
		{ "L", "garbage", "I", "no certificate (PEM)" },
		{ "LI", "garbage", "", "no certificate (PEM)" },
		{ "", "# a comment\n", "LI", "no certificate (PEM)" },
		{ "", "\t", "LI", "no certificate (PEM)" },
		{ "L", " ", "I", "no certificate (PEM)" },
		{ "K", "", "LI", "no certificate (PEM)" },
		{ "LK", "", "I", "no certificate (PEM)" },
		{ "LIK", "", "", "no certificate (PEM)" },
		{ "LI", "-----BEG", "", "no certificate (PEM)" },
		{ "LI", "-----BEGIN CERTIFICATE-----", "", "no certificate (PEM)" },
		{ "LI", "-----END CERTIFICATE-----", "", "no certificate (PEM)" },
		{ "L", BLOCK(""), "I", "2 of the chain is damaged" },
		{ "L", BLOCK("AAAA\n"), "I", "2 of the chain is damaged" },
		{ "L", BLOCK("A\n"), "I", "2 of the chain is damaged" },
		{ "L", BLOCK("====\n"), "I", "2 of the chain is damaged" },
		{ "L", BLOCK("a: b\n\nAAAA\n"), "I", "no certificate (PEM)" },
		{ "L", BLOCK("AA-AA\n"), "I", "no certificate (PEM)" },
		{ "L", "-----BEGIN X509 CERTIFICATE-----\nAAAA\n-----END X509 CERTIFICATE-----\n",
		  "I", "no certificate (PEM)" },
		{ "L", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END X509 CRL-----\n", "I",
		  "no certificate (PEM)" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf chain = { 0 };

		compose(cases[i].before, &chain);
		buf_adds(&chain, cases[i].text);
		compose(cases[i].after, &chain);
		assert_refused(cases[i].text, pem_of(&chain), cases[i].says);
	}
}

static void a_chain_has_room_for_64_kib_and_not_a_byte_more(void **state)
{
	autobuf struct buf chain = { 0 }, written = { 0 };

	(void)state;
	compose("LI", &chain);
	while (chain.len < PEM_MAX_BYTES)
		buf_addc(&chain, '\n');
	assert_int_equal(check(pem_of(&chain), &written, NULL), 0);
	buf_addc(&chain, '\n');
	assert_refused("65537 bytes", pem_of(&chain), "longer than 65536");
}

static void a_text_that_was_cut_off_is_refused(void **state)
{
	autobuf struct buf chain = { 0 };

	(void)state;
	compose("L", &chain);
	for (size_t len = 0; len + 1 < chain.len; len++) {
		autobuf struct buf part = { 0 };

		buf_add(&part, chain.data, len);
		assert_refused("cut off", pem_of(&part), "");
	}
}

static void a_nul_does_not_hide_what_follows(void **state)
{
	autobuf struct buf chain = { 0 };

	(void)state;
	compose("L", &chain);
	buf_addc(&chain, '\0');
	compose("K", &chain);
	assert_refused("NUL", pem_of(&chain), "no certificate (PEM)");
}

static void base64_with_a_letter_less_is_refused(void **state)
{
	autobuf struct buf chain = { 0 };

	(void)state;
	compose("L", &chain);
	memmove(chain.data + 40, chain.data + 41, chain.len - 41);
	chain.len--;
	assert_refused("a letter less", pem_of(&chain), "1 of the chain is damaged");
}

/* The leaf's bytes, changed and wrapped again. */
static void rewrap(const unsigned char *der, size_t len, struct buf *ret)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;

	PEM_write_bio(b, "CERTIFICATE", "", der, (long)len);

	long n = BIO_get_mem_data(b, &text);

	buf_add(ret, text, (size_t)n);
	BIO_free(b);
}

static void what_is_not_der_to_the_byte_is_refused(void **state)
{
	autobuf struct buf trailing = { 0 }, indefinite = { 0 }, padded = { 0 };
	unsigned char der[4096], *at = der + 8;
	X509 *x = make(&(struct spec){ 0 });
	size_t len = (size_t)i2d_X509(x, &at);
	unsigned char *start = der + 8;

	(void)state;
	X509_free(x);
	assert_int_equal(start[1], 0x82);
	start[len] = 0;
	rewrap(start, len + 1, &trailing);
	assert_refused("a byte more", pem_of(&trailing), "1 of the chain is damaged");

	/* BER: a length of three bytes where two do */
	memcpy(start - 1, "\x30\x83\x00", 3);
	rewrap(start - 1, len + 1, &padded);
	assert_refused("a longer length", pem_of(&padded), "1 of the chain is damaged");

	/* … and an end that is marked, not counted */
	memcpy(start + 2, "\x30\x80", 2);
	memcpy(start + len, "\0\0", 2);
	rewrap(start + 2, len, &indefinite);
	assert_refused("no length", pem_of(&indefinite), "1 of the chain is damaged");
}

/* says NULL: it is accepted. */
struct leaf_case {
	const char *what;
	struct spec spec;
	const char *says;
};

static void judge(const struct leaf_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		autobuf struct buf chain = { 0 }, written = { 0 };
		struct err e = { 0 };

		write_pem(make(&cases[i].spec), &chain);
		compose("I", &chain);
		if (cases[i].says)
			assert_refused(cases[i].what, pem_of(&chain), cases[i].says);
		else if (check(pem_of(&chain), &written, &e) < 0)
			fail_msg("%s: %s", cases[i].what, e.text);
	}
}

static void a_leaf_is_of_this_key_and_of_exactly_these_names(void **state)
{
	static const struct leaf_case cases[] = {
		{ "as it should be", { 0 }, NULL },
		{ "another key", { .key = OTHER_SITE }, "for another key" },
		{ "a key of another type", { .key = RSA_SITE }, "for another key" },
		{ "RSA 1024", { .key = WEAK_SITE }, "a key that is too weak" },
		{ "other names", { .names = "DNS:evil.example.org" }, "was not asked for" },
		{ "a name more",
		  { .names = WANTED_NAMES ",DNS:c.example.org" },
		  "was not asked for" },
		{ "a name less",
		  { .names = "DNS:a.example.org" },
		  "lacks the name *.b.example.org" },
		{ "a name twice", { .names = WANTED_NAMES ",DNS:a.EXAMPLE.org" }, "a name twice" },
		{ "a name of the wildcard",
		  { .names = "DNS:a.example.org,DNS:x.b.example.org" },
		  "was not asked for" },
		{ "an address", { .names = WANTED_NAMES ",IP:127.0.0.1" }, "not a host name" },
		{ "a mail address",
		  { .names = WANTED_NAMES ",email:a@a.example.org" },
		  "not a host name" },
		{ "a URL", { .names = "URI:https://a.example.org/" }, "not a host name" },
		{ "no names", { .names = "" }, "lacks the name a.example.org" },
		{ "the name as subject only",
		  { .names = "", .subject = "a.example.org" },
		  "lacks the name a.example.org" },
	};

	(void)state;
	judge(cases, ELEMENTS(cases));
}

static void a_leaf_is_for_servers_in_date_and_well_made(void **state)
{
	static const struct leaf_case cases[] = {
		{ "expired", { .until = -1 }, "has expired" },
		{ "expires now", { .from = -90 * DAY, .until = 1 }, NULL },
		{ "begins tomorrow", { .from = DAY }, NULL },
		{ "begins later", { .from = DAY + 1 }, "not valid yet" },
		{ "begins in two days", { .from = 2 * DAY }, "not valid yet" },
		{ "a CA", { .constraints = "critical,CA:TRUE" }, "is that of a CA" },
		{ "not said to be none", { .constraints = "" }, NULL },
		{ "may sign others",
		  { .constraints = "", .usage = "keyCertSign" },
		  "is that of a CA" },
		{ "for clients", { .purpose = "clientAuth" }, "not for servers" },
		{ "for anything", { .purpose = "anyExtendedKeyUsage" }, "not for servers" },
		{ "for nothing said", { .purpose = "" }, "not for servers" },
		{ "for servers alone", { .purpose = "serverAuth" }, NULL },
		{ "no signatures", { .usage = "keyAgreement" }, "not for TLS" },
		{ "no usage said", { .usage = "" }, NULL },
		{ "SHA-1", { .digest = EVP_sha1 }, "weaker than SHA-256" },
		{ "SHA-224", { .digest = EVP_sha224 }, "weaker than SHA-256" },
		{ "SHA-384", { .digest = EVP_sha384 }, NULL },
		{ "signed by a stranger", { .by = STRANGER }, "not signed by the next" },
		{ "a stranger that names no key",
		  { .by = STRANGER, .no_authority_id = true },
		  "not signed by the next" },
		{ "named by another", { .issuer = "Root" }, "not signed by the next" },
		{ "version 1", { .version_1 = true }, "RFC 5280" },
		{ "a critical riddle", { .riddle = "1.3.6.1.4.1.55555.1" }, "RFC 5280" },
		{ "two constraints", { .riddle = "2.5.29.19" }, "RFC 5280" },
		{ "a usage that is none", { .usage = "", .riddle = "2.5.29.15" }, "RFC 5280" },
		{ "two lists of names", { .riddle = "2.5.29.17" }, "RFC 5280" },
		{ "serial 0", { .serial = "0" }, NULL },
		{ "a negative serial", { .serial = "-1234" }, "impossible serial" },
		{ "a serial of 20 octets",
		  { .serial = "7f00112233445566778899aabbccddeeff001122" },
		  NULL },
		{ "a serial of 21 octets",
		  { .serial = "7f00112233445566778899aabbccddeeff00112233" },
		  "impossible serial" },
		{ "a subject", { .subject = "a.example.org" }, NULL },
	};

	(void)state;
	judge(cases, ELEMENTS(cases));
}

static void a_leaf_that_signed_itself_is_refused(void **state)
{
	autobuf struct buf chain = { 0 };

	(void)state;
	write_pem(make(&(struct spec){ .subject = "x", .issuer = "x", .by_itself = true }), &chain);
	assert_refused("alone", pem_of(&chain), "signed by itself");
}

/* X509V3_EXT_conf_nid makes no name with a NUL. */
static void a_nul_in_a_name_does_not_shorten_it(void **state)
{
	autobuf struct buf chain = { 0 };
	X509 *x = make(&(struct spec){ .names = "" });
	GENERAL_NAMES *list = GENERAL_NAMES_new();

	(void)state;
	for (int i = 0; i < 2; i++) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		ASN1_STRING_set(text, i ? "*.b.example.org" : "a.example.org\0.evil.example",
				i ? 15 : 27);
		GENERAL_NAME_set0_value(g, GEN_DNS, text);
		sk_GENERAL_NAME_push(list, g);
	}
	assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, 0), 1);
	GENERAL_NAMES_free(list);
	X509_sign(x, keys[MIDDLE], EVP_sha256());
	write_pem(x, &chain);
	assert_refused("NUL in a name", pem_of(&chain), "not a host name");
}

static void an_rsa_keys_chain_is_checked_like_others(void **state)
{
	autobuf struct buf chain = { 0 }, written = { 0 };
	struct chain_facts facts;
	struct err e = { 0 };

	(void)state;
	write_pem(make(&(struct spec){ .key = RSA_SITE }), &chain);
	compose("I", &chain);
	if (chain_check(pem_of(&chain), rsa_site_key, wanted, 2, NOW, &written, &facts, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(facts.key, KEY_RSA2048);
	buf_reset(&chain);
	compose("LI", &chain);
	assert_int_equal(
		chain_check(pem_of(&chain), rsa_site_key, wanted, 2, NOW, &written, &facts, &e),
		-EBADMSG);
	assert_non_null(strstr(e.text, "for another key"));
}

/* Reading -------------------------------------------------------------- */

/* RFC 9773, appendix A. */
static const char rfc9773[] = "-----BEGIN CERTIFICATE-----\n"
			      "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
			      "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
			      "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
			      "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
			      "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
			      "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
			      "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
			      "-----END CERTIFICATE-----\n";

static struct chain_facts facts_of(struct pem chain)
{
	struct chain_facts f;

	assert_int_equal(chain_facts(chain, &f, NULL), 0);
	return f;
}

static void the_id_for_renewal_information_is_that_of_the_rfc(void **state)
{
	struct chain_facts f = facts_of((struct pem){ rfc9773, sizeof rfc9773 - 1 });

	(void)state;
	assert_string_equal(f.ari, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
	assert_string_equal(f.serial, "0087654321");
	assert_string_equal(f.issuer, "Example CA");
	assert_string_equal(f.root, "Example CA");
	assert_int_equal(f.key, KEY_P256);
}

static void facts_are_those_of_the_leaf_and_of_the_end(void **state)
{
	autobuf struct buf chain = { 0 }, der = { 0 };
	unsigned char digest[DIGEST_BYTES];
	char hex[65];

	(void)state;
	compose("LI", &chain);

	struct chain_facts f = facts_of(pem_of(&chain));

	assert_int_equal(f.not_before, NOW - DAY);
	assert_int_equal(f.not_after, NOW + 90 * DAY);
	assert_string_equal(f.issuer, "Middle");
	assert_string_equal(f.root, "Root");
	assert_int_equal(f.key, KEY_P256);

	autobuf struct buf leaf = { 0 };

	assert_int_equal(chain_leaf(pem_of(&chain), &leaf, NULL), 0);
	assert_int_equal(base64url_read(leaf.data, &der, NULL), 0);
	digest_sha256(der.data, der.len, digest);
	for (unsigned i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(f.leaf_hash, hex);
}

static void checking_tells_the_facts_of_what_it_wrote(void **state)
{
	autobuf struct buf chain = { 0 }, written = { 0 };
	struct chain_facts told, read;

	(void)state;
	compose("LIR", &chain);
	assert_int_equal(
		chain_check(pem_of(&chain), site_key, wanted, 2, NOW, &written, &told, NULL), 0);
	read = facts_of(pem_of(&written));
	assert_string_equal(told.root, "Root");
	assert_memory_equal(&told, &read, sizeof told);
}

static void odd_certificates_have_facts_too(void **state)
{
	static const struct {
		const char *what;
		struct spec spec;
		const char *serial, *issuer;
		bool has_ari;
	} cases[] = {
		{ "zero", { .serial = "0" }, "00", "Middle", true },
		{ "high bit", { .serial = "ff" }, "00ff", "Middle", true },
		{ "negative", { .serial = "-1234" }, "edcc", "Middle", true },
		{ "31 octets",
		  { .serial = "7f00112233445566778899aabbccddeeff00112233445566778899aabbccdd" },
		  "7f00112233445566778899aabbccddeeff00112233445566778899aabbccdd",
		  "Middle",
		  true },
		{ "32 octets",
		  { .serial = "7f00112233445566778899aabbccddeeff00112233445566778899aabbccddee" },
		  "",
		  "Middle",
		  false },
		{ "no key id", { .no_authority_id = true }, "0087654321", "Middle", false },
		{ "controls", { .issuer = "a\nb\x1b[31m\x7f" }, "0087654321", "a?b?[31m?", true },
		{ "UTF-8", { .issuer = "Autorité €" }, "0087654321", "Autorit? ?", true },
		{ "version 1", { .version_1 = true }, "0087654321", "Middle", false },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf chain = { 0 };

		write_pem(make(&cases[i].spec), &chain);

		struct chain_facts f = facts_of(pem_of(&chain));

		if (strcmp(f.serial, cases[i].serial) != 0 ||
		    strcmp(f.issuer, cases[i].issuer) != 0 || cases[i].has_ari != (*f.ari != '\0'))
			fail_msg("%s: %s, %s, %s", cases[i].what, f.serial, f.issuer, f.ari);
	}
}

static void what_is_no_certificate_has_no_facts(void **state)
{
	static const char *const cases[] = { "", "garbage",
					     "-----BEGIN CERTIFICATE-----\nAAAA\n"
					     "-----END CERTIFICATE-----\n" };
	autobuf struct buf leaf = { 0 };
	struct chain_facts f;

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct pem pem = { cases[i], strlen(cases[i]) };

		assert_int_equal(chain_facts(pem, &f, NULL), -EBADMSG);
		assert_int_equal(chain_leaf(pem, &leaf, NULL), -EBADMSG);
		assert_false(chain_leads_to(pem, "Root"));
	}
	assert_int_equal(leaf.len, 0);
}

static void a_chain_leads_to_its_certificates_and_to_who_signed_the_last(void **state)
{
	static const struct {
		const char *letters, *common_name;
		bool leads;
	} cases[] = {
		{ "LI", "Root", true },    { "LI", "Middle", true }, { "LIR", "Root", true },
		{ "L", "Middle", true },   { "L", "Root", false },   { "LI", "root", false },
		{ "LI", "", false },       { "LI", "Roo", false },   { "MJI", "Low", true },
		{ "MJI", "Middle", true }, { "MJI", "Root", true },  { "MJ", "Root", false },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf chain = { 0 };

		compose(cases[i].letters, &chain);
		if (chain_leads_to(pem_of(&chain), cases[i].common_name) != cases[i].leads)
			fail_msg("%s %s", cases[i].letters, cases[i].common_name);
	}
}

static void the_same_leaf_is_the_same_by_its_bytes(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "LI", "L", true }, { "LI", "#\nL", true }, { "LI", "IL", false },
		{ "L", "M", false }, { "", "", false },      { "L", "", false },
		{ "", "L", false },  { "g", "g", false },    { "K", "K", false },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf a = { 0 }, b = { 0 };

		compose(cases[i].a, &a);
		compose(cases[i].b, &b);
		if (chain_same_leaf(pem_of(&a), pem_of(&b)) != cases[i].same)
			fail_msg("%s %s", cases[i].a, cases[i].b);
	}
}

static void a_certificate_is_read_with_its_key_and_names(void **state)
{
	static const struct {
		const char *what, *chain;
		const char *const *names;
		size_t n_names;
		bool covers, exact, key_matches;
	} cases[] = {
		{ "as it should be", "LI", wanted, 2, true, true, true },
		{ "fewer names", "L", wanted, 1, true, false, true },
		{ "of a CA", "I", wanted, 1, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf chain = { 0 };
		struct certificate c;
		const char *uncovered;

		compose(cases[i].chain, &chain);
		assert_int_equal(chain_read(pem_of(&chain), pem_of(&texts['K']), cases[i].names,
					    cases[i].n_names, NULL, &c, &uncovered, NULL),
				 0);
		if (c.covers != cases[i].covers || c.exact != cases[i].exact || c.internal ||
		    c.key_matches != cases[i].key_matches || !uncovered != cases[i].covers)
			fail_msg("%s", cases[i].what);
	}
}

/* The internal CA ------------------------------------------------------ */

static void our_own_ca_issues_what_would_be_accepted(void **state)
{
	const struct key *leaves[] = { site_key, rsa_site_key };
	autobuf struct buf certificate = { 0 };
	struct authority *a = NULL;
	struct key *k = NULL;

	(void)state;
	assert_int_equal(key_new(KEY_P256, &k, NULL), 0);
	assert_int_equal(authority_certify(k, NOW - DAY, NOW + 100 * DAY, &certificate, NULL), 0);
	assert_int_equal(authority_open(pem_of(&certificate), k, &a, NULL), 0);
	assert_int_equal(authority_ends(a), NOW + 100 * DAY);
	for (unsigned i = 0; i < 2; i++) {
		struct issue what = { leaves[i], wanted, 2, NOW - 1, NOW + DAY };
		autobuf struct buf chain = { 0 }, alone = { 0 }, written = { 0 };
		struct chain_facts f;
		struct err e = { 0 };

		assert_int_equal(authority_issue(a, &what, &alone, NULL), 0);
		buf_adds(&chain, alone.data);
		buf_adds(&chain, certificate.data);
		if (chain_check(pem_of(&chain), leaves[i], wanted, 2, NOW, &written, &f, &e) < 0)
			fail_msg("%s", e.text);
		assert_string_equal(written.data, alone.data);
		assert_string_equal(f.issuer, f.root);
		assert_true(*f.ari);
	}
	authority_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_chains_are_written_without_their_root),
		cmocka_unit_test(lines_may_end_and_break_as_they_like),
		cmocka_unit_test(bad_chains_are_refused),
		cmocka_unit_test(nothing_but_certificates_may_be_in_it),
		cmocka_unit_test(a_chain_has_room_for_64_kib_and_not_a_byte_more),
		cmocka_unit_test(a_text_that_was_cut_off_is_refused),
		cmocka_unit_test(a_nul_does_not_hide_what_follows),
		cmocka_unit_test(base64_with_a_letter_less_is_refused),
		cmocka_unit_test(what_is_not_der_to_the_byte_is_refused),
		cmocka_unit_test(a_leaf_is_of_this_key_and_of_exactly_these_names),
		cmocka_unit_test(a_leaf_is_for_servers_in_date_and_well_made),
		cmocka_unit_test(a_leaf_that_signed_itself_is_refused),
		cmocka_unit_test(a_nul_in_a_name_does_not_shorten_it),
		cmocka_unit_test(an_rsa_keys_chain_is_checked_like_others),
		cmocka_unit_test(the_id_for_renewal_information_is_that_of_the_rfc),
		cmocka_unit_test(facts_are_those_of_the_leaf_and_of_the_end),
		cmocka_unit_test(checking_tells_the_facts_of_what_it_wrote),
		cmocka_unit_test(odd_certificates_have_facts_too),
		cmocka_unit_test(what_is_no_certificate_has_no_facts),
		cmocka_unit_test(a_chain_leads_to_its_certificates_and_to_who_signed_the_last),
		cmocka_unit_test(the_same_leaf_is_the_same_by_its_bytes),
		cmocka_unit_test(a_certificate_is_read_with_its_key_and_names),
		cmocka_unit_test(our_own_ca_issues_what_would_be_accepted),
	};

	return cmocka_run_group_tests(tests, make_ca, forget_ca);
}
