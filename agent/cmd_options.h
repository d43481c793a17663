/* `webspaces options`. argv[0] is the verb; returns the exit status. */
#pragma once

int cmd_options(int argc, char **argv, const char *config_file);
