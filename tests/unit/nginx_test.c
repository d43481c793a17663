/* Sites and shapes: what decides over the block a name is in, and that much costs little. The whole texts are in tests/golden. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "renderers/nginx_shape.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/render_fixture.h"

struct shape_case {
	struct site site;
	struct php_settings php;
	enum webspace_state state;
	bool certificate, trusted, tls;
	const char *expect; /* "kind tls dual chroot links backups MiB seconds extensions index" */
};

static const struct shape_case shape_cases[] = {
	{ { PRESET_SITE }, { PRESET_PHP }, 0, true, true, false, "1 0 0 0 0 0 0 0 . " },
	{ { PRESET_SITE },
	  { PRESET_PHP },
	  0,
	  true,
	  true,
	  true,
	  "3 1 0 1 1 1 24 30 php index.html index.htm index.php" },
	{ { PRESET_SITE },
	  { PRESET_PHP },
	  0,
	  true,
	  false,
	  false,
	  "3 0 0 1 1 1 24 30 php index.html index.htm index.php" },
	{ { PRESET_SITE }, { PRESET_PHP }, 0, false, false, true, "0 1 0 0 0 0 0 0 . " },
	{ { PRESET_SITE, .redirect_https = false, .index = LIST("a b") },
	  { PRESET_PHP },
	  0,
	  true,
	  true,
	  false,
	  "3 0 0 1 1 1 24 30 php \"a b\"" },
	{ { PRESET_SITE },
	  { PRESET_PHP },
	  STATE_SUSPENDED,
	  true,
	  true,
	  false,
	  "2 0 0 0 0 0 0 0 . " },
	{ { PRESET_SITE }, { PRESET_PHP }, STATE_DISABLED, true, true, true, "0 1 0 0 0 0 0 0 . " },
	{ { PRESET_SITE, .index = LIST("i"), .client_max_body_size = 0 },
	  { PRESET_PHP },
	  0,
	  true,
	  true,
	  true,
	  "3 1 0 1 1 1 0 30 php i" },
	{ { PRESET_SITE, .index = LIST("i"), .client_max_body_size = 1 },
	  { PRESET_PHP, .post_max_size = 25 * MIB },
	  0,
	  true,
	  true,
	  true,
	  "3 1 0 1 1 1 1 30 php i" },
	{ { PRESET_SITE, .index = LIST("i"), .client_max_body_size = 2049 * MIB },
	  { PRESET_PHP },
	  0,
	  true,
	  true,
	  true,
	  "3 1 0 1 1 1 4096 30 php i" },
	{ { PRESET_SITE, .index = LIST("i"), .type = SITE_STATIC, .disable_symlinks = false },
	  { PRESET_PHP, .post_max_size = 99 * MIB },
	  0,
	  true,
	  true,
	  true,
	  "3 1 0 0 0 0 24 0 . i" },
	{ { PRESET_SITE, .index = LIST("i") },
	  { PRESET_PHP, .enabled = false },
	  0,
	  true,
	  true,
	  true,
	  "3 1 0 0 1 1 24 0 . i" },
	{ { PRESET_SITE, .index = LIST("i") },
	  { PRESET_PHP, .chroot = false, .request_terminate_timeout = 0,
	    .limit_extensions = LIST(".php", ".phtml") },
	  0,
	  true,
	  true,
	  true,
	  "3 1 0 0 1 1 24 86400 php|phtml i" },
	{ { PRESET_SITE, .index = LIST("i") },
	  { PRESET_PHP, .request_terminate_timeout = 56 },
	  0,
	  true,
	  true,
	  true,
	  "3 1 0 1 1 1 24 120 php i" },
};

