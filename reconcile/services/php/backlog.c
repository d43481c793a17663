/*
 * NETLINK_SOCK_DIAG for AF_UNIX: one dump of the sockets in state LISTEN with
 * name and queue (for a listening socket, udiag_rqueue is the number of
 * connections nobody has accepted yet). The kernel makes the answer while it is
 * read, so a read a turn of the loop is a slice of the work: ten thousand
 * sockets are some forty reads.
 *
 * Rejected: asking for each socket by inode: one call each, the inode of another
 * process' socket must first be found, and the kernel walks all sockets for each.
 */
#include "reconcile/services/php/backlog.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/memory.h"
#include "agent/base/own.h"

#define SLICE_BYTES 32768

struct backlog {
	struct loop_source *source;
	int fd;
	struct backlog_fns fns;
	void *data;
};

void backlog_forget(struct backlog *b)
{
	if (!b)
		return;
	loop_drop(b->source);
	close(b->fd);
	free(b);
}

static void end(struct backlog *b, bool complete)
{
	void (*done)(bool, void *) = b->fns.done;
	void *data = b->data;

	backlog_forget(b);
	done(complete, data);
}

static void tell(struct backlog *b, const struct nlmsghdr *h)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1] = "";
	unsigned waiting = 0;
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

	for (const struct rtattr *a = (const void *)(m + 1); RTA_OK(a, left);
	     a = RTA_NEXT(a, left)) {
		size_t len = RTA_PAYLOAD(a);

		if (a->rta_type == UNIX_DIAG_NAME && len < sizeof(name))
			memcpy(name, RTA_DATA(a), len);
		if (a->rta_type == UNIX_DIAG_RQLEN && len >= sizeof(struct unix_diag_rqlen))
			waiting = ((const struct unix_diag_rqlen *)RTA_DATA(a))->udiag_rqueue;
	}
	if (waiting && name[0] == '/')
		b->fns.waiting(name, waiting, b->data);
}

/* 1: the answer ends here, 0: more is to come, < 0: none is to be had. */
static int take_slice(struct backlog *b)
{
	_Alignas(struct nlmsghdr) char slice[SLICE_BYTES];
	ssize_t n = recv(b->fd, slice, sizeof(slice), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if ((size_t)n > sizeof(slice))
		return -EMSGSIZE;
	for (struct nlmsghdr *h = (void *)slice; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -EIO;
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			tell(b, h);
	}
	return 0;
}

static void readable(int fd, uint32_t events, void *data)
{
	struct backlog *b = data;
	int r = take_slice(b);

	(void)fd;
	(void)events;
	if (r != 0)
		end(b, r > 0);
}

static int send_question(int fd, struct err *e)
{
	const struct {
		struct nlmsghdr h;
		struct unix_diag_req question;
	} m = {
		.h = { .nlmsg_len = sizeof(m),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.question = { .sdiag_family = AF_UNIX,
			      .udiag_states = 1U << TCP_LISTEN,
			      .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN },
	};

	if (send(fd, &m, sizeof(m), 0) < 0)
		return err_sys(e, "ask for the queues of unix sockets");
	return 0;
}

int backlog_ask(struct loop *loop, const struct backlog_fns *fns, void *data, struct backlog **ret,
		struct err *e)
{
	autofd int fd =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	struct backlog *b;
	int r;

	if (fd < 0)
		return err_sys(e, "open sock_diag");
	r = send_question(fd, e);
	if (r < 0)
		return r;
	b = memory_new(sizeof(*b));
	*b = (struct backlog){ .fns = *fns, .data = data };
	b->source = loop_fd(loop, fd, EPOLLIN, readable, b);
	b->fd = take_fd(fd);
	*ret = b;
	return 0;
}
