/*
 * The only file that knows libinotifytools. The library (3.22) does not hand
 * out its descriptor, opens it blocking and open across exec, and fails when a
 * watch is gone already. It calls the C library's inotify functions through its
 * PLT though, so the definitions here are the ones it finds: they keep the
 * descriptor, make it non-blocking, and forgive. Others in the process (sd-event
 * has an inotify of its own) pass through untouched.
 *
 * Rejected: its recursive watches, which follow links and which one user's deep
 * tree breaks for all; its path tables, which know nothing of renames.
 */
#include "watchers/inotify.h"

#include <errno.h>
#include <inotifytools/inotify.h>
#include <inotifytools/inotifytools.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/memory.h"

/* Bounds one wake-up, so that a storm does not keep the loop from its timers. */
#define DRAIN_MAX 2048

static int ours = -1;  /* the library's descriptor, while it is open */
static bool opening;   /* the next inotify_init is the library's */
static int added = -1; /* the last watch descriptor it was given */

struct shared {
	int wd;
	unsigned uses;
};
static struct shared *shares;
static size_t n_shares;

int inotify_init(void)
{
	int fd = (int)syscall(SYS_inotify_init1, opening ? IN_NONBLOCK | IN_CLOEXEC : 0);

	if (!opening || fd < 0)
		return fd;
	if (fd >= FD_SETSIZE) { /* the library selects on it, and would end the process */
		close(fd);
		errno = EMFILE;
		return -1;
	}
	ours = fd;
	return fd;
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	/* Never the same directory twice: the library would lose track (and memory). */
	if (fd == ours)
		mask |= IN_MASK_CREATE;

	int wd = (int)syscall(SYS_inotify_add_watch, fd, path, mask);

	if (fd == ours)
		added = wd;
	return wd;
}

int inotify_rm_watch(int fd, int wd)
{
	int r = (int)syscall(SYS_inotify_rm_watch, fd, wd);

	/* The directory went, and the watch with it. */
	if (r < 0 && errno == EINVAL && fd == ours)
		return 0;
	return r;
}

int inotify_open(struct err *e)
{
	if (ours >= 0)
		return err_set(e, EBUSY, "inotify is open already");

	opening = true;
	int ok = inotifytools_initialize();
	opening = false;

	if (!ok) {
		errno = inotifytools_error();
		return err_sys(e, "inotify_init");
	}
	if (ours < 0)
		return err_set(e, ENOTSUP,
			       "libinotifytools does not call this program's functions");
	return ours;
}

void inotify_close(void)
{
	if (ours < 0)
		return;
	inotifytools_cleanup();
	ours = -1;
	free(shares);
	shares = NULL;
	n_shares = 0;
}

/* Whether old watches the directory that is at path now. If not, it is ended: the library must not know a path twice. */
static bool watches_still(const char *path, uint32_t mask, int old)
{
	int wd = (int)syscall(SYS_inotify_add_watch, ours, path, mask | IN_MASK_ADD);

	if (wd == old)
		return true;
	if (wd >= 0)
		(void)syscall(SYS_inotify_rm_watch, ours, wd);
	inotify_forget(old);
	return false;
}

int inotify_watch(const char *path, uint32_t mask, int old, struct err *e)
{
	mask |= IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK;
	if (old >= 0 && watches_still(path, mask, old))
		return old;

	if (inotifytools_watch_file(path, (int)mask))
		return added;

	int code = inotifytools_error();

	if (code == EEXIST) {
		int wd = (int)syscall(SYS_inotify_add_watch, ours, path, mask | IN_MASK_ADD);

		if (wd >= 0)
			return wd;
		code = errno;
	}
	errno = code > 0 ? code : EIO;
	return err_sys(e, "watch %s", path);
}

void inotify_forget(int wd)
{
	if (ours >= 0 && wd >= 0)
		inotifytools_remove_watch_by_wd(wd);
}

static struct shared *find_shared(int wd)
{
	for (size_t i = 0; i < n_shares; i++)
		if (shares[i].wd == wd)
			return &shares[i];
	return NULL;
}

int inotify_share(const char *path, uint32_t mask, struct err *e)
{
	int wd = inotify_watch(path, mask, -1, e);
	struct shared *s = wd < 0 ? NULL : find_shared(wd);

	if (s) {
		s->uses++;
	} else if (wd >= 0) {
		shares = memory_resize(shares, n_shares + 1, sizeof *shares);
		shares[n_shares++] = (struct shared){ .wd = wd, .uses = 1 };
	}
	return wd;
}

void inotify_unshare(int wd)
{
	struct shared *s = find_shared(wd);

	if (!s || --s->uses > 0)
		return;
	*s = shares[--n_shares];
	inotify_forget(wd);
}

bool inotify_drain(inotify_fn *fn, void *data)
{
	for (unsigned i = 0; i < DRAIN_MAX; i++) {
		/* More than one at a time makes it spin; each is its own buffer's, good until the next. */
		const struct inotify_event *event = inotifytools_next_events(0, 1);

		if (!event)
			return false;
		if (event->mask & IN_IGNORED)
			inotifytools_remove_watch_by_wd(event->wd);
		fn(event->mask & IN_Q_OVERFLOW ? -1 : event->wd, event->mask,
		   event->len ? event->name : "", data);
	}
	return true;
}
