/*
 * Only NAME.conf matters: editors' and git's own files come and go unheard. What
 * happens to the directory itself (swapped, replaced, gone, its rights) means
 * any of its files.
 */
#include "watchers/dropins.h"

#include <limits.h>
#include <string.h>
#include <sys/inotify.h>

#define WAY   (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
/* IN_CREATE is for hard links, which nobody writes to. */
#define FILES (WAY | IN_CLOSE_WRITE | IN_ATTRIB)

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

	return r < 0 ? r : 0;
}

void dropins_close(struct dropins *d)
{
	trail_clear(&d->trail);
}

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

void dropins_event(struct dropins *d, int wd, uint32_t mask, const char *file)
{
	unsigned says = trail_event(&d->trail, wd, mask, file);
	char name[NAME_MAX + 1];

	if (says & TRAIL_WAY)
		d->lost_way = true;
	/* A watch that ended: even if the next directory has the same inode, it is another. */
	if (says & TRAIL_SELF || (wd == d->trail.target && mask & IN_IGNORED))
		d->changed(NULL, d->data);
	if (says & TRAIL_INSIDE && name_of(file, name))
		d->changed(name, d->data);
}

int dropins_follow(struct dropins *d, struct err *e)
{
	if (!d->lost_way)
		return 0;
	d->lost_way = false;

	int r = trail_walk(&d->trail, e);

	if (r != 0)
		d->changed(NULL, d->data);
	return r < 0 ? r : 0;
}
