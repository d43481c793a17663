/*
 * The least that a client can do: RFC 8555's requests for N certificates of one
 * name each, signed and read, over one connection with IN_FLIGHT orders under
 * way. Nothing is looked at beforehand, checked, limited, or kept. What ours
 * takes above this is its own.
 *
 *     acme-bare DIRECTORY CA_FILE ACCOUNT_DIR N FIRST     names: bFIRST.bench.test …
 *
 * The account is made, or found, before the clock runs. Prints what acme.c does.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "acme/client/jws.h"
#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define IN_FLIGHT 16
#define WAIT_USEC (10 * USEC_PER_MSEC) /* before a look at what the CA is doing */

enum step { NONCE, ORDER, AUTHORIZATION, CHALLENGE, READY, FINALIZE, VALID, CHAIN, STEPS };

struct order {
	CURL *easy;
	enum step step;
	size_t number;
	uint64_t due_usec; /* 0: under way, or nothing to do */
	struct buf body, signed_text;
	char *nonce, *location, *urls[STEPS];
};

static const char *ca_file, *kid;
static struct key *account;
static char *new_nonce, *new_account, *new_order;
static struct curl_slist *post_headers;
static CURLM *multi;
static size_t next, end, wanted, issued;
static unsigned long requests, connections;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

/* Exchanges ------------------------------------------------------------ */

static size_t on_body(char *data, size_t size, size_t n, void *to)
{
	buf_add(to, data, size * n);
	return size * n;
}

static void take(char **field, const char *line, const char *name, size_t len)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0)
		return;
	free(*field);
	*field = memory_printf("%.*s", (int)(len - n), line + n);
	(*field)[strcspn(*field, "\r\n")] = '\0';
}

static size_t on_header(char *data, size_t size, size_t n, void *to)
{
	struct order *o = to;

	take(&o->nonce, data, "replay-nonce: ", size * n);
	take(&o->location, data, "location: ", size * n);
	return size * n;
}

