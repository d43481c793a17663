/*
 * Widths are those of the C library for UTF-8, whatever the locale of whoever
 * asks is: that one may be "C", and the terminal shows UTF-8 all the same.
 */
#include "agent/display.h"

#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "agent/base/buf.h"
#include "agent/base/shown.h"

static const char *const codes[] = {
	[HUE_PLAIN] = "",        [HUE_GOOD] = "\033[32m", [HUE_BAD] = "\033[31m",
	[HUE_WARN] = "\033[33m", [HUE_DIM] = "\033[2m",   [HUE_STRONG] = "\033[1m",
};
#define CODE_END "\033[0m"

void display_open(struct display *d, FILE *to)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	*d = (struct display){ .to = to };
	if (!isatty(fileno(to)))
		return;
	d->width = 80;
	if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
		d->width = size.ws_col;
	d->colours = !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

/* Columns -------------------------------------------------------------- */

static locale_t utf8(void)
{
	static locale_t locale;

	if (!locale)
		locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return locale;
}

/* The next character: its bytes, and how many columns it takes; -1: it is not to be shown. */
static size_t next_character(const char *text, int *ret_columns)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t n = mbrtowc(&c, text, strlen(text), &state);

	if (n == (size_t)-1 || n == (size_t)-2) {
		*ret_columns = -1;
		return 1;
	}
	*ret_columns = wcwidth(c);
	return n;
}

/* Goes over whole characters of the first `room` bytes while they fit; *ret_columns: how many they take. */
static size_t measure(const char *text, size_t room, size_t columns, size_t *ret_columns)
{
	locale_t before = utf8() ? uselocale(utf8()) : (locale_t)0;
	size_t len = 0, used = 0;

	while (len < room && text[len]) {
		int wide;
		size_t n = next_character(text + len, &wide);
		size_t needs = wide < 0 ? 1 : (size_t)wide;

		if (used + needs > columns)
			break;
		used += needs;
		len += n;
	}
	if (before)
		(void)uselocale(before);
	*ret_columns = used;
	return len;
}

size_t display_columns(const char *text)
{
	autobuf struct buf shown = { 0 };
	size_t columns;

	shown_add(&shown, text);
	(void)measure(buf_text(&shown), SIZE_MAX, SIZE_MAX, &columns);
	return columns;
}

/* Of what may be shown: how much of it fits. */
static size_t fitting(const char *text, size_t columns)
{
	size_t used;

	return measure(text, SIZE_MAX, columns, &used);
}

/* Writing ---------------------------------------------------------------- */

/* A part of what may be shown. */
static void put(struct display *d, enum hue hue, const char *text, size_t len)
{
	bool coloured = d->colours && hue != HUE_PLAIN && len > 0;
	size_t columns;

	fprintf(d->to, "%s%.*s%s", coloured ? codes[hue] : "", (int)len, text,
		coloured ? CODE_END : "");
	(void)measure(text, len, SIZE_MAX, &columns);
	d->at += columns;
}

void display_add(struct display *d, enum hue hue, const char *text)
{
	autobuf struct buf shown = { 0 };

	shown_add(&shown, text);
	put(d, hue, buf_text(&shown), shown.len);
}

void display_printf(struct display *d, enum hue hue, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	display_add(d, hue, text);
}

void display_to(struct display *d, size_t column)
{
	do {
		fputc(' ', d->to);
	} while (++d->at < column);
}

void display_line(struct display *d)
{
	fputc('\n', d->to);
	d->at = 0;
}

void display_cut(struct display *d, enum hue hue, const char *text)
{
	size_t room = d->width > d->at ? d->width - d->at : 1;
	autobuf struct buf shown = { 0 };

	shown_add(&shown, text);
	if (d->width == 0 || display_columns(text) <= room) {
		put(d, hue, buf_text(&shown), shown.len);
		return;
	}
	put(d, hue, buf_text(&shown), fitting(buf_text(&shown), room - 1));
	display_add(d, hue, "…");
}

/* How much of the text goes onto a line of that many columns: whole words, if they are not too long. */
static size_t line_of(const char *text, size_t columns)
{
	size_t len = fitting(text, columns), cut = len;

	if (!text[len])
		return len;
	while (cut > 0 && text[cut] != ' ')
		cut--;
	return cut > 0 ? cut : len > 0 ? len : 1;
}

void display_wrap(struct display *d, enum hue hue, size_t column, const char *text)
{
	autobuf struct buf shown = { 0 };

	shown_add(&shown, text);
	if (d->width == 0) {
		put(d, hue, buf_text(&shown), shown.len);
		return;
	}
	for (const char *at = buf_text(&shown); *at;) {
		size_t room = d->width > d->at + 20 ? d->width - d->at : 20,
		       len = line_of(at, room);

		put(d, hue, at, len);
		at += len;
		at += strspn(at, " ");
		if (!*at)
			return;
		display_line(d);
		if (column > 0)
			display_to(d, column);
	}
}

/* Time --------------------------------------------------------------------- */

const char *display_age(time_t since, time_t now, char ret[static 24])
{
	long long s = now > since ? (long long)(now - since) : 0;

	if (s < 120)
		snprintf(ret, 24, "%lld s", s);
	else if (s < 120 * 60)
		snprintf(ret, 24, "%lld min", s / 60);
	else if (s < 48 * 3600)
		snprintf(ret, 24, "%lld h", s / 3600);
	else
		snprintf(ret, 24, "%lld days", s / 86400);
	return ret;
}
