/* OpenSSL's BIO does both ways alike; time-outs are the socket's own. */
#include "acme/crypto/peek.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "acme/crypto/openssl.h"

#define PATIENCE_S 5

static int failed(struct err *e, const char *address, const char *what)
{
	const char *why = ERR_reason_error_string(ERR_peek_error());
	int code = errno;

	ERR_clear_error();
	return err_set(e, code ? code : EPROTO, "%s: %s: %s", address, what,
		       why    ? why
		       : code ? strerror(code)
			      : "closed");
}

static void set_patience(BIO *bio)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = -1;

	if (BIO_get_fd(bio, &fd) < 0 || fd < 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static void note_certificate(SSL *ssl, const char *name, struct peek *ret)
{
	auto_of(X509_free) X509 *c = SSL_get1_peer_certificate(ssl);

	if (!c)
		return;
	ret->covers = X509_check_host(c, name, 0, 0, NULL) == 1;
	(void)X509_NAME_get_text_by_NID(X509_get_issuer_name(c), NID_commonName, ret->issuer,
					sizeof(ret->issuer));
	(void)openssl_time(X509_get0_notAfter(c), &ret->ends);
}

static int say_and_hear(BIO *bio, const char *address, const char *name, const char *path,
			struct peek *ret, struct err *e)
{
	char text[1024];
	int len = snprintf(text, sizeof(text),
			   "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: webspaces doctor\r\n"
			   "Connection: close\r\n\r\n",
			   path, name);
	int n = 0, got = 0, code;

	if (BIO_write(bio, text, len) != len)
		return failed(e, address, "write");
	errno = 0;
	while (n < (int)sizeof(text) - 1 &&
	       (got = BIO_read(bio, text + n, (int)sizeof(text) - 1 - n)) > 0) {
		n += got;
		if (memchr(text, '\n', (size_t)n))
			break;
	}
	code = errno;
	text[n] = '\0';
	if (got < 0 && (code == EAGAIN || code == EWOULDBLOCK)) {
		ERR_clear_error();
		return err_set(e, ETIMEDOUT, "%s: no answer within %d s", address, PATIENCE_S);
	}
	if (strncmp(text, "HTTP/1.", 7) == 0)
		ret->status = (int)strtol(text + 9, NULL, 10);
	ERR_clear_error();
	return 0;
}

static int secure(BIO **bio, SSL_CTX *ctx, const char *address, const char *name, struct peek *ret,
		  struct err *e)
{
	BIO *tls = BIO_new_ssl(ctx, 1);
	SSL *ssl = NULL;

	if (!tls)
		return failed(e, address, "TLS");
	BIO_get_ssl(tls, &ssl);
	(void)SSL_set_tlsext_host_name(ssl, name);
	*bio = BIO_push(tls, *bio);
	if (BIO_do_handshake(*bio) != 1)
		return failed(e, address, "TLS");
	note_certificate(ssl, name, ret);
	return 0;
}

int peek_ask(const char *address, const char *name, const char *path, bool tls, struct peek *ret,
	     struct err *e)
{
	SSL_CTX *ctx = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
	BIO *bio = BIO_new_connect(address);
	int r = 0;

	*ret = (struct peek){ 0 };
	errno = 0;
	if (!bio || (tls && !ctx) || BIO_do_connect(bio) != 1)
		r = failed(e, address, "connect");
	if (r == 0) {
		set_patience(bio);
		r = tls ? secure(&bio, ctx, address, name, ret, e) : 0;
	}
	if (r == 0)
		r = say_and_hear(bio, address, name, path, ret, e);
	BIO_free_all(bio);
	SSL_CTX_free(ctx);
	return r;
}
