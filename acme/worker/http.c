/*
 * Exchanges over HTTP, by curl's multi interface. Each is one attempt: whether
 * to try again is for the agent, which has to sign again.
 *
 * curl itself sends a request a second time, on a new connection, when a kept
 * one dies before the first byte of the answer. For a signed POST that would be
 * the same nonce twice, and perhaps a second order. It cannot be turned off,
 * but curl gives up when it would have to send a body again that it cannot
 * rewind: so bodies are given by a callback and there is none to seek. GET and
 * HEAD change nothing at a CA; they may be sent again.
 *
 * CAs' certificates are read once and kept in memory by curl (30 ms of CPU a
 * time), on condition that they come from a file: the directory of them that
 * curl knows as well is not used.
 */
#include "acme/worker/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "acme/worker/header.h"
#include "agent/base/buf.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

#define CONNECT_SECONDS 10L
#define TOTAL_SECONDS   60L
#define PROBE_SECONDS   5L
#define SLOW_BYTES \
	10L /* a second, on average over SLOW_SECONDS: a CA may think for half a minute */
#define SLOW_SECONDS     40L
#define REDIRECTS        3L
#define HOST_CONNECTIONS 2L
#define KEPT_CONNECTIONS 16L
#define OTHERS_MAX       256

struct exchange {
	struct http *http;
	CURL *easy;
	const struct request *request;
	http_fn *fn;
	void *data;
	struct buf body;
	size_t sent; /* of the request's body */
	bool too_large;
	char *url; /* of a handshake */
	struct curl_slist *connect_to;
	char error[CURL_ERROR_SIZE];
	struct exchange *next; /* that is not in use, or in use */
};

struct http {
	CURLM *multi;
	char *ca_file, *agent;
	struct curl_slist *headers, *post_headers;
	struct exchange *idle, *busy;
};

int http_init(struct err *e)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, EIO, "curl cannot start");
	return 0;
}

int http_open(const char *ca_file, struct http **ret, struct err *e)
{
	CURLM *multi = curl_multi_init();
	struct http *h;

	if (!multi)
		return err_set(e, EIO, "curl cannot start");
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
	h = memory_new(sizeof(*h));
	h->multi = multi;
	h->ca_file = memory_dup(ca_file);
	h->agent = memory_printf("webspaces/" VERSION " (+libcurl/%s)",
				 curl_version_info(CURLVERSION_NOW)->version);
	h->headers = curl_slist_append(NULL, "Accept-Language: en");
	h->post_headers = curl_slist_append(NULL, "Accept-Language: en");
	h->post_headers = curl_slist_append(h->post_headers, "Content-Type: application/jose+json");
	h->post_headers = curl_slist_append(h->post_headers, "Expect:");
	*ret = h;
	return 0;
}

static void exchange_free(struct exchange *x)
{
	curl_easy_cleanup(x->easy);
	curl_slist_free_all(x->connect_to);
	buf_clear(&x->body);
	free(x->url);
	free(x);
}

void http_close(struct http *h)
{
	struct exchange *x;

	if (!h)
		return;
	while ((x = h->busy)) {
		h->busy = x->next;
		curl_multi_remove_handle(h->multi, x->easy);
		exchange_free(x);
	}
	while ((x = h->idle)) {
		h->idle = x->next;
		exchange_free(x);
	}
	curl_multi_cleanup(h->multi);
	curl_slist_free_all(h->headers);
	curl_slist_free_all(h->post_headers);
	free(h->ca_file);
	free(h->agent);
	free(h);
}

/* Callbacks of curl */

static size_t receive(char *data, size_t size, size_t n, void *to)
{
	struct exchange *x = to;

	(void)size; /* 1 */
	if (x->body.len + n > HTTP_BODY_MAX) {
		x->too_large = true;
		return CURL_WRITEFUNC_ERROR;
	}
	buf_add(&x->body, data, n);
	return n;
}

static size_t send_body(char *to, size_t size, size_t n, void *from)
{
	struct exchange *x = from;
	size_t left = strlen(x->request->body) - x->sent;

	(void)size; /* 1 */
	if (n > left)
		n = left;
	memcpy(to, x->request->body + x->sent, n);
	x->sent += n;
	return n;
}

/* How each kind is asked */

static void set_common(struct exchange *x)
{
	CURL *c = x->easy;

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_PRIVATE, x);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c, CURLOPT_USERAGENT, x->http->agent);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
}

static void set_ca(struct exchange *x)
{
	CURL *c = x->easy;

	curl_easy_setopt(c, CURLOPT_URL, x->request->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->http->headers);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(c, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, TOTAL_SECONDS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, SLOW_SECONDS);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	if (*x->http->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, x->http->ca_file);
}

