/* What is known of php.ini's settings themselves: which are gone, and which are not a webspace's to set. */
#pragma once

#include <stdbool.h>

/* Does this PHP version ("8.2") still have the setting? Unknown settings count as there. */
bool php_setting_exists(const char *key, const char *version);
/* The key of ours that sets it ("php.memory_limit" for "memory_limit"), or NULL. */
const char *php_setting_own_key(const char *key);
/* Is it about a memory that all pools of a master have in common (apc.*, yac.*), so only of use in one's own? */
bool php_setting_needs_own_master(const char *key);
/* Would it reach beyond the webspace (opcache.*, ffi.*, fastcgi.*, extensions)? */
bool php_setting_is_forbidden(const char *key);
