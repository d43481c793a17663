/*
 * See command.h. Output is a memfd: a pipe would need reading meanwhile, and a
 * file would lie about after a crash.
 */
#include "reconcile/units/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/spawn.h"

#define OUTPUT_MAX 65536
#define KEPT_MAX   (64u << 20)

struct command {
	struct spawned child;
	int output;
	bool late, keep;
	struct loop_source *ended, *deadline;
	uint64_t seconds;
	command_ended_fn *fn;
	void *data;
};

static void command_kill(struct command *c)
{
	(void)syscall(SYS_pidfd_send_signal, c->child.pidfd, SIGKILL, NULL, 0);
}

static void command_free(struct command *c)
{
	loop_drop(c->ended);
	loop_drop(c->deadline);
	if (c->child.pidfd >= 0)
		close(c->child.pidfd);
	close(c->output);
	free(c);
}

void command_drop(struct command *c)
{
	if (!c)
		return;
	command_kill(c);
	(void)spawn_reap(&c->child);
	command_free(c);
}

/* Words by which daemons mark the line that matters. */
static const char *const marks[] = { "[emerg]", "[alert]", "[crit]", "ERROR:", "[error]" };

static bool is_marked(const char *line, size_t len)
{
	for (size_t i = 0; i < ELEMENTS(marks); i++)
		if (memmem(line, len, marks[i], strlen(marks[i])))
			return true;
	return false;
}

/* Behind spaces and nginx's "570#570: ". */
static const char *behind_process(const char *at, const char *end)
{
	const char *colon;

	while (at < end && *at == ' ')
		at++;
	colon = at;
	while (colon < end && ((*colon >= '0' && *colon <= '9') || *colon == '#'))
		colon++;
	if (colon > at && end - colon > 2 && memcmp(colon, ": ", 2) == 0)
		return colon + 2;
	return at;
}

/*
 * The complaint behind time, mark and process: they are other ones at each try, and the same
 * failure is to look the same. "2026/11/21 12:24:09 [emerg] 570#570: unknown …" → "unknown …"
 */
static const char *plain(const char *line, size_t *len)
{
	const char *end = line + *len;

	for (size_t i = 0; i < ELEMENTS(marks); i++) {
		const char *at = memmem(line, *len, marks[i], strlen(marks[i]));

		if (!at)
			continue;
		at += strlen(marks[i]);
		at = behind_process(at, end);
		if (at == end)
			return line;
		*len = (size_t)(end - at);
		return at;
	}
	return line;
}

void command_complaint(const char *output, char *ret, size_t size)
{
	const char *best = "";
	size_t best_len = 0;

	for (const char *line = output; *line;) {
		size_t len = strcspn(line, "\n");

		if (len > 0) {
			best = line;
			best_len = len;
		}
		if (is_marked(line, len))
			break;
		line += len + (line[len] == '\n');
	}
	best = plain(best, &best_len);
	snprintf(ret, size, "%.*s", (int)(best_len < size ? best_len : size - 1), best);
}

void command_keep_output(struct command *c)
{
	c->keep = true;
}

/* What it wrote, or the beginning of that, owned by the caller. */
static char *read_output(const struct command *c, bool whole)
{
	off_t len = whole ? lseek(c->output, 0, SEEK_END) : OUTPUT_MAX;
	size_t size = len < 0 ? 0 : len > KEPT_MAX ? KEPT_MAX : (size_t)len;
	char *text = memory_new(size + 1);

	if (pread(c->output, text, size, 0) < 0)
		text[0] = '\0';
	return text;
}

static void ended(int fd, uint32_t events, void *data)
{
	struct command *c = data;
	command_ended_fn *fn = c->fn;
	void *fn_data = c->data;
	char message[400];
	int status = spawn_reap(&c->child);
	int outcome = status < 0 ? status : !spawn_succeeded(status);
	bool whole = c->keep && outcome == 0 && !c->late;
	autofree char *output = read_output(c, whole);

	(void)fd;
	(void)events;
	command_complaint(output, message, sizeof(message));
	if (c->late) {
		outcome = -ETIMEDOUT;
		snprintf(message, sizeof(message), "it did not end within %llu s",
			 (unsigned long long)c->seconds);
	} else if (outcome != 0 && !message[0]) {
		snprintf(message, sizeof(message), "it failed (wait status 0x%x) without a word",
			 (unsigned)status);
	}
	command_free(c);
	fn(outcome, whole ? output : message, fn_data);
}

static void too_late(void *data)
{
	struct command *c = data;

	c->late = true;
	command_kill(c);
}

int command_start(struct loop *l, const char *const *argv, const char *const *env,
		  uint64_t deadline_usec, command_ended_fn *fn, void *data, struct command **ret,
		  struct err *e)
{
	autofd int output = memfd_create("command", MFD_CLOEXEC);
	struct spawned child;
	struct command *c;
	int r;

	if (output < 0)
		return err_sys(e, "memfd_create");
	r = spawn_start(&(struct spawn){ .argv = argv, .env = env, .out = output }, &child, e);
	if (r < 0)
		return r;

	c = memory_new(sizeof(*c));
	c->child = child;
	c->output = take_fd(output);
	c->fn = fn;
	c->data = data;
	c->seconds = deadline_usec / USEC_PER_SEC;
	c->ended = loop_fd(l, child.pidfd, EPOLLIN, ended, c);
	c->deadline = loop_timer(l, clock_usec() + deadline_usec, too_late, c);
	*ret = c;
	return 0;
}
