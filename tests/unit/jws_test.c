/* Signed requests: what they say, word by word, and that OpenSSL verifies them. */
#include "acme/client/jws.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "acme/crypto/digest.h"
#include "agent/base/json.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

#define URL "https://ca.example/acme/new-order"
#define KID "https://ca.example/acme/acct/1"

/* The key of RFC 7515, A.3. */
static const char rfc_key[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
			      "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
			      "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
			      "-----END PRIVATE KEY-----\n";
#define RFC_JWK                                                                                    \
	"{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
/* By another implementation (python's hashlib and json). */
#define RFC_THUMBPRINT "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"

static struct key *key, *another, *rsa;
static EVP_PKEY *judge, *another_judge;

static EVP_PKEY *by_openssl(const char *text, size_t len)
{
	BIO *b = BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

	BIO_free(b);
	return k;
}

static int set_up(void **state)
{
	struct buf pem = { 0 };

	(void)state;
	if (key_parse((struct pem){ rfc_key, strlen(rfc_key) }, &key, NULL) < 0 ||
	    key_new(KEY_P256, &another, NULL) < 0 || key_new(KEY_RSA2048, &rsa, NULL) < 0)
		return -1;
	judge = by_openssl(rfc_key, strlen(rfc_key));
	key_write(another, &pem);
	another_judge = by_openssl(pem.data, pem.len);
	pem_clear(&pem);
	return judge && another_judge ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	key_free(key);
	key_free(another);
	key_free(rsa);
	EVP_PKEY_free(judge);
	EVP_PKEY_free(another_judge);
	return 0;
}

static bool verifies(EVP_PKEY *k, const char *text, const struct buf *raw)
{
	const unsigned char *bytes = (const unsigned char *)buf_text(raw);
	ECDSA_SIG *s = ECDSA_SIG_new();
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char *der = NULL;

	assert_int_equal(raw->len, 64);
	ECDSA_SIG_set0(s, BN_bin2bn(bytes, 32, NULL), BN_bin2bn(bytes + 32, 32, NULL));

	int len = i2d_ECDSA_SIG(s, &der);
	bool ok = EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, k) == 1 &&
		  EVP_DigestVerify(c, der, (size_t)len, (const unsigned char *)text,
				   strlen(text)) == 1;

	OPENSSL_free(der);
	ECDSA_SIG_free(s);
	EVP_MD_CTX_free(c);
	return ok;
}

/* What was signed, by whom if that is somebody, and the header and payload in clear. */
struct opened {
	struct buf header, payload, input, signature;
};

static void close_opened(struct opened *o)
{
	buf_clear(&o->header);
	buf_clear(&o->payload);
	buf_clear(&o->input);
	buf_clear(&o->signature);
}
#define autoopened __attribute__((cleanup(close_opened)))

static void open_signed(const char *text, struct opened *ret)
{
	autojson struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	assert_int_equal(base64url_read(json_text(j, "protected"), &ret->header, NULL), 0);
	assert_int_equal(base64url_read(json_text(j, "payload"), &ret->payload, NULL), 0);
	assert_int_equal(base64url_read(json_text(j, "signature"), &ret->signature, NULL), 0);
	buf_printf(&ret->input, "%s.%s", json_text(j, "protected"), json_text(j, "payload"));
}

static void sign(const struct jws *jws, struct opened *ret)
{
	autobuf struct buf text = { 0 };
	struct err e = { 0 };

	if (jws_sign(jws, &text, &e) < 0)
		fail_msg("%s", e.text);
	open_signed(text.data, ret);
}

/* That this is how ES256 is to be understood: RFC 7515, A.3. */
static void the_judge_knows_the_example_of_the_rfc(void **state)
{
	static const char input[] = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzO"
				    "DAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	autobuf struct buf signature = { 0 };

	(void)state;
	assert_int_equal(base64url_read("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa"
					"8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
					&signature, NULL),
			 0);
	assert_true(verifies(judge, input, &signature));
	signature.data[63] ^= 1;
	assert_false(verifies(judge, input, &signature));
}

