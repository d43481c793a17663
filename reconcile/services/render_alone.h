/* The effective configuration of one webspace, as if it stood alone: for people to read. */
#pragma once

#include "agent/base/buf.h"
#include "agent/base/err.h"
#include "agent/model/webspace.h"
#include "reconcile/resource.h"

/* Its server blocks with every value put in. Adds to ret. */
int render_alone_nginx(const struct world *w, const struct webspace *webspace, struct buf *ret,
		       struct err *e);

/* Its pool of php-fpm; nothing where it has none. -ENOENT: no account, or no PHP of its version. */
int render_alone_php(const struct world *w, const struct webspace *webspace, struct buf *ret,
		     struct err *e);
