/*
 * Fractions of the actual lifetime, never days: a CA that shortens what it
 * issues from 90 days to six changes nothing here.
 */
#include "acme/client/renew.h"

#include "acme/store/seen.h"
#include "agent/base/hash.h"

#define HOUR ((time_t)3600)
#define DAY  (24 * HOUR)

#define SHORT_LIFETIME (10 * DAY)
#define WINDOW_ASK     (6 * HOUR)
#define WINDOW_SOONEST ((time_t)60)
#define WINDOW_LATEST  DAY

static time_t length(const struct lifetime *l)
{
	return l->not_after > l->not_before ? l->not_after - l->not_before : 0;
}

time_t renew_by_lifetime(const struct lifetime *l, const char *name)
{
	time_t whole = length(l);
	time_t part = whole < SHORT_LIFETIME ? whole / 2 : whole / 3 * 2;
	/* From -3 % of the lifetime to +3 %. */
	time_t spread = whole / 100 * 6;

	if (spread > 0)
		part += (time_t)(hash_text(HASH_START, name) % (uint64_t)spread) - spread / 2;
	return l->not_before + part;
}

time_t renew_latest(const struct lifetime *l)
{
	time_t whole = length(l);
	time_t quarter = whole / 4 < DAY ? whole / 4 : DAY;

	return l->not_after - (whole / 20 > quarter ? whole / 20 : quarter);
}

time_t renew_in_window(time_t start, time_t end, uint64_t random)
{
	if (start <= 0 || end <= start)
		return 0;
	return start + (time_t)(random % (uint64_t)(end - start));
}

/*
 * A CA that always says "now", or whose certificates are old when they come, would have us renew
 * without end. Half of what is left is waited for at most.
 */
static time_t soonest(const struct lifetime *l, time_t last_success)
{
	time_t tenth = length(l) / 10, half = (l->not_after - last_success) / 2;

	if (last_success <= 0 || half <= 0)
		return 0;
	return last_success + (half < tenth ? half : tenth);
}

time_t renew_at(const struct lifetime *l, const char *name, time_t chosen, time_t last_success)
{
	time_t at = chosen ? chosen : renew_by_lifetime(l, name), latest = renew_latest(l);

	if (at > latest)
		at = latest;
	return at > soonest(l, last_success) ? at : soonest(l, last_success);
}

time_t renew_patience(const struct lifetime *l)
{
	time_t part = length(l) / 20;

	return part < DAY ? part : DAY;
}

time_t renew_ask_after(int64_t retry_after)
{
	if (retry_after < 0)
		return WINDOW_ASK;
	if (retry_after < WINDOW_SOONEST)
		return WINDOW_SOONEST;
	return retry_after > WINDOW_LATEST ? WINDOW_LATEST : (time_t)retry_after;
}

unsigned renew_urgency(const struct lifetime *l, time_t now)
{
	time_t left = l->not_after - now, whole = length(l);

	if (left <= 0)
		return 3;
	return left < whole / 20 ? 2 : left < whole / 5 ? 1 : 0;
}
