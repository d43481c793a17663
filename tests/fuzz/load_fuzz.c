/*
 * Arbitrary bytes as a webspace's file. What loads must be sane by its own
 * rules, and load the same a second time.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/model/load.h"
#include "agent/model/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 keeps the last text it read when a syntax error follows. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

static struct host *host_once(void)
{
	static struct host *host;
	struct problems p = { 0 };

	if (!host && load_host(NULL, true, &host, &p) < 0)
		abort();
	host->base_domain = "example.org";
	return host;
}

static struct webspace *load(const char *text, size_t len, size_t *ret_problems)
{
	struct problems p = { 0 };
	struct webspace *w = NULL;
	int r = load_webspace(host_once(), "alice", "alice.conf", text, len, &w, &p);

	*ret_problems = p.count;
	if ((r < 0) != (p.count > 0) || (r < 0) != (w == NULL))
		abort();
	problems_clear(&p);
	return w;
}

static void check(const struct webspace *w)
{
	for (size_t i = 0; i < w->n_sites; i++) {
		if (w->sites[i].names.count == 0)
			abort();
		if (*w->sites[i].root && name_check_relative(w->sites[i].root, NULL) < 0)
			abort();
		for (size_t j = 0; j < w->sites[i].names.count; j++)
			if (strpbrk(w->sites[i].names.items[j], "/$ ;{}\"\n_"))
				abort();
	}
	for (size_t i = 0; i < w->n_binds; i++)
		if (name_check_relative(w->binds[i].target, NULL) < 0)
			abort();
	for (size_t i = 0; i < w->php.values.count; i++)
		for (const char *c = w->php.values.items[i].value; *c; c++)
			if (name_is_control(*c))
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n, again;
	struct webspace *w, *second;
	char *text;

	if (size > LOAD_MAX_BYTES)
		return 0;
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	w = load(text, size, &n);
	second = load(text, size, &again);
	if (n != again || (w && w->fingerprint != second->fingerprint))
		abort();
	if (w)
		check(w);
	webspace_free(w);
	webspace_free(second);
	free(text);
	return 0;
}
