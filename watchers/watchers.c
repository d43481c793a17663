/*
 * Puts the watchers on the loop: drains inotify, lets drop-ins settle, tells of
 * homes at once (each only once a wake-up), and reads the mount table at most
 * twice a second however many mounts others make.
 */
#include "watchers/watchers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "watchers/dropins.h"
#include "watchers/homes.h"
#include "watchers/hostfiles.h"
#include "watchers/inotify.h"
#include "watchers/mounts.h"
#include "watchers/settle.h"

#define SETTLE_MOST     10 /* times the quiet time: 2 s for 200 ms */
#define MOUNTS_GAP_USEC (500 * USEC_PER_MSEC)
#define MOUNTS_SHARE    20 /* reading the table of mounts may take one part in that many of the time */

struct watchers {
	struct watchers_config config;
	struct loop_source *inotify, *again, *settled, *mounts_changed, *mounts_due, *homes_due;
	struct dropins dropins;
	struct hostfiles hostfiles;
	struct homes homes;
	struct mounts mounts;
	struct settle files, host;
	uint64_t mounts_due_usec; /* read not before */
	bool mounts_wait;         /* … and they have changed */
};

static void hint_file(const char *name, void *data)
{
	struct watchers *w = data;

	w->config.hint(HINT_FILE, name, w->config.data);
}

static void hint_home(const char *name, void *data)
{
	struct watchers *w = data;

	w->config.hint(HINT_HOME, name, w->config.data);
}

static void hint_host(const char *path, void *data)
{
	struct watchers *w = data;

	w->config.hint(HINT_HOST, path, w->config.data);
}

static void file_changed(const char *name, void *data)
{
	struct watchers *w = data;

	settle_add(&w->files, name, clock_usec());
}

static void host_changed(const char *path, void *data)
{
	struct watchers *w = data;

	settle_add(&w->host, path, clock_usec());
}

static void set_settled(struct watchers *w)
{
	uint64_t files = settle_due(&w->files), host = settle_due(&w->host);

	loop_timer_set(w->settled, files < host ? files : host);
}

static void on_settled(void *data)
{
	struct watchers *w = data;
	uint64_t now = clock_usec();

	if (settle_due(&w->files) <= now)
		settle_tell(&w->files, hint_file, w);
	if (settle_due(&w->host) <= now)
		settle_tell(&w->host, hint_host, w);
	set_settled(w);
}

static void tell_homes(struct watchers *w)
{
	homes_tell(&w->homes, clock_usec(), hint_home, w);
	loop_timer_set(w->homes_due, w->homes.due_usec);
}

static void on_homes_due(void *data)
{
	struct watchers *w = data;

	homes_due(&w->homes, clock_usec());
	tell_homes(w);
}

static void on_event(int wd, uint32_t mask, const char *name, void *data)
{
	struct watchers *w = data;

	if (wd < 0) { /* the queue overflowed: it may have been anything */
		w->dropins.lost_way = true;
		file_changed(NULL, w);
		hostfiles_lost(&w->hostfiles);
		homes_lost(&w->homes);
		return;
	}
	dropins_event(&w->dropins, wd, mask, name);
	hostfiles_event(&w->hostfiles, wd, mask, name);
	homes_event(&w->homes, wd, mask, name);
}

static void drain(void *data)
{
	struct watchers *w = data;

	if (inotify_drain(on_event, w))
		loop_idle_set(w->again);
	/* Without watches left it is as if a hint were lost: the full pass sees it. */
	(void)dropins_follow(&w->dropins, NULL);
	(void)hostfiles_follow(&w->hostfiles, NULL);
	set_settled(w);
	tell_homes(w);
}

static void on_inotify(int fd, uint32_t epoll_events, void *data)
{
	(void)fd;
	(void)epoll_events;
	drain(data);
}

static void read_mounts(void *data)
{
	struct watchers *w = data;

	uint64_t begin = clock_usec(), took;

	w->mounts_wait = false;
	if (mounts_read(&w->mounts, &w->homes, NULL) < 0)
		homes_lost(&w->homes);
	/* A few jails are read in no time; ten thousand must not be read for each of a burst of mounts. */
	took = (clock_usec() - begin) * MOUNTS_SHARE;
	w->mounts_due_usec = begin + (took < MOUNTS_GAP_USEC ? took : MOUNTS_GAP_USEC);
	tell_homes(w);
}

static void on_mounts(int fd, uint32_t epoll_events, void *data)
{
	struct watchers *w = data;
	(void)fd;
	(void)epoll_events;
	if (clock_usec() >= w->mounts_due_usec) {
		read_mounts(w);
		return;
	}
	w->mounts_wait = true;
	loop_timer_set(w->mounts_due, w->mounts_due_usec);
}

bool watchers_settled(struct watchers *w)
{
	drain(w);
	return settle_due(&w->files) == UINT64_MAX && settle_due(&w->host) == UINT64_MAX &&
	       !w->mounts_wait;
}

static void attach(struct watchers *w, int inotify_fd)
{
	struct loop *l = w->config.loop;

	w->inotify = loop_fd(l, inotify_fd, EPOLLIN, on_inotify, w);
	w->again = loop_idle(l, drain, w);
	w->settled = loop_timer(l, UINT64_MAX, on_settled, w);
	w->mounts_changed = loop_fd(l, w->mounts.fd, EPOLLPRI, on_mounts, w);
	w->mounts_due = loop_timer(l, UINT64_MAX, read_mounts, w);
	w->homes_due = loop_timer(l, UINT64_MAX, on_homes_due, w);
}

int watchers_open(const struct watchers_config *config, struct watchers **ret, struct err *e)
{
	struct watchers *w = memory_new(sizeof *w);

	w->config = *config;
	w->files.quiet_usec = w->host.quiet_usec = config->settle_ms * USEC_PER_MSEC;
	w->files.most_usec = w->host.most_usec = w->files.quiet_usec * SETTLE_MOST;
	w->dropins.trail.target = -1;
	w->mounts.fd = -1;
	homes_open(&w->homes, config->home_root);

	int fd = inotify_open(e);
	int r = fd < 0 ? fd : dropins_open(&w->dropins, config->config_dir, file_changed, w, e);

	if (r >= 0)
		r = hostfiles_open(&w->hostfiles, config->host_files, host_changed, w, e);
	if (r >= 0)
		r = mounts_open(&w->mounts, config->home_root, e);
	if (r >= 0) /* what lies above the home root, to be compared with later */
		r = mounts_read(&w->mounts, &w->homes, e);
	if (r < 0) {
		watchers_close(w);
		return r;
	}
	attach(w, fd);
	*ret = w;
	return 0;
}

void watchers_close(struct watchers *w)
{
	if (!w)
		return;
	loop_drop(w->inotify);
	loop_drop(w->again);
	loop_drop(w->settled);
	loop_drop(w->mounts_changed);
	loop_drop(w->mounts_due);
	loop_drop(w->homes_due);
	dropins_close(&w->dropins);
	hostfiles_close(&w->hostfiles);
	homes_close(&w->homes);
	mounts_close(&w->mounts);
	settle_clear(&w->files);
	settle_clear(&w->host);
	inotify_close();
	free(w);
}

int watchers_home(struct watchers *w, const char *name, struct err *e)
{
	return homes_watch(&w->homes, name, e);
}

void watchers_forget(struct watchers *w, const char *name)
{
	homes_forget(&w->homes, name);
}

void watchers_own_mounts(struct watchers *w, const char *name)
{
	struct home *home = name ? table_get(&w->homes.homes, name) : NULL;

	if (home)
		home->mounts_known = false;
	mounts_seen(&w->mounts);
}
