/* load.c, fill.c, option.c, rules.c, traps.c: what a file says becomes what we hold, or a problem with its line. */
#include "agent/model/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static struct host *host;

static int make_host(void **state)
{
	struct problems p = { 0 };

	(void)state;
	assert_int_equal(load_host(NULL, true, &host, &p), 0);
	host->base_domain = "example.org";
	return 0;
}

static int end_host(void **state)
{
	(void)state;
	host_free(host);
	return 0;
}

static struct webspace *loads(const char *text)
{
	struct problems p = { 0 };
	struct webspace *w = NULL;

	if (load_webspace(host, "alice", "alice.conf", text, strlen(text), &w, &p) < 0) {
		problems_print(&p, stderr);
		fail_msg("does not load: %s", text);
	}
	return w;
}

/* The first problem, as it is shown. */
static void fails(const char *text, const char *expected)
{
	autoarena struct arena a = { 0 };
	struct problems p = { 0 };
	struct webspace *w = NULL;

	if (load_webspace(host, "alice", "a", text, strlen(text), &w, &p) == 0)
		fail_msg("loads: %s", text);
	problems_sort(&p);
	if (!strstr(problem_text(&p.items[0], &a), expected))
		fail_msg("\n%s\n→ %s\n≠ %s", text, problem_text(&p.items[0], &a), expected);
	problems_clear(&p);
}

static void an_empty_file_is_a_webspace_with_every_preset(void **state)
{
	struct webspace *w = loads("");

	(void)state;
	assert_int_equal(w->state, STATE_ENABLED);
	assert_int_equal(w->n_sites, 1);
	assert_string_equal(w->sites[0].names.items[0], "alice.example.org");
	assert_int_equal(w->sites[0].type, SITE_PHP);
	assert_int_equal(w->sites[0].tls.issuer, ISSUER_ACME);
	assert_int_equal(w->sites[0].index.count, 3);
	assert_true(w->account.uid == ID_UNSET && w->account.gid == ID_UNSET);
	assert_true(w->php.enabled && w->php.chroot);
	assert_int_equal(w->php.pm, PM_ONDEMAND);
	assert_int_equal(w->php.max_children, 5);
	assert_int_equal(w->php.memory_limit, 32 << 20);
	assert_int_equal(w->php.request_terminate_timeout, 20);
	assert_ptr_equal(w->php.status_path, host->defaults->php.status_path);
	webspace_free(w);
}

static void every_kind_of_key_is_read(void **state)
{
	struct webspace *w = loads(
		"# a comment\nstate = \"suspended\"; hosts = [\"web*\"]; account = { uid = 20001; "
		"};\n"
		"sites = ( { names = [\"B\xc3\xbc"
		"cher.Example.\", \"*.x.org\"]; root = \"wiki/\";\n"
		"  tls = { hsts = \"1y; preload; includeSubDomains\"; issuer = \"internal\"; }; "
		"},\n"
		"  { type = \"static\"; } );\n"
		"php = { version = \"8.2\"; memory_limit = \"1G\"; pm = \"dynamic\"; max_children "
		"= 2;\n"
		"  values = { session = { name = \"S\"; use_cookies = true; }; precision = 14; };\n"
		"  env = { APP = \"x\"; }; process_priority = -5; };\n"
		"binds = [\"/srv/media\", \"/srv/x:/opt/y:rw,exec\"];\n");

	(void)state;
	assert_int_equal(w->state, STATE_SUSPENDED);
	assert_int_equal(w->account.uid, 20001);
	assert_int_equal(w->n_sites, 2);
	assert_string_equal(w->sites[0].names.items[0], "xn--bcher-kva.example");
	assert_string_equal(w->sites[0].names.items[1], "*.x.org");
	assert_string_equal(w->sites[0].root, "wiki");
	assert_string_equal(w->sites[0].tls.hsts, "max-age=31536000; includeSubDomains; preload");
	assert_int_equal(w->sites[0].tls.issuer, ISSUER_INTERNAL);
	assert_int_equal(w->sites[1].type, SITE_STATIC);
	assert_string_equal(w->sites[1].names.items[0], "alice.example.org");
	assert_true(w->php.memory_limit == 1ull << 30);
	assert_int_equal(w->php.start_servers, 1);
	assert_int_equal(w->php.max_spare_servers, 2);
	assert_int_equal(w->php.process_priority, -5);
	assert_int_equal(w->php.values.count, 3);
	assert_string_equal(w->php.values.items[0].key, "session.name");
	assert_string_equal(w->php.values.items[1].value, "1");
	assert_string_equal(w->php.values.items[2].value, "14");
	assert_string_equal(w->php.env.items[0].value, "x");
	assert_int_equal(w->n_binds, 2);
	assert_string_equal(w->binds[0].target, "srv/media");
	assert_false(w->binds[0].writable);
	assert_string_equal(w->binds[1].target, "opt/y");
	assert_true(w->binds[1].writable && w->binds[1].exec && !w->binds[1].dev);
	webspace_free(w);
}

