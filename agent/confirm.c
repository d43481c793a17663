/* Who confirms has looked at a status, which may be another by now. */
#include "agent/confirm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool confirm_answer(struct catalog *c, uint64_t newest, const char *generation,
		    catalog_changed_fn *fn, void *data, struct buf *ret_message)
{
	char text[24];
	size_t n;

	snprintf(text, sizeof(text), "%" PRIu64, newest);
	if (generation && strcmp(generation, text) != 0) {
		buf_printf(ret_message, "not generation %s but %s is in force: look again",
			   generation, text);
		return false;
	}
	n = catalog_confirm(c, fn, data);
	if (n)
		buf_printf(ret_message, "%zu removal%s on", n, n == 1 ? " goes" : "s go");
	else
		buf_adds(ret_message, "no removal is held");
	return true;
}
