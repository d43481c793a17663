/*
 * No process is needed to make a namespace: the agent itself unshares, takes a
 * descriptor of where it is, goes back, gives the namespace its name, and enters
 * it again. The name is a bind of that descriptor, which the kernel allows only
 * on a mount that does not propagate: else the name would appear inside the
 * very namespace it keeps alive.
 *
 * For the same reason the name cannot be seen from a private copy of the host's
 * mounts (a unit with PrivateTmp=, say): whoever looks from there would make a
 * second namespace that nobody else finds. So the unit that makes it at boot
 * notes where it belongs.
 */
#include "reconcile/tree/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/path.h"
#include "agent/base/put.h"
#include "reconcile/tree/attach.h"

#define OWNER "host" /* in RUN_DIR/ns: in whose mount namespace the name is */

/* A process is in one mount namespace, so this is the process's, not a caller's. */
static int outside = -1;

int namespace_outside(void)
{
	return outside;
}

static bool is_mount_root(const char *path)
{
	struct statx sx;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx) == 0 &&
	       (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* -ENOENT: nothing there that is a mount namespace. */
static int named_open(const char *name)
{
	autofd int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC ||
	    ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNS)
		return -ENOENT;
	return take_fd(fd);
}

static int enter(int ns, struct err *e)
{
	if (setns(ns, CLONE_NEWNS) < 0)
		return err_sys(e, "setns");
	if (chdir("/") < 0)
		return err_sys(e, "chdir /");
	return 0;
}

/*
 * The home tree as a mount of its own that takes part in nothing: what is
 * mounted on the host over or below it later cannot slip under our mounts. And
 * nothing in it can be mapped as code, a file of a user's least of all: PHP's
 * libraries load what an environment variable names, and a master is shared.
 * In a new namespace that goes for the disks below it too; in one that is there
 * already binds are among them, so their flags are the mount type's affair.
 */
static int own_home(const char *home, bool is_new, struct err *e)
{
	autofd int fd = -1;
	int r = path_make_dirs(home, 0755, e);

	if (r < 0)
		return r;
	if (!is_mount_root(home) && mount(home, home, NULL, MS_BIND | MS_REC, NULL) < 0)
		return err_sys(e, "bind %s on itself", home);
	if (mount(NULL, home, NULL, MS_PRIVATE | MS_REC, NULL) < 0)
		return err_sys(e, "make %s private", home);
	fd = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? err_sys(e, "open") : attach_seal(fd, is_new, e);
	return r < 0 ? err_in(e, "make %s noexec", home) : 0;
}

