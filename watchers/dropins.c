/*
 * Only NAME.conf matters: editors' and git's own files come and go unheard. What
 * happens to the directory itself (swapped, replaced, gone, its rights) means
 * any of its files. A file that is a symbolic link has a trail of its own, for
 * what changes lies elsewhere: in the directory that it leads to, or in a link
 * on the way (..data of a ConfigMap, /etc/static).
 */
#include "watchers/dropins.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"

#define WAY   (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
/* IN_CREATE is for hard links, which nobody writes to. */
#define FILES (WAY | IN_CLOSE_WRITE | IN_ATTRIB)

struct dropin_link {
	struct trail trail;
	bool lost_way;
	bool seen; /* in this scan */
	char path[];
};

/* "alice.conf" → "alice" */
static bool name_of(const char *file, char ret[static NAME_MAX + 1])
{
	size_t len = strlen(file);

	if (file[0] == '.' || len <= 5 || len > NAME_MAX || strcmp(file + len - 5, ".conf") != 0)
		return false;
	memcpy(ret, file, len - 5);
	ret[len - 5] = '\0';
	return true;
}

/* links ------------------------------------------------------------------- */

static void link_free(struct dropin_link *link)
{
	if (!link)
		return;
	trail_clear(&link->trail);
	free(link);
}

static void link_add(struct dropins *d, const char *name)
{
	const char *dir = d->trail.path;
	size_t room = strlen(dir) + strlen(name) + sizeof("/.conf");
	struct dropin_link *link = memory_new(sizeof *link + room);
	autofree char *path = memory_printf("%s/%s.conf", dir, name);

	memcpy(link->path, path, strlen(path) + 1);
	link->trail = (struct trail){
		.path = link->path, .step_mask = FILES, .target_mask = FILES, .target = -1
	};
	link->lost_way = link->seen = true;
	(void)table_set(&d->links, name, link);
}

/* The file of this name came, went or changed: is it a link now? */
static void link_refresh(struct dropins *d, const char *name)
{
	autofree char *path = memory_printf("%s/%s.conf", d->trail.path, name);
	struct dropin_link *link = table_get(&d->links, name);
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
		link_free(table_take(&d->links, name));
	else if (!link)
		link_add(d, name);
	else
		link->lost_way = link->seen = true;
}

/* All of them, where any may have changed. */
static void links_scan(struct dropins *d)
{
	autodir DIR *dir = opendir(d->trail.path);
	struct table_entry *it;
	char name[NAME_MAX + 1];

	table_each (&d->links, it)
		((struct dropin_link *)it->value)->seen = false;
	for (const struct dirent *de; dir && (de = readdir(dir));)
		if ((de->d_type == DT_LNK || de->d_type == DT_UNKNOWN) && name_of(de->d_name, name))
			link_refresh(d, name);
	table_each (&d->links, it)
		if (!((struct dropin_link *)it->value)->seen)
			link_free(table_take(&d->links, it->key));
}

static void links_event(struct dropins *d, int wd, uint32_t mask, const char *file)
{
	struct table_entry *it;

	table_each (&d->links, it) {
		struct dropin_link *link = it->value;

		if (!(trail_event(&link->trail, wd, mask, file) & TRAIL_WAY))
			continue;
		link->lost_way = true;
		d->changed(it->key, d->data);
	}
}

static int links_follow(struct dropins *d, struct err *e)
{
	struct table_entry *it;
	int r = 0;

	table_each (&d->links, it) {
		struct dropin_link *link = it->value;
		int moved;

		if (!link->lost_way)
			continue;
		link->lost_way = false;
		moved = trail_walk(&link->trail, r < 0 ? NULL : e);
		if (moved > 0)
			d->changed(it->key, d->data);
		if (moved < 0 && r == 0)
			r = moved;
	}
	return r;
}

/* the directory ----------------------------------------------------------- */

int dropins_open(struct dropins *d, const char *config_dir, dropins_fn *changed, void *data,
		 struct err *e)
{
	*d = (struct dropins){
		.trail = { .path = config_dir,
			   .step_mask = WAY,
			   .target_mask = FILES,
			   .target = -1 },
		.changed = changed,
		.data = data,
	};
	int r = trail_walk(&d->trail, e);
	struct table_entry *it;

	links_scan(d);
	table_each (&d->links, it) {
		struct dropin_link *link = it->value;

		link->lost_way = false;
		if (r >= 0)
			r = trail_walk(&link->trail, e);
	}
	return r < 0 ? r : 0;
}

void dropins_close(struct dropins *d)
{
	struct table_entry *it;

	table_each (&d->links, it)
		link_free(it->value);
	table_clear(&d->links);
	trail_clear(&d->trail);
}

void dropins_event(struct dropins *d, int wd, uint32_t mask, const char *file)
{
	unsigned says = trail_event(&d->trail, wd, mask, file);
	char name[NAME_MAX + 1];

	links_event(d, wd, mask, file);
	if (says & TRAIL_WAY)
		d->lost_way = true;
	/* A watch that ended: even if the next directory has the same inode, it is another. */
	if (says & TRAIL_SELF || (wd == d->trail.target && mask & IN_IGNORED))
		d->changed(NULL, d->data);
	if (says & TRAIL_INSIDE && name_of(file, name)) {
		link_refresh(d, name);
		d->changed(name, d->data);
	}
}

int dropins_follow(struct dropins *d, struct err *e)
{
	int r = 0;

	if (d->lost_way) {
		d->lost_way = false;
		r = trail_walk(&d->trail, e);
		links_scan(d);
		if (r != 0)
			d->changed(NULL, d->data);
	}
	if (r >= 0)
		r = links_follow(d, e);
	return r < 0 ? r : 0;
}
