/* Keys are made, written, read and used as OpenSSL itself understands them. */
#include "acme/crypto/key.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "acme/crypto/digest.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

/* The key of RFC 7515, A.3, as `openssl pkcs8 -topk8 -nocrypt` writes it. */
#define RFC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define RFC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
static const char rfc_key[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
			      "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
			      "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
			      "-----END PRIVATE KEY-----\n";

static struct pem pem_of(const struct buf *b)
{
	return (struct pem){ buf_text(b), b->len };
}

static struct pem pem_text(const char *text)
{
	return (struct pem){ text, strlen(text) };
}

/* One of each type, as it is to make them that takes the time. */
static struct buf made[KEY_OTHER];

static int make_keys(void **state)
{
	struct key *k;

	(void)state;
	for (enum key_type t = 0; t < KEY_OTHER; t++) {
		if (key_new(t, &k, NULL) < 0 || key_type(k) != t)
			return -1;
		key_write(k, &made[t]);
		key_free(k);
	}
	return 0;
}

static int clear_keys(void **state)
{
	(void)state;
	for (enum key_type t = 0; t < KEY_OTHER; t++)
		pem_clear(&made[t]);
	return 0;
}

static struct key *parsed(struct pem pem)
{
	struct key *k = NULL;
	struct err e = { 0 };

	if (key_parse(pem, &k, &e) < 0)
		fail_msg("%s", e.text);
	return k;
}

static EVP_PKEY *by_openssl(struct pem pem)
{
	BIO *b = BIO_new_mem_buf(pem.text, (int)pem.len);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

	BIO_free(b);
	assert_non_null(k);
	return k;
}

static void a_key_of_each_type_is_written_as_pkcs8_and_read_again(void **state)
{
	(void)state;
	for (enum key_type t = 0; t < KEY_OTHER; t++) {
		autokey struct key *k = parsed(pem_of(&made[t]));
		autobuf struct buf again = { 0 };

		assert_int_equal(key_type(k), t);
		assert_int_equal(strncmp(made[t].data, "-----BEGIN PRIVATE KEY-----\n", 28), 0);
		key_write(k, &again);
		assert_string_equal(again.data, made[t].data);
	}
}

static void openssl_reads_what_we_write_and_finds_it_sound(void **state)
{
	static const int bits[] = { 256, 2048, 3072, 4096 };

	(void)state;
	for (enum key_type t = 0; t < KEY_OTHER; t++) {
		EVP_PKEY *k = by_openssl(pem_of(&made[t]));
		EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k, NULL);

		assert_int_equal(EVP_PKEY_get_bits(k), bits[t]);
		assert_int_equal(EVP_PKEY_pairwise_check(c), 1);
		EVP_PKEY_CTX_free(c);
		EVP_PKEY_free(k);
	}
}

static void types_have_names_and_words(void **state)
{
	(void)state;
	assert_string_equal(key_type_names[KEY_P256], "ECDSA P-256");
	assert_string_equal(key_type_names[KEY_OTHER], "other");
	for (enum key_type t = 0; t < KEY_OTHER; t++)
		assert_int_equal(key_type_of_word(key_type_words[t]), t);
	assert_int_equal(key_type_of_word("other"), KEY_OTHER);
	assert_int_equal(key_type_of_word(""), KEY_OTHER);
	assert_int_equal(key_type_of_word("rsa1024"), KEY_OTHER);
}

static void a_type_that_is_none_is_not_made(void **state)
{
	struct key *k;

	(void)state;
	assert_int_equal(key_new(KEY_OTHER, &k, NULL), -EINVAL);
}

static void traditional_forms_are_read_too(void **state)
{
	static const char *const types[] = { "EC PRIVATE KEY", "RSA PRIVATE KEY" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		EVP_PKEY *k = by_openssl(pem_of(&made[i]));
		BIO *b = BIO_new(BIO_s_mem());
		char *text;

		assert_int_equal(
			PEM_write_bio_PrivateKey_traditional(b, k, NULL, NULL, 0, NULL, NULL), 1);
		long len = BIO_get_mem_data(b, &text);

		assert_non_null(memmem(text, (size_t)len, types[i], strlen(types[i])));

		autokey struct key *read = parsed((struct pem){ text, (size_t)len });
		autobuf struct buf again = { 0 };

		key_write(read, &again);
		assert_string_equal(again.data, made[i].data);
		BIO_free(b);
		EVP_PKEY_free(k);
	}
}

