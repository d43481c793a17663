/* getrandom(2): up to 256 bytes come whole and at once. */
#include "agent/base/random.h"

#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *ret, size_t len)
{
	if (getrandom(ret, len, 0) != (ssize_t)len)
		abort();
}

uint64_t random_number(void)
{
	uint64_t n;

	random_bytes(&n, sizeof n);
	return n;
}
