/*
 * What many pools say alike, said once. php-fpm reads its configuration with a
 * system call a byte, so at a thousand pools a master's start is mostly reading:
 * a pool names a value by a letter, and the master has it in its environment.
 *
 * php-fpm puts ${VARIABLES} in first and the pool's name for $pool after that,
 * also where a variable brought it; so one letter stands for the path of
 * everybody's log. The jail's path is not said so: if its variable were missing,
 * php-fpm would run the pool without a jail, where now it finds no directory.
 */
#include <string.h>

#include "agent/base/own.h"
#include "renderers/php_variables.h"
#include "renderers/renderers.h"

/* Programs of the jail, should there be any. */
#define PATH          "/usr/bin:/bin"
/* Without the user of %u: any client makes one up, with line ends in it. */
#define ACCESS_FORMAT "%R - %t \"%m %r%Q%q\" %s %{mili}dms %{kilo}MkB %C%%"

struct variable {
	const char *name, *text;
};

static const struct variable fixed[] = {
	{ "F", ACCESS_FORMAT },
	{ "P", PATH },
	/* The presets of these keys, and so what nearly every pool has. */
	{ "I", "/php-fpm-status" },
	{ "J", "/php-fpm-ping" },
	/* Lists of functions, @exec and @strict: what starts programs or loads code, and the ancestor's. */
	{ "X", "dl,exec,passthru,pcntl_exec,popen,proc_open,shell_exec,system" },
	{ "Y", "apache_child_terminate,apache_get_modules,apache_get_version,apache_getenv,"
	       "apache_lookup_uri,apache_note,apache_request_headers,apache_reset_timeout,"
	       "apache_response_headers,apache_setenv,getallheaders,virtual,chdir,chroot,exec,"
	       "passthru,proc_close,proc_get_status,proc_nice,proc_open,proc_terminate,"
	       "shell_exec,system,chgrp,chown,disk_free_space,disk_total_space,diskfreespace,"
	       "filegroup,fileinode,fileowner,lchgrp,lchown,link,linkinfo,lstat,pclose,popen,"
	       "readlink,symlink,umask,cli_get_process_title,cli_set_process_title,dl,"
	       "gc_collect_cycles,gc_disable,gc_enable,get_current_user,getmygid,getmyinode,"
	       "getmypid,getmyuid,php_ini_loaded_file,php_ini_scanned_files,php_sapi_name,"
	       "php_uname,sys_get_temp_dir,zend_thread_id,highlight_file,show_source,"
	       "sys_getloadavg,closelog,openlog,pfsockopen,syslog,pcntl_alarm,pcntl_errno,"
	       "pcntl_exec,pcntl_fork,pcntl_get_last_error,pcntl_getpriority,pcntl_setpriority,"
	       "pcntl_signal_dispatch,pcntl_signal,pcntl_sigprocmask,pcntl_sigtimedwait,"
	       "pcntl_sigwaitinfo,pcntl_strerror,pcntl_wait,pcntl_waitpid,pcntl_wexitstatus,"
	       "pcntl_wifexited,pcntl_wifsignaled,pcntl_wifstopped,pcntl_wstopsig,"
	       "pcntl_wtermsig,posix_access,posix_ctermid,posix_errno,posix_get_last_error,"
	       "posix_getcwd,posix_getegid,posix_geteuid,posix_getgid,posix_getgrgid,"
	       "posix_getgrnam,posix_getgroups,posix_getlogin,posix_getpgid,posix_getpgrp,"
	       "posix_getpid,posix_getppid,posix_getpwnam,posix_getpwuid,posix_getrlimit,"
	       "posix_getsid,posix_getuid,posix_initgroups,posix_isatty,posix_kill,posix_mkfifo,"
	       "posix_mknod,posix_setegid,posix_seteuid,posix_setgid,posix_setpgid,posix_setsid,"
	       "posix_setuid,posix_strerror,posix_times,posix_ttyname,posix_uname,setproctitle,"
	       "setthreadtitle,shmop_close,shmop_delete,shmop_open,shmop_read,shmop_size,"
	       "shmop_write,opcache_compile_file,opcache_get_configuration,opcache_get_status,"
	       "opcache_invalidate,opcache_is_script_cached,opcache_reset" },
};

const char *php_access_format(void)
{
	return ACCESS_FORMAT;
}

const char *php_path(void)
{
	return PATH;
}

static const char *fixed_text(const char *name)
{
	for (size_t i = 0; i < ELEMENTS(fixed); i++)
		if (strcmp(fixed[i].name, name) == 0)
			return fixed[i].text;
	return NULL;
}

const char *php_ipc_functions(void)
{
	return "shm_attach,shm_detach,shm_has_var,shm_remove,shm_put_var,shm_get_var,"
	       "shm_remove_var,sem_get,sem_acquire,sem_release,sem_remove,msg_get_queue,msg_send,"
	       "msg_receive,msg_remove_queue,msg_stat_queue,msg_set_queue,msg_queue_exists,"
	       "shmop_open,shmop_read,shmop_close,shmop_size,shmop_write,shmop_delete,ftok";
}

const char *php_disabled_functions(const char *wanted)
{
	if (strcmp(wanted, "@exec") == 0)
		return fixed_text("X");
	if (strcmp(wanted, "@strict") == 0)
		return fixed_text("Y");
	return *wanted ? wanted : NULL;
}

const char *php_variable_for(const char *text, struct arena *a)
{
	for (size_t i = 0; i < ELEMENTS(fixed); i++)
		if (strcmp(fixed[i].text, text) == 0)
			return arena_printf(a, "${%s}", fixed[i].name);
	return NULL;
}

const char *const *php_environment(const struct host *host, const char *run, const char *generation,
				   struct arena *a)
{
	const char **env = arena_new(a, (ELEMENTS(fixed) + 7) * sizeof(*env));
	size_t n = 0;

	env[n++] = arena_printf(a, "WEBSPACES_RUN=%s", run);
	env[n++] = arena_printf(a, "WEBSPACES_GENERATION=%s", generation);
	env[n++] = arena_printf(a, "R=%s/$pool.sock", run);
	env[n++] = arena_printf(a, "H=%s", host->home_root);
	env[n++] = arena_printf(a, "A=%s/$pool/" PHP_ACCESS_LOG, host->home_root);
	env[n++] = arena_printf(a, "S=%s/$pool/" PHP_SLOW_LOG, host->home_root);
	for (size_t i = 0; i < ELEMENTS(fixed); i++)
		env[n++] = arena_printf(a, "%s=%s", fixed[i].name, fixed[i].text);
	return env;
}