static void without_any_name_there_is_no_site_but_php(void **state)
{
	struct webspace *w;

	(void)state;
	host->base_domain = "";
	w = loads("");
	assert_int_equal(w->n_sites, 0);
	assert_true(w->php.enabled);
	webspace_free(w);
	host->base_domain = "example.org";
	w = loads("sites = ();");
	assert_int_equal(w->n_sites, 0);
	webspace_free(w);
	fails("sites = ( { names = []; }, { names = [\"x.org\"]; } );",
	      "sites[0].names: a site needs a name");
}

static void what_libconfig_would_let_pass_is_a_problem(void **state)
{
	(void)state;
	fails("@include \"/etc/passwd\"\n", "a:1: @include is not allowed");
	fails("\n\n  @include \"x\"", "a:3: @include");
	fails("php = { max_children = 5000000000; };", "a:1: the number is too large");
	fails("php = { max_children = 0xffffffff; };", "the number is too large");
	fails("php = { max_children = 99999999999999999999999L; };", "too large");
	fails("php = { max_children = 0755; };", "write modes as texts");
	fails("\n/* never ends\n\n", "a:2: the comment that begins here has no end");
	fails("state = \"enab\nled\";", "a:1: a text ends on its line");
	fails("state = \"x", "a:1: the text that begins here has no end");
	fails("state = \"a\\nb\";", "control character");
	fails("php = { env = { A = \"a\\nb\"; }; };", "control character");
	fails("state = \"a\1b\";", "a:1: has a control character");
	fails("a = ((((((((((((((1))))))))))))));", "too deep");
	fails("state = \"enabled\";\nstate = \"disabled\";",
	      "a:2: state: syntax error: state is a duplicate of line 1");
	fails("state = ;", "a:1: state: syntax error");
	fails("php = {", "a:1: php: syntax error");
	fails("state = \"a\\x00b\";", "\\x00");
	fails("hosts = [\"a\"\n \"b\"];", "a:2: hosts[0]: syntax error");
	fails("state = \xe2\x80\x9c"
	      "enabled\xe2\x80\x9d;",
	      "write plain double quotes");
	fails("state =\xc2\xa0\"enabled\";", "write plain spaces");
	fails("\n# x\nhosts = [\"\xe9t\xe9\"];", "a:3: a byte that is not UTF-8");
	fails("state = \"a\xc2\x9b"
	      "b\";",
	      "control character");
	webspace_free(loads("# no line end"));
	webspace_free(loads("state = \"enabled\"; // nor here"));
	webspace_free(loads("state = \"enabled\"; # @include \"x\"\n/* @ */ // @\n"));
	webspace_free(loads("php = { env = { A = \"@include /* \\\" # x\"; }; };\r\n"));
	webspace_free(loads("php = { max_requests = 0x10; rlimit_files = 50L; };"));
}

static void a_nul_byte_is_a_problem(void **state)
{
	struct problems p = { 0 };
	struct webspace *w;

	(void)state;
	assert_int_equal(load_webspace(host, "a", "a", "# \0x", 4, &w, &p), -EINVAL);
	assert_int_equal(p.count, 1);
	problems_clear(&p);
}

static void unknown_keys_are_told_with_the_nearest(void **state)
{
	(void)state;
	fails("\nphp = {\n  memroy_limit = \"1G\"; };",
	      "a:3: php.memroy_limit: unknown key; did you mean php.memory_limit?");
	fails("memory_limit = \"1G\";", "did you mean php.memory_limit?");
	fails("sites = (\n{\n tls = { hst = \"1y\"; }; } );",
	      "a:3: sites[0].tls.hst: unknown key; did you mean sites[0].tls.hsts?");
	fails("sties = ();", "did you mean sites?");
	fails("zzzzzzzzzz = 1;", "zzzzzzzzzz: unknown key; see 'webspaces options'");
	fails("names = [\"x.org\"];", "names: a key of sites: sites = ( { names = …; } );");
	fails("base_domain = \"x.org\";", "base_domain: a key of the host's file");
}

