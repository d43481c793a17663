/* Time: see clock.h. */
#include "agent/base/clock.h"

uint64_t clock_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

time_t clock_steady(void)
{
	return (time_t)(clock_usec() / USEC_PER_SEC) + 1;
}

time_t clock_wall(void)
{
	return time(NULL);
}

void clock_rfc3339(time_t t, char ret[static 21])
{
	struct tm tm;

	gmtime_r(&t, &tm);
	if (strftime(ret, 21, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		ret[0] = '\0';
}

time_t clock_of_rfc3339(const char *text)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;

	return end && !*end ? timegm(&tm) : 0;
}
