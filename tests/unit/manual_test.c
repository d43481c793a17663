/* manual.c: what is documented is what is read. */
#include "agent/model/manual.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/own.h"
#include "agent/model/load.h"
#include "agent/model/option.h"
#include "tests/unit/cmocka_all.h"

static void every_key_is_in_every_format(void **state)
{
	(void)state;
	for (enum manual_format f = MANUAL_TEXT; f <= MANUAL_JSON; f++) {
		autobuf struct buf all = { 0 };

		manual_write(f, &all);
		for (size_t i = 0; i < n_options; i++) {
			const char *dot = strrchr(options[i].path, '.');

			if (!strstr(buf_text(&all), dot ? dot + 1 : options[i].path))
				fail_msg("%s is not in format %d", options[i].path, f);
		}
	}
}

static void the_json_is_json(void **state)
{
	autobuf struct buf all = { 0 };
	autojson struct json *j = NULL;
	struct err e = { 0 };

	(void)state;
	manual_write(MANUAL_JSON, &all);
	if (json_parse(all.data, all.len, &j, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(json_count(j), n_options);
}

static void load_sample(const struct host *host, const char *line)
{
	struct problems p = { 0 };
	struct webspace *w = NULL;

	load_webspace(host, "alice", "sample", line, strlen(line), &w, &p);
	problems_print(&p, stderr);
	if (p.count > 0)
		fail_msg("%s", line);
	webspace_free(w);
}

static void load_host_sample(const char *line)
{
	struct problems p = { 0 };
	struct host *h = NULL;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/manual_test.%d", (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	close(fd);
	load_host(path, false, &h, &p);
	unlink(path);
	problems_print(&p, stderr);
	if (p.count > 0)
		fail_msg("%s", line);
	host_free(h);
}

static void every_line_of_the_sample_loads(void **state)
{
	autobuf struct buf all = { 0 };
	struct problems p = { 0 };
	struct host *host = NULL;
	char *rest, *line;
	int section = 0;

	(void)state;
	assert_int_equal(load_host(NULL, true, &host, &p), 0);
	manual_write(MANUAL_SAMPLE, &all);
	rest = all.data;
	while ((line = strsep(&rest, "\n"))) {
		section += strncmp(line, "# ----", 6) == 0;
		/* These are nothing without another. */
		if (line[0] != '#' || line[1] == ' ' || strstr(line, "tls = { certificate") ||
		    strstr(line, "tls = { key") || strstr(line, "php = { limits"))
			continue;
		if (section == 1)
			load_host_sample(line + 1);
		else
			load_sample(host, line + 1);
	}
	assert_int_equal(section, SCOPES);
	host_free(host);
}

static void every_row_is_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_options; i++) {
		const struct option *o = &options[i];

		if (!o->meaning || (!o->preset && !o->sample))
			fail_msg("%s has no meaning or nothing to show", o->path);
		if ((o->kind == &kind_word || o->kind == &kind_pairs) != (o->words != NULL) ||
		    (o->kind == &kind_pairs) != (o->check_pair != NULL))
			fail_msg("%s: words or pairs", o->path);
		if ((o->kind == &kind_number || o->kind == &kind_size ||
		     o->kind == &kind_duration) &&
		    o->max <= o->min)
			fail_msg("%s has no range", o->path);
		for (size_t j = 0; j < i; j++)
			if (options[j].scope == o->scope && strcmp(options[j].path, o->path) == 0)
				fail_msg("%s is there twice", o->path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_in_every_format),
		cmocka_unit_test(the_json_is_json),
		cmocka_unit_test(every_line_of_the_sample_loads),
		cmocka_unit_test(every_row_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
