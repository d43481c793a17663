/* The table of options as a reader wants it: text, a manual's section, a sample file, JSON. Pure. */
#pragma once

#include "agent/base/buf.h"

enum manual_format { MANUAL_TEXT, MANUAL_MAN, MANUAL_SAMPLE, MANUAL_JSON };

void manual_write(enum manual_format format, struct buf *ret);
