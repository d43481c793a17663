/* Where an account at a CA lives on disk, and its key: also for those who only look. */
#pragma once

#include "acme/crypto/key.h"
#include "acme/store/store.h"

/* state_dir/acme/CA: a descriptor, or -errno. -ENOENT: there is none, and none may be made. */
int account_dir(const struct store *s, const char *directory, bool may_make, struct err *e);
/*
 * The account's key: key_file's if that is not "", else dir/account.key, made (P-256, 0400, on disk
 * before it is used) if allowed. -ENOENT: there is none.
 */
int account_key(int dir, const char *key_file, bool may_make, struct key **ret, struct err *e);
/* name: "account.key", or "next.key" while a change is in flight. On disk when it returns. */
int account_key_put(int dir, const char *name, const struct key *k, struct err *e);
/* -ENOENT: no change is in flight. */
int account_key_next(int dir, struct key **ret);
