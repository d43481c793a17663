/* Which characters those are: see shown.h. */
#include "agent/base/shown.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/own.h"
#include "agent/base/utf8.h"

static const struct {
	uint32_t first, last;
} obeyed[] = {
	{ 0x0000, 0x001f },   /* C0 */
	{ 0x007f, 0x009f },   /* DEL, C1 */
	{ 0x00ad, 0x00ad },   /* soft hyphen */
	{ 0x034f, 0x034f },   /* joins, unseen */
	{ 0x061c, 0x061c },   /* direction */
	{ 0x115f, 0x1160 },   /* fillers */
	{ 0x17b4, 0x17b5 },   /* vowels that are not seen */
	{ 0x180b, 0x180f },   /* Mongolian selectors and separator */
	{ 0x200b, 0x200f },   /* of no width; direction */
	{ 0x2028, 0x202e },   /* line and paragraph; direction */
	{ 0x2060, 0x206f },   /* of no width; direction */
	{ 0x3164, 0x3164 },   /* filler */
	{ 0xfeff, 0xfeff },   /* byte order mark */
	{ 0xffa0, 0xffa0 },   /* filler */
	{ 0xfff0, 0xfffb },   /* annotations */
	{ 0x1d173, 0x1d17a }, /* of music, unseen */
	{ 0xe0000, 0xe0fff }, /* tags */
};

bool shown_as_bytes(uint32_t code)
{
	for (size_t i = 0; i < ELEMENTS(obeyed) && code >= obeyed[i].first; i++)
		if (code <= obeyed[i].last)
			return true;
	return false;
}

static void add(struct buf *b, const char *text, bool is_name)
{
	while (*text) {
		uint32_t code = 0;
		size_t len = utf8_sequence(text, &code), bytes = len > 0 ? len : 1;

		if (is_name && *text == '\\')
			buf_adds(b, "\\\\");
		else if (len > 0 && !shown_as_bytes(code))
			buf_add(b, text, len);
		else
			for (size_t i = 0; i < bytes; i++)
				buf_printf(b, "\\%03o", (unsigned char)text[i]);
		text += bytes;
	}
}

void shown_add(struct buf *b, const char *text)
{
	add(b, text, false);
}

void shown_add_name(struct buf *b, const char *name)
{
	add(b, name, true);
}

void shown_text(FILE *to, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n\t");

		shown_print(to, "%.*s", (int)len, text);
		text += len;
		if (*text)
			fputc(*text++, to);
	}
}

__attribute__((format(printf, 2, 0))) static void print(FILE *to, const char *format, va_list ap)
{
	autobuf struct buf shown = { 0 };
	autofree char *text = NULL;

	if (vasprintf(&text, format, ap) < 0)
		abort(); /* no memory, as in memory.h */
	shown_add(&shown, text);
	fputs(buf_text(&shown), to);
}

void shown_print(FILE *to, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print(to, format, ap);
	va_end(ap);
}

void shown_line(FILE *to, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print(to, format, ap);
	va_end(ap);
	fputc('\n', to);
}
