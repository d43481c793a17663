/* What to say is decided here, what to do in agent/model/rollback.c. */
#include "agent/back.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/clock.h"

/* False: not a number. */
static bool generation_of(const char *word, uint64_t *ret)
{
	size_t len = word ? strspn(word, "0123456789") : 0;

	*ret = word ? strtoull(word, NULL, 10) : 0;
	return !word || (len > 0 && len < 19 && word[len] == '\0' && *ret != 0);
}

static void say_where(const struct catalog *c, uint64_t generation, struct buf *ret)
{
	buf_printf(ret, "back to what was in force at generation %" PRIu64 ": ", generation);
	if (catalog_rolled_back(c, NULL)) {
		catalog_rollback_names(c, ret);
		buf_adds(ret, "; held until a file changes, or 'webspaces rollback --release'");
	} else {
		buf_adds(ret, "that is what the files say, so nothing is held");
	}
}

static bool go_back(struct catalog *c, const char *word, struct buf *ret)
{
	uint64_t generation;
	struct err e = { 0 };
	int r;

	if (!generation_of(word, &generation)) {
		buf_printf(ret, "'%s' is not the number of a generation", word);
		return false;
	}
	r = catalog_roll_back(c, &generation, clock_steady(), &e);
	if (r < 0)
		buf_adds(ret, e.text);
	else if (r == 0)
		buf_printf(ret, "no file has changed since generation %" PRIu64 "%s", generation,
			   catalog_rolled_back(c, NULL) == generation ? ": it is held already"
								      : "");
	else
		say_where(c, generation, ret);
	return r >= 0;
}

bool back_answer(struct catalog *c, const char *verb, const char *word, struct buf *ret_message)
{
	if (strcmp(verb, "rollback") == 0)
		return go_back(c, word, ret_message);
	buf_adds(ret_message, catalog_release(c, clock_steady())
				      ? "what the files say is in force again"
				      : "nothing was held: what the files say is in force");
	return true;
}
