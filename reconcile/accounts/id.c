/* As /etc/passwd, /etc/group and the ledger write them: decimal digits and nothing else. */
#include "reconcile/accounts/id.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

bool id_read(const char *text, id_t *ret)
{
	char *end;
	unsigned long n;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || n >= UINT32_MAX)
		return false;
	*ret = (id_t)n;
	return true;
}