static void a_wrong_type_names_the_right_one(void **state)
{
	(void)state;
	fails("state = 1;", "state: expected a text in quotes, found a number");
	fails("php = { max_children = \"5\"; };", "expected a whole number, found a text");
	fails("php = { enabled = 1; };", "expected true or false, found a number");
	fails("php = { memory_limit = \"32X\"; };", "expected a size");
	fails("php = { request_terminate_timeout = 1.5; };", "expected a duration");
	fails("php = \"8.2\";", "php: expected a group");
	fails("hosts = \"web1\";", "expected a list of texts");
	fails("hosts = [1];", "element 1: expected a text");
	fails("sites = { names = [\"x.org\"]; };", "sites: expected a list of groups");
	fails("sites = ( \"x.org\" );", "sites[0].: expected a group");
	fails("php = { values = [\"a\"]; };", "expected a group of pairs");
}

static void values_out_of_their_range_are_refused(void **state)
{
	(void)state;
	fails("state = \"on\";", "\"on\" is not one of enabled, suspended, disabled");
	fails("php = { max_children = 0; };", "0 is not from 1 to 10000");
	fails("php = { memory_limit = \"1K\"; };", "1K is not from 2M to 64G");
	fails("php = { memory_limit = 128; };",
	      "128 bytes is not from 2M to 64G: a size needs its unit, as in \"128M\"");
	fails("php = { memory_limit = \"128MB\"; };", "\"128MB\" is not a size");
	fails("hosts = \"web1\";", "write [\"web1\"]");
	fails("php = { max_children = \"5\"; };", "write 5 without quotes");
	fails("php = { version = 8.2; };", "write it in quotes");
	fails("php = { pm = \"Dynamic\"; };", "did you mean \"dynamic\"?");
	fails("sites = ( { php = { }; } );", "sites[0].php: a key of the webspace");
	fails("php = { zzzzzzzzzzzzzzz = 1; };", "max_children");
	fails("php = { process_idle_timeout = \"2d\"; };", "2d is not from 1s to 1d");
	fails("php = { version = \"8\"; };", "like \"8.2\"");
	fails("php = { listen = \"127.0.0.1:9000\"; };", "any local user could connect");
	fails("php = { status_path = \"a b\"; };", "path of a URL");
	fails("sites = ( { root = \"../x\"; } );", "\"..\"");
	fails("sites = ( { root = \"/x\"; } );", "not a relative path");
	fails("sites = ( { root = \"a//b\"; } );", "empty component");
	fails("sites = ( { names = [\"a_b.org\"]; } );", "letters, digits");
	fails("sites = ( { names = [\"127.0.0.1\"]; } );", "an IP address is not a host name");
	fails("sites = ( { index = [\"../i\"]; } );", "no /");
	fails("sites = ( { tls = { hsts = \"soon\"; }; } );", "begins with a duration");
	fails("account = { uid = 0; };", "account.uid: below 1000");
	fails("account = { uid = 65534; };", "65534");
}

