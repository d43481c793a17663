/* The table of RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
#include "agent/base/utf8.h"

static uint32_t decode(const unsigned char *at, size_t len)
{
	static const unsigned char first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t code = at[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | (at[i] & 0x3f);
	return code;
}

static size_t length_of(const unsigned char *at)
{
	unsigned char first = at[0], low = 0x80, high = 0xbf;
	size_t len;

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t utf8_sequence(const char *text, uint32_t *ret_code)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t len = length_of(at);

	if (len > 0 && ret_code)
		*ret_code = decode(at, len);
	return len;
}
