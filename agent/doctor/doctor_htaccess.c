/*
 * nginx reads no .htaccess: a tree made for Apache is served open where one of
 * them closed it. Counted in each site's directory and the directories in it, by
 * descriptors beneath the home root and never through a link, since the tree is
 * its user's; and no further than LOOKS_MAX entries, since that user may be hostile.
 */
#include <dirent.h>
#include <string.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/doctor/doctor.h"

#define LOOKS_MAX 20000

struct count {
	size_t found, entries;
};

static bool may_be_directory(const struct dirent *de)
{
	return (de->d_type == DT_DIR || de->d_type == DT_UNKNOWN) && strcmp(de->d_name, ".") != 0 &&
	       strcmp(de->d_name, "..") != 0;
}

static void count_in(int home_root, const char *path, unsigned levels, struct count *c)
{
	autodir DIR *d = path_list(home_root, path, NULL);

	for (const struct dirent *de; d && c->entries < LOOKS_MAX && (de = readdir(d));) {
		autofree char *below = NULL;

		c->entries++;
		if (strcmp(de->d_name, ".htaccess") == 0)
			c->found++;
		if (levels == 0 || !may_be_directory(de))
			continue;
		below = memory_printf("%s/%s", path, de->d_name);
		count_in(home_root, below, levels - 1, c);
	}
}

size_t doctor_htaccess_count(const struct patient *p)
{
	struct count c = { 0 };

	for (size_t i = 0; i < p->webspace->n_sites; i++) {
		const char *root = p->webspace->sites[i].root;
		autofree char *path =
			memory_printf("%s/chroot/data%s%s", p->name, *root ? "/" : "", root);

		count_in(p->world->home_root, path, 1, &c);
	}
	return c.found;
}
