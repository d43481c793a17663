/* Hashes by OpenSSL's one-call functions: these can only fail for want of memory. */
#include "acme/crypto/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/memory.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

void digest_sha256(const void *data, size_t len, unsigned char ret[static DIGEST_BYTES])
{
	static EVP_MD *sha256;

	/* Found once: to find it takes as long as to hash a request. */
	if (!sha256)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256 || EVP_Digest(data, len, ret, NULL, sha256, NULL) != 1)
		abort();
}

void digest_hmac(const void *key, size_t key_len, const void *data, size_t len,
		 unsigned char ret[static DIGEST_BYTES])
{
	if (!HMAC(EVP_sha256(), key, (int)key_len, data, len, ret, NULL))
		abort();
}

static void swap_letters(char *text, const char *from, const char *to)
{
	for (; *text; text++)
		*text = *text == from[0] ? to[0] : *text == from[1] ? to[1] : *text;
}

void base64url_write(const void *data, size_t len, struct buf *ret)
{
	char *text = memory_new((len + 2) / 3 * 4 + 1);
	int n = EVP_EncodeBlock((unsigned char *)text, data, (int)len);

	swap_letters(text, "+/", "-_");
	while (n > 0 && text[n - 1] == '=')
		n--;
	buf_add(ret, text, (size_t)n);
	free(text);
}

int base64url_read(const char *text, struct buf *ret, struct err *e)
{
	size_t len = strspn(text, LETTERS), padding = (4 - len % 4) % 4;
	const char *rest = text + len;

	if (padding == 3 || (*rest && (strlen(rest) != padding || strspn(rest, "=") != padding)))
		return err_set(e, EBADMSG, "not base64url");

	char *whole = memory_printf("%.*s%.*s", (int)len, text, (int)padding, "==");
	unsigned char *bytes = memory_new(strlen(whole) / 4 * 3 + 1);

	swap_letters(whole, "-_", "+/");

	int n = EVP_DecodeBlock(bytes, (unsigned char *)whole, (int)strlen(whole));

	if (n > 0)
		buf_add(ret, bytes, (size_t)n - padding);
	/* It may have been a secret. */
	OPENSSL_cleanse(whole, strlen(whole));
	OPENSSL_cleanse(bytes, n > 0 ? (size_t)n : 0);
	free(whole);
	free(bytes);
	return n >= 0 ? 0 : err_set(e, EBADMSG, "not base64url");
}
