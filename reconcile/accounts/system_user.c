/* By systemd-sysusers, or by shadow's tools where there is none. */
#include "reconcile/accounts/system_user.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/own.h"
#include "agent/base/spawn.h"

#define SYSUSERS "/usr/bin/systemd-sysusers"
#define USERADD  "/usr/sbin/useradd"
#define NOLOGIN  "/usr/sbin/nologin"
#define PATIENCE (30 * USEC_PER_SEC)

static int by_sysusers(const char *name, const char *comment, struct err *e)
{
	static const char *const argv[] = { SYSUSERS, "--root=/proc/self/root", "-", NULL };
	autofree char *line =
		memory_printf("u %s - \"%s\" /nonexistent " NOLOGIN "\n", name, comment);

	return spawn_run(&(struct spawn){ .argv = argv }, line, clock_usec() + PATIENCE, NULL, e);
}

static int by_shadow(const char *name, const char *comment, struct err *e)
{
	const char *const argv[] = { USERADD,     "--system", "--user-group", "--no-create-home",
				     "--shell",   NOLOGIN,    "--home-dir",   "/nonexistent",
				     "--comment", comment,    name,           NULL };

	return spawn_run(&(struct spawn){ .argv = argv }, NULL, clock_usec() + PATIENCE, NULL, e);
}

int system_user_make(const char *name, const char *comment, bool may_make, struct err *e)
{
	int r;

	if (getpwnam(name))
		return 0;
	if (!may_make)
		return err_set(e, ENOENT, "there is no user %s", name);
	r = access(SYSUSERS, X_OK) == 0 ? by_sysusers(name, comment, e)
					: by_shadow(name, comment, e);
	if (r < 0)
		return err_in(e, "make the user %s", name);
	return 1;
}