static void write_by_openssl(EVP_PKEY *k, const EVP_CIPHER *cipher, struct buf *ret)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;

	assert_non_null(k);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, k, cipher, cipher ? "secret" : NULL,
						       cipher ? 6 : 0, NULL, NULL),
			 1);
	long len = BIO_get_mem_data(b, &text);

	buf_add(ret, text, (size_t)len);
	BIO_free(b);
	EVP_PKEY_free(k);
}

static void other_keys_are_refused(void **state)
{
	struct buf cases[5] = { 0 };

	(void)state;
	write_by_openssl(EVP_EC_gen("P-384"), NULL, &cases[0]);
	write_by_openssl(EVP_EC_gen("secp256k1"), NULL, &cases[1]);
	write_by_openssl(EVP_RSA_gen(1024), NULL, &cases[2]);
	write_by_openssl(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, &cases[3]);
	write_by_openssl(EVP_EC_gen("P-256"), EVP_aes_128_cbc(), &cases[4]);
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct key *k = NULL;

		if (key_parse(pem_of(&cases[i]), &k, NULL) != -EBADMSG)
			fail_msg("%s", cases[i].data);
		pem_clear(&cases[i]);
	}
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"garbage",
		"-----BEGIN PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct key *k = NULL;

		if (key_parse(pem_text(cases[i]), &k, NULL) != -EBADMSG)
			fail_msg("%s", cases[i]);
	}
}

static void the_public_point_is_that_of_the_rfc(void **state)
{
	autokey struct key *k = parsed(pem_text(rfc_key));
	autobuf struct buf text_x = { 0 }, text_y = { 0 };
	unsigned char x[32], y[32];

	(void)state;
	assert_int_equal(key_point(k, x, y, NULL), 0);
	base64url_write(x, sizeof x, &text_x);
	base64url_write(y, sizeof y, &text_y);
	assert_string_equal(text_x.data, RFC_X);
	assert_string_equal(text_y.data, RFC_Y);
}

static bool verifies(EVP_PKEY *k, const char *text, const unsigned char raw[static 64])
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char *der = NULL;

	ECDSA_SIG_set0(s, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL));

	int len = i2d_ECDSA_SIG(s, &der);
	bool ok = EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, k) == 1 &&
		  EVP_DigestVerify(c, der, (size_t)len, (const unsigned char *)text,
				   strlen(text)) == 1;

	OPENSSL_free(der);
	ECDSA_SIG_free(s);
	EVP_MD_CTX_free(c);
	return ok;
}

static void signatures_are_two_numbers_that_openssl_verifies(void **state)
{
	autokey struct key *k = parsed(pem_of(&made[KEY_P256]));
	EVP_PKEY *judge = by_openssl(pem_of(&made[KEY_P256]));
	unsigned char signature[64];

	(void)state;
	/* One in 256 has a number of less than 32 bytes. */
	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(key_sign(k, "what is signed", 14, signature, NULL), 0);
		assert_true(verifies(judge, "what is signed", signature));
	}
	assert_false(verifies(judge, "something else", signature));
	EVP_PKEY_free(judge);
}

static void an_rsa_key_has_no_point_and_does_not_sign_es256(void **state)
{
	autokey struct key *k = parsed(pem_of(&made[KEY_RSA2048]));
	unsigned char x[32], y[32], signature[64];

	(void)state;
	assert_int_equal(key_point(k, x, y, NULL), -EINVAL);
	assert_int_equal(key_sign(k, "a", 1, signature, NULL), -EINVAL);
}

/* Requests ------------------------------------------------------------- */

