/*
 * The client alone, as the agent has it: wants N certificates at once and ends
 * when all are installed. What it prints is what the bench compares.
 *
 *     acme thumbprint STATE DIRECTORY
 *     acme issue STATE DIRECTORY CA_FILE RUN HTTP N FIRST     names: FIRST.bench.test …
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "acme/acme.h"
#include "agent/base/clock.h"
#include "agent/base/own.h"

#define PATIENCE (300 * USEC_PER_SEC)

static struct loop *loop;
static struct store *store;
static struct acme *client;
static size_t wanted;

static void changed(const char *webspace, void *data)
{
	(void)webspace;
	(void)data;
	if (client && acme_figures(client).issued >= wanted)
		loop_stop(loop, 0);
}

static void told(enum acme_news news, const char *webspace, const char *text, void *data)
{
	(void)data;
	if (news == ACME_PROBLEM)
		fprintf(stderr, "%s: %s\n", webspace ? webspace : "-", text);
}

static void too_late(void *data)
{
	(void)data;
	loop_stop(loop, 1);
}

static void fail(const struct err *e)
{
	fprintf(stderr, "%s\n", e->text);
	exit(1);
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static void print_figures(uint64_t began)
{
	struct acme_figures f = acme_figures(client);
	double took = (double)(clock_usec() - began) / 1e6;
	struct rusage mine, workers;

	acme_close(client);
	getrusage(RUSAGE_SELF, &mine);
	getrusage(RUSAGE_CHILDREN, &workers);
	printf("%zu %.4f %llu %llu %.4f %ld\n", (size_t)f.issued, took,
	       (unsigned long long)f.requests, (unsigned long long)f.connections,
	       seconds(&mine.ru_utime) + seconds(&workers.ru_utime), workers.ru_maxrss);
}

static int issue(char **argv)
{
	const char *http[] = { argv[5] };
	size_t n = strtoul(argv[6], NULL, 10), first = strtoul(argv[7], NULL, 10);
	char thumbprint[44];
	struct err e;
	uint64_t began;

	if (acme_thumbprint(store, argv[2], "", true, thumbprint, &e) < 0)
		fail(&e);

	const struct acme_config config = {
		.loop = loop,
		.store = store,
		.run_dir = argv[4],
		.directory = argv[2],
		.thumbprint = thumbprint,
		.agree_tos = true,
		.eab_kid = "",
		.eab_key = "",
		.eab_key_file = "",
		.account_key = "",
		.ca_file = argv[3],
		.user = "webspaces-acme",
		.http = http,
		.n_http = 1,
		.hook = "",
		.changed = changed,
		.told = told,
	};

	if (acme_open(&config, &client, &e) < 0)
		fail(&e);
	began = clock_usec();
	wanted = n;
	for (size_t i = first; i < first + n; i++) {
		char webspace[32], name[64];
		const char *names[] = { name };

		snprintf(webspace, sizeof webspace, "w%zu", i);
		snprintf(name, sizeof name, "w%zu.bench.test", i);
		const struct acme_want want = {
			.site = name,
			.names = names,
			.n_names = 1,
			.directory = argv[2],
			.profile = "",
			.preferred_chain = "",
		};
		acme_set(client, webspace, &want, 1);
	}
	(void)loop_timer(loop, clock_usec() + PATIENCE, too_late, NULL);
	if (loop_run(loop) != 0)
		return 1;
	print_figures(began);
	return 0;
}

int main(int argc, char **argv)
{
	char thumbprint[44];
	struct err e;

	if (argc < 4)
		return 64;
	if (loop_open(&loop, &e) < 0 || store_open(argv[2], getegid(), true, &store, &e) < 0)
		fail(&e);
	argv++;
	if (argc == 4 && strcmp(argv[0], "thumbprint") == 0) {
		if (acme_thumbprint(store, argv[2], "", true, thumbprint, &e) < 0)
			fail(&e);
		puts(thumbprint);
		return 0;
	}
	return argc == 9 ? issue(argv) : 64;
}