static void set_get(struct exchange *x)
{
	set_ca(x);
	curl_easy_setopt(x->easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(x->easy, CURLOPT_MAXREDIRS, REDIRECTS);
	curl_easy_setopt(x->easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
}

static void set_head(struct exchange *x)
{
	set_ca(x);
	curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
}

static void set_post(struct exchange *x)
{
	set_ca(x);
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->http->post_headers);
	curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(x->request->body));
	curl_easy_setopt(x->easy, CURLOPT_READFUNCTION, send_body);
	curl_easy_setopt(x->easy, CURLOPT_READDATA, x);
}

/* A look at a listener is a connection of its own, at this address whatever the name. */
static void set_probe(struct exchange *x)
{
	autofree char *to = memory_printf("::%s", x->request->connect);
	CURL *c = x->easy;

	x->connect_to = curl_slist_append(NULL, to);
	curl_easy_setopt(c, CURLOPT_CONNECT_TO, x->connect_to);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, PROBE_SECONDS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, PROBE_SECONDS);
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
}

static void set_listener(struct exchange *x)
{
	set_probe(x);
	curl_easy_setopt(x->easy, CURLOPT_URL, x->request->url);
	curl_easy_setopt(x->easy, CURLOPT_PROTOCOLS_STR, "http");
}

/* Of a site with two certificates each is shown to those who can only use it; TLS 1.3 has no such suites. */
static void set_key_type(CURL *c, const char *type)
{
	bool rsa = strcmp(type, "rsa") == 0;

	curl_easy_setopt(c, CURLOPT_SSLVERSION,
			 (long)CURL_SSLVERSION_TLSv1_2 | (long)CURL_SSLVERSION_MAX_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_CIPHER_LIST, rsa ? "aRSA" : "aECDSA");
}

