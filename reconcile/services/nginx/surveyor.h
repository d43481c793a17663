/* Asks the host's own nginx what it is told (survey.h), at a start and at each look, and says what is new. */
#pragma once

#include "agent/base/err.h"
#include "agent/base/loop.h"
#include "reconcile/services/nginx/survey.h"

struct surveyor;

/* The first result, or another one than before. */
typedef void surveyor_fn(const struct survey *s, void *data);

/* Asks at once. fn is not called from within. */
struct surveyor *surveyor_open(const struct host *host, struct loop *loop, surveyor_fn *fn,
			       void *data);
void surveyor_close(struct surveyor *s);
/* Asks again, unless it is being asked. */
void surveyor_look(struct surveyor *s);
/* NULL: there is none yet. */
const struct survey *surveyor_result(const struct surveyor *s);