static X509_REQ *request(struct key *k, const char *const *names, size_t n)
{
	autobuf struct buf text = { 0 }, der = { 0 };
	struct err e = { 0 };

	if (key_request(k, names, n, &text, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(base64url_read(text.data, &der, NULL), 0);

	const unsigned char *at = (const unsigned char *)der.data;
	X509_REQ *ret = d2i_X509_REQ(NULL, &at, (long)der.len);

	assert_non_null(ret);
	assert_ptr_equal(at, der.data + der.len);
	return ret;
}

static void assert_asks_for(X509_REQ *r, const char *const *names, size_t n)
{
	STACK_OF(X509_EXTENSION) *all = X509_REQ_get_extensions(r);
	GENERAL_NAMES *list = X509V3_get_d2i(all, NID_subject_alt_name, NULL, NULL);

	assert_int_equal(sk_X509_EXTENSION_num(all), 1);
	assert_int_equal(sk_GENERAL_NAME_num(list), (int)n);
	for (size_t i = 0; i < n; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(list, (int)i);

		assert_int_equal(g->type, GEN_DNS);
		assert_int_equal(ASN1_STRING_length(g->d.dNSName), strlen(names[i]));
		assert_memory_equal(ASN1_STRING_get0_data(g->d.dNSName), names[i],
				    strlen(names[i]));
	}
	GENERAL_NAMES_free(list);
	sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
}

static void a_request_is_signed_by_each_type_and_names_the_key(void **state)
{
	static const char *const names[] = { "a.example.org", "*.b.example.org" };

	(void)state;
	for (enum key_type t = 0; t < KEY_OTHER; t++) {
		autokey struct key *k = parsed(pem_of(&made[t]));
		EVP_PKEY *judge = by_openssl(pem_of(&made[t]));
		X509_REQ *r = request(k, names, 2);
		int digest;

		assert_int_equal(X509_REQ_get_version(r), X509_REQ_VERSION_1);
		assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(r)), 0);
		assert_int_equal(EVP_PKEY_eq(X509_REQ_get0_pubkey(r), judge), 1);
		assert_int_equal(X509_REQ_verify(r, judge), 1);
		assert_int_equal(OBJ_find_sigid_algs(X509_REQ_get_signature_nid(r), &digest, NULL),
				 1);
		assert_int_equal(digest, NID_sha256);
		assert_asks_for(r, names, 2);
		X509_REQ_free(r);
		EVP_PKEY_free(judge);
	}
}

static void no_name_can_say_more_than_a_name(void **state)
{
	static const char *const names[] = { "a.example.org,DNS:evil.example.org",
					     "b.example.org\nIP:10.0.0.1", "@section",
					     "email:x@y" };
	autokey struct key *k = parsed(pem_of(&made[KEY_P256]));
	X509_REQ *r = request(k, names, 4);

	(void)state;
	assert_asks_for(r, names, 4);
	X509_REQ_free(r);
}

static void a_hundred_names_go_in_and_no_name_does_not(void **state)
{
	autokey struct key *k = parsed(pem_of(&made[KEY_P256]));
	const char *names[100];
	char text[100][200];

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(text[i], sizeof text[i], "%0*d.example.org", 60 + i, i);
		names[i] = text[i];
	}

	X509_REQ *r = request(k, names, 100);

	assert_asks_for(r, names, 100);
	X509_REQ_free(r);
	assert_int_equal(key_request(k, names, 0, NULL, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_of_each_type_is_written_as_pkcs8_and_read_again),
		cmocka_unit_test(openssl_reads_what_we_write_and_finds_it_sound),
		cmocka_unit_test(types_have_names_and_words),
		cmocka_unit_test(a_type_that_is_none_is_not_made),
		cmocka_unit_test(traditional_forms_are_read_too),
		cmocka_unit_test(other_keys_are_refused),
		cmocka_unit_test(what_is_no_key_is_refused),
		cmocka_unit_test(the_public_point_is_that_of_the_rfc),
		cmocka_unit_test(signatures_are_two_numbers_that_openssl_verifies),
		cmocka_unit_test(an_rsa_key_has_no_point_and_does_not_sign_es256),
		cmocka_unit_test(a_request_is_signed_by_each_type_and_names_the_key),
		cmocka_unit_test(no_name_can_say_more_than_a_name),
		cmocka_unit_test(a_hundred_names_go_in_and_no_name_does_not),
	};

	return cmocka_run_group_tests(tests, make_keys, clear_keys);
}
