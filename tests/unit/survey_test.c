/* What is concluded from what the host's own nginx prints of its configuration. */
#include <stdlib.h>
#include <string.h>

#include "reconcile/services/nginx/survey.h"
#include "tests/unit/cmocka_all.h"

#define LIST(...)                                                                            \
	{                                                                                    \
		.items = (const char *const[]){ __VA_ARGS__ },                               \
		.count = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *) \
	}

static const struct host host = {
	.web_user = "www-data",
	.nginx = { .main = "/etc/nginx/nginx.conf",
		   .include = "/etc/nginx/conf.d/webspaces.conf",
		   .http = LIST("0.0.0.0:80", "[::]:80"),
		   .https = LIST("0.0.0.0:443", "10.0.0.1:8443") },
};

#define FILE_OF(name, text) "# configuration file " name ":\n" text "\n"
#define OURS                FILE_OF("/etc/nginx/conf.d/webspaces.conf", "")
/* Debian's main file, in short, with lines in http {} that come before its includes. */
#define MAIN(in_http)                                                                      \
	FILE_OF("/etc/nginx/nginx.conf",                                                   \
		"user www-data; pid /run/nginx.pid;\nevents { worker_connections 768; }\n" \
		"http {\n" in_http "\n\tinclude /etc/nginx/conf.d/*.conf;\n"               \
		"\tinclude /etc/nginx/sites-enabled/*;\n}\n")
#define SITE(text) FILE_OF("/etc/nginx/sites-enabled/shop", text)

static const struct {
	const char *dump;
	uint64_t http, https;
	const char *problem; /* a part of it; NULL: none */
} addresses[] = {
	{ MAIN("") OURS, 0, 0, NULL },
	/* all ways to say an address */
	{ MAIN("") OURS SITE("server { listen 80 default_server; }"), 1, 0, NULL },
	{ MAIN("") OURS SITE("server { listen *:80 default; }"), 1, 0, NULL },
	{ MAIN("") OURS SITE(
		  "server { listen 0.0.0.0:80 default_server; listen [::]:80 default_server; }"),
	  3, 0, NULL },
	{ MAIN("") OURS SITE("server { listen [::] default_server; }"), 2, 0, NULL },
	{ MAIN("") OURS SITE("server { listen 443 ssl default_server; }"), 0, 1, NULL },
	{ MAIN("") OURS SITE("server { listen \"10.0.0.1:8443\" ssl default_server; }"), 0, 2,
	  NULL },
	{ MAIN("") OURS SITE("server { listen 10.0.0.1; listen 8080; listen unix:/s; }"), 0, 0,
	  NULL },
	/* where ours would come first */
	{ MAIN("") OURS SITE("server { listen 80; }"), 1, 0,
	  "/etc/nginx/sites-enabled/shop answers" },
	{ MAIN("") OURS SITE("server { server_name a; }"), 1, 0, "0.0.0.0:80 to unknown" },
	{ MAIN("") OURS SITE("server { listen 80; } server { listen 80 default_server; }"), 1, 0,
	  NULL },
	{ MAIN("") FILE_OF("/etc/nginx/conf.d/a.conf", "server { listen 80; }") OURS, 1, 0, NULL },
	{ MAIN("server { listen 80; }") OURS, 1, 0, NULL },
	{ MAIN("") FILE_OF("/etc/nginx/conf.d/a.conf", "server { listen 80; }")
		  OURS SITE("server { listen 443; }"),
	  1, 1, "0.0.0.0:443" },
	/* what is no server of http's */
	{ MAIN("") OURS SITE("map $a $b { listen 80; } # server { listen 80; }\n"), 0, 0, NULL },
	{ FILE_OF("/etc/nginx/nginx.conf",
		  "stream { server { listen 443; } } http { include conf.d/webspaces.conf; }") OURS,
	  0, 0, NULL },
	{ MAIN("") OURS SITE(
		  "server { listen 81; content_by_lua_block { if a then { listen 80; } end } "
		  "return 200 \"} } server { listen 80; }\"; rewrite ^/a${b}\\;c$ '}'; }"),
	  0, 0, NULL },
	/* who cannot serve us at all */
	{ MAIN(""), 0, 0, "nothing in http {} of /etc/nginx/nginx.conf includes" },
	{ FILE_OF("/etc/nginx/nginx.conf", "include conf.d/*.conf; http { }") OURS, 0, 0,
	  "nothing in" },
	{ FILE_OF("/etc/nginx/nginx.conf", "user nobody nogroup; http { include conf.d/*.conf; }")
		  OURS,
	  0, 0, "`user nobody`, but web_user is www-data" },
	{ "", 0, 0, "nothing in" },
	{ "# configuration file ", 0, 0, "nothing in" },
	{ MAIN("include /etc/nginx/nginx.conf;") OURS, 0, 0, NULL },
};

static void servers_of_our_addresses_are_found_and_their_order_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
		struct survey s;

		survey_read(&host, addresses[i].dump, &s);
		if (s.around.http_shared != addresses[i].http ||
		    s.around.https_shared != addresses[i].https ||
		    !s.problem != !addresses[i].problem ||
		    (s.problem && !strstr(s.problem, addresses[i].problem)))
			fail_msg("%s\nhttp %d https %d: %s", addresses[i].dump,
				 (int)s.around.http_shared, (int)s.around.https_shared,
				 s.problem ? s.problem : "no problem");
		survey_clear(&s);
	}
}

static void sizes_that_the_host_says_itself_are_its_own(void **state)
{
	struct survey s;

	(void)state;
	survey_read(&host,
		    MAIN("map_hash_bucket_size 128;") OURS FILE_OF(
			    "/etc/nginx/sites-enabled/z",
			    "server_names_hash_max_size 4096; server { map_hash_max_size 7; "
			    "listen 81; }"),
		    &s);
	assert_int_equal(s.around.sizes, 1 << SIZE_MAP_BUCKET | 1 << SIZE_NAMES_MAX);
	assert_null(s.problem);
	survey_clear(&s);
}

static void the_pid_file_is_the_one_of_the_main_context(void **state)
{
	struct survey s;

	(void)state;
	survey_read(&host, MAIN("") OURS, &s);
	assert_string_equal(s.pid_file, "/run/nginx.pid");
	survey_clear(&s);
	survey_read(&host, FILE_OF("/etc/nginx/nginx.conf", "http { include conf.d/*.conf; }") OURS,
		    &s);
	assert_null(s.pid_file);
	survey_clear(&s);
}

static void only_what_follows_from_it_makes_one_differ_from_another(void **state)
{
	struct survey a, b, c;

	(void)state;
	survey_read(&host, MAIN("") OURS, &a);
	survey_read(&host, MAIN("sendfile on;") OURS SITE("server { listen 81; }"), &b);
	survey_read(&host, MAIN("") OURS SITE("server { listen 80 default_server; }"), &c);
	assert_true(survey_same(&a, &b));
	assert_false(survey_same(&a, &c));
	survey_clear(&a);
	survey_clear(&b);
	survey_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_of_our_addresses_are_found_and_their_order_counts),
		cmocka_unit_test(sizes_that_the_host_says_itself_are_its_own),
		cmocka_unit_test(the_pid_file_is_the_one_of_the_main_context),
		cmocka_unit_test(only_what_follows_from_it_makes_one_differ_from_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
