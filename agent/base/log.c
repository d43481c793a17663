/*
 * Where the log goes: straight to the journal when that is where our stderr
 * goes too, so that fields are kept; else as plain lines to stderr, where a
 * terminal, a container or a test reads them.
 *
 * sd_journal_sendv(3) says 0 also where no journal listens, so its socket is
 * looked for first. And a program started by hand on a host with systemd has a
 * journal, but somebody before the screen: JOURNAL_STREAM, set by systemd, names
 * the stream that is the journal's, and only if stderr is that one nobody else
 * would read it.
 */
#include "agent/base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "agent/base/buf.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define FIELDS_MAX     12
#define MESSAGE_MAX    2048

static bool to_journal;
static bool with_debug;

static bool stderr_is_the_journals(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
}

void log_open(bool debug)
{
	with_debug = debug;
	to_journal = stderr_is_the_journals() && access(JOURNAL_SOCKET, F_OK) == 0;
}

static void send_to_journal(const struct log_entry *entry, const char *message)
{
	const char *level = (const char[2]){ (char)('0' + (entry->level & 7)), '\0' };
	const struct {
		const char *name, *value;
	} fields[] = {
		{ "MESSAGE=", message },
		{ "PRIORITY=", level },
		{ "SYSLOG_IDENTIFIER=", "webspaces" },
		{ "MESSAGE_ID=", entry->id },
		{ "WEBSPACE=", entry->webspace },
		{ "RESOURCE=", entry->resource },
		{ "CHANGE=", entry->change },
		{ "OLD=", entry->old_value },
		{ "NEW=", entry->new_value },
		{ "REVISION=", entry->revision },
		{ "UNIT=", entry->unit },
	};
	autobuf struct buf text = { 0 };
	struct iovec iov[FIELDS_MAX];
	size_t ends[FIELDS_MAX], at = 0;
	int n = 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!fields[i].value)
			continue;
		buf_adds(&text, fields[i].name);
		buf_adds(&text, fields[i].value);
		ends[n++] = text.len;
	}
	for (int i = 0; i < n; at = ends[i++])
		iov[i] = (struct iovec){ .iov_base = text.data + at, .iov_len = ends[i] - at };
	(void)sd_journal_sendv(iov, n);
}

/* In one write(2), so that lines of several processes do not mix. A line break within would forge a second line. */
static void send_to_stderr(const struct log_entry *entry, const char *message)
{
	autobuf struct buf line = { 0 };
	const char *name = entry->webspace;
	ssize_t written;

	buf_adds(&line, "webspaces: ");
	if (name && !(strncmp(message, name, strlen(name)) == 0 && message[strlen(name)] == ':'))
		buf_printf(&line, "%s: ", name);
	buf_adds(&line, message);
	for (size_t i = 0; i < line.len; i++)
		if (iscntrl((unsigned char)line.data[i]))
			line.data[i] = ' ';
	buf_addc(&line, '\n');
	written = write(STDERR_FILENO, line.data, line.len);
	(void)written; /* whom should we tell? */
}

void log_entry(const struct log_entry *entry, const char *format, ...)
{
	char message[MESSAGE_MAX];
	int saved = errno;
	va_list ap;

	if (entry->level >= LOG_DEBUG && !with_debug)
		return;
	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	if (to_journal)
		send_to_journal(entry, message);
	else
		send_to_stderr(entry, message);
	errno = saved;
}
