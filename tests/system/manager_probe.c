/*
 * The systemd manager alone, driven by lines on standard input, for
 * test_systemd_manager.py, inside a container that systemd has booted:
 *
 *     start UNIT PIDFILE | adopt UNIT PIDFILE | signal UNIT NUMBER
 *     release UNIT | limit UNIT PROPERTY VALUE | pid UNIT | quit
 *
 * Each is answered by a line, and each end of a daemon is told by one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "agent/base/table.h"
#include "reconcile/bus.h"
#include "reconcile/manager.h"

static struct loop *loop;
static struct manager manager;
static struct bus *bus;
static struct table daemons; /* unit → struct daemon */

static void answer(const char *verb, const char *unit, int r, const struct err *e)
{
	printf("%s %s %d %s\n", verb, unit, r, r < 0 ? e->text : "");
	fflush(stdout);
}

static void ended(struct daemon *d, const char *how, void *data)
{
	autofree char *unit = data;

	printf("ended %s %d %s\n", unit, (int)d->pid, how);
	fflush(stdout);
	(void)table_take(&daemons, unit);
}

static void take(const char *verb, const char *unit, const char *pid_file)
{
	const struct daemon_spec spec = { .unit = unit, .pid_file = pid_file };
	struct daemon *d = NULL;
	struct err e = { 0 };
	char *name = strdup(unit);
	int r = strcmp(verb, "start") == 0
			? manager.type->start(manager.self, &spec, ended, name, &d, &e)
			: manager.type->adopt(manager.self, &spec, ended, name, &d, &e);

	if (r == 0)
		(void)table_set(&daemons, unit, d);
	else
		free(name);
	answer(verb, unit, r, &e);
}

static void obey(char *line)
{
	char *verb = strsep(&line, " "), *unit = strsep(&line, " "), *word = strsep(&line, " ");
	struct daemon *d = unit ? table_get(&daemons, unit) : NULL;
	struct err e = { 0 };

	if (!unit) {
		loop_stop(loop, 0);
	} else if (strcmp(verb, "start") == 0 || strcmp(verb, "adopt") == 0) {
		take(verb, unit, word);
	} else if (strcmp(verb, "limit") == 0) {
		struct bus_limit limit = { word, strtoull(line, NULL, 10) };
		int r = bus_limit_unit(bus, unit, &limit, 1, &e);

		answer(verb, unit, r, &e);
	} else if (!d) {
		answer(verb, unit, -ENOENT, &e);
	} else if (strcmp(verb, "pid") == 0) {
		answer(verb, unit, d->pid, &e);
	} else if (strcmp(verb, "release") == 0) {
		(void)table_take(&daemons, unit);
		manager.type->release(manager.self, d);
		answer(verb, unit, 0, &e);
	} else {
		int signo = (int)strtol(word, NULL, 10);

		answer(verb, unit, manager.type->signal(manager.self, d, signo, &e), &e);
	}
}

static void readable(int fd, uint32_t events, void *data)
{
	static char text[4096];
	static size_t len;
	ssize_t n = read(fd, text + len, sizeof(text) - len);
	char *end;

	(void)events;
	(void)data;
	if (n <= 0) {
		loop_stop(loop, 0);
		return;
	}
	len += (size_t)n;
	while ((end = memchr(text, '\n', len))) {
		*end = '\0';
		len -= (size_t)(end + 1 - text);
		obey(text);
		memmove(text, end + 1, len);
	}
}

int main(void)
{
	struct host host = { .manager = MANAGER_AUTO };
	struct loop_source *input;
	struct err e = { 0 };
	int r = loop_open(&loop, &e);

	if (r >= 0)
		r = manager_open(&host, loop, &manager, &e);
	if (r >= 0)
		r = bus_open(loop, &bus, &e);
	if (r < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	printf("manager %s\n", manager.type->name);
	fflush(stdout);
	(void)fcntl(0, F_SETFL, O_NONBLOCK);
	input = loop_fd(loop, 0, EPOLLIN, readable, NULL);
	r = loop_run(loop);
	loop_drop(input);
	bus_close(bus);
	manager_close(&manager);
	loop_close(loop);
	return r < 0;
}