/* payload: NULL for POST-as-GET; url NULL: a new nonce. */
static void prepare(struct order *o, const char *url, const char *payload)
{
	struct jws jws = {
		.key = account, .kid = kid, .nonce = o->nonce, .url = url, .payload = payload
	};
	struct err e;

	buf_reset(&o->body);
	buf_reset(&o->signed_text);
	if (!o->easy)
		o->easy = curl_easy_init();
	curl_easy_reset(o->easy);
	curl_easy_setopt(o->easy, CURLOPT_PRIVATE, o);
	curl_easy_setopt(o->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(o->easy, CURLOPT_URL, url ? url : new_nonce);
	curl_easy_setopt(o->easy, CURLOPT_CAINFO, ca_file);
	curl_easy_setopt(o->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(o->easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(o->easy, CURLOPT_USERAGENT, "acme-bare");
	curl_easy_setopt(o->easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(o->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(o->easy, CURLOPT_WRITEDATA, &o->body);
	curl_easy_setopt(o->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(o->easy, CURLOPT_HEADERDATA, o);
	if (!url) {
		curl_easy_setopt(o->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (jws_sign(&jws, &o->signed_text, &e) < 0)
		fail("sign", e.text);
	curl_easy_setopt(o->easy, CURLOPT_HTTPHEADER, post_headers);
	curl_easy_setopt(o->easy, CURLOPT_POSTFIELDS, buf_text(&o->signed_text));
}

static void done(struct order *o, CURLcode code)
{
	long n = 0;

	if (code != CURLE_OK)
		fail(o->urls[o->step] ? o->urls[o->step] : "a nonce", curl_easy_strerror(code));
	requests++;
	if (curl_easy_getinfo(o->easy, CURLINFO_NUM_CONNECTS, &n) == CURLE_OK)
		connections += (unsigned long)n;
}

static void exchange(struct order *o, const char *url, const char *payload)
{
	prepare(o, url, payload);
	done(o, curl_easy_perform(o->easy));
}

static struct json *read_body(const struct order *o)
{
	struct json *j;
	struct err e;

	if (json_parse(buf_text(&o->body), o->body.len, &j, &e) < 0)
		fail("an answer", e.text);
	return j;
}

/* Before the clock runs ---------------------------------------------------- */

static void read_directory(struct order *o, const char *url)
{
	autojson struct json *j = NULL;

	prepare(o, NULL, NULL);
	curl_easy_setopt(o->easy, CURLOPT_URL, url);
	curl_easy_setopt(o->easy, CURLOPT_HTTPGET, 1L);
	done(o, curl_easy_perform(o->easy));
	j = read_body(o);
	new_nonce = memory_dup(json_text(j, "newNonce"));
	new_account = memory_dup(json_text(j, "newAccount"));
	new_order = memory_dup(json_text(j, "newOrder"));
}

static void find_account(const char *directory)
{
	struct order o = { 0 };

	read_directory(&o, directory);
	exchange(&o, NULL, NULL);
	exchange(&o, new_account, "{\"termsOfServiceAgreed\":true}");
	kid = memory_dup(o.location);
	curl_easy_cleanup(o.easy);
}

/* An order's way --------------------------------------------------------- */

static void go(struct order *o, enum step step)
{
	autofree char *payload = NULL;
	autobuf struct buf csr = { 0 };
	autofree char *name = memory_printf("b%zu.bench.test", o->number);
	const char *const names[] = { name };
	struct key *key;
	struct err e;

	o->step = step;
	o->due_usec = 0;
	if (step == ORDER) {
		payload = memory_printf("{\"identifiers\":[{\"type\":\"dns\",\"value\":\"%s\"}]}",
					name);
	} else if (step == CHALLENGE) {
		payload = memory_dup("{}");
	} else if (step == FINALIZE) {
		if (key_new(KEY_P256, &key, &e) < 0 || key_request(key, names, 1, &csr, &e) < 0)
			fail(name, e.text);
		payload = memory_printf("{\"csr\":\"%s\"}", buf_text(&csr));
		key_free(key);
	}
	prepare(o, step == ORDER ? new_order : o->urls[step], payload);
	curl_multi_add_handle(multi, o->easy);
}

static void go_later(struct order *o, enum step step)
{
	o->step = step;
	o->due_usec = clock_usec() + WAIT_USEC;
}

/* With the next step if its status is the awaited one; else it is looked at again. */
static void go_when(struct order *o, const char *status, const char *awaited, enum step step)
{
	if (strcmp(status, awaited) == 0)
		go(o, step);
	else
		go_later(o, o->step);
}

static void begin_next(struct order *o)
{
	if (next == end)
		return;
	o->number = next++;
	go(o, ORDER);
}

static void keep_url(struct order *o, enum step step, const char *url)
{
	free(o->urls[step]);
	o->urls[step] = memory_dup(url ? url : "");
}

static const char *http_01(const struct json *authorization)
{
	struct json *all = json_get(authorization, "challenges");

	for (size_t i = 0; i < json_count(all); i++)
		if (strcmp(json_text(json_at(all, i), "type"), "http-01") == 0)
			return json_text(json_at(all, i), "url");
	return NULL;
}

static void go_on(struct order *o)
{
	autojson struct json *j = o->step == NONCE || o->step == CHAIN ? NULL : read_body(o);
	const char *status = j ? json_text(j, "status") : NULL;

	switch (o->step) {
	case ORDER:
		keep_url(o, READY, o->location);
		keep_url(o, VALID, o->location);
		keep_url(o, FINALIZE, json_text(j, "finalize"));
		keep_url(o, AUTHORIZATION, json_text_at(json_get(j, "authorizations"), 0));
		go(o, AUTHORIZATION);
		break;
	case AUTHORIZATION:
		keep_url(o, CHALLENGE, http_01(j));
		go(o, CHALLENGE);
		break;
	case READY:
		go_when(o, status, "ready", FINALIZE);
		break;
	case VALID:
		keep_url(o, CHAIN, json_text(j, "certificate"));
		go_when(o, status, "valid", CHAIN);
		break;
	case CHALLENGE:
	case FINALIZE:
		go_later(o, o->step + 1);
		break;
	case CHAIN:
		issued++;
		begin_next(o);
		break;
	default:
		begin_next(o);
	}
}

/* All of them ---------------------------------------------------------------- */

static void read_answers(void)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(multi, &left))) {
		struct order *o = NULL;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &o);
		done(o, m->data.result);
		curl_multi_remove_handle(multi, o->easy);
		go_on(o);
	}
}

/* Those whose time has come go on; how long until the next one's, in milliseconds. */
static int go_due(struct order *orders)
{
	uint64_t now = clock_usec(), first = now + USEC_PER_SEC;

	for (size_t i = 0; i < IN_FLIGHT; i++) {
		struct order *o = &orders[i];

		if (o->due_usec && o->due_usec <= now)
			go(o, o->step);
		else if (o->due_usec && o->due_usec < first)
			first = o->due_usec;
	}
	return (int)((first - now + 999) / 1000);
}

static void run(void)
{
	struct order orders[IN_FLIGHT] = { 0 };
	int left;

	for (size_t i = 0; i < IN_FLIGHT; i++) {
		prepare(&orders[i], NULL, NULL);
		curl_multi_add_handle(multi, orders[i].easy);
	}
	while (issued < wanted) {
		curl_multi_poll(multi, NULL, 0, go_due(orders), NULL);
		curl_multi_perform(multi, &left);
		read_answers();
	}
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

int main(int argc, char *argv[])
{
	autofree char *pem = NULL;
	struct rusage used;
	uint64_t began;
	size_t len;
	struct err e;

	if (argc != 6)
		return 64;
	ca_file = argv[2];

	autofd int dir = path_open_dir(argv[3], &e);

	if (dir < 0 || path_read(dir, "account.key", PEM_MAX_BYTES, &pem, &len, &e) < 0 ||
	    key_parse((struct pem){ pem, len }, &account, &e) < 0)
		fail(argv[3], e.text);
	wanted = strtoul(argv[4], NULL, 10);
	next = strtoul(argv[5], NULL, 10);
	end = next + wanted;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	post_headers = curl_slist_append(NULL, "Content-Type: application/jose+json");
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
	find_account(argv[1]);
	requests = connections = 0;
	began = clock_usec();
	run();
	getrusage(RUSAGE_SELF, &used);
	printf("%zu %.4f %lu %lu %.4f %ld\n", issued, (double)(clock_usec() - began) / 1e6,
	       requests, connections, seconds(&used.ru_utime), used.ru_maxrss);
	return 0;
}
