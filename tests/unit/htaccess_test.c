/* Which .htaccess closes its directory. */
#include "agent/htaccess.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/own.h"
#include "tests/unit/cmocka_all.h"

static const struct {
	const char *text;
	bool denies;
} files[] = {
	{ "", false },
	{ "Require all denied\n", true },
	{ "  require\tALL   denied\r\n", true },
	{ "order allow,deny\ndeny from all", true },
	{ "# deny from all\n", false },
	{ "Deny from all but some\n", false },
	{ "<IfModule mod_authz_core.c>\n Require all denied\n</IfModule>\n", true },
	{ "<IfModule !mod_authz_core.c>\n<IfVersion < 2.4>\nDeny from all\n</IfVersion>\n", true },
	{ "<Files wp-config.php>\nDeny from all\n</Files>\n", false },
	{ "<FilesMatch x>\n<IfModule y>\nRequire all denied\n</IfModule>\n</FilesMatch>\n", false },
	{ "<IfModule y>\n<Files x>\n</Files>\nRequire all denied\n</IfModule>\n", true },
	{ "</Files>\nRequire all denied\n", true },
};

static void a_directory_is_closed_by_what_is_for_all_of_it(void **state)
{
	char dir[] = "/tmp/htaccess.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/.htaccess", dir);
	assert_false(htaccess_denies_all(dir));
	for (size_t i = 0; i < ELEMENTS(files); i++) {
		FILE *f = fopen(path, "w");

		fputs(files[i].text, f);
		fclose(f);
		if (htaccess_denies_all(dir) != files[i].denies)
			fail_msg("%s", files[i].text);
	}
	unlink(path);
	/* Nobody writes to it: it does not wait. */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(htaccess_denies_all(dir));
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_is_closed_by_what_is_for_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
