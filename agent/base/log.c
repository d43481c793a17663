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
#include "agent/base/clock.h"
#include "agent/base/ids.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/shown.h"
#include "agent/base/tally.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define MESSAGE_MAX    2048
#define SUM_SHOWN      10 /* names in the text of a sum; its fields have all */

static bool to_journal;
static bool with_debug;
static struct tally tally;
static void (*on_counted)(void *data);
static void *on_counted_data;

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

/* The fields of an entry: one text, and where each ends. */
struct fields {
	struct buf text;
	size_t *ends;
	size_t count, room;
};

static void field_add(struct fields *f, const char *name, const char *value)
{
	if (!value)
		return;
	if (f->count == f->room) {
		f->room = f->room ? 2 * f->room : 16;
		f->ends = memory_resize(f->ends, f->room, sizeof(*f->ends));
	}
	buf_adds(&f->text, name);
	shown_add(&f->text, value);
	f->ends[f->count++] = f->text.len;
}

static void fields_send(const struct fields *f)
{
	autofree struct iovec *iov = memory_new(f->count * sizeof(*iov));
	size_t at = 0;

	for (size_t i = 0; i < f->count; at = f->ends[i++])
		iov[i] = (struct iovec){ f->text.data + at, f->ends[i] - at };
	(void)sd_journal_sendv(iov, (int)f->count);
}

static void send_to_journal(const struct log_entry *entry, const char *message)
{
	const char *level = (const char[2]){ (char)('0' + (entry->level & 7)), '\0' };
	struct fields f = { 0 };
	struct table_entry *it;

	field_add(&f, "MESSAGE=", message);
	field_add(&f, "PRIORITY=", level);
	field_add(&f, "SYSLOG_IDENTIFIER=", "webspaces");
	field_add(&f, "MESSAGE_ID=", entry->id);
	field_add(&f, "WEBSPACE=", entry->webspace);
	field_add(&f, "RESOURCE=", entry->resource);
	field_add(&f, "CHANGE=", entry->change);
	field_add(&f, "OLD=", entry->old_value);
	field_add(&f, "NEW=", entry->new_value);
	field_add(&f, "REVISION=", entry->revision);
	field_add(&f, "UNIT=", entry->unit);
	if (entry->webspaces)
		table_each (entry->webspaces, it)
			field_add(&f, "WEBSPACE=", it->key);
	fields_send(&f);
	buf_clear(&f.text);
	free(f.ends);
}

/* In one write(2), so that lines of several processes do not mix. */
static void send_to_stderr(const struct log_entry *entry, const char *message)
{
	autobuf struct buf line = { 0 }, name = { 0 };
	ssize_t written;

	shown_add(&name, entry->webspace ? entry->webspace : "");
	buf_adds(&line, "webspaces: ");
	if (name.len > 0 &&
	    !(strncmp(message, name.data, name.len) == 0 && message[name.len] == ':'))
		buf_printf(&line, "%s: ", name.data);
	buf_adds(&line, message);
	buf_addc(&line, '\n');
	written = write(STDERR_FILENO, line.data, line.len);
	(void)written; /* whom should we tell? */
}

static void tell(const struct log_entry *entry, const char *message)
{
	if (to_journal)
		send_to_journal(entry, message);
	else
		send_to_stderr(entry, message);
}

/* "directory 900, mount 100" */
static void list_resources(const struct table *resources, struct buf *b)
{
	const struct table_entry *it;
	const char *before = ": ";

	table_each (resources, it) {
		buf_printf(b, "%s%s %zu", before, it->key, *(const size_t *)it->value);
		before = ", ";
	}
}

static void list_webspaces(const struct table *webspaces, struct buf *b)
{
	if (webspaces->count == 0)
		return;
	buf_adds(b, "; of ");
	if (table_list(webspaces, SUM_SHOWN, b) > 0)
		buf_adds(b, " webspaces");
}

static void tell_sum(const struct tally_sum *sum, void *data)
{
	const struct log_entry entry = { .level = sum->level,
					 .id = ID_SUMMED,
					 .change = sum->change,
					 .webspaces = sum->webspaces };
	autobuf struct buf text = { 0 };

	(void)data;
	buf_printf(&text, "%zu more like this are not logged one by one", sum->count);
	list_resources(sum->resources, &text);
	list_webspaces(sum->webspaces, &text);
	buf_printf(&text, "; the first: %s", sum->like);
	tell(&entry, buf_text(&text));
}

void log_sum(void)
{
	tally_sum(&tally, tell_sum, NULL);
}

void log_close(void)
{
	log_sum();
	tally_clear(&tally);
	on_counted = NULL;
}

void log_on_counted(void (*fn)(void *data), void *data)
{
	on_counted = fn;
	on_counted_data = data;
}

static unsigned long n_entries;

unsigned long log_count(void)
{
	return n_entries;
}

/*
 * What has no MESSAGE_ID is alike if it has the same format. Who reads everything on a screen
 * (--debug) gets everything.
 */
static bool is_admitted(const struct log_entry *entry, const char *format, const char *message)
{
	char kind[128];
	bool first = tally.counted == 0;

	if (with_debug && !to_journal)
		return true;
	snprintf(kind, sizeof(kind), "%.60s %.60s", entry->id ? entry->id : format,
		 entry->change ? entry->change : "");
	if (tally_admits(&tally,
			 &(struct tally_entry){ .level = entry->level,
						.kind = kind,
						.change = entry->change,
						.webspace = entry->webspace,
						.resource = entry->resource,
						.message = message },
			 clock_usec()))
		return true;
	if (tally_is_full(&tally, kind))
		log_sum();
	else if (first && on_counted)
		on_counted(on_counted_data);
	return false;
}

void log_entry(const struct log_entry *entry, const char *format, ...)
{
	autobuf struct buf shown = { 0 };
	char message[MESSAGE_MAX];
	int saved = errno;
	va_list ap;

	if (entry->level >= LOG_DEBUG && !with_debug)
		return;
	n_entries++;
	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	shown_add(&shown, message);
	if (is_admitted(entry, format, buf_text(&shown)))
		tell(entry, buf_text(&shown));
	errno = saved;
}
