/*
 * What a file system says of its room leaves out quotas and reserves, so a file
 * without a name is given as much as the largest of ours would need; it is gone
 * as soon as it is closed, also if we die. Where that cannot be done (some
 * network file systems) what is said has to do.
 */
#include "acme/store/room.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/own.h"

#define ROOM_BYTES  (1u << 20)
#define ROOM_INODES 16
#define FILE_BYTES  65536

static int try_it(int dir)
{
	autofd int fd = openat(dir, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EOPNOTSUPP || errno == EISDIR ? 0 : -errno;
	if (fallocate(fd, 0, 0, FILE_BYTES) < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	return 0;
}

int room_check(int dir, struct err *e)
{
	struct statvfs room;
	int r = 0;

	if (fstatvfs(dir, &room) < 0)
		r = -errno;
	else if (room.f_bavail * room.f_frsize < ROOM_BYTES ||
		 (room.f_files && room.f_favail < ROOM_INODES))
		r = -ENOSPC;
	if (r == 0)
		r = try_it(dir);
	if (r < 0) {
		errno = -r;
		return err_sys(e, "no room on the disk for a certificate");
	}
	return 0;
}
