/* Errors by value: see err.h. Text that does not fit is cut at its end, so the context stays. */
#include "agent/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *format, ...)
{
	va_list ap;

	if (!e)
		return -code;
	e->code = code;
	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	return -code;
}

int err_sys(struct err *e, const char *format, ...)
{
	int code = errno;
	va_list ap;
	size_t len;

	if (!e)
		return -code;
	e->code = code;
	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	len = strlen(e->text);
	snprintf(e->text + len, sizeof(e->text) - len, ": %s", strerrordesc_np(code));
	return -code;
}

int err_in(struct err *e, const char *format, ...)
{
	char inner[sizeof(e->text)];
	va_list ap;
	size_t len;

	if (!e)
		return -EIO;
	memcpy(inner, e->text, sizeof(inner));
	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	len = strlen(e->text);
	snprintf(e->text + len, sizeof(e->text) - len, ": %s", inner);
	return -e->code;
}