/* RUN_DIR/ns as a private mount, and in it an empty file `mnt` for the name. */
static int prepare_name(const char *dir, const char *name, struct err *e)
{
	autofd int fd = -1;
	int r = path_make_dirs(dir, 0700, e);

	if (r < 0)
		return r;
	if (!is_mount_root(dir) && mount(dir, dir, NULL, MS_BIND, NULL) < 0)
		return err_sys(e, "bind %s on itself", dir);
	if (mount(NULL, dir, NULL, MS_PRIVATE, NULL) < 0)
		return err_sys(e, "make %s private", dir);
	while (is_mount_root(name))
		if (umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_sys(e, "umount %s", name);
	fd = open(name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(e, "make %s", name) : 0;
}

/* Leaves us where we were; a descriptor of a new namespace, all slave. */
static int unshare_and_return(struct err *e)
{
	autofd int before = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	autofd int made = -1;
	int r = 0;

	if (before < 0)
		return err_sys(e, "/proc/self/ns/mnt");
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, "unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		r = err_sys(e, "make / a slave");
	if (r == 0) {
		made = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		if (made < 0)
			r = err_sys(e, "/proc/self/ns/mnt");
	}
	if (enter(before, r < 0 ? NULL : e) < 0 && r == 0)
		r = -EIO;
	return r < 0 ? r : take_fd(made);
}

/*
 * A namespace can only be named in an older one, or the two could hold each
 * other for ever (EINVAL). The kernel tells by their numbers, which since 6.18
 * each processor takes from a batch of its own: a new one may look older.
 */
static int make_and_bind(const char *name, struct err *e)
{
	autofd int ns = unshare_and_return(e);

	if (ns < 0)
		return ns;
	if (mount(path_of_fd(ns).text, name, NULL, MS_BIND, NULL) < 0)
		return err_sys(e, "bind the namespace on %s", name);
	return take_fd(ns);
}

/* So it is made on one processor after the other until it looks new. */
static int make_on_any_cpu(const char *name, struct err *e)
{
	cpu_set_t allowed, one;
	int r = make_and_bind(name, e);

	if (r != -EINVAL || sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return r;
	for (size_t cpu = 0; r == -EINVAL && cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) == 0)
			r = make_and_bind(name, e);
	}
	(void)sched_setaffinity(0, sizeof(allowed), &allowed);
	return r;
}

static int make_named(const char *dir, const char *name, struct err *e)
{
	int r = prepare_name(dir, name, e);

	return r < 0 ? r : make_on_any_cpu(name, e);
}

/* Whose mounts this process sees: "mnt:[4026531841]". */
static int whose(char ret[static NAME_MAX], struct err *e)
{
	ssize_t n = readlink("/proc/self/ns/mnt", ret, NAME_MAX - 1);

	if (n < 0)
		return err_sys(e, "/proc/self/ns/mnt");
	ret[n] = '\0';
	return 0;
}

static int check_owner(const char *dir, struct err *e)
{
	autofd int fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	autofree char *owner = NULL;
	char own[NAME_MAX];
	size_t len;
	int r;

	if (fd < 0 || path_read(fd, OWNER, NAME_MAX, &owner, &len, NULL) < 0)
		return 0;
	r = whose(own, e);
	if (r < 0 || strcmp(owner, own) == 0)
		return r;
	return err_set(
		e, EXDEV,
		"%s/mnt is not to be seen from here, where the host's mounts are only a copy "
		"(in a unit with PrivateTmp=, ProtectSystem= or the like)",
		dir);
}

int namespace_enter(const struct host *host, bool create, bool *ret_in, struct err *e)
{
	autofree char *dir = memory_printf("%s/ns", host->run_dir);
	autofree char *name = memory_printf("%s/ns/mnt", host->run_dir);
	autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	autofd int ns = named_open(name);
	bool is_new = ns < 0;
	int r;

	*ret_in = false;
	if (is_new && !create)
		return 0;
	if (is_new && check_owner(dir, e) == 0)
		ns = make_named(dir, name, e);
	if (ns < 0)
		return err_in(e, "mount namespace");
	r = enter(ns, e);
	if (r == 0 && create)
		r = own_home(host->home_root, is_new, e);
	if (r < 0)
		return err_in(e, "mount namespace");
	if (outside >= 0)
		close(outside);
	outside = take_fd(root);
	*ret_in = true;
	return 0;
}

int namespace_require(const struct host *host, struct err *e)
{
	autofree char *dir = memory_printf("%s/ns", host->run_dir);
	bool in;
	int r = namespace_enter(host, false, &in, e);

	if (r < 0 || in)
		return r;
	r = check_owner(dir, e);
	return r < 0 ? err_in(e, "mount namespace")
		     : err_set(e, ENOENT,
			       "mount namespace: %s/mnt does not exist; webspaces-ns.service "
			       "makes it",
			       dir);
}

int namespace_make(const struct host *host, struct err *e)
{
	autofree char *dir = memory_printf("%s/ns", host->run_dir);
	autofd int fd = -1;
	char own[NAME_MAX];
	bool in;
	int r = whose(own, e);

	if (r == 0)
		r = namespace_enter(host, true, &in, e);
	if (r == 0)
		r = fd = path_open_dir(dir, e);
	if (r >= 0)
		r = put_file(fd, OWNER, 0600, own, strlen(own), PUT_BATCH, e);
	return r < 0 ? r : 0;
}

int namespace_drop(const struct host *host, struct err *e)
{
	autofree char *dir = memory_printf("%s/ns", host->run_dir);
	autofree char *name = memory_printf("%s/ns/mnt", host->run_dir);
	autofree char *owner = memory_printf("%s/ns/" OWNER, host->run_dir);

	while (is_mount_root(name))
		if (umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_sys(e, "umount %s", name);
	if (is_mount_root(dir) && umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return err_sys(e, "umount %s", dir);
	(void)unlink(owner);
	return 0;
}
