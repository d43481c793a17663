/*
 * Such a file is seldom written in place: passwd is renamed over, resolv.conf is
 * a link into /run, zoneinfo is a directory that a package unpacks. So the
 * directories on the way are watched, for the names that lead there.
 */
#include "watchers/hostfiles.h"

#include <stdlib.h>
#include <sys/inotify.h>

#include "agent/base/memory.h"

#define WATCHED                                                                                \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | \
	 IN_CLOSE_WRITE | IN_ATTRIB)

int hostfiles_open(struct hostfiles *h, const char *const *paths, hostfiles_fn *changed, void *data,
		   struct err *e)
{
	size_t n = 0;

	while (paths && paths[n])
		n++;
	*h = (struct hostfiles){ .changed = changed, .data = data };
	h->trails = memory_new((n + 1) * sizeof *h->trails);
	h->lost_way = memory_new((n + 1) * sizeof *h->lost_way);
	for (; h->count < n; h->count++) {
		struct trail *t = &h->trails[h->count];

		*t = (struct trail){ .path = paths[h->count],
				     .step_mask = WATCHED,
				     .target_mask = WATCHED,
				     .target = -1 };

		int r = trail_walk(t, e);

		if (r < 0) {
			h->count++;
			return r;
		}
	}
	return 0;
}

void hostfiles_close(struct hostfiles *h)
{
	for (size_t i = 0; i < h->count; i++)
		trail_clear(&h->trails[i]);
	free(h->trails);
	free(h->lost_way);
	*h = (struct hostfiles){ 0 };
}

void hostfiles_event(struct hostfiles *h, int wd, uint32_t mask, const char *name)
{
	for (size_t i = 0; i < h->count; i++) {
		unsigned says = trail_event(&h->trails[i], wd, mask, name);

		if (says & TRAIL_WAY)
			h->lost_way[i] = true;
		if (says)
			h->changed(h->trails[i].path, h->data);
	}
}

void hostfiles_lost(struct hostfiles *h)
{
	for (size_t i = 0; i < h->count; i++)
		h->lost_way[i] = true;
	h->changed(NULL, h->data);
}

int hostfiles_follow(struct hostfiles *h, struct err *e)
{
	int first = 0;

	for (size_t i = 0; i < h->count; i++) {
		if (!h->lost_way[i])
			continue;
		h->lost_way[i] = false;

		int r = trail_walk(&h->trails[i], first < 0 ? NULL : e);

		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}