static void set_handshake(struct exchange *x)
{
	CURL *c = x->easy;

	set_probe(x);
	x->url = memory_printf("https://%s/", x->request->name);
	curl_easy_setopt(c, CURLOPT_URL, x->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(c, CURLOPT_CERTINFO, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	if (x->request->expect && *x->request->expect)
		set_key_type(c, x->request->expect);
}

static void (*const setters[REQUEST_KINDS])(struct exchange *x) = {
	[REQUEST_DIRECTORY] = set_get,       [REQUEST_NONCE] = set_head,
	[REQUEST_ACCOUNT] = set_post,        [REQUEST_ORDER] = set_post,
	[REQUEST_AUTHORIZATION] = set_post,  [REQUEST_CHALLENGE] = set_post,
	[REQUEST_CHAIN] = set_post,          [REQUEST_RENEWAL_INFO] = set_get,
	[REQUEST_PLAIN] = set_post,          [REQUEST_LISTENER] = set_listener,
	[REQUEST_HANDSHAKE] = set_handshake,
};

static struct exchange *exchange_new(struct http *h)
{
	struct exchange *x = h->idle;

	if (x) {
		h->idle = x->next;
	} else {
		x = memory_new(sizeof(*x));
		x->easy = curl_easy_init();
		if (!x->easy)
			abort(); /* no memory, as in memory.h */
	}
	x->http = h;
	x->next = h->busy;
	h->busy = x;
	return x;
}

void http_start(struct http *h, const struct request *r, http_fn *fn, void *data)
{
	struct exchange *x = exchange_new(h);

	x->request = r;
	x->fn = fn;
	x->data = data;
	x->sent = 0;
	x->too_large = false;
	x->error[0] = '\0';
	set_common(x);
	setters[r->kind](x);
	if (curl_multi_add_handle(h->multi, x->easy) != CURLM_OK)
		abort(); /* no memory: the handle is new or was removed */
}

/* What came */

static const char *header(CURL *c, const char *name)
{
	struct curl_header *found;

	return curl_easy_header(c, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value
										   : NULL;
}

/* Owned by the caller; NULL: not a URL. */
static char *absolute(CURL *c, const char *reference)
{
	CURLU *u = curl_url();
	char *base = NULL, *url = NULL, *ret = NULL;

	if (curl_easy_getinfo(c, CURLINFO_EFFECTIVE_URL, &base) == CURLE_OK && base && u &&
	    curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, reference, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK)
		ret = memory_dup(url);
	curl_free(url);
	curl_url_cleanup(u);
	return ret;
}

static void add_links(CURL *c, const char *value, struct text_array *ret)
{
	char target[WIRE_URL_MAX + 1];

	while (ret->count < WIRE_OFFERS_MAX &&
	       header_link(&value, "alternate", target, sizeof(target))) {
		ret->items[ret->count] = absolute(c, target);
		ret->count += ret->items[ret->count] != NULL;
	}
}

static void read_links(CURL *c, struct text_array *ret)
{
	struct curl_header *found;

	for (size_t i = 0; curl_easy_header(c, "Link", i, CURLH_HEADER, -1, &found) == CURLHE_OK;
	     i++)
		add_links(c, found->value, ret);
}

static const char *leaf(CURL *c)
{
	struct curl_certinfo *all = NULL;

	if (curl_easy_getinfo(c, CURLINFO_CERTINFO, &all) != CURLE_OK || !all ||
	    all->num_of_certs < 1)
		return NULL;
	for (const struct curl_slist *line = all->certinfo[0]; line; line = line->next)
		if (strncmp(line->data, "Cert:", 5) == 0)
			return line->data + 5;
	return NULL;
}

/* Was there no talking to the other end, or did it say something odd? */
static enum reply_error error_of(CURL *c, CURLcode code)
{
	static const CURLcode unreachable[] = {
		CURLE_COULDNT_RESOLVE_HOST,     CURLE_COULDNT_CONNECT,    CURLE_SSL_CONNECT_ERROR,
		CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CIPHER,
		CURLE_SSL_ISSUER_ERROR,
	};
	curl_off_t begun = 0;

	for (size_t i = 0; i < ELEMENTS(unreachable); i++)
		if (code == unreachable[i])
			return REPLY_UNREACHABLE;
	(void)curl_easy_getinfo(c, CURLINFO_PRETRANSFER_TIME_T, &begun);
	return code == CURLE_OPERATION_TIMEDOUT && begun == 0 ? REPLY_UNREACHABLE : REPLY_BROKEN;
}

static const char *sentence(const struct exchange *x, CURLcode code)
{
	long number = 0;

	if (x->too_large)
		return "the answer is larger than 1 MiB";
	(void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &number);
	if (code == CURLE_SEND_FAIL_REWIND)
		return "the connection was closed before an answer came";
	if (code == CURLE_COULDNT_CONNECT && number > 0)
		return strerror((int)number);
	return x->error[0] ? x->error : curl_easy_strerror(code);
}

static void finish(struct exchange *x, CURLcode code)
{
	struct http_answer a = { .text = "" };
	autofree char *location = NULL;
	long number = 0;

	if (code != CURLE_OK) {
		a.error = x->too_large ? REPLY_ODD : error_of(x->easy, code);
		a.text = sentence(x, code);
	}
	if (curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &number) == CURLE_OK)
		a.status = (unsigned)number;
	if (curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &number) == CURLE_OK)
		a.connections = (unsigned)number;
	a.nonce = header(x->easy, "Replay-Nonce");
	a.retry_after = header(x->easy, "Retry-After");
	a.date = header(x->easy, "Date");
	a.location = header(x->easy, "Location");
	if (a.location)
		a.location = location = absolute(x->easy, a.location);
	read_links(x->easy, &a.alternates);
	a.body = buf_text(&x->body);
	a.body_len = x->body.len;
	a.certificate = x->request->kind == REQUEST_HANDSHAKE ? leaf(x->easy) : NULL;
	x->fn(&a, x->data);
	for (size_t i = 0; i < a.alternates.count; i++)
		free((char *)(uintptr_t)a.alternates.items[i]);
}

static void retire(struct exchange *x)
{
	struct exchange **at = &x->http->busy;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	curl_multi_remove_handle(x->http->multi, x->easy);
	curl_slist_free_all(take_ptr(x->connect_to));
	free(take_ptr(x->url));
	buf_clear(&x->body);
	x->next = x->http->idle;
	x->http->idle = x;
}

void http_wait(struct http *h, struct pollfd *others, size_t n_others, int timeout_msec)
{
	struct curl_waitfd fds[OTHERS_MAX];
	bool failed;

	if (n_others > OTHERS_MAX)
		n_others = OTHERS_MAX;
	for (size_t i = 0; i < n_others; i++)
		fds[i] = (struct curl_waitfd){
			.fd = others[i].fd,
			.events = (short)((others[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
					  (others[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0)),
		};
	failed = curl_multi_poll(h->multi, fds, (unsigned)n_others,
				 timeout_msec < 0 ? INT_MAX : timeout_msec, NULL) != CURLM_OK;
	for (size_t i = 0; i < n_others; i++)
		others[i].revents = failed ? others[i].events : fds[i].revents;
}

void http_run(struct http *h)
{
	const CURLMsg *m;
	int left;

	(void)curl_multi_perform(h->multi, &left);
	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct exchange *x = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x) != CURLE_OK)
			continue;
		finish(x, code);
		retire(x);
	}
}
