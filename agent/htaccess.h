/* What an application says to Apache of its own directories: whom it wants to keep out. */
#pragma once

#include <stdbool.h>

/* True if the directory's .htaccess denies everybody everything in it. */
bool htaccess_denies_all(const char *directory);
