/* Errors by value: see err.h. Text that does not fit is cut at its end, so the context stays. */
#include "agent/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void put(struct err *e, int code, const char *format,
						      va_list ap)
{
	e->code = code;
	vsnprintf(e->text, sizeof(e->text), format, ap);
}

/* Behind what is there: ": TEXT". */
static void append(struct err *e, const char *text)
{
	size_t len = strlen(e->text);

	snprintf(e->text + len, sizeof(e->text) - len, ": %s", text);
}

int err_set(struct err *e, int code, const char *format, ...)
{
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, format);
	put(e, code, format, ap);
	va_end(ap);
	return -code;
}

int err_sys(struct err *e, const char *format, ...)
{
	int code = errno;
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, format);
	put(e, code, format, ap);
	va_end(ap);
	append(e, strerrordesc_np(code));
	return -code;
}

int err_in(struct err *e, const char *format, ...)
{
	char inner[sizeof(e->text)];
	va_list ap;

	if (!e)
		return -EIO;
	memcpy(inner, e->text, sizeof(inner));
	va_start(ap, format);
	put(e, e->code, format, ap);
	va_end(ap);
	append(e, inner);
	return -e->code;
}