static void a_site_has_the_shape_of_what_no_variable_can_say(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ELEMENTS(shape_cases); i++) {
		const struct shape_case *c = &shape_cases[i];
		struct webspace w = { .name = "zoe",
				      .state = c->state,
				      .sites = &c->site,
				      .n_sites = 1,
				      .php = c->php };
		struct site_facts facts = { c->certificate, c->trusted, "zoe/zoe/1", NULL };
		autobuf struct buf line = { 0 }, again = { 0 };
		autoarena struct arena a = { 0 };
		struct nginx_shape shape, back;

		assert_int_equal(
			shape_of_site(&fixture_host, &w, 0, &facts, c->tls, &a, &shape, NULL), 0);
		shape_write(&shape, &line);
		if (strcmp(buf_text(&line), c->expect) != 0)
			fail_msg("case %zu: %s", i, buf_text(&line));
		assert_true(shape_read(buf_text(&line), &a, &back));
		shape_write(&back, &again);
		assert_string_equal(buf_text(&again), buf_text(&line));
	}
}

static const struct {
	enum webspace_state state;
	bool tls;
	const char *rsa_dir, *expect;
} dual_cases[] = {
	{ STATE_ENABLED, true, NULL, "3 1 0 0 1 0 24 0 . i" },
	{ STATE_ENABLED, true, "zoe/zoe+rsa/1", "3 1 1 0 1 0 24 0 . i" },
	{ STATE_ENABLED, false, "zoe/zoe+rsa/1", "1 0 0 0 0 0 0 0 . " },
	{ STATE_SUSPENDED, true, "zoe/zoe+rsa/1", "2 1 1 0 0 0 0 0 . " },
	{ STATE_DISABLED, true, "zoe/zoe+rsa/1", "0 1 0 0 0 0 0 0 . " },
};

static void a_second_certificate_makes_another_shape_of_https_alone(void **state)
{
	const struct site site = { PRESET_SITE, .type = SITE_STATIC, .index = LIST("i") };
	size_t i;

	(void)state;
	for (i = 0; i < ELEMENTS(dual_cases); i++) {
		struct webspace w = {
			.name = "zoe", .state = dual_cases[i].state, .sites = &site, .n_sites = 1
		};
		struct site_facts facts = { true, true, "zoe/zoe/1", dual_cases[i].rsa_dir };
		autobuf struct buf line = { 0 };
		autoarena struct arena a = { 0 };
		struct nginx_shape shape, back;

		assert_int_equal(shape_of_site(&fixture_host, &w, 0, &facts, dual_cases[i].tls, &a,
					       &shape, NULL),
				 0);
		shape_write(&shape, &line);
		assert_string_equal(buf_text(&line), dual_cases[i].expect);
		assert_true(shape_read(buf_text(&line), &a, &back));
		assert_int_equal(back.dual, shape.dual);
	}
}

static void a_certificate_lies_below_the_live_ones(void **state)
{
	static const char *const bad[] = { NULL, "", "../ca", "zoe/../../ca", "/etc/ssl", "a\nb" };
	const struct site site = { PRESET_SITE, .names = LIST("a.test") };
	const struct webspace w = { .name = "zoe", .sites = &site, .n_sites = 1 };
	size_t i, s;

	(void)state;
	for (i = 0; i < 2 * ELEMENTS(bad); i++) {
		const char *dir = bad[i / 2];
		struct site_facts facts = { true, true, i % 2 ? "zoe/a.test/1" : dir,
					    i % 2 ? dir : NULL };
		struct buf sections[RENDER_SECTIONS] = { 0 };
		struct err e = { 0 };
		int r = nginx_fragment(&fixture_host, &w, &facts, sections, &e);

		assert_int_equal(r, i % 2 && !dir ? 0 : -EINVAL);
		assert_true(r == 0 || strstr(e.text, "no valid directory"));
		for (s = 0; s < RENDER_SECTIONS; s++)
			buf_clear(&sections[s]);
	}
}

