/*
 * The name services that /etc/nsswitch.conf names beside the local files, asked
 * module by module. getpwnam(3) would do, but reads /etc/passwd through before
 * it asks anybody else, for each name: ten thousand new webspaces would read a
 * growing file ten thousand times.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/base/buf.h"

struct nss;

/* services: as in nsswitch.conf, "files sss [NOTFOUND=return] systemd". */
struct nss *nss_open(const char *services);
void nss_close(struct nss *n);

/* 0, -ENOENT (all said no), -EAGAIN (one could not tell). */
int nss_user(struct nss *n, const char *name, uid_t *ret_uid, gid_t *ret_gid);
/* 1: the group is another's than name's (it bears another name or has other members); 0: no or unknown. */
int nss_group_is_shared(struct nss *n, gid_t gid, const char *name);
/* As nss_user. */
int nss_group_named(struct nss *n, const char *name, gid_t *ret_gid, bool *ret_has_members);
/* Does a service know a user, or a group, of this id, other than `but`? "the user bob". */
bool nss_user_of_id(struct nss *n, id_t id, const char *but, struct buf *ret_who);
bool nss_group_of_id(struct nss *n, id_t id, const char *but, struct buf *ret_who);
