/* Forms of fields, a row each of a table: how one is taken from bytes and put into them. */
#include "acme/fields.h"

#include <errno.h>
#include <string.h>

#include "acme/wire.h"

struct field {
	uint32_t row, len;
};

static bool may_hold(enum field_form form, char c)
{
	bool of_url = form == FIELD_URL || form == FIELD_URLS;

	return (c > ' ' && c <= '~') || (c == ' ' && !of_url) || (c == '\n' && form == FIELD_PEM);
}

/* Of len bytes, its NUL not counted. */
static bool text_is_good(enum field_form form, const char *text, size_t len, size_t max)
{
	if (len == 0 || len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!may_hold(form, text[i]))
			return false;
	return true;
}

static size_t item_max(enum field_form form)
{
	return form == FIELD_URLS ? WIRE_URL_MAX : WIRE_TEXT_MAX;
}

static bool take_one(enum field_form form, const char *bytes, size_t len, size_t max,
		     const char **ret)
{
	if (len == 0 || bytes[len - 1] != '\0' || !text_is_good(form, bytes, len - 1, max))
		return false;
	*ret = bytes;
	return true;
}

static void put_field(size_t row, const void *bytes, size_t len, struct buf *ret)
{
	struct field f = { .row = (uint32_t)row, .len = (uint32_t)len };

	buf_add(ret, &f, sizeof(f));
	buf_add(ret, bytes, len);
}

static int put_one(enum field_form form, size_t n, const char *text, size_t max, struct buf *ret)
{
	size_t len = strlen(text);

	if (!text_is_good(form, text, len, max))
		return -EINVAL;
	put_field(n, text, len + 1, ret);
	return 0;
}

/* How a form is read from len bytes into what stands at its offset (false: not of this form), and written. */
struct form {
	bool (*take)(const struct row *row, const char *bytes, size_t len, void *to, void *whole);
	int (*put)(const struct row *row, size_t n, const void *from, const void *whole,
		   struct buf *ret);
	bool repeats;
};

static bool take_text(const struct row *row, const char *bytes, size_t len, void *to, void *whole)
{
	(void)whole;
	return take_one(row->form, bytes, len, (size_t)row->max, to);
}

static int put_text(const struct row *row, size_t n, const void *from, const void *whole,
		    struct buf *ret)
{
	const char *text = *(const char *const *)from;

	(void)whole;
	return text && *text ? put_one(row->form, n, text, (size_t)row->max, ret) : 0;
}

static bool take_number(const struct row *row, const char *bytes, size_t len, void *to, void *whole)
{
	unsigned value;

	(void)whole;
	if (len != sizeof(value))
		return false;
	memcpy(&value, bytes, len);
	if (value == 0 || value > row->max)
		return false;
	memcpy(to, &value, len);
	return true;
}

static int put_number(const struct row *row, size_t n, const void *from, const void *whole,
		      struct buf *ret)
{
	unsigned value;

	(void)whole;
	memcpy(&value, from, sizeof(value));
	if (value > row->max)
		return -EINVAL;
	if (value != 0)
		put_field(n, &value, sizeof(value), ret);
	return 0;
}

static bool take_time(const struct row *row, const char *bytes, size_t len, void *to, void *whole)
{
	int64_t value;

	(void)whole;
	if (len != sizeof(value))
		return false;
	memcpy(&value, bytes, len);
	if (value == row->preset || value < 0 || value > row->max)
		return false;
	memcpy(to, &value, len);
	return true;
}

static int put_time(const struct row *row, size_t n, const void *from, const void *whole,
		    struct buf *ret)
{
	int64_t value = *(const int64_t *)from;

	(void)whole;
	if (value == row->preset)
		return 0;
	if (value < 0 || value > row->max)
		return -EINVAL;
	put_field(n, &value, sizeof(value), ret);
	return 0;
}

/* That it came says it all. */
static bool take_flag(const struct row *row, const char *bytes, size_t len, void *to, void *whole)
{
	(void)row;
	(void)bytes;
	(void)whole;
	*(bool *)to = true;
	return len == 0;
}

static int put_flag(const struct row *row, size_t n, const void *from, const void *whole,
		    struct buf *ret)
{
	(void)row;
	(void)whole;
	if (*(const bool *)from)
		put_field(n, NULL, 0, ret);
	return 0;
}

static bool take_texts(const struct row *row, const char *bytes, size_t len, void *to, void *whole)
{
	struct text_array *array = to;

	(void)whole;
	if (array->count >= (size_t)row->max)
		return false;
	return take_one(row->form, bytes, len, item_max(row->form), &array->items[array->count++]);
}

static int put_texts(const struct row *row, size_t n, const void *from, const void *whole,
		     struct buf *ret)
{
	const struct text_array *array = from;
	int r = array->count <= (size_t)row->max ? 0 : -EINVAL;

