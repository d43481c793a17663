/* webspaces make-key: a private key in a process of its own, as the loop must not wait for one. */
#include <stdio.h>

#include "acme/crypto/key.h"
#include "agent/verb.h"

static int run(const struct invocation *in)
{
	struct err e = { 0 };
	struct buf pem = { 0 };
	struct key *k;
	enum key_type type = in->argc == 1 ? key_type_of_word(in->argv[0]) : KEY_OTHER;

	if (type == KEY_OTHER)
		return verb_usage(in, "rsa2048, rsa3072, rsa4096 or p256");
	if (key_new(type, &k, &e) < 0)
		return verb_failed(&e);
	key_write(k, &pem);
	key_free(k);

	/* Unbuffered: no copy of the key stays behind. */
	setvbuf(stdout, NULL, _IONBF, 0);

	bool ok = pem.len > 0 && fwrite(pem.data, 1, pem.len, stdout) == pem.len;

	if (!ok)
		(void)err_sys(&e, "write the key");
	pem_clear(&pem);
	return ok ? EXIT_OK : verb_failed(&e);
}

const struct verb make_key_verb = {
	.name = "make-key",
	.summary = "prints a new private key, for the agent",
	.page = "Usage: webspaces make-key rsa2048|rsa3072|rsa4096|p256\n"
		"\n"
		"Makes a private key and prints it (PEM). An RSA key takes up to a second and "
		"more,\n"
		"for which the agent has no time. Not for people.\n"
		"\n"
		"Exit: 0 made, 1 it could not be made or written, 64 usage.\n",
	.option = "",
	.run = run,
	.is_internal = true,
};
