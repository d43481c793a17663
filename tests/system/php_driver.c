/*
 * The php service alone, driven by lines on standard input, for
 * test_php_service.py: real units, real masters, webspaces made up here.
 *
 *     serve NAME [memory=64] [version=8.2] [dedicated] [off] [static] [value=KEY:VALUE]
 *     withdraw NAME | publish | look | fragment NAME | masters | quit
 *
 * As `php_driver ROOT systemd` it leaves the masters to systemd, and as
 * `php_driver ROOT exec-php ID` it is what their units start.
 *
 * Out come lines of JSON: conditions, reports, and an "idle" when nothing is to
 * be done any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "reconcile/services/php/php.h"

#define MIB (UINT64_C(1) << 20)

static struct {
	struct host host;
	struct loop *loop;
	struct manager manager;
	struct accounts *accounts;
	void *service;
	struct arena arena;
	struct loop_source *poll;
	bool was_idle;
} t;

static void say(struct json *j)
{
	autofree char *text = json_write(j, false);

	puts(text);
	fflush(stdout);
	json_free(j);
}

static void on_condition(const char *webspace, enum condition_type type,
			 enum condition_status status, const char *reason, const char *message,
			 void *data)
{
	static const char *const words[] = { "Unknown", "False", "True" };
	struct json *j = json_new_object();

	(void)type;
	(void)data;
	json_put_text(j, "condition", webspace);
	json_put_text(j, "status", words[status]);
	json_put_text(j, "reason", reason);
	json_put_text(j, "message", message);
	say(j);
}

static void on_report(const struct report *r, void *data)
{
	static const char *const words[] = { "changed",   "planned",     "failed",
					     "fight",     "quarantined", "host fault",
					     "published", "rolled back", "died" };
	struct json *j = json_new_object();

	(void)data;
	json_put_text(j, "report", words[r->kind]);
	json_put_text(j, "resource", r->resource);
	json_put_text(j, "item", r->item);
	json_put_text(j, "text", r->text);
	json_put_number(j, "generation", (int64_t)r->generation);
	say(j);
}

static void set_option(struct webspace *w, char *word)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = '\0';
	if (strcmp(word, "memory") == 0)
		w->php.memory_limit = strtoull(value, NULL, 10) * MIB;
	else if (strcmp(word, "version") == 0)
		w->php.version = arena_dup(&w->arena, value);
	else if (strcmp(word, "dedicated") == 0)
		w->php.master = MASTER_DEDICATED;
	else if (strcmp(word, "off") == 0)
		w->php.enabled = false;
	else if (strcmp(word, "static") == 0)
		w->php.pm = PM_STATIC;
	else if (strcmp(word, "value") == 0) {
		struct text_pair *pair = arena_new(&w->arena, sizeof(*pair));
		char *text = strchr(value, ':');

		*text++ = '\0';
		*pair = (struct text_pair){ arena_dup(&w->arena, value),
					    arena_dup(&w->arena, text) };
		w->php.values.items = pair;
		w->php.values.count = 1;
	}
}

static void serve(char *words)
{
	static const char *const extensions[] = { ".php" };
	static uint64_t fingerprint;
	struct webspace *w = memory_new(sizeof(*w));
	const char *name = strsep(&words, " ");
	char *word;

	w->name = name;
	w->fingerprint = ++fingerprint;
	w->php = (struct php_settings){
		.enabled = true,
		.version = "",
		.chroot = true,
		.pm = PM_ONDEMAND,
		.max_children = 4,
		.start_servers = 1,
		.min_spare_servers = 1,
		.max_spare_servers = 2,
		.max_requests = 500,
		.process_idle_timeout = 10,
		.request_terminate_timeout = 20,
		.status_path = "",
		.ping_path = "",
		.listen_mode = "0660",
		.memory_limit = 32 * MIB,
		.post_max_size = 24 * MIB,
		.upload_max_filesize = 20 * MIB,
		.disable_functions = "@exec",
		.open_basedir = "",
		.allow_url_fopen = true,
		.session_gc_maxlifetime = 1440,
		.session_gc_divisor = 1000,
		.clear_env = true,
		.limit_extensions = { extensions, 1 },
	};
	while ((word = strsep(&words, " ")))
		set_option(w, word);
	php_service_type.serve(t.service, w);
	arena_clear(&w->arena);
	free(w);
}

static void tell_masters(void)
{
	const struct php_service *s = t.service;
	struct json *j = json_new_object(), *list = json_new_array();
	struct rusage used;

	for (const struct master *m = s->masters; m; m = m->next) {
		struct json *one = json_new_object();

		json_put_text(one, "id", m->id);
		json_put_number(one, "state", m->state);
		json_put_number(one, "pid", m->daemon ? m->daemon->pid : 0);
		json_add(list, one);
	}
	json_put(j, "masters", list);
	getrusage(RUSAGE_SELF, &used);
	json_put_number(j, "cpu_usec",
			used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec +
				used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec);
	json_put_number(j, "rss_kib", used.ru_maxrss);
	say(j);
}

static void obey(char *line)
{
	char *words = line;
	const char *verb = strsep(&words, " ");

	/* A question changes nothing: no other word follows that it is idle again. */
	t.was_idle &= strcmp(verb, "masters") == 0;
	if (strcmp(verb, "serve") == 0)
		serve(words);
	else if (strcmp(verb, "withdraw") == 0)
		php_service_type.withdraw(t.service, words);
	else if (strcmp(verb, "publish") == 0)
		php_service_type.publish(t.service);
	else if (strcmp(verb, "look") == 0)
		php_service_type.look(t.service);
	else if (strcmp(verb, "masters") == 0)
		tell_masters();
	else
		loop_stop(t.loop, 0);
}

