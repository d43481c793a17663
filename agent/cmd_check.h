/* `webspaces check`. argv[0] is the verb; returns the exit status. */
#pragma once

int cmd_check(int argc, char **argv, const char *config_file);