	(void)whole;
	for (size_t i = 0; i < array->count && r == 0; i++)
		r = put_one(row->form, n, array->items[i], item_max(row->form), ret);
	return r;
}

static bool take_group(const struct row *row, const char *bytes, size_t len, void *to, void *whole)
{
	const struct row *at;

	(void)whole;
	return len > 0 && fields_take(row->shape, bytes, len, to, &at);
}

/* The length is known when what is in it has been written. */
static int put_nested(const struct shape *shape, size_t n, const void *from, struct buf *ret)
{
	size_t start = ret->len;
	struct field f = { .row = (uint32_t)n };
	int r;

	put_field(n, NULL, 0, ret);
	r = fields_put(shape, from, ret);
	f.len = (uint32_t)(ret->len - start - sizeof(f));
	memcpy(ret->data + start, &f, sizeof(f));
	return r;
}

static int put_group(const struct row *row, size_t n, const void *from, const void *whole,
		     struct buf *ret)
{
	size_t start = ret->len;
	int r = put_nested(row->shape, n, from, ret);

	(void)whole;
	if (r == 0 && ret->len == start + sizeof(struct field))
		buf_cut(ret, start); /* it said nothing */
	return r;
}

static bool take_groups(const struct row *row, const char *bytes, size_t len, void *to, void *whole)
{
	size_t *count = (size_t *)(void *)((char *)whole + row->count);
	const struct row *at;

	if (*count >= (size_t)row->max)
		return false;
	return fields_take(row->shape, bytes, len, (char *)to + (*count)++ * row->shape->size_bytes,
			   &at);
}

static int put_groups(const struct row *row, size_t n, const void *from, const void *whole,
		      struct buf *ret)
{
	size_t count = *(const size_t *)(const void *)((const char *)whole + row->count);
	int r = count <= (size_t)row->max ? 0 : -EINVAL;

	for (size_t i = 0; i < count && r == 0; i++)
		r = put_nested(row->shape, n, (const char *)from + i * row->shape->size_bytes, ret);
	return r;
}

static const struct form forms[] = {
	[FIELD_TEXT] = { take_text, put_text, false },
	[FIELD_URL] = { take_text, put_text, false },
	[FIELD_PEM] = { take_text, put_text, false },
	[FIELD_NUMBER] = { take_number, put_number, false },
	[FIELD_TIME] = { take_time, put_time, false },
	[FIELD_FLAG] = { take_flag, put_flag, false },
	[FIELD_TEXTS] = { take_texts, put_texts, true },
	[FIELD_URLS] = { take_texts, put_texts, true },
	[FIELD_GROUP] = { take_group, put_group, false },
	[FIELD_GROUPS] = { take_groups, put_groups, true },
};

void fields_clear(const struct shape *shape, void *ret)
{
	memset(ret, 0, shape->size_bytes);
	for (const struct row *row = shape->rows; row < shape->rows + shape->n_rows; row++) {
		char *at = (char *)ret + row->offset;

		if (row->form <= FIELD_PEM)
			*(const char **)(void *)at = shape->no_text;
		else if (row->form == FIELD_TIME)
			*(int64_t *)(void *)at = row->preset;
		else if (row->form == FIELD_GROUP)
			fields_clear(row->shape, at);
		for (int64_t i = 0; row->form == FIELD_GROUPS && i < row->max; i++)
			fields_clear(row->shape, at + (size_t)i * row->shape->size_bytes);
	}
}

/* Into a cleared struct. ret_at: the row where it went wrong; untouched: between two of them. */
bool fields_take(const struct shape *shape, const char *bytes, size_t len, void *to,
		 const struct row **ret_at)
{
	size_t next = 0; /* the first row that may come */
	struct field f;

	while (len > 0) {
		const struct row *row;

		if (len < sizeof(f))
			return false;
		memcpy(&f, bytes, sizeof(f));
		bytes += sizeof(f);
		len -= sizeof(f);
		if (f.row < next || f.row >= shape->n_rows)
			return false;
		row = &shape->rows[f.row];
		*ret_at = row;
		if (f.len > len ||
		    !forms[row->form].take(row, bytes, f.len, (char *)to + row->offset, to))
			return false;
		next = f.row + !forms[row->form].repeats;
		bytes += f.len;
		len -= f.len;
	}
	return true;
}

int fields_put(const struct shape *shape, const void *from, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; i < shape->n_rows && r == 0; i++) {
		const struct row *row = &shape->rows[i];

		r = forms[row->form].put(row, i, (const char *)from + row->offset, from, ret);
		if (r < 0 || ret->len > 2 * WIRE_MAX)
			break;
	}
	return r;
}
