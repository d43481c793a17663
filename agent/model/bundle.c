/*
 * Versions are in some of the paths, so those are patterns, and a bundle goes
 * with the package when it is upgraded. Each match is a mount in each jail that
 * has the bundle: a directory above several is better than several.
 *
 * ImageMagick loads a module for each format, and the module its libraries: by
 * the names of their interfaces ("libjpeg.so.62"), never by full versions.
 */
#include "agent/model/bundle.h"

#include <errno.h>
#include <string.h>

#include "agent/base/own.h"

#define LIB "/usr/lib/" MULTIARCH
#define MODULE(so)                                                    \
	{                                                             \
		.pattern = LIB "/" so, .exec = true, .optional = true \
	}

const struct bundle bundles[] = {
	{ .name = "imagick",
	  .cure = "install php-imagick",
	  .paths = { { .pattern = LIB "/ImageMagick-*", .exec = true },
		     { .pattern = "/etc/ImageMagick-*" },
		     { .pattern = "/usr/share/ImageMagick-*", .optional = true },
		     MODULE("libjpeg.so.??"),
		     MODULE("libtiff.so.?"),
		     MODULE("libwebp*.so.?"),
		     MODULE("libopenjp2.so.?"),
		     MODULE("libjbig.so.?"),
		     MODULE("libLerc.so.?"),
		     MODULE("libdeflate.so.?"),
		     MODULE("libzstd.so.?") } },
	{ .name = "fonts",
	  .cure = "install fonts, such as fonts-dejavu-core",
	  .paths = { { .pattern = "/usr/share/fonts", .proof = "/usr/share/fonts/*" },
		     { .pattern = "/etc/fonts", .optional = true },
		     { .pattern = "/usr/share/fontconfig", .optional = true },
		     { .pattern = "/var/cache/fontconfig", .optional = true } } },
	{ .name = "locales", /* C.utf8 is every host's, and the base's */
	  .cure = "install locales and generate some (dpkg-reconfigure locales), or locales-all",
	  .paths = { { .pattern = "/usr/lib/locale", .proof = "/usr/lib/locale/[!C]*" } } },
	{ .name = "mariadb",
	  .cure = "install mariadb-server and start it",
	  .paths = { { .pattern = "/run/mysqld", .target = "var/run/mysqld" } } },
	{ .name = "postgresql",
	  .cure = "install postgresql and start it",
	  .paths = { { .pattern = "/run/postgresql", .target = "var/run/postgresql" } } },
	{ .name = "php-libraries",
	  .cure = "install the php-* packages that the application asks for",
	  .paths = { { .pattern = "/usr/share/php", .proof = "/usr/share/php/*" },
		     { .pattern = "/usr/share/javascript", .optional = true } } },
};
const size_t n_bundles = ELEMENTS(bundles);

const struct bundle *bundle_find(const char *name)
{
	for (size_t i = 0; i < n_bundles; i++)
		if (strcmp(bundles[i].name, name) == 0)
			return &bundles[i];
	return NULL;
}

int value_bundle(struct arena *a, const char *text, const char **ret, struct err *e)
{
	const char *all = bundles[0].name;

	if (bundle_find(text)) {
		*ret = text;
		return 0;
	}
	for (size_t i = 1; i < n_bundles; i++)
		all = arena_printf(a, "%s, %s", all, bundles[i].name);
	return err_set(e, EINVAL, "unknown bundle; the bundles are %s", all);
}
