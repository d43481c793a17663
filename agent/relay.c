/* Carrying between two terminals: see relay.h. */
#include "agent/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/base/own.h"

#define DRAIN_MAX  (1u << 20) /* of what a command that has ended may have left in it */
#define LOOK_MSEC  1000 /* a shell brings to the front without a word what it has not stopped */
#define FIRST_FREE (STDERR_FILENO + 1)

static int first_terminal(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (isatty(fd))
			return fd;
	return -1;
}

bool relay_is_in_front(const struct relay *r)
{
	pid_t front = tcgetpgrp(r->terminal);

	return front < 0 || front == getpgrp();
}

static void copy_size(const struct relay *r)
{
	struct winsize size;

	if (ioctl(r->terminal, TIOCGWINSZ, &size) == 0)
		(void)ioctl(r->master, TIOCSWINSZ, &size);
}

/* Lines are ended by one of the two: the command's where it may be made for a whole screen. */
static void set_line_ends(const struct relay *r)
{
	struct termios t = r->before;

	if (!r->ends_lines)
		t.c_oflag &= (tcflag_t)~OPOST;
	(void)tcsetattr(r->master, TCSANOW, &t);
}

static int open_pair(struct relay *r, int *ret_slave, struct err *e)
{
	int slave;

	r->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (r->master < 0 || grantpt(r->master) < 0 || unlockpt(r->master) < 0)
		return err_sys(e, "make a terminal for the command");
	slave = ioctl(r->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || fcntl(r->master, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(e, "open the command's terminal");
	copy_size(r);
	set_line_ends(r);
	*ret_slave = slave;
	return 0;
}

int relay_open(struct relay *r, int ret_files[3], struct err *e)
{
	autofd int slave = -1;
	int result = 0;

	*r = (struct relay){ .terminal = first_terminal(), .master = -1 };
	if (r->terminal >= 0 && tcgetattr(r->terminal, &r->before) < 0)
		return err_sys(e, "read the terminal's settings");
	r->attached = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && relay_is_in_front(r);
	r->ends_lines = r->attached;
	if (r->terminal >= 0)
		result = open_pair(r, &slave, e);
	if (result < 0)
		return result;
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		ret_files[fd] = fcntl(isatty(fd) ? slave : fd, F_DUPFD_CLOEXEC, FIRST_FREE);
	return 0;
}

void relay_restore(struct relay *r)
{
	if (r->is_raw && relay_is_in_front(r))
		(void)tcsetattr(r->terminal, TCSADRAIN, &r->before);
	r->is_raw = false;
}

void relay_close(struct relay *r)
{
	relay_restore(r);
	if (r->master >= 0)
		close(r->master);
	r->master = -1;
}

void relay_adjust(struct relay *r)
{
	struct termios raw = r->before;

	if (r->terminal < 0)
		return;
	copy_size(r);
	if (!r->attached || r->is_raw || !relay_is_in_front(r))
		return;
	cfmakeraw(&raw);
	if (!r->ends_lines)
		raw.c_oflag = r->before.c_oflag;
	r->is_raw = tcsetattr(r->terminal, TCSADRAIN, &raw) == 0;
}

void relay_attach(struct relay *r)
{
	if (r->terminal < 0)
		return;
	r->attached = true;
	relay_adjust(r);
}

/* Who does not read what we show makes us wait, as it would the command. */
static void show(struct relay *r, const char *text, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(r->terminal, text, len);
		if (n < 0 && errno == EAGAIN) {
			(void)poll(&(struct pollfd){ .fd = r->terminal, .events = POLLOUT }, 1, -1);
			continue;
		}
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
}

/* False: there is nothing now, or never again. */
static bool carry_out(struct relay *r)
{
	char text[8192];
	ssize_t n = read(r->master, text, sizeof(text));

	if (n > 0)
		show(r, text, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void carry_in(struct relay *r)
{
	ssize_t n;

	if (r->typed_len == 0) {
		n = read(r->terminal, r->typed, sizeof(r->typed));
		if (n > 0)
			r->typed_len = (size_t)n;
		else if (n == 0 || (errno != EINTR && errno != EAGAIN))
			r->attached = false; /* it has hung up */
	}
	n = write(r->master, r->typed, r->typed_len);
	if (n > 0) {
		r->typed_len -= (size_t)n;
		memmove(r->typed, r->typed + n, r->typed_len);
	}
}

void relay_carry(struct relay *r, int wakes)
{
	bool is_over = r->master < 0;

	for (;;) {
		bool waits = r->attached && !relay_is_in_front(r);
		bool typed = r->attached && !waits && r->typed_len == 0;
		struct pollfd fds[] = {
			{ .fd = wakes, .events = POLLIN },
			{ .fd = is_over ? -1 : r->master,
			  .events = POLLIN | (r->typed_len > 0 ? POLLOUT : 0) },
			{ .fd = typed ? r->terminal : -1, .events = POLLIN },
		};

		if (poll(fds, ELEMENTS(fds), waits ? LOOK_MSEC : -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (fds[0].revents) /* first: a new size is the command's before what is typed after it */
			return;
		if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
			is_over = !carry_out(r) && (fds[1].revents & (POLLHUP | POLLERR));
		if (fds[2].revents || (fds[1].revents & POLLOUT))
			carry_in(r);
		if (waits)
			relay_adjust(r);
	}
}

void relay_drain(struct relay *r)
{
	for (size_t shown = 0; r->master >= 0 && shown < DRAIN_MAX && carry_out(r);)
		shown += 8192;
}