static void values_must_fit_each_other(void **state)
{
	(void)state;
	fails("php = { pm = \"dynamic\"; max_children = 5; max_spare_servers = 9; };",
	      "php.max_spare_servers: more than php.max_children (5)");
	fails("php = { pm = \"dynamic\"; max_spare_servers = 2; min_spare_servers = 3; };",
	      "php.min_spare_servers: more");
	fails("php = { pm = \"dynamic\"; start_servers = 4;\nmax_spare_servers = 2; };",
	      "a:1: php.start_servers: more than php.max_spare_servers (2)");
	fails("php = {\n upload_max_filesize = \"1G\"; post_max_size = \"1M\"; };",
	      "a:2: php.upload_max_filesize: more than php.post_max_size");
	fails("sites = ( { tls = { key = \"/k\"; }; } );",
	      "sites[0].tls.key: there is no tls.certificate");
	fails("sites = ( { names = [\"x.org\", \"X.org.\"]; } );", "x.org is named twice");
	fails("sites = ( { }, { } );", "alice.example.org is named twice");
	fails("binds = [\"/srv/a:/data/x\"];", "place of the jail itself");
	fails("binds = [\"/srv/a:/.base\"];", "place of the jail itself");
	fails("binds = [\"/srv/a:/etc/ssl/certs/x\"];", "`base`");
	fails("binds = [\"/srv/a:/etc\"];", "`base`");
	fails("binds = [\"/home/www/bob/chroot/data:/srv\"];", "users may exchange it");
	fails("sites = ({ names = [\"a.org\"]; tls = { certificate = \"/home/www/bob/c\"; "
	      "key = \"/etc/k\"; }; });",
	      "users may exchange it");
	fails("binds = [\"/srv/a:/b\", \"/srv/c:/b\"];", "there twice");
	fails("binds = [\"/srv/a:/b:ro\"];", "flags are");
	fails("binds = [\"/\"];", "whole host");
	webspace_free(loads("php = { pm = \"dynamic\"; max_children = 1; };"));
}

#define LIMITS(text) "php = { master = \"dedicated\"; limits = { " text " }; };"

static void limits_of_php_are_those_of_a_master_of_its_own(void **state)
{
	struct webspace *w =
		loads(LIMITS("cpu_quota = 150; memory_max = \"512M\"; tasks_max = 64;"));

	(void)state;
	assert_int_equal(w->php.limits.cpu_quota, 150);
	assert_int_equal(w->php.limits.memory_max, 512 << 20);
	assert_int_equal(w->php.limits.memory_high, 0);
	assert_int_equal(w->php.limits.tasks_max, 64);
	assert_int_equal(w->php.limits.cpu_weight, 0);
	webspace_free(w);
	fails("php = {\n limits = { tasks_max = 64; }; };",
	      "a:2: php.limits: limits are those of a master of its own");
	fails(LIMITS("memory_max = \"8M\";"), "less than 16M");
	fails(LIMITS("memory_max = \"64M\"; memory_high = \"65M\";"),
	      "memory_high: more than php.limits.memory_max");
	fails("php = { master = \"dedicated\"; max_children = 5; limits = { tasks_max = 5; }; };",
	      "not more than php.max_children");
	fails(LIMITS("io_weight = 10001;"), "io_weight");
	webspace_free(loads("php = { limits = { tasks_max = 0; }; };"));
}

static void a_sites_wishes_for_its_certificate_are_read(void **state)
{
	struct webspace *w = loads("");
	const struct site *s = &w->sites[0];

	(void)state;
	assert_string_equal(s->tls.directory, "");
	assert_string_equal(s->tls.profile, "");
	assert_string_equal(s->tls.preferred_chain, "");
	assert_int_equal(s->tls.challenge, TLS_CHALLENGE_AUTO);
	assert_int_equal(s->tls.key_type, TLS_KEY_ECDSA);
	assert_int_equal(s->tls.rsa_bits, 2048);
	assert_int_equal(s->tls.key_lifetime, 365 * 86400);
	assert_int_equal(s->tls.scope, TLS_SCOPE_SITE);
	webspace_free(w);
	w = loads("sites = ( { tls = { directory = \"https://ca.example:14000/dir\"; key_type = "
		  "\"both\"; rsa_bits = 3072; key_lifetime = 0; challenge = \"http-01\"; profile = "
		  "\"shortlived\"; preferred_chain = \"ISRG Root X1\"; scope = \"webspace\"; }; } "
		  ");");
	s = &w->sites[0];
	assert_string_equal(s->tls.directory, "https://ca.example:14000/dir");
	assert_string_equal(s->tls.profile, "shortlived");
	assert_string_equal(s->tls.preferred_chain, "ISRG Root X1");
	assert_int_equal(s->tls.challenge, TLS_CHALLENGE_HTTP_01);
	assert_int_equal(s->tls.key_type, TLS_KEY_BOTH);
	assert_int_equal(s->tls.rsa_bits, 3072);
	assert_int_equal(s->tls.key_lifetime, 0);
	assert_int_equal(s->tls.scope, TLS_SCOPE_WEBSPACE);
	webspace_free(w);
}