static void the_thumbprint_is_that_of_others(void **state)
{
	char thumbprint[44];

	(void)state;
	assert_int_equal(jws_thumbprint(key, thumbprint, NULL), 0);
	assert_string_equal(thumbprint, RFC_THUMBPRINT);
	assert_int_equal(jws_thumbprint(rsa, thumbprint, NULL), -EINVAL);
}

static void a_known_account_signs_by_its_url(void **state)
{
	autoopened struct opened o = { 0 };

	(void)state;
	sign(&(struct jws){ key, KID, "nonce_-1", URL, "{\"a\":1}" }, &o);
	assert_string_equal(buf_text(&o.header), "{\"alg\":\"ES256\",\"kid\":\"" KID
						 "\",\"nonce\":\"nonce_-1\",\"url\":\"" URL "\"}");
	assert_string_equal(buf_text(&o.payload), "{\"a\":1}");
	assert_true(verifies(judge, o.input.data, &o.signature));
	assert_false(verifies(another_judge, o.input.data, &o.signature));
}

static void an_unknown_one_shows_its_key(void **state)
{
	autoopened struct opened o = { 0 };

	(void)state;
	sign(&(struct jws){ .key = key, .nonce = "n", .url = URL, .payload = "{}" }, &o);
	assert_string_equal(buf_text(&o.header), "{\"alg\":\"ES256\",\"jwk\":" RFC_JWK
						 ",\"nonce\":\"n\",\"url\":\"" URL "\"}");
	assert_true(verifies(judge, o.input.data, &o.signature));
}

static void post_as_get_has_the_empty_payload(void **state)
{
	autobuf struct buf text = { 0 };
	autoopened struct opened o = { 0 };

	(void)state;
	assert_int_equal(jws_sign(&(struct jws){ key, KID, "n", URL, NULL }, &text, NULL), 0);
	assert_non_null(strstr(text.data, ",\"payload\":\"\",\"signature\":"));
	open_signed(text.data, &o);
	assert_int_equal(o.payload.len, 0);
	assert_true(verifies(judge, o.input.data, &o.signature));
}

static void the_text_is_flattened_json_without_a_space(void **state)
{
	autobuf struct buf text = { 0 };

	(void)state;
	assert_int_equal(jws_sign(&(struct jws){ key, KID, "n", URL, "{ }" }, &text, NULL), 0);
	assert_int_equal(strncmp(text.data, "{\"protected\":\"eyJ", 16), 0);
	assert_null(strpbrk(text.data, " \n="));
	assert_int_equal(text.data[text.len - 1], '}');
}

static void what_json_or_http_cannot_take_is_not_signed(void **state)
{
	const struct jws cases[] = {
		{ key, KID, "n", "", "{}" },
		{ key, KID, "n", "https://ca.example/a b", "{}" },
		{ key, KID, "n", "https://ca.example/\r\nX: y", "{}" },
		{ key, KID, "n", "https://ca.example/\xff", "{}" },
		{ key, KID, "n", "https://ca.example/\x7f", "{}" },
		{ key, "", "n", URL, "{}" },
		{ key, "a\tb", "n", URL, "{}" },
		{ key, KID, "", URL, "{}" },
		{ key, KID, "a\"b", URL, "{}" },
		{ key, KID, "a=", URL, "{}" },
		{ key, KID, "a\n", URL, "{}" },
		{ rsa, KID, "n", URL, "{}" },
		{ rsa, NULL, "n", URL, "{}" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf text = { 0 };

		if (jws_sign(&cases[i], &text, NULL) != -EINVAL || text.len)
			fail_msg("case %zu", i);
	}
}

static void an_external_account_is_bound_by_its_hmac(void **state)
{
	/* By another implementation (python's hmac and json). */
	static const char expected[] =
		"{\"protected\":"
		"\"eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC0xIiwidXJsIjoiaHR0cHM6Ly9jYS5leGFtcGx"
		"lL25ldy1hY2NvdW50In0\",\"payload\":"
		"\"eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6ImY4M09KM0Q"
		"yeEYxQmc4dnViOXRMZTFnSE16Vjc2ZThUdXM5dVBIdlJWRVUiLCJ5IjoieF9GRXpSdTltMzZITE5fdHVlN"
		"jU5TE5"
		"wWFc2cEN5U3Rpa1lqS0lXSTVhMCJ9\",\"signature\":\"uQ0uPxv--gH_"
		"qu0mEZuioUCCuYsEsGycUMWYH5vg"
		"3HQ\"}";
	static const char url[] = "https://ca.example/new-account";
	static const char *const secrets[] = { "AAECAwQFBgcICQoLDA0ODw",
					       "AAECAwQFBgcICQoLDA0ODw==" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		autobuf struct buf text = { 0 };

		assert_int_equal(jws_bind(key, "kid-1", secrets[i], url, &text, NULL), 0);
		assert_string_equal(text.data, expected);
	}
}

static void a_binding_that_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *kid, *secret, *url;
	} cases[] = {
		{ "kid", "", URL },    { "kid", "+/==", URL }, { "kid", "not base64url", URL },
		{ "kid", "A", URL },   { "", "AAAA", URL },    { "a\nb", "AAAA", URL },
		{ "kid", "AAAA", "" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf text = { 0 };

		if (jws_bind(key, cases[i].kid, cases[i].secret, cases[i].url, &text, NULL) !=
			    -EINVAL ||
		    text.len)
			fail_msg("case %zu", i);
	}
	assert_int_equal(jws_bind(rsa, "kid", "AAAA", URL, NULL, NULL), -EINVAL);
}

