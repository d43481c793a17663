/* What the files of this folder share: errors, texts, times and names of OpenSSL. */
#include "acme/crypto/openssl.h"

#include <openssl/err.h>
#include <string.h>

char no_passphrase[] = "";

int openssl_failed(struct err *e, int code, const char *what)
{
	unsigned long n = ERR_peek_last_error();
	const char *reason = n ? ERR_reason_error_string(n) : NULL;

	ERR_clear_error();
	return err_set(e, code, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

void openssl_take_text(BIO *b, struct buf *ret)
{
	char *text;
	long n = BIO_get_mem_data(b, &text);

	if (n > 0)
		buf_add(ret, text, (size_t)n);
}

bool openssl_time(const ASN1_TIME *t, time_t *ret)
{
	struct tm tm;

	*ret = ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
	return *ret > 0;
}

GENERAL_NAMES *names_new(const char *const *names, size_t n)
{
	GENERAL_NAMES *list = GENERAL_NAMES_new();

	for (size_t i = 0; i < n && list; i++) {
		GENERAL_NAME *g = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		if (!g || !text || !ASN1_STRING_set(text, names[i], -1)) {
			GENERAL_NAME_free(g);
			ASN1_IA5STRING_free(text);
			GENERAL_NAMES_free(list);
			return NULL;
		}
		GENERAL_NAME_set0_value(g, GEN_DNS, text);
		sk_GENERAL_NAME_push(list, g);
	}
	return list;
}

const char *names_at(const GENERAL_NAMES *list, int i)
{
	const GENERAL_NAME *g = sk_GENERAL_NAME_value(list, i);
	const char *text =
		g->type == GEN_DNS ? (const char *)ASN1_STRING_get0_data(g->d.dNSName) : NULL;

	/* A NUL within would make a longer name look like a shorter one. */
	return text && strlen(text) == (size_t)ASN1_STRING_length(g->d.dNSName) ? text : NULL;
}