static void readable(int fd, uint32_t events, void *data)
{
	static char text[1 << 16];
	static size_t len;
	ssize_t n = read(fd, text + len, sizeof(text) - len);
	char *end;

	(void)events;
	(void)data;
	if (n <= 0) {
		loop_stop(t.loop, 0);
		return;
	}
	len += (size_t)n;
	while ((end = memchr(text, '\n', len))) {
		*end = '\0';
		obey(text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len);
	}
}

static void watch_idle(void *data)
{
	bool idle = php_service_type.idle(t.service);

	(void)data;
	if (idle && !t.was_idle) {
		struct json *j = json_new_object();

		json_put_bool(j, "idle", true);
		say(j);
	}
	t.was_idle = idle;
	loop_timer_set(t.poll, clock_usec() + 2000);
}

static void make_host(const char *root)
{
	t.host = (struct host){
		.home_root = arena_printf(&t.arena, "%s/home", root),
		.state_dir = arena_printf(&t.arena, "%s/state", root),
		.run_dir = arena_printf(&t.arena, "%s/run", root),
		.log_root = arena_printf(&t.arena, "%s/log", root),
		.web_user = "www-data",
		.web_uid = 33,
		.web_gid = 33,
		.manager = MANAGER_DIRECT,
		.php = { .shards = 1, .binary = "/usr/sbin/php-fpm%s" },
	};
}

static int open_all(const char *root, struct err *e)
{
	autofree char *etc = memory_printf("%s/etc", root);
	struct service_config config = { .host = &t.host,
					 .report = on_report,
					 .condition = on_condition };
	int r;

	r = loop_open(&t.loop, e);
	if (r >= 0)
		r = manager_open(&t.host, t.loop, &t.manager, e);
	if (r >= 0)
		r = accounts_open_in(etc, &t.accounts, e);
	if (r >= 0)
		r = accounts_refresh(t.accounts, e);
	config.loop = t.loop;
	config.manager = &t.manager;
	config.accounts = t.accounts;
	return r < 0 ? r : php_service_type.open(&config, &t.service, e);
}

int main(int argc, char *argv[])
{
	struct err e = { 0 };
	struct loop_source *input;
	int r;

	if (argc < 2)
		return 64;
	make_host(argv[1]);
	if (argc == 4 && strcmp(argv[2], "exec-php") == 0) {
		r = php_exec(&t.host, argv[3], &e);
		fprintf(stderr, "%s\n", e.text);
		return r < 0;
	}
	if (argc == 3 && strcmp(argv[2], "systemd") == 0)
		t.host.manager = MANAGER_SYSTEMD;
	(void)fcntl(0, F_SETFL, O_NONBLOCK);
	r = open_all(argv[1], &e);
	if (r < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	input = loop_fd(t.loop, 0, EPOLLIN, readable, NULL);
	t.poll = loop_timer(t.loop, clock_usec(), watch_idle, NULL);
	r = loop_run(t.loop);
	loop_drop(t.poll);
	loop_drop(input);
	php_service_type.close(t.service);
	manager_close(&t.manager);
	accounts_close(t.accounts);
	loop_close(t.loop);
	arena_clear(&t.arena);
	return r < 0;
}