#define TLS(text)      "sites = ( { tls = { " text " }; } );"
#define STAR_TLS(text) "sites = ( { names = [\"*.x.org\"]; tls = { " text " }; } );"
#define OWN_PAIR       " certificate = \"/c\"; key = \"/k\";"

static void what_no_certificate_can_be_is_refused(void **state)
{
	(void)state;
	fails(TLS("directory = \"http://ca.example/dir\";"), "begins with https://");
	fails(TLS("directory = \"https:///dir\";"), "not a URL like");
	fails(TLS("directory = \"https://ca.example/a b\";"), "not a URL like");
	fails(TLS("challenge = \"dns\";"), "\"dns\" is not one of auto, http-01, dns-01");
	fails(TLS("challenge = \"dns-01\";"), "sites[0].tls.challenge: dns-01 needs acme.dns_hook");
	fails(STAR_TLS("challenge = \"http-01\";"), "http-01 certifies no name with *");
	fails(TLS("key_type = \"rsa4096\";"), "is not one of ecdsa, rsa, both");
	fails(TLS("rsa_bits = 1024;"), "1024 is not one of 2048, 3072, 4096");
	fails(TLS("rsa_bits = 2049;"), "2049 is not one of 2048, 3072, 4096");
	fails(TLS("rsa_bits = 8192;"), "8192 is not one of 2048, 3072, 4096");
	fails(TLS("rsa_bits = \"4096\";"), "expected a whole number");
	fails(TLS("key_lifetime = \"11y\";"), "11y is not from 0s to 10y");
	fails(TLS("key_lifetime = \"never\";"), "expected a duration");
	fails(TLS("profile = \"short lived\";"), "letters, digits, - and _ only");
	fails(TLS("preferred_chain = 1;"), "expected a text");
	fails(TLS("scope = \"host\";"), "is not one of site, webspace");
	webspace_free(loads(TLS("rsa_bits = 4096; key_lifetime = \"10y\";")));
	webspace_free(loads(STAR_TLS("challenge = \"auto\";")));
	webspace_free(loads(STAR_TLS("challenge = \"http-01\"; issuer = \"internal\";")));
	webspace_free(loads(TLS("challenge = \"dns-01\";" OWN_PAIR)));
}

static void php_settings_that_are_not_a_webspaces_are_refused(void **state)
{
	(void)state;
	fails("php = { values = { opcache = { enable = true; }; }; };",
	      "opcache.enable reaches beyond");
	fails("php = { user_values = { extension = \"x.so\"; }; };", "reaches beyond");
	fails("php = { values = { Memory_Limit = \"1G\"; }; };",
	      "has a key of its own: php.memory_limit");
	fails("php = { values = { open_basedir = \"/\"; }; };", "php.open_basedir");
	fails("php = { env = { LD_PRELOAD = \"x\"; }; };", "loader");
	fails("php = { env = { A = { B = \"x\"; }; }; };", "not the name of a variable");
	webspace_free(loads("php = { values = { session = { entropy_length = 32; }; }; };"));
}

static void all_problems_are_told_at_once(void **state)
{
	static const char text[] = "state = 1;\nnope = 2;\nphp = { pm = \"x\"; };";
	struct problems p = { 0 };
	struct webspace *w;

	(void)state;
	assert_int_equal(load_webspace(host, "a", "a", text, strlen(text), &w, &p), -EINVAL);
	assert_int_equal(p.count, 3);
	problems_clear(&p);
}

static uint64_t print_of(const char *text)
{
	struct webspace *w = loads(text);
	uint64_t f = w->fingerprint;

	webspace_free(w);
	return f;
}

static void the_fingerprint_is_of_the_meaning(void **state)
{
	uint64_t empty = print_of("");

	(void)state;
	assert_true(print_of("# nothing\n") == empty);
	assert_true(print_of("php = { memory_limit = \"32768K\"; };") == empty);
	assert_true(print_of("php = { memory_limit = \"64M\"; };") != empty);
	assert_true(print_of("sites = ( { tls = { hsts = \"1d\"; }; } );") != empty);
	assert_true(print_of("binds = [\"/srv/a\"];") !=
		    print_of("binds = [\"/srv/a:/srv/a:rw\"];"));
}

