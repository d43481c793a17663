/* One way to write each number, so that one name stands for one. */
#include "agent/base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 18

struct number number_of(uint64_t n)
{
	struct number t;

	snprintf(t.text, sizeof(t.text), "%" PRIu64, n);
	return t;
}

uint64_t number_parse(const char *text)
{
	uint64_t n = 0;

	if (text[0] == '0' || strlen(text) > DIGITS_MAX)
		return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		n = n * 10 + (uint64_t)(*text - '0');
	}
	return n;
}
