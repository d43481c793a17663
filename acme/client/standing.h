/* Inside: the live certificate of a place against what is wanted there. See acme.h. */
#pragma once

#include "acme/acme.h"

/* The record is about this very certificate, and it is of that CA and has a key of the type. */
bool standing_is_of_ca(const struct record *r, const struct certificate *live,
		       const char *directory, enum key_type key);