static void names_of_webspaces_are_checked(void **state)
{
	struct problems p = { 0 };
	struct webspace *w;

	(void)state;
	assert_int_equal(load_webspace(host, "root", "r", "", 0, &w, &p), -EINVAL);
	assert_int_equal(load_webspace(host, "global", "r", "", 0, &w, &p), -EINVAL);
	assert_int_equal(load_webspace(host, "web_1", "r", "", 0, &w, &p), -EINVAL);
	problems_print(&p, stderr);
	problems_clear(&p);
}

/* the host's file ------------------------------------------------------- */

static const char *write_file(const char *text, mode_t mode)
{
	static char path[64];
	int fd;

	snprintf(path, sizeof(path), "/tmp/load_test.%d.conf", (int)getpid());
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fchmod(fd, mode);
	close(fd);
	return path;
}

static struct host *loads_host(const char *text)
{
	struct problems p = { 0 };
	struct host *h = NULL;
	const char *path = write_file(text, 0644);
	int r = load_host(path, false, &h, &p);

	problems_print(&p, stderr);
	unlink(path);
	assert_int_equal(r, 0);
	return h;
}

static void host_fails(const char *text, mode_t mode, const char *expected)
{
	autoarena struct arena a = { 0 };
	struct problems p = { 0 };
	struct host *h = NULL;
	const char *path = write_file(text, mode);

	assert_int_equal(load_host(path, false, &h, &p), -EINVAL);
	if (!strstr(problem_text(&p.items[0], &a), expected))
		fail_msg("%s: %s", text, problem_text(&p.items[0], &a));
	problems_clear(&p);
	unlink(path);
}

static void the_hosts_file_of_the_documentation_loads(void **state)
{
	struct host *h =
		loads_host("config_dir = \"/etc/webspaces.d\"; home_root = \"/home/www/\"; "
			   "base_domain = \"Example.ORG.\";\n"
			   "accounts = { create = false; uid_min = 30000; uid_max = 39999; };\n"
			   "nginx = { instance = \"own\"; http = [\"127.0.0.1:8080\"]; https = "
			   "[\"127.0.0.1:8443\"]; };\n"
			   "php = { shards = 2; }; reconcile = { removal_grace_s = 1; };\n"
			   "acme = { issuer = \"internal\"; contact = [\"admin@example.org\"]; };\n"
			   "defaults = { php = { memory_limit = \"64M\"; }; site = { "
			   "redirect_https = false; }; };\n");
	struct problems p = { 0 };
	struct webspace *w = NULL;

	(void)state;
	assert_string_equal(h->home_root, "/home/www");
	assert_string_equal(h->base_domain, "example.org");
	assert_false(h->accounts.create);
	assert_int_equal(h->php.shards, 2);
	assert_string_equal(h->acme.contact.items[0], "mailto:admin@example.org");
	assert_int_equal(load_webspace(h, "bob", "bob.conf", "", 0, &w, &p), 0);
	assert_int_equal(w->php.memory_limit, 64 << 20);
	assert_false(w->sites[0].redirect_https);
	assert_int_equal(w->sites[0].tls.issuer, ISSUER_INTERNAL);
	webspace_free(w);
	host_free(h);
}

static void defaults_of_sites_may_be_written_as_sites(void **state)
{
	struct host *h = loads_host("base_domain = \"x.org\"; defaults = { sites = ( { type = "
				    "\"static\"; tls = { hsts = \"1d\"; }; } ); };");
	struct problems p = { 0 };
	struct webspace *w = NULL;

	(void)state;
	assert_int_equal(load_webspace(h, "bob", "bob.conf", "sites = ( { } );", 16, &w, &p), 0);
	assert_int_equal(w->sites[0].type, SITE_STATIC);
	assert_string_equal(w->sites[0].tls.hsts, "max-age=86400");
	webspace_free(w);
	host_free(h);
}

static void limits_in_defaults_are_for_those_with_a_master_of_their_own(void **state)
{
	struct host *h = loads_host("defaults = { php = { limits = { tasks_max = 64; }; }; };");
	struct problems p = { 0 };
	struct webspace *w = NULL;

	(void)state;
	assert_int_equal(load_webspace(h, "bob", "bob.conf", "", 0, &w, &p), 0);
	assert_int_equal(w->php.limits.tasks_max, 64);
	webspace_free(w);
	host_free(h);
}

