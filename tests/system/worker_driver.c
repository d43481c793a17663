/*
 * The agent's end of the line alone, for test_worker.py: worker_driver WORKER USER CA_FILE.
 * A line of JSON on standard input is a request, as are its keys; each reply is a line of JSON.
 * "drop ID", "figures" and the end of input are obeyed as well.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "acme/link.h"
#include "agent/base/json.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"

static struct loop *loop;
static struct link *line;

static void say(struct json *j)
{
	autofree char *text = json_write(j, false);

	puts(text);
	fflush(stdout);
	json_free(j);
}

static struct json *texts(const struct text_array *array)
{
	struct json *j = json_new_array();

	for (size_t i = 0; i < array->count; i++)
		json_add_text(j, array->items[i]);
	return j;
}

static struct json *problem(const struct problem *p)
{
	struct json *j = json_new_object();

	json_put_text(j, "type", p->type);
	json_put_text(j, "detail", p->detail);
	json_put_text(j, "name", p->name);
	return j;
}

static struct json *offers(const struct reply *r)
{
	struct json *all = json_new_array();

	for (size_t i = 0; i < r->n_offers; i++) {
		struct json *j = json_new_object();

		json_put_number(j, "type", r->offers[i].type);
		json_put_number(j, "status", r->offers[i].status);
		json_put_text(j, "url", r->offers[i].url);
		json_put_text(j, "token", r->offers[i].token);
		json_put(j, "problem", problem(&r->offers[i].problem));
		json_add(all, j);
	}
	return all;
}

static struct json *directory(const struct reply *r)
{
	struct json *j = json_new_object();

	json_put_text(j, "new_nonce", r->directory.new_nonce);
	json_put_text(j, "new_account", r->directory.new_account);
	json_put_text(j, "new_order", r->directory.new_order);
	json_put_text(j, "renewal_info", r->directory.renewal_info);
	json_put_text(j, "terms", r->directory.terms);
	json_put_bool(j, "external_account_required", r->directory.external_account_required);
	json_put(j, "profiles", texts(&r->directory.profiles));
	return j;
}

static void on_reply(const struct reply *r, void *data)
{
	struct json *j = json_new_object(), *all = json_new_array();

	(void)data;
	json_put_number(j, "id", r->id);
	json_put_number(j, "error", r->error);
	json_put_text(j, "text", r->text);
	json_put_number(j, "http", r->http);
	json_put_number(j, "connections", r->connections);
	json_put_text(j, "nonce", r->nonce);
	json_put_text(j, "location", r->location);
	json_put_number(j, "retry_after", r->retry_after);
	json_put_number(j, "date", r->date);
	json_put(j, "problem", problem(&r->problem));
	for (size_t i = 0; i < r->n_subproblems; i++)
		json_add(all, problem(&r->subproblems[i]));
	json_put(j, "subproblems", all);
	json_put(j, "directory", directory(r));
	json_put_number(j, "status", r->status);
	json_put(j, "authorizations", texts(&r->authorizations));
	json_put_text(j, "finalize", r->finalize);
	json_put(j, "offers", offers(r));
	json_put_text(j, "chain", r->chain);
	json_put(j, "alternates", texts(&r->alternates));
	json_put_bool(j, "found", r->found);
	json_put_bool(j, "exists", r->exists);
	json_put(j, "records", texts(&r->records));
	say(j);
}

static void tell_figures(void)
{
	struct link_figures f = link_figures(line);
	struct json *j = json_new_object();

	json_put_number(j, "requests", (int64_t)f.requests);
	json_put_number(j, "connections", (int64_t)f.connections);
	json_put_number(j, "deaths", (int64_t)f.deaths);
	say(j);
}

static void ask(const char *text)
{
	autojson struct json *j = NULL, *told = json_new_object();
	struct err e = { 0 };

	if (json_parse(text, strlen(text), &j, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	json_put_number(told, "asked",
			link_ask(line,
				 &(struct request){
					 .kind = (enum request_kind)json_number(j, "kind", 0),
					 .url = json_text(j, "url"),
					 .body = json_text(j, "body"),
					 .connect = json_text(j, "connect"),
					 .name = json_text(j, "name"),
					 .expect = json_text(j, "expect"),
				 },
				 on_reply, NULL));
	say(take_ptr(told));
}

static void obey(const char *text)
{
	if (*text == '{')
		ask(text);
	else if (strncmp(text, "drop ", 5) == 0)
		link_drop(line, (uint32_t)strtoul(text + 5, NULL, 10));
	else if (strcmp(text, "figures") == 0)
		tell_figures();
	else
		loop_stop(loop, 0);
}

static void readable(int fd, uint32_t events, void *data)
{
	static char text[1 << 20];
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
		obey(text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len);
	}
}

int main(int argc, char *argv[])
{
	const char *worker[] = { argc == 4 ? argv[1] : NULL, VERSION, argv[2], argv[3], NULL };
	struct loop_source *input;
	struct err e = { 0 };

	if (argc != 4 || loop_open(&loop, &e) < 0)
		return 64;
	(void)fcntl(0, F_SETFL, O_NONBLOCK);
	link_open(
		&(struct link_config){
			.loop = loop, .user = argv[2], .ca_file = argv[3], .argv = worker },
		&line);
	input = loop_fd(loop, 0, EPOLLIN, readable, NULL);
	(void)loop_run(loop);
	loop_drop(input);
	link_close(line);
	loop_close(loop);
	return 0;
}
