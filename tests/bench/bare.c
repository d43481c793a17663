/*
 * The bare loop: the system calls that a full pass with nothing to do makes for
 * one webspace, made for each name on stdin's last lines, and nothing else. What
 * a pass costs above this is the agent's own.
 *
 * The calls are not written down here, where they would go stale: bench.py
 * follows one pass of the real agent over a small host with strace, takes those
 * that name one webspace or use a descriptor that was opened by such a call
 * (replay.py), and hands them over as lines, "@" standing for the name:
 *
 *	fd 3 /mnt/h1/home            (tabs between words) a descriptor that the agent holds
 *	openat2 f3 s@/chroot h0x290000,0,0xd n24 =4
 *	newfstatat f4 s b n0x1000
 *	close f4
 *	names
 *	w00001 …
 *
 * Prints the CPU seconds of the best of three rounds, and the calls of one.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX  6
#define CALLS_MAX 512
#define SLOTS_MAX 4096
#define NO_SLOT   (-1)
#define ROUNDS    3

struct arg {
	char kind; /* f: slot of a descriptor, p: its path in /proc, s: text, h: struct open_how, b: room, n: number */
	long number;
	const char *before, *after; /* of the name; after NULL: the text has none */
	struct open_how how;
};

struct call {
	long number;
	struct arg args[ARGS_MAX];
	size_t n_args;
	long slot; /* for the result */
};

static const struct {
	const char *name;
	long number;
} numbers[] = {
	{ "access", SYS_access },
	{ "close", SYS_close },
	{ "faccessat", SYS_faccessat },
	{ "faccessat2", SYS_faccessat2 },
	{ "fcntl", SYS_fcntl },
	{ "fgetxattr", SYS_fgetxattr },
	{ "fstat", SYS_fstat },
	{ "fstatfs", SYS_fstatfs },
	{ "getdents64", SYS_getdents64 },
	{ "getxattr", SYS_getxattr },
	{ "lseek", SYS_lseek },
	{ "lstat", SYS_lstat },
	{ "newfstatat", SYS_newfstatat },
	{ "open", SYS_open },
	{ "openat", SYS_openat },
	{ "openat2", SYS_openat2 },
	{ "pread64", SYS_pread64 },
	{ "read", SYS_read },
	{ "readlink", SYS_readlink },
	{ "readlinkat", SYS_readlinkat },
	{ "stat", SYS_stat },
	{ "statx", SYS_statx },
};

static struct call calls[CALLS_MAX];
static size_t n_calls;
static long slots[SLOTS_MAX];
static char room[1 << 16];

static void fail(const char *what, const char *which)
{
	fprintf(stderr, "bare: %s: %s\n", what, which);
	exit(1);
}

static long slot_of(const char *text)
{
	long slot = strtol(text, NULL, 0);

	if (slot < 0 || slot >= SLOTS_MAX)
		fail("no such slot", text);
	return slot;
}

static void parse_text(char *text, struct arg *ret)
{
	char *name = strchr(text, '@');

	if (name)
		*name++ = '\0';
	ret->before = strdup(text);
	ret->after = name ? strdup(name) : NULL;
}

static void parse_how(char *text, struct arg *ret)
{
	ret->how.flags = strtoull(strsep(&text, ","), NULL, 0);
	ret->how.mode = text ? strtoull(strsep(&text, ","), NULL, 0) : 0;
	ret->how.resolve = text ? strtoull(text, NULL, 0) : 0;
}

static void parse_arg(char *word, struct arg *ret)
{
	ret->kind = *word++;
	if (ret->kind == 'f' || ret->kind == 'p')
		ret->number = *word == '-' ? AT_FDCWD : slot_of(word);
	else if (ret->kind == 's')
		parse_text(word, ret);
	else if (ret->kind == 'h')
		parse_how(word, ret);
	else
		ret->number = (long)strtoull(word, NULL, 0);
}

static void parse_call(char *line)
{
	char *word = strsep(&line, "\t");
	struct call *c = &calls[n_calls++];

	if (n_calls == CALLS_MAX)
		fail("too many calls", word);
	*c = (struct call){ .number = -1, .slot = NO_SLOT };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(numbers[i].name, word) == 0)
			c->number = numbers[i].number;
	if (c->number < 0)
		fail("unknown call", word);
	while ((word = strsep(&line, "\t"))) {
		if (*word == '=')
			c->slot = slot_of(word + 1);
		else if (c->n_args < ARGS_MAX)
			parse_arg(word, &c->args[c->n_args++]);
	}
}

static void parse_held(char *text)
{
	char *path = strchr(text, '\t');

	if (!path)
		fail("a descriptor without a path", text);
	slots[slot_of(text)] = open(path + 1, O_PATH | O_CLOEXEC);
	if (slots[slot_of(text)] < 0)
		fail("cannot open", path + 1);
}

static long value_of(const struct arg *a, const char *name, char *text, size_t size)
{
	switch (a->kind) {
	case 'f':
		return a->number == AT_FDCWD ? AT_FDCWD : slots[a->number];
	case 'p':
		snprintf(text, size, "/proc/self/fd/%ld", slots[a->number]);
		return (long)(intptr_t)text;
	case 's':
		if (!a->after)
			return (long)(intptr_t)a->before;
		snprintf(text, size, "%s%s%s", a->before, name, a->after);
		return (long)(intptr_t)text;
	case 'h':
		return (long)(intptr_t)&a->how;
	case 'b':
		return (long)(intptr_t)room;
	default:
		return a->number;
	}
}

static void make(const struct call *c, const char *name)
{
	char texts[ARGS_MAX][512];
	long v[ARGS_MAX] = { 0 };
	long r;

	for (size_t i = 0; i < c->n_args; i++)
		v[i] = value_of(&c->args[i], name, texts[i], sizeof(texts[i]));
	r = syscall(c->number, v[0], v[1], v[2], v[3], v[4], v[5]);
	if (c->slot == NO_SLOT)
		return;
	if (r < 0)
		fail("what the agent could open cannot be opened", name);
	slots[c->slot] = r;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double round_of(char *const *names, size_t n)
{
	double before = cpu_seconds();

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n_calls; j++)
			make(&calls[j], names[i]);
	return cpu_seconds() - before;
}

int main(void)
{
	static char line[8192];
	bool at_names = false;
	char **names = NULL;
	size_t n = 0;
	double best = 0;

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (at_names) {
			names = reallocarray(names, n + 1, sizeof(*names));
			names[n++] = strdup(line);
		} else if (strcmp(line, "names") == 0) {
			at_names = true;
		} else if (strncmp(line, "fd\t", 3) == 0) {
			parse_held(line + 3);
		} else {
			parse_call(line);
		}
	}
	for (int i = 0; i < ROUNDS; i++) {
		double seconds = round_of(names, n);

		best = i == 0 || seconds < best ? seconds : best;
	}
	printf("%.6f %zu\n", best, n_calls);
	return 0;
}