static void what_the_acme_client_needs_is_read(void **state)
{
	struct host *h = loads_host("");

	(void)state;
	assert_string_equal(h->acme.eab.kid, "");
	assert_string_equal(h->acme.account_key, "");
	assert_string_equal(h->acme.user, "webspaces-acme");
	assert_int_equal(h->acme.limits, LIMITS_AUTO);
	assert_int_equal(h->acme.preflight, PREFLIGHT_LOCAL);
	assert_int_equal(h->acme.addresses.count, 0);
	assert_string_equal(h->acme.dns_hook, "");
	assert_int_equal(h->acme.dns_hook_timeout, 120);
	assert_int_equal(h->acme.dns_wait, 120);
	assert_false(h->acme.wildcard);
	host_free(h);
	h = loads_host(
		"base_domain = \"x.org\"; acme = { eab = { kid = \"k-1\"; hmac_key = "
		"\"c2VjcmV0\"; }; account_key = \"/etc/k.pem\"; user = \"nobody\"; limits = "
		"\"none\"; preflight = \"strict\"; addresses = [\"192.0.2.1\", "
		"\"2001:DB8:0::1\"]; dns_hook = \"/usr/bin/hook\"; dns_hook_timeout = \"1h\"; "
		"dns_wait = 0; wildcard = true; };");
	assert_string_equal(h->acme.eab.kid, "k-1");
	assert_string_equal(h->acme.eab.hmac_key, "c2VjcmV0");
	assert_string_equal(h->acme.account_key, "/etc/k.pem");
	assert_string_equal(h->acme.user, "nobody");
	assert_int_equal(h->acme.limits, LIMITS_NONE);
	assert_int_equal(h->acme.preflight, PREFLIGHT_STRICT);
	assert_string_equal(h->acme.addresses.items[0], "192.0.2.1");
	assert_string_equal(h->acme.addresses.items[1], "2001:db8::1");
	assert_string_equal(h->acme.dns_hook, "/usr/bin/hook");
	assert_int_equal(h->acme.dns_hook_timeout, 3600);
	assert_int_equal(h->acme.dns_wait, 0);
	assert_true(h->acme.wildcard);
	host_free(h);
}

#define ACME(text) "acme = { " text " };", 0644
#define EAB(text)  ACME("eab = { " text " };")

static void what_the_acme_client_cannot_use_is_refused(void **state)
{
	(void)state;
	host_fails(ACME("directory = \"http://ca.example/dir\";"), "begins with https://");
	host_fails(ACME("directory = \"\";"), "begins with https://");
	host_fails(EAB("kid = \"k\";"), "acme.eab.kid: needs its key: acme.eab.hmac_key or");
	host_fails(EAB("hmac_key = \"c2Vj\";"), "there is no acme.eab.kid");
	host_fails(EAB("hmac_key_file = \"/k\";"), "there is no acme.eab.kid");
	host_fails(EAB("kid = \"k\"; hmac_key = \"c2Vj\"; hmac_key_file = \"/k\";"), "one of them");
	host_fails(EAB("kid = \"k k\";"), "has a space");
	host_fails(EAB("hmac_key = \"c2V+\";"), "not base64url");
	host_fails(EAB("hmac_key = \"c2Vjc\";"), "not base64url");
	host_fails(EAB("hmac_key = \"c2V=j\";"), "not base64url");
	host_fails(EAB("hmac_key_file = \"k\";"), "acme.eab.hmac_key_file: ");
	host_fails(ACME("account_key = \"key.pem\";"), "acme.account_key: ");
	host_fails(ACME("account_key = \"/home/www/a/key.pem\";"), "users may exchange it");
	host_fails(ACME("user = \"\";"), "not a user's name");
	host_fails(ACME("user = \"root\";"), "a user without rights");
	host_fails(ACME("user = \"www-data\";"), "the same as web_user");
	host_fails(ACME("limits = \"zerossl\";"), "is not one of auto, letsencrypt, none");
	host_fails(ACME("preflight = \"on\";"), "is not one of local, strict, off");
	host_fails(ACME("addresses = [\"192.0.2\"];"), "\"192.0.2\": not an address");
	host_fails(ACME("addresses = [\"[::1]\"];"), "not an address");
	host_fails(ACME("addresses = [\"example.org\"];"), "not an address");
	host_fails(ACME("dns_hook = \"hook\";"), "acme.dns_hook: ");
	host_fails(ACME("dns_hook = \"/home/www/a/hook\";"), "users may exchange it");
	host_fails(ACME("dns_hook_timeout = 0;"), "0s is not from 1s to 1h");
	host_fails(ACME("dns_wait = \"2d\";"), "2d is not from 0s to 1d");
	host_fails(ACME("dns_hook = \"/h\"; wildcard = true;"), "acme.wildcard: needs base_domain");
	host_fails("base_domain = \"x.org\"; acme = { wildcard = true; };", 0644,
		   "acme.wildcard: needs acme.dns_hook");
}