/* RFC 8555, 7.3.5: the new key signs that it takes the old one's account. */
static void a_key_change_is_signed_by_the_new_key(void **state)
{
	autobuf struct buf text = { 0 };
	autoopened struct opened o = { 0 };
	autojson struct json *header = NULL;

	(void)state;
	assert_int_equal(jws_key_change(key, another, KID, URL, &text, NULL), 0);
	open_signed(text.data, &o);
	assert_string_equal(buf_text(&o.payload),
			    "{\"account\":\"" KID "\",\"oldKey\":" RFC_JWK "}");
	assert_int_equal(json_parse(o.header.data, o.header.len, &header, NULL), 0);
	assert_string_equal(json_text(header, "alg"), "ES256");
	assert_string_equal(json_text(header, "url"), URL);
	assert_non_null(json_get(header, "jwk"));
	assert_null(json_get(header, "nonce"));
	assert_null(json_get(header, "kid"));
	assert_true(verifies(another_judge, o.input.data, &o.signature));
	assert_int_equal(jws_key_change(rsa, another, KID, URL, &text, NULL), -EINVAL);
	assert_int_equal(jws_key_change(key, rsa, KID, URL, &text, NULL), -EINVAL);
	assert_int_equal(jws_key_change(key, another, "", URL, &text, NULL), -EINVAL);
}

static void the_record_of_dns_01_is_that_of_others(void **state)
{
	static const char token[] =
		"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"; /* RFC 8555, 8.4 */
	char record[44];

	(void)state;
	assert_int_equal(jws_dns_01(token, RFC_THUMBPRINT, record, NULL), 0);
	assert_string_equal(record, "ZaJgFtIV4WA0t2MzN7kbSk0sfRd2GZjaxRqaSTAK6lI");
	assert_int_equal(jws_dns_01("../x", RFC_THUMBPRINT, record, NULL), -EINVAL);
	assert_int_equal(jws_dns_01("", RFC_THUMBPRINT, record, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_judge_knows_the_example_of_the_rfc),
		cmocka_unit_test(the_thumbprint_is_that_of_others),
		cmocka_unit_test(a_known_account_signs_by_its_url),
		cmocka_unit_test(an_unknown_one_shows_its_key),
		cmocka_unit_test(post_as_get_has_the_empty_payload),
		cmocka_unit_test(the_text_is_flattened_json_without_a_space),
		cmocka_unit_test(what_json_or_http_cannot_take_is_not_signed),
		cmocka_unit_test(an_external_account_is_bound_by_its_hmac),
		cmocka_unit_test(a_binding_that_cannot_be_is_refused),
		cmocka_unit_test(a_key_change_is_signed_by_the_new_key),
		cmocka_unit_test(the_record_of_dns_01_is_that_of_others),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
