/* Calls of a CA: see ca.h for what others see of them. */
#pragma once

#include "acme/client/ca.h"

void call_open(struct ca *ca);
/* Drops all that are left. */
void call_close(struct ca *ca);
