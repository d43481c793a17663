/* How many units of a service may be in flight at once; see gate.c. */
#pragma once

#include <stdbool.h>

struct unit;

/* In its service, which sets max (at least 1) and may want to hear when all have landed. */
struct gate {
	unsigned max;
	void (*empty)(void *data); /* from inside the end of a flight; NULL: nobody listens */
	void *data;
	unsigned n_admitted;
	struct unit *first; /* of those who wait */
};

/* May the unit take off? If not it waits, and its retry timer goes off when it is let in. */
bool gate_enter(struct unit *u);
/* It has landed, or closes: the next one is let in. */
void gate_leave(struct unit *u);
