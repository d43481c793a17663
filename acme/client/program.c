/*
 * Output goes to a memfd, so nobody has to read along and nothing can fill up
 * but memory that is ours to free. Whatever the program left behind in its
 * session is killed with it.
 */
#include "acme/client/program.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/spawn.h"

#define OUTPUT_MAX 65536

struct program {
	char *path;
	struct spawned child;
	int output;
	struct loop_source *ended, *late;
	struct err problem; /* it did not even start, or was late */
	program_fn *fn;
	void *data;
};

void program_drop(struct program *p)
{
	if (!p)
		return;
	loop_drop(p->ended);
	loop_drop(p->late);
	if (p->child.pid > 0) {
		kill(-p->child.pid, SIGKILL);
		(void)spawn_reap_killed(&p->child);
		close(p->child.pidfd);
	}
	if (p->output >= 0)
		close(p->output);
	free(p->path);
	free(p);
}

static void read_output(const struct program *p, struct buf *ret)
{
	off_t size = lseek(p->output, 0, SEEK_END);
	off_t at = size > OUTPUT_MAX ? size - OUTPUT_MAX : 0;
	char chunk[4096];
	ssize_t n;

	while (ret->len < OUTPUT_MAX && (n = pread(p->output, chunk, sizeof chunk, at)) > 0) {
		buf_add(ret, chunk, (size_t)n);
		at += n;
	}
	explicit_bzero(chunk, sizeof chunk);
}

/* status: how it ended, unless there is a problem already. */
static void finish(struct program *p, int status)
{
	struct buf output = { 0 };
	struct err e = p->problem;
	program_fn *fn = p->fn;
	void *data = p->data;

	read_output(p, &output);
	if (e.code == 0)
		(void)spawn_judge(p->path, status, buf_text(&output), output.len, &e);
	program_drop(p);
	fn(e.code ? e.text : NULL, &output, data);
	if (output.data)
		explicit_bzero(output.data, output.len);
	buf_clear(&output);
}

static void on_end(int fd, uint32_t events, void *data)
{
	struct program *p = data;
	int status = spawn_reap(&p->child);

	(void)fd;
	(void)events;
	if (status == -EAGAIN)
		return;
	kill(-p->child.pid, SIGKILL);
	close(p->child.pidfd);
	p->child.pid = 0;
	finish(p, status);
}

static void on_late(void *data)
{
	struct program *p = data;

	if (p->problem.code == 0)
		(void)err_set(&p->problem, ETIMEDOUT, "%s: not done in time, killed", p->path);
	finish(p, 0);
}

struct program *program_start(struct loop *l, const char *const *argv, const char *const *env,
			      unsigned timeout_s, program_fn *fn, void *data)
{
	struct program *p = memory_new(sizeof *p);
	uint64_t late = clock_usec() + timeout_s * USEC_PER_SEC;

	p->path = memory_dup(argv[0]);
	p->fn = fn;
	p->data = data;
	p->output = memfd_create("output", MFD_CLOEXEC);
	if (p->output < 0)
		(void)err_sys(&p->problem, "%s: keep its output", p->path);
	else
		(void)spawn_start(
			&(struct spawn){
				.argv = argv, .env = env, .out = p->output, .new_session = true },
			&p->child, &p->problem);
	if (p->problem.code == 0)
		p->ended = loop_fd(l, p->child.pidfd, EPOLLIN, on_end, p);
	else
		late = clock_usec();
	p->late = loop_timer(l, late, on_late, p);
	return p;
}
