/* When a certificate is renewed. Pure: times and a name in, a time out. */
#pragma once

#include <stdint.h>
#include <time.h>

struct lifetime {
	time_t not_before, not_after;
};

/*
 * By its lifetime alone: two thirds of it (half, below ten days), a little more or less by a
 * stable hash of the name, so that what was issued together is not renewed together.
 */
time_t renew_by_lifetime(const struct lifetime *l, const char *name);

/* The last good moment: from then on it is an emergency, whatever anybody says. */
time_t renew_latest(const struct lifetime *l);

/*
 * A CA's window (RFC 9773) turned into a moment in it; random: any number. 0: the window says
 * nothing (absent, inverted, empty). To be chosen once for a window, and kept.
 */
time_t renew_in_window(time_t start, time_t end, uint64_t random);

/* The moment for this one: chosen is what renew_in_window gave (0: none). last_success: of this place; 0: none. */
time_t renew_at(const struct lifetime *l, const char *name, time_t chosen, time_t last_success);

/* So long a renewal waits for a name that cannot be proved now, before it goes on without it. */
time_t renew_patience(const struct lifetime *l);

/* Until the CA is asked for its window again. retry_after: seconds, -1 not said. */
time_t renew_ask_after(int64_t retry_after);

/* A site should warn: 0 no, 1 soon over, 2 very soon, 3 over. By parts of the lifetime, whatever it is. */
unsigned renew_urgency(const struct lifetime *l, time_t now);
