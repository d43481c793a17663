/* What a jail looks like, from lists of paths. */
#include "reconcile/tree/jail.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static const char *const base[] = { "/usr/share/zoneinfo", "/etc/ssl/certs", "/etc/resolv.conf",
				    "/etc/hosts" };

static void plan(const char *const *targets, struct buf *ret)
{
	autoarena struct arena a = { 0 };
	struct host host = { .base = { base, ELEMENTS(base) } };
	struct bind binds[8] = { 0 };
	struct jail jail;
	size_t n = 0;

	for (; targets[n]; n++)
		binds[n] = (struct bind){ .source = "/s", .target = targets[n] };
	jail_plan(&host, binds, n, &a, &jail);
	for (size_t i = 0; i < jail.count; i++) {
		const struct jail_entry *it = &jail.entries[i];

		buf_printf(ret, "%s%s%s%s\n", it->kind == JAIL_REFUSED ? "!" : "", it->path,
			   it->kind == JAIL_DIR    ? "/"
			   : it->kind == JAIL_LINK ? " -> "
						   : "",
			   it->kind == JAIL_LINK ? it->target : "");
	}
}

static void a_jail_is_what_base_and_binds_make_it(void **state)
{
	static const struct {
		const char *targets[6];
		const char *expected;
	} cases[] = {
		{ { NULL }, ".base\ndev -> .base/dev\netc -> .base/etc\nusr -> .base/usr\n" },
		{ { "media" },
		  ".base\ndev -> .base/dev\netc -> .base/etc\nmedia\nusr -> .base/usr\n" },
		{ { "etc/ldap/ldap.conf" },
		  ".base\ndev -> .base/dev\netc/\netc/group -> ../.base/etc/group\n"
		  "etc/hosts -> ../.base/etc/hosts\netc/ldap/\netc/ldap/ldap.conf\n"
		  "etc/passwd -> ../.base/etc/passwd\netc/resolv.conf -> ../.base/etc/resolv.conf\n"
		  "etc/ssl -> ../.base/etc/ssl\nusr -> .base/usr\n" },
		{ { "etc/ssl/openssl.cnf", "etc/hosts" },
		  ".base\ndev -> .base/dev\netc/\netc/group -> ../.base/etc/group\netc/hosts\n"
		  "etc/passwd -> ../.base/etc/passwd\n"
		  "etc/resolv.conf -> ../.base/etc/resolv.conf\netc/ssl/\n"
		  "etc/ssl/certs -> ../../.base/etc/ssl/certs\netc/ssl/openssl.cnf\nusr -> "
		  ".base/usr\n" },
		{ { "etc" }, ".base\ndev -> .base/dev\netc\nusr -> .base/usr\n" },
		{ { "etc/ssl/certs/my.pem" },
		  ".base\n!etc/ssl/certs/my.pem\ndev -> .base/dev\netc -> .base/etc\nusr -> "
		  ".base/usr\n" },
		{ { "data/media", "tmp", ".base/x", "../x", ".passwd" },
		  ".base\n!data/media\n!tmp\n!.base/x\n!../x\n!.passwd\ndev -> .base/dev\netc -> "
		  ".base/etc\n"
		  "usr -> .base/usr\n" },
		{ { "srv", "srv/x", "srv" },
		  ".base\n!srv/x\n!srv\ndev -> .base/dev\netc -> .base/etc\nsrv\nusr -> "
		  ".base/usr\n" },
		{ { "etcetera/x" },
		  ".base\ndev -> .base/dev\netc -> .base/etc\netcetera/\netcetera/x\nusr -> "
		  ".base/usr\n" },
	};

	(void)state;
	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		autobuf struct buf text = { 0 };

		plan(cases[i].targets, &text);
		assert_string_equal(buf_text(&text), cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_jail_is_what_base_and_binds_make_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
