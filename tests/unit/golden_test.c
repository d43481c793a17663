/*
 * The whole texts, as they stand in tests/golden: a change of a template shows
 * there as a diff to be read. `make golden` writes them anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/render_fixture.h"

#define GOLDEN "tests/golden"
#define DIR    "/var/lib/webspaces/nginx/7"

static bool write_anew;

static void check(const char *name, const struct buf *text)
{
	autofree char *there = NULL;
	char path[200];
	size_t len = 0;
	FILE *f;

	snprintf(path, sizeof(path), GOLDEN "/%s", name);
	f = fopen(path, write_anew ? "w" : "r");
	if (!f)
		fail_msg("%s: %s", path, strerrordesc_np(errno));
	if (write_anew) {
		fwrite(buf_text(text), 1, text->len, f);
	} else if (getdelim(&there, &len, '\0', f) < 0 || strcmp(there, buf_text(text)) != 0) {
		fclose(f);
		fail_msg("%s is no longer what is rendered; `make golden`, and read its diff",
			 path);
	}
	fclose(f);
}

struct all {
	struct buf sections[FIXTURES][RENDER_SECTIONS];
	struct text_view views[FIXTURES][RENDER_SECTIONS];
};

static void views_of(struct all *all)
{
	size_t i, s;

	for (i = 0; i < FIXTURES; i++)
		for (s = 0; s < RENDER_SECTIONS; s++)
			all->views[i][s] = (struct text_view){ buf_text(&all->sections[i][s]),
							       all->sections[i][s].len };
}

static void all_clear(struct all *all)
{
	size_t i, s;

	for (i = 0; i < FIXTURES; i++)
		for (s = 0; s < RENDER_SECTIONS; s++)
			buf_clear(&all->sections[i][s]);
}

static void check_nginx(const struct nginx_facts *facts, const char *prefix)
{
	struct buf files[NGINX_FILES] = { 0 };
	struct all all = { 0 };
	struct err e = { 0 };
	char name[80];
	size_t i;

	for (i = 0; i < FIXTURES; i++)
		if (nginx_fragment(&fixture_host, &fixture_webspaces[i], fixture_sites[i],
				   all.sections[i], &e) < 0)
			fail_msg("%s", e.text);
	views_of(&all);
	nginx_compose(&fixture_host, facts, DIR,
		      (const struct text_view(*)[RENDER_SECTIONS])all.views, FIXTURES, files);
	for (i = 0; i < NGINX_FILES; i++) {
		snprintf(name, sizeof(name), "%s%s", prefix, nginx_file_names[i]);
		if (files[i].len > 0)
			check(name, &files[i]);
		buf_clear(&files[i]);
	}
	all_clear(&all);
}

static void nginx_is_told_as_before(void **state)
{
	autobuf struct buf generation = { 0 };

	(void)state;
	check_nginx(&fixture_facts, "");
	nginx_generation_conf(7, &generation);
	check("generation.conf", &generation);
}

/* Port 8080 of 127.0.0.1 and 8443 of ::1 are the host's too, and so is the size of its maps. */
static void the_hosts_nginx_is_told_as_before(void **state)
{
	const struct nginx_around around = { .http_shared = 1,
					     .https_shared = 2,
					     .sizes = 1 << SIZE_MAP_BUCKET };
	const struct nginx_facts facts = { fixture_facts.thumbprint, &around };
	autobuf struct buf include = { 0 };

	(void)state;
	check_nginx(&facts, "system-");
	nginx_include_conf(&fixture_host, &include);
	check("system-include.conf", &include);
}

static void each_webspace_alone_is_told_as_before(void **state)
{
	struct err e = { 0 };
	char name[80];
	size_t i;

	(void)state;
	for (i = 0; i < FIXTURES; i++) {
		autobuf struct buf text = { 0 };

		if (nginx_render_alone(&fixture_host, &fixture_facts, &fixture_webspaces[i],
				       fixture_sites[i], &text, &e) < 0)
			fail_msg("%s", e.text);
		snprintf(name, sizeof(name), "alone-%s.conf", fixture_webspaces[i].name);
		check(name, &text);
	}
}

static void php_fpm_is_told_as_before(void **state)
{
	autobuf struct buf conf = { 0 }, ini = { 0 }, own = { 0 };
	struct all all = { 0 };
	struct err e = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < FIXTURES; i++) {
		struct php_facts facts = fixture_php(i);

		if (php_fragment(&fixture_host, &fixture_webspaces[i], &facts, all.sections[i],
				 &e) < 0)
			fail_msg("%s", e.text);
	}
	views_of(&all);
	php_compose(&fixture_host, "8.2-03", "8.2",
		    (const struct text_view(*)[RENDER_SECTIONS])all.views, FIXTURES, &conf);
	php_compose_ini(&fixture_host, false, &ini);
	php_compose_ini(&fixture_host, true, &own);
	check("php-fpm.conf", &conf);
	check("php.ini", &ini);
	check("php-dedicated.ini", &own);
	all_clear(&all);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nginx_is_told_as_before),
		cmocka_unit_test(the_hosts_nginx_is_told_as_before),
		cmocka_unit_test(each_webspace_alone_is_told_as_before),
		cmocka_unit_test(php_fpm_is_told_as_before),
	};

	write_anew = argc > 1 && strcmp(argv[1], "--write") == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