static void a_thumbprint_is_said_as_it_is_and_nothing_else(void **state)
{
	static const struct {
		const char *thumbprint, *expect;
	} cases[] = {
		{ "", "map $host $ws_thumbprint {\n\tdefault \"\";\n}" },
		{ "ab-_9", "map $host $ws_thumbprint {\n\tdefault ab-_9;\n}" },
		{ "a\"; b", "default \"a\\\"; b\";" },
		{ "$uri", "default \"${ws_dollar}uri\";" },
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < ELEMENTS(cases); i++) {
		const struct nginx_facts facts = { .thumbprint = cases[i].thumbprint };
		struct buf files[NGINX_FILES] = { 0 };

		nginx_compose(&fixture_host, &facts, "/d", NULL, 0, files);
		if (!strstr(buf_text(&files[1]), cases[i].expect))
			fail_msg("%s: %s", cases[i].expect, buf_text(&files[1]));
		for (k = 0; k < NGINX_FILES; k++)
			buf_clear(&files[k]);
	}
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void every_kind_of_block_answers_a_challenge(void **state)
{
	static const char prefix[] =
		"location ^~ /.well-known/acme-challenge/ {\n\t\tauth_basic off;";
	unsigned kind;

	(void)state;
	for (kind = SHAPE_REFUSE; kind <= SHAPE_SITE; kind++) {
		const struct nginx_shape shape = { .kind = (enum shape_kind)kind };
		autobuf struct buf ret = { 0 };

		assert_int_equal(shape_block(&fixture_host, &shape, &shape_shared, &ret, NULL), 0);
		assert_int_equal(count(buf_text(&ret), prefix), 1);
		assert_int_equal(count(buf_text(&ret), "root \"/run/webspaces/http01\";"), 1);
		/* What is said beside a location would be done before any is looked for. */
		assert_null(strstr(buf_text(&ret), "\n\treturn"));
		assert_null(strstr(buf_text(&ret), "\n\tif"));
	}
}

static void without_http_or_https_nothing_breaks(void **state)
{
	struct buf files[NGINX_FILES] = { 0 };
	struct host host = fixture_host;
	struct buf sections[RENDER_SECTIONS] = { 0 };
	size_t i;

	(void)state;
	host.nginx.http.count = 0;
	assert_int_equal(
		nginx_fragment(&host, &fixture_webspaces[0], fixture_sites[0], sections, NULL), 0);
	assert_null(strstr(buf_text(&sections[0]), "=1 0"));
	nginx_compose(&host, &fixture_facts, "/d", NULL, 0, files);
	assert_int_equal(count(buf_text(&files[0]), "default_server"), 2);
	for (i = 0; i < NGINX_FILES; i++)
		buf_clear(&files[i]);
	for (i = 0; i < RENDER_SECTIONS; i++)
		buf_clear(&sections[i]);
}

struct refused_case {
	const char *name;
	struct site site;
	struct php_settings php;
	const char *why;
};

static const struct refused_case refused_cases[] = {
	{ "..", { PRESET_SITE, .names = LIST("a.test") }, { PRESET_PHP }, "path" },
	{ "a/b", { PRESET_SITE, .names = LIST("a.test") }, { PRESET_PHP }, "path" },
	{ "zoe", { PRESET_SITE, .names = LIST("~^.*$") }, { PRESET_PHP }, "names" },
	{ "zoe", { PRESET_SITE, .names = LIST("a.test;") }, { PRESET_PHP }, "names" },
	{ "zoe",
	  { PRESET_SITE, .names = LIST("a.test"), .root = "../x" },
	  { PRESET_PHP },
	  "sites[0]" },
	{ "zoe",
	  { PRESET_SITE, .names = LIST("a.test"), .root = "x\ny" },
	  { PRESET_PHP },
	  "sites[0]" },
	{ "zoe",
	  { PRESET_SITE, .names = LIST("a.test"), .index = LIST("a\nb") },
	  { PRESET_PHP },
	  "index" },
	{ "zoe",
	  { PRESET_SITE, .names = LIST("a.test"),
	    .tls = { .hsts = "a\r\nX: y", .certificate = "", .key = "" } },
	  { PRESET_PHP },
	  "VALUE" },
	{ "zoe",
	  { PRESET_SITE, .names = LIST("a.test") },
	  { PRESET_PHP, .limit_extensions = LIST(".php", ".x|.*") },
	  "limit_extensions" },
};

static void what_cannot_be_said_safely_is_refused(void **state)
{
	const struct site_facts facts = { true, true, "zoe/a.test/1", NULL };
	size_t i, s;

	(void)state;
	for (i = 0; i < ELEMENTS(refused_cases); i++) {
		struct webspace w = { .name = refused_cases[i].name,
				      .sites = &refused_cases[i].site,
				      .n_sites = 1,
				      .php = refused_cases[i].php };
		struct buf sections[RENDER_SECTIONS] = { 0 };
		struct err e = { 0 };

		assert_int_equal(nginx_fragment(&fixture_host, &w, &facts, sections, &e), -EINVAL);
		if (!strstr(e.text, refused_cases[i].why))
			fail_msg("case %zu: %s", i, e.text);
		for (s = 0; s < RENDER_SECTIONS; s++)
			buf_clear(&sections[s]);
	}
}

static size_t fragment_size(const struct buf sections[static RENDER_SECTIONS])
{
	size_t size = 0, s;

	for (s = 0; s < RENDER_SECTIONS; s++)
		size += sections[s].len;
	return size;
}

static void a_default_webspace_stays_small(void **state)
{
	struct buf sections[RENDER_SECTIONS] = { 0 };
	size_t s;

	(void)state;
	assert_int_equal(nginx_fragment(&fixture_host, &fixture_webspaces[0], fixture_sites[0],
					sections, NULL),
			 0);
	assert_true(fragment_size(sections) <= 350);
	for (s = 0; s < RENDER_SECTIONS; s++)
		buf_clear(&sections[s]);
}

#define MANY 10000

struct many {
	struct buf sections[MANY][RENDER_SECTIONS];
	struct text_view views[MANY][RENDER_SECTIONS];
};

static void render_many(struct many *m)
{
	char name[16], host[40], dir[64];
	size_t i, s;

	for (i = 0; i < MANY; i++) {
		struct site site = { PRESET_SITE, .names = { (const char *[]){ host }, 1 } };
		struct webspace w = {
			.name = name, .sites = &site, .n_sites = 1, .php = { PRESET_PHP }
		};
		struct site_facts facts = { true, true, dir, NULL };

		snprintf(name, sizeof(name), "user%05zu", i);
		snprintf(host, sizeof(host), "%s.example.org", name);
		snprintf(dir, sizeof(dir), "%s/%s/1", name, host);
		assert_int_equal(nginx_fragment(&fixture_host, &w, &facts, m->sections[i], NULL),
				 0);
		for (s = 0; s < RENDER_SECTIONS; s++)
			m->views[i][s] = (struct text_view){ buf_text(&m->sections[i][s]),
							     m->sections[i][s].len };
	}
}

static void ten_thousand_webspaces_are_two_blocks_and_composed_at_once(void **state)
{
	autofree struct many *m = calloc(1, sizeof(*m));
	struct buf files[NGINX_FILES] = { 0 };
	uint64_t start = clock_usec(), rendered, composed;
	size_t i, s;

	(void)state;
	render_many(m);
	rendered = clock_usec();
	nginx_compose(&fixture_host, &fixture_facts, "/d",
		      (const struct text_view(*)[RENDER_SECTIONS])m->views, MANY, files);
	composed = clock_usec();
	print_message("%d fragments in %.1f ms, composed in %.1f ms\n", MANY,
		      (double)(rendered - start) / 1e3, (double)(composed - rendered) / 1e3);
	assert_int_equal(count(buf_text(&files[2]), "server {"), 2);
	assert_int_equal(count(buf_text(&files[2]), "server_name"), 2 * MANY);
	assert_non_null(strstr(buf_text(&files[0]), "map_hash_max_size 40000;"));
	/* Milliseconds; with room for a busy machine and for sanitizers. */
	assert_true(composed - rendered < 500000);
	for (i = 0; i < NGINX_FILES; i++)
		buf_clear(&files[i]);
	for (i = 0; i < MANY; i++)
		for (s = 0; s < RENDER_SECTIONS; s++)
			buf_clear(&m->sections[i][s]);
}

static void a_host_without_webspaces_has_a_configuration(void **state)
{
	struct buf files[NGINX_FILES] = { 0 };
	size_t i;

	(void)state;
	nginx_compose(&fixture_host, &fixture_facts, "/d", NULL, 0, files);
	assert_string_equal(buf_text(&files[2]), "");
	assert_non_null(strstr(buf_text(&files[0]), "default_server"));
	for (i = 0; i < NGINX_FILES; i++)
		buf_clear(&files[i]);
}

struct unknown_case {
	const char *unknown, *https, *expect;
};

static void unknown_names_get_the_answer_of_the_admins_choice(void **state)
{
	static const struct unknown_case cases[] = {
		{ "refuse", "[::]:443", "return 444;" },
		{ "404", "[::]:443", "return 404;" },
		{ "refuse", "[::]:443", "listen [::]:443 default_server ssl http2;" },
		{ "refuse", "[::]:443", "ssl_reject_handshake on;" },
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < ELEMENTS(cases); i++) {
		struct buf files[NGINX_FILES] = { 0 };
		struct host host = fixture_host;

		host.nginx.unknown = cases[i].unknown;
		host.nginx.https = (struct text_list){ &cases[i].https, 1 };
		nginx_compose(&host, &fixture_facts, "/d", NULL, 0, files);
		assert_non_null(strstr(buf_text(&files[0]), cases[i].expect));
		for (k = 0; k < NGINX_FILES; k++)
			buf_clear(&files[k]);
	}
}

static void the_redirect_names_the_port_unless_it_is_the_usual_one(void **state)
{
	static const struct unknown_case cases[] = {
		{ NULL, "0.0.0.0:443", "https://$host$request_uri" },
		{ NULL, "127.0.0.1:8443", "https://$host:8443$request_uri" },
		{ NULL, "[::]:443", "https://$host$request_uri" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ELEMENTS(cases); i++) {
		const struct nginx_shape shape = { .kind = SHAPE_REDIRECT };
		struct host host = fixture_host;
		autobuf struct buf ret = { 0 };

		host.nginx.https = (struct text_list){ &cases[i].https, 1 };
		assert_int_equal(shape_block(&host, &shape, &shape_shared, &ret, NULL), 0);
		assert_non_null(strstr(buf_text(&ret), cases[i].expect));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_site_has_the_shape_of_what_no_variable_can_say),
		cmocka_unit_test(a_second_certificate_makes_another_shape_of_https_alone),
		cmocka_unit_test(a_certificate_lies_below_the_live_ones),
		cmocka_unit_test(a_thumbprint_is_said_as_it_is_and_nothing_else),
		cmocka_unit_test(every_kind_of_block_answers_a_challenge),
		cmocka_unit_test(without_http_or_https_nothing_breaks),
		cmocka_unit_test(what_cannot_be_said_safely_is_refused),
		cmocka_unit_test(a_default_webspace_stays_small),
		cmocka_unit_test(ten_thousand_webspaces_are_two_blocks_and_composed_at_once),
		cmocka_unit_test(a_host_without_webspaces_has_a_configuration),
		cmocka_unit_test(unknown_names_get_the_answer_of_the_admins_choice),
		cmocka_unit_test(the_redirect_names_the_port_unless_it_is_the_usual_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