static void faults_of_the_hosts_file_are_told(void **state)
{
	(void)state;
	host_fails("defaults = { php = { memory_limt = 1; }; };", 0644,
		   "defaults.php.memory_limt: unknown key; did you mean defaults.php.memory_limit");
	host_fails("defaults = { site = { names = [\"x.org\"]; }; };", 0644, "not a default");
	host_fails("state = \"disabled\";", 0644, "stands in defaults = { … }");
	host_fails("accounts = { uid_max = 10; };", 0644, "10 is not from 1000");
	host_fails("accounts = { uid_max = 70000; };", 0644, "65534");
	host_fails("run_dir = \"/home/www/run\";", 0644, "lies in home_root");
	host_fails("run_dir = \"/run/a b\";", 0644, "would misread");
	host_fails("state_dir = \"/srv/a$b\";", 0644, "state_dir: /srv/a$b has a character");
	host_fails("home_root = \"/srv/a:b\";", 0644, "home_root: /srv/a:b has a character");
	host_fails("log_root = \"/srv/a[b]\";", 0644, "log_root: /srv/a[b] has a character");
	host_fails("nginx = { https = [\"0.0.0.0:80\"]; };", 0644,
		   "0.0.0.0:80 is in nginx.http and");
	host_fails("", 0666, "written by others");
}

static void a_files_keepers_are_checked(void **state)
{
	struct err e = { 0 };
	size_t len;
	char *text;

	(void)state;
	mkfifo("/tmp/load_test.fifo", 0600);
	assert_int_equal(symlink("load_test.fifo", "/tmp/load_test.link"), 0);
	assert_int_equal(load_read(AT_FDCWD, "/tmp/load_test.fifo", &text, &len, &e), -EINVAL);
	assert_int_equal(load_read(AT_FDCWD, "/tmp/load_test.link", &text, &len, &e), -EINVAL);
	assert_int_equal(load_read(AT_FDCWD, "/tmp/load_test.none", &text, &len, &e), -ENOENT);
	unlink("/tmp/load_test.fifo");
	unlink("/tmp/load_test.link");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_is_a_webspace_with_every_preset),
		cmocka_unit_test(every_kind_of_key_is_read),
		cmocka_unit_test(without_any_name_there_is_no_site_but_php),
		cmocka_unit_test(what_libconfig_would_let_pass_is_a_problem),
		cmocka_unit_test(a_nul_byte_is_a_problem),
		cmocka_unit_test(unknown_keys_are_told_with_the_nearest),
		cmocka_unit_test(a_wrong_type_names_the_right_one),
		cmocka_unit_test(values_out_of_their_range_are_refused),
		cmocka_unit_test(values_must_fit_each_other),
		cmocka_unit_test(limits_of_php_are_those_of_a_master_of_its_own),
		cmocka_unit_test(a_sites_wishes_for_its_certificate_are_read),
		cmocka_unit_test(what_no_certificate_can_be_is_refused),
		cmocka_unit_test(php_settings_that_are_not_a_webspaces_are_refused),
		cmocka_unit_test(all_problems_are_told_at_once),
		cmocka_unit_test(the_fingerprint_is_of_the_meaning),
		cmocka_unit_test(names_of_webspaces_are_checked),
		cmocka_unit_test(the_hosts_file_of_the_documentation_loads),
		cmocka_unit_test(defaults_of_sites_may_be_written_as_sites),
		cmocka_unit_test(limits_in_defaults_are_for_those_with_a_master_of_their_own),
		cmocka_unit_test(what_the_acme_client_needs_is_read),
		cmocka_unit_test(what_the_acme_client_cannot_use_is_refused),
		cmocka_unit_test(faults_of_the_hosts_file_are_told),
		cmocka_unit_test(a_files_keepers_are_checked),
	};

	return cmocka_run_group_tests(tests, make_host, end_host);
}
