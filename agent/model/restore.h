/* The catalog's start: what it knew when the last process ended. */
#pragma once

#include "agent/model/item.h"

void catalog_restore(struct catalog *c);
