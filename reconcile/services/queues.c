/*
 * pidfd_getfd(2) of everything the process has open. What is not a listening
 * socket is sorted out by poll(2) itself, since asking each would double the
 * calls: files are always writable, a listening socket never is. It is readable
 * exactly as long as its accept queue is not empty, and it is the length of this
 * same queue that sock_diag tells.
 *
 * Rejected: sock_diag by inode; for each question the kernel walks through all
 * unix sockets of the host until it finds the one.
 */
#include "reconcile/services/queues.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"

struct queues {
	struct pollfd *fds;
	size_t n, room;
};

static bool listens(int fd)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

static bool listens_below(int fd, const char *dir)
{
	/* One byte more than the kernel fills: there is always a NUL. */
	struct {
		struct sockaddr_un un;
		char nul;
	} at = { 0 };
	socklen_t len = sizeof(at.un);
	size_t n = strlen(dir);

	return listens(fd) && getsockname(fd, (struct sockaddr *)&at.un, &len) == 0 &&
	       at.un.sun_family == AF_UNIX && strncmp(at.un.sun_path, dir, n) == 0 &&
	       at.un.sun_path[n] == '/';
}

static int take(struct queues *q, int pidfd, int number)
{
	int fd = pidfd_getfd(pidfd, number, 0);

	/* Closed since it was listed. */
	if (fd < 0)
		return errno == EBADF ? 0 : -errno;
	if (q->n == q->room)
		q->fds = memory_resize(q->fds, q->room = 2 * q->room + 64, sizeof(*q->fds));
	q->fds[q->n++] = (struct pollfd){ .fd = fd, .events = POLLIN | POLLOUT };
	return 0;
}

static int take_all(struct queues *q, pid_t pid, size_t max)
{
	autofd int pidfd = pidfd_open(pid, 0);
	autodir DIR *dir = NULL;
	const struct dirent *it;
	char path[32];
	int r = 0;

	if (pidfd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (r == 0 && (it = readdir(dir))) {
		if (it->d_name[0] == '.')
			continue;
		r = q->n == max ? -EMFILE : take(q, pidfd, (int)strtol(it->d_name, NULL, 10));
	}
	return r;
}

static bool is_of(const struct queues *q, const char *dir)
{
	/* Its logs come first. */
	for (size_t i = q->n; i > 0; i--)
		if (listens_below(q->fds[i - 1].fd, dir))
			return true;
	return false;
}

int queues_borrow(pid_t pid, const char *dir, size_t max, struct queues **ret, struct err *e)
{
	struct queues *q = memory_new(sizeof(*q));
	int r = take_all(q, pid, max);

	if (r == 0 && !is_of(q, dir))
		r = -ESRCH;
	if (r < 0) {
		queues_return(q);
		return err_set(e, -r, "borrow the sockets of process %d: %s", (int)pid,
			       strerror(-r));
	}
	*ret = q;
	return 0;
}

bool queues_waiting(const struct queues *q)
{
	int n = poll(q->fds, q->n, 0);

	if (n < 0)
		return true;
	for (size_t i = 0; i < q->n; i++)
		if ((q->fds[i].revents & (POLLIN | POLLOUT)) == POLLIN && listens(q->fds[i].fd))
			return true;
	return false;
}

size_t queues_count(const struct queues *q)
{
	return q ? q->n : 0;
}

void queues_return(struct queues *q)
{
	if (!q)
		return;
	/* They were the lowest free ones: mostly in a row. */
	for (size_t i = 0, first = 0; i < q->n; i++)
		if (i + 1 == q->n || q->fds[i + 1].fd != q->fds[i].fd + 1) {
			(void)close_range((unsigned)q->fds[first].fd, (unsigned)q->fds[i].fd, 0);
			first = i + 1;
		}
	free(q->fds);
	free(q);
}
