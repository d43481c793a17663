/* The kinds of places that only a jail has; see place.h for the two functions of each. */
#pragma once

#include "reconcile/tree/place.h"

/* A link into the base. */
void jail_place_link_observe(const struct sight *s, struct finding *f);
int jail_place_link_apply(const struct sight *s, struct err *e);

/* What the base or a bind is mounted on; whether it is, and rightly, is the mount's own affair. */
void jail_place_mountpoint_observe(const struct sight *s, struct finding *f);
int jail_place_mountpoint_apply(const struct sight *s, struct err *e);

/* Made by us for an earlier desired state. */
void jail_place_gone_observe(const struct sight *s, struct finding *f);
int jail_place_gone_apply(const struct sight *s, struct err *e);
