/* MESSAGE_IDs of the journal entries; packaging/journal.catalog says what each means. */
#pragma once

#define ID_CHANGED "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a01" /* a resource was made or put back */
#define ID_FAILED  "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a02" /* a webspace could not be brought about */
#define ID_INVALID "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a03" /* a file does not load */
#define ID_QUARANTINED \
	"b7d6a1f0c7c84d5c9d1d9f6c0f1e2a04" /* a webspace's part broke a daemon's configuration */
#define ID_HOST_FAULT  "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a05" /* the host's own part is broken */
#define ID_PUBLISHED   "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a06" /* a generation is in force */
#define ID_ROLLED_BACK "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a07" /* a generation was taken back */
#define ID_DAEMON_DIED "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a08" /* a daemon of ours ended by itself */
#define ID_REMOVAL_HELD \
	"b7d6a1f0c7c84d5c9d1d9f6c0f1e2a09"              /* removals wait for `webspaces confirm` */
#define ID_REMOVED   "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a0a" /* a webspace was taken out of service */
#define ID_READY     "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a0c" /* a webspace is as its file says */
#define ID_CERTIFIED "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a0d" /* a CA's certificate came, or went */
#define ID_UNCERTIFIED \
	"b7d6a1f0c7c84d5c9d1d9f6c0f1e2a0f" /* a CA's certificate cannot be had at the moment */
#define ID_EXPIRING "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a0e" /* a certificate ends soon */
#define ID_FIGHT    "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a0b" /* somebody keeps undoing what we put back */
#define ID_ROLLBACK \
	"b7d6a1f0c7c84d5c9d1d9f6c0f1e2a20" /* an admin went back to an earlier generation */
#define ID_ASKED "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a10" /* a file asks for something else than before */
#define ID_MISSED \
	"b7d6a1f0c7c84d5c9d1d9f6c0f1e2a11" /* a file has gone; later it is certain, or it is back */
#define ID_BACK "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a12" /* … it is */
#define ID_RECOVERED \
	"b7d6a1f0c7c84d5c9d1d9f6c0f1e2a13" /* what had been told to fail is well again */
#define ID_SUMMED    "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a14" /* many alike, not told one by one */
#define ID_HOST_FILE "b7d6a1f0c7c84d5c9d1d9f6c0f1e2a15" /* the host's file waits for a restart */
#define ID_UNREADABLE \
	"b7d6a1f0c7c84d5c9d1d9f6c0f1e2a16" /* the directory of webspaces cannot be read */
#define ID_OPEN_SECRET \
	"b7d6a1f0c7c84d5c9d1d9f6c0f1e2a17" /* others may read a file with a secret in it */
