/* The git commit that a directory is checked out at, without running git. */
#pragma once

/* The commit's hash, owned by the caller; NULL: no work tree, or one of an unusual kind. */
char *revision_read(const char *dir);
