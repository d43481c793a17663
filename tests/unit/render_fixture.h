/*
 * A host and some webspaces for the tests of renderers: each is there for
 * something that the one before does not have. Names are hostile where names may
 * be: a webspace may be called "default", and a host name "include".
 */
#pragma once

#include "agent/base/own.h"
#include "renderers/renderers.h"

/* Presets come first, what differs after them. */
#pragma GCC diagnostic ignored "-Woverride-init"
#pragma GCC diagnostic ignored "-Woverride-init-side-effects"

#define LIST(...)                                                         \
	{                                                                 \
		.items = (const char *const[]){ __VA_ARGS__ },            \
		.count = ELEMENTS(((const char *const[]){ __VA_ARGS__ })) \
	}
#define PAIRS(...)                                                             \
	{                                                                      \
		.items = (const struct text_pair[]){ __VA_ARGS__ },            \
		.count = ELEMENTS(((const struct text_pair[]){ __VA_ARGS__ })) \
	}
#define SITES(...)                                     \
	.sites = (const struct site[]){ __VA_ARGS__ }, \
	.n_sites = ELEMENTS(((const struct site[]){ __VA_ARGS__ }))

#define MIB (UINT64_C(1) << 20)

#define PRESET_SITE                                                                          \
	.type = SITE_PHP, .root = "", .index = LIST("index.html", "index.htm", "index.php"), \
	.redirect_https = true, .disable_symlinks = true, .client_max_body_size = 24 * MIB,  \
	.tls = { .issuer = ISSUER_ACME, .hsts = "", .certificate = "", .key = "" }

#define PRESET_PHP                                                                                \
	.enabled = true, .version = "8.2", .chroot = true, .pm = PM_ONDEMAND, .max_children = 5,  \
	.start_servers = 2, .min_spare_servers = 1, .max_spare_servers = 3, .max_requests = 500,  \
	.process_idle_timeout = 10, .request_terminate_timeout = 20,                              \
	.request_slowlog_timeout = 15, .status_path = "/php-fpm-status",                          \
	.ping_path = "/php-fpm-ping", .listen_mode = "0660", .memory_limit = 32 * MIB,            \
	.post_max_size = 24 * MIB, .upload_max_filesize = 20 * MIB, .disable_functions = "@exec", \
	.open_basedir = "", .allow_url_fopen = true, .session_gc_maxlifetime = 1440,              \
	.session_gc_divisor = 1000, .clear_env = true, .limit_extensions = LIST(".php"),          \
	.rlimit_files = 256

static const struct host fixture_host = {
	.home_root = "/home/www",
	.state_dir = "/var/lib/webspaces",
	.run_dir = "/run/webspaces",
	.log_root = "/var/log/webspaces",
	.web_user = "www-data",
	.web_uid = 33,
	.web_gid = 33,
	.nginx = { .http = LIST("127.0.0.1:8080", "[::1]:8080"),
		   .https = LIST("127.0.0.1:8443", "[::1]:8443"),
		   .worker_processes = 2,
		   .limit_conn = 1024,
		   .large_client_header_buffers = "4 32768",
		   .http2 = true,
		   .tls_protocols = LIST("TLSv1.2", "TLSv1.3"),
		   .suspended = "503",
		   .suspended_page = "",
		   .unknown = "refuse" },
	.php = { .shards = 8 },
};

