/*
 * Somebody else may want an item to be otherwise than we do, and undo it each
 * time. To put it back for ever, at once, would be a loop of two programs that
 * nobody sees. So the fifth time in ten minutes is told, once, and from then on
 * that item (no other) is put back every minute, then every two, up to fifteen.
 */
#include <stdlib.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "reconcile/pass/pass.h"

#define WINDOW_USEC (600 * USEC_PER_SEC)
#define TIMES       5
#define FIRST_USEC  (60 * USEC_PER_SEC)
#define LONGEST     (900 * USEC_PER_SEC)

struct fight {
	struct fight *next;
	uint64_t key;
	uint64_t since_usec, last_usec;
	uint64_t pause_usec; /* between two times; 0: no fight yet */
	unsigned times;      /* within the window */
};

static uint64_t fight_key(const char *type, const char *item)
{
	return progress_hash(progress_hash(0, type), item);
}

static struct fight *fight_find(const struct progress *p, uint64_t key)
{
	struct fight *f = p->fights;

	while (f && f->key != key)
		f = f->next;
	return f;
}

bool fight_allows(const struct progress *p, const char *type, const char *item, uint64_t now_usec,
		  uint64_t *ret_until_usec)
{
	const struct fight *f = p->fights ? fight_find(p, fight_key(type, item)) : NULL;

	if (!f || !f->pause_usec || f->last_usec + f->pause_usec <= now_usec)
		return true;
	*ret_until_usec = f->last_usec + f->pause_usec;
	return false;
}

/* Forgets what has been quiet for long. */
static void fights_sweep(struct progress *p, uint64_t now_usec)
{
	for (struct fight **at = &p->fights; *at;) {
		struct fight *f = *at;

		if (f->last_usec + f->pause_usec + WINDOW_USEC > now_usec) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		free(f);
	}
}

bool fight_put_back(struct progress *p, const char *type, const char *item, uint64_t now_usec)
{
	uint64_t key = fight_key(type, item);
	struct fight *f;

	fights_sweep(p, now_usec);
	f = fight_find(p, key);
	if (!f) {
		f = memory_new(sizeof *f);
		*f = (struct fight){ .next = p->fights, .key = key, .since_usec = now_usec };
		p->fights = f;
	}
	f->last_usec = now_usec;
	if (f->pause_usec) {
		f->pause_usec = f->pause_usec * 2 < LONGEST ? f->pause_usec * 2 : LONGEST;
		return false;
	}
	if (now_usec - f->since_usec > WINDOW_USEC) {
		f->since_usec = now_usec;
		f->times = 0;
	}
	if (++f->times < TIMES)
		return false;
	f->pause_usec = FIRST_USEC;
	return true;
}

void fights_clear(struct progress *p)
{
	while (p->fights) {
		struct fight *f = p->fights;

		p->fights = f->next;
		free(f);
	}
}
