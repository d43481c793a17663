/*
 * A line "NAME LENGTH …" for each member, a length for each section, and then the
 * sections' text and a newline. It is read by us alone; that all lengths add up
 * to the file's is what makes a text one of ours.
 */
#include "reconcile/units/members.h"

#include <stdlib.h>
#include <string.h>

struct reader {
	char *at, *end;
	const char *name;
	size_t len[FRAGMENT_SECTIONS];
	char *text; /* of the sections */
};

/* Writes " 123" to at and returns where it ends. */
static char *put_length(char *at, size_t length)
{
	char digits[24];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + length % 10);
		length /= 10;
	} while (length > 0);
	*at++ = ' ';
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

/* All of them are written whenever one of ten thousand changes: printf would take 15 ms for it. */
static void write_member(const struct fragment *f, const char *name, struct buf *ret)
{
	char lengths[FRAGMENT_SECTIONS * 24], *at = lengths;
	size_t total = 0;

	for (size_t s = 0; s < FRAGMENT_SECTIONS; s++) {
		at = put_length(at, f->len[s]);
		total += f->len[s];
	}
	*at++ = '\n';
	buf_adds(ret, name);
	buf_add(ret, lengths, (size_t)(at - lengths));
	buf_add(ret, f->text, total);
	buf_addc(ret, '\n');
}

void members_write(const struct fragment *const *fragments, const char *const *names, size_t n,
		   struct buf *ret)
{
	for (size_t i = 0; i < n; i++)
		write_member(fragments[i], names[i], ret);
}

static bool read_length(char **at, size_t *ret)
{
	char *end;

	if (**at != ' ' || (*at)[1] < '0' || (*at)[1] > '9')
		return false;
	*ret = strtoul(*at + 1, &end, 10);
	*at = end;
	return true;
}

/* 1: the next member, 0: the end, -1: no text of ours. */
static int read_member(struct reader *r)
{
	char *newline = r->at == r->end ? NULL : memchr(r->at, '\n', (size_t)(r->end - r->at));
	char *at;

	if (r->at == r->end)
		return 0;
	if (!newline || memchr(r->at, '\0', (size_t)(newline - r->at)))
		return -1;
	r->name = r->at;
	at = r->at + strcspn(r->at, " \n");
	r->text = r->at = newline + 1;
	memset(r->len, 0, sizeof(r->len));
	/* An earlier version of this program may have had fewer. */
	for (size_t s = 0; s < FRAGMENT_SECTIONS && (s == 0 || at < newline); s++) {
		if (!read_length(&at, &r->len[s]) || r->len[s] >= (size_t)(r->end - r->at))
			return -1;
		r->at += r->len[s];
	}
	return at == newline && *r->at++ == '\n' ? 1 : -1;
}

static struct fragment *fragment_of(const struct reader *r)
{
	struct buf sections[FRAGMENT_SECTIONS] = { 0 };
	const char *at = r->text;

	for (size_t s = 0; s < FRAGMENT_SECTIONS; s++) {
		sections[s] = (struct buf){ .data = (char *)at, .len = r->len[s] };
		at += r->len[s];
	}
	return fragment_new(sections);
}

bool members_read(char *text, size_t len, members_fn *fn, void *data)
{
	struct reader look = { .at = text, .end = text + len }, r = look;
	int more;

	do {
		more = read_member(&look);
	} while (more > 0);
	if (more < 0)
		return false;
	while (read_member(&r) > 0) {
		((char *)r.name)[strcspn(r.name, " ")] = '\0';
		fn(r.name, fragment_of(&r), data);
	}
	return true;
}