static const struct webspace fixture_webspaces[] = {
	/* All presets. */
	{ .name = "alice",
	  SITES({ PRESET_SITE, .names = LIST("alice.example.org") }),
	  .php = { PRESET_PHP } },
	/* Several sites, a wildcard, files of the admin's, values that try to get out. */
	{ .name = "bob",
	  SITES({ PRESET_SITE, .names = LIST("bob.example.org", "www.bob.example.org"),
		  .tls = { .hsts = "max-age=31536000; includeSubDomains",
			   .certificate = "",
			   .key = "" } },
		{ PRESET_SITE, .names = LIST("wiki.bob.example.org"), .root = "wiki $1 \"x\"",
		  .disable_symlinks = false, .redirect_https = false },
		{ PRESET_SITE, .names = LIST("*.bob.example.org"), .type = SITE_STATIC,
		  .root = "all", .client_max_body_size = 1,
		  .tls = { .hsts = "",
			   .certificate = "/etc/ssl/own/bob.pem",
			   .key = "/etc/ssl/own/bob.key" } }),
	  .php = { PRESET_PHP, .pm = PM_DYNAMIC, .status_path = "", .ping_path = "",
		   .listen_mode = "0600", .disable_functions = "@strict", .display_errors = true,
		   .allow_url_fopen = false, .session_gc_maxlifetime = 86400,
		   .session_gc_divisor = 1, .rlimit_files = 512, .process_priority = 5,
		   .env = PAIRS({ "APP_ENV", "prod" }, { "QUOTE", "it's \"${HOME}\"" }),
		   .values = PAIRS({ "user_agent", "\"; php_admin_value[open_basedir] = none" },
				   { "date.timezone", "Europe/Berlin" },
				   { "session.hash_function", "sha512" }),
		   .user_values = PAIRS({ "arg_separator.output", "&${WEBSPACES_RUN};" }) } },
	/* Without chroot, with slow requests, and with extensions of its own. */
	{ .name = "carol",
	  SITES({ PRESET_SITE, .names = LIST("carol.example.org"),
		  .client_max_body_size = 100 * MIB }),
	  .php = { PRESET_PHP, .chroot = false, .pm = PM_STATIC, .request_terminate_timeout = 400,
		   .disable_functions = "", .clear_env = false,
		   .limit_extensions = LIST(".php", ".phtml") } },
	/* Suspended, and taken out of service. */
	{ .name = "dave",
	  .state = STATE_SUSPENDED,
	  SITES({ PRESET_SITE, .names = LIST("dave.example.org") }),
	  .php = { PRESET_PHP, .enabled = false } },
	{ .name = "erin",
	  .state = STATE_DISABLED,
	  SITES({ PRESET_SITE, .names = LIST("erin.example.org", "sub.bob.example.org") }),
	  .php = { PRESET_PHP, .enabled = false } },
	/* Words of nginx's own as names; no certificate; no chroot on the socket. */
	{ .name = "default",
	  SITES({ PRESET_SITE, .names = LIST("include", "default", "xn--bcher-kva.example") },
		{ PRESET_SITE, .names = LIST("hostnames"), .root = "volatile" }),
	  .php = { PRESET_PHP, .chroot = false, .request_terminate_timeout = 0,
		   .open_basedir = "none" } },
	/* A certificate that only stands in for the one that is wanted; PHP site without PHP. */
	{ .name = "frank",
	  SITES({ PRESET_SITE, .names = LIST("frank.example.org"),
		  .index = LIST("start page.html") }),
	  .php = { PRESET_PHP, .enabled = false } },
};

#define FIXTURES ELEMENTS(fixture_webspaces)

static const struct nginx_facts fixture_facts = {
	.thumbprint = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI",
};

static const struct site_facts fixture_sites[FIXTURES][3] = {
	{ { true, true, "alice/alice.example.org/1", NULL } },
	{ { true, true, "bob/bob.example.org/3", NULL },
	  { true, true, "bob/wiki.bob.example.org/1", NULL },
	  { true, true, "bob/_.bob.example.org/2", NULL } },
	{ { true, true, ".host/_.example.org/1", ".host/_.example.org+rsa/1" } },
	{ { true, true, "dave/dave.example.org/1", NULL } },
	{ { true, true, "erin/erin.example.org/1", NULL } },
	{ { false, false, NULL, NULL }, { false, false, NULL, NULL } },
	{ { true, false, "frank/frank.example.org/1", NULL } },
};

static inline struct php_facts fixture_php(size_t i)
{
	return (struct php_facts){ (uid_t)(20000 + i), (gid_t)(20000 + i), "8.2" };
}
