/* Who confirms has seen a status, which may be another by now. */
#include "agent/confirm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void confirm_say(size_t n_removals, size_t n_accounts, const char *when, struct buf *ret_message)
{
	if (n_removals)
		buf_printf(ret_message, "%zu removal%s on", n_removals,
			   n_removals == 1 ? " goes" : "s go");
	if (n_accounts)
		buf_printf(ret_message, "%s%zu account%s made again", n_removals ? ", " : "",
			   n_accounts, n_accounts == 1 ? " is" : "s are");
	buf_adds(ret_message, n_removals + n_accounts ? when : "no removal is held");
}

bool confirm_answer(struct catalog *c, struct reconcile *r, const char *generation,
		    catalog_changed_fn *fn, void *data, struct buf *ret_message)
{
	uint64_t newest = reconcile_generation(r);
	char text[24];
	size_t n;

	snprintf(text, sizeof(text), "%" PRIu64, newest);
	if (generation && strcmp(generation, text) != 0) {
		buf_printf(ret_message,
			   "generation %s is outdated (current: %s): see 'webspaces status' and "
			   "confirm that",
			   generation, text);
		return false;
	}
	n = catalog_confirm(c, fn, data);
	confirm_say(n, reconcile_confirm(r, NULL), "", ret_message);
	return true;
}
