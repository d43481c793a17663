/*
 * THE table: every key of /etc/webspaces/webspaces.conf and of a webspace's
 * file, one row each. The keys of a webspace and of its sites may also stand in
 * `defaults` of the host's file, and are then the presets of all.
 *
 * A row is all there is to a key: what is not said here is not said elsewhere.
 */
#include "agent/model/option.h"

#include "agent/base/own.h"
#include "agent/model/bundle.h"
#include "agent/model/host.h"
#include "agent/model/values.h"
#include "agent/model/webspace.h"

/* clang-format off */
#define ROW(path_, scope_, k, offset_) \
	.path = path_, .scope = scope_, .kind = &kind_##k, .offset = offset_
#define HOST(key, k, field)     ROW(key, SCOPE_HOST, k, offsetof(struct host, field))
#define LATER(key, k)           ROW(key, SCOPE_HOST, k, OPTION_NOWHERE)
#define WEBSPACE(key, k, field) ROW(key, SCOPE_WEBSPACE, k, offsetof(struct webspace, field))
#define PHP(key, k)             ROW("php." #key, SCOPE_WEBSPACE, k, offsetof(struct webspace, php.key))
#define SITE(key, k, field)     ROW(key, SCOPE_SITE, k, offsetof(struct site, field))
/* clang-format on */

#define ID_MAX    4294967293LL
#define KIB       1024LL
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)
#define DAY       86400LL
#define NO_LIMIT  .min = 0, .max = INT32_MAX
#define MEMORY    .min = 2 * MIB, .max = 64 * GIB
#define BODY      .min = 1 * KIB, .max = 64 * GIB
#define SITE_NAME .check = value_site_name, .form = "host name, or \"*.\" and a host name"

static const char *const managers[] = { "auto", "systemd", "direct", NULL };
static const char *const accesses[] = { "acl", "group", NULL };
static const char *const instances[] = { "own", "system", NULL };
static const char *const issuers[] = { "acme", "internal", "off", NULL };
static const char *const limits[] = { "auto", "letsencrypt", "none", NULL };
static const char *const preflights[] = { "local", "strict", "off", NULL };
static const char *const challenges[] = { "auto", "http-01", "dns-01", NULL };
static const char *const key_types[] = { "ecdsa", "rsa", "both", NULL };
static const char *const scopes[] = { "site", "webspace", NULL };
static const char *const states[] = { "enabled", "suspended", "disabled", NULL };
static const char *const pms[] = { "static", "dynamic", "ondemand", NULL };
static const char *const masters[] = { "shared", "dedicated", NULL };
static const char *const switches[] = { "0", "1", NULL };
static const char *const truths[] = { "false", "true", NULL };
static const char *const site_types[] = { "static", "php", NULL };

/* clang-format off */
const struct option options[] = {
	/* the host: places */
	{ HOST("config_dir", text, config_dir), .preset = "\"/etc/webspaces.d\"",
	  .check = value_absolute, .form = "absolute path",
	  .meaning = "The directory of the webspaces' files. It and they are root's and nobody else may write them; "
		     "it may be a symbolic link that is swapped." },
	{ HOST("home_root", text, home_root), .preset = "\"/home/www\"",
	  .check = value_absolute, .form = "absolute path",
	  .meaning = "Below it each webspace has a directory of its name, with the jail in it." },
	{ HOST("state_dir", text, state_dir), .preset = "\"/var/lib/webspaces\"",
	  .check = value_absolute, .form = "absolute path",
	  .meaning = "What must outlive a restart: generations of configuration, certificates, last known good files." },
	{ HOST("run_dir", text, run_dir), .preset = "\"/run/webspaces\"",
	  .check = value_absolute, .form = "absolute path",
	  .meaning = "Sockets, pid files, the mount namespace and the status. Keep it short: a socket's path has at most 107 bytes." },
	{ HOST("log_root", text, log_root), .preset = "\"/var/log/webspaces\"",
	  .check = value_absolute, .form = "absolute path",
	  .meaning = "Logs of the host's daemons; a webspace's own logs are in its directory." },

	/* the host: general */
	{ HOST("base_domain", text, base_domain), .preset = "\"\"", .sample = "\"example.org\"",
	  .check = value_host_or_none, .form = "host name, or empty",
	  .meaning = "A webspace whose file gives no names is served as NAME.base_domain. NAME.base_domain and what lies "
		     "beneath it belong to NAME alone." },
	{ HOST("name", text, name), .preset = "\"\"", .sample = "\"web1\"",
	  .check = value_word, .form = "word, or empty",
	  .meaning = "This host's name, for `hosts` of a webspace. Empty: what gethostname(2) says, up to the first dot." },
	{ HOST("web_user", text, web_user), .preset = "\"www-data\"",
	  .check = value_user, .form = "user",
	  .meaning = "The user as which nginx's workers run." },
	{ HOST("web_access", word, web_access), .preset = "\"acl\"", .words = accesses,
	  .meaning = "How the web user gets at content: by POSIX ACLs, or as a member of each webspace's group." },
	{ HOST("manager", word, manager), .preset = "\"auto\"", .words = managers,
	  .meaning = "Who starts the daemons: systemd, or the agent itself (direct). auto: systemd where it runs." },

	/* the host: accounts */
	{ HOST("accounts.create", flag, accounts.create), .preset = "true",
	  .meaning = "Make an account for a webspace that has none. Where it is false, accounts come from elsewhere (LDAP) "
		     "and a webspace waits for its own." },
	{ HOST("accounts.uid_min", number, accounts.uid_min), .preset = "20000", .min = 1000, .max = ID_MAX,
	  .meaning = "The first id that new accounts may get. The range must not meet those of /etc/subuid." },
	{ HOST("accounts.uid_max", number, accounts.uid_max), .preset = "59999", .min = 1000, .max = ID_MAX,
	  .meaning = "The last id that new accounts may get." },

	/* the host: nginx */
	{ HOST("nginx.instance", word, nginx.instance), .preset = "\"own\"", .words = instances,
	  .meaning = "own: an nginx beside the distribution's. system: the host's own serves the webspaces too, by one "
		     "include file; it is reloaded, and never started or stopped." },
	{ HOST("nginx.binary", text, nginx.binary), .preset = "\"/usr/sbin/nginx\"",
	  .check = value_absolute, .form = "absolute path", .meaning = "The nginx to run." },
	{ HOST("nginx.main", text, nginx.main), .preset = "\"/etc/nginx/nginx.conf\"",
	  .check = value_absolute, .form = "absolute path",
	  .meaning = "With instance = \"system\": the main file of the host's nginx." },
	{ HOST("nginx.include", text, nginx.include), .preset = "\"/etc/nginx/conf.d/webspaces.conf\"",
	  .check = value_absolute, .form = "absolute path",
	  .meaning = "With instance = \"system\": the file to make for it, in a place that its http {} includes." },
	{ HOST("nginx.http", list, nginx.http), .preset = "[\"0.0.0.0:80\", \"[::]:80\"]",
	  .check = value_listen, .form = "ADDRESS:PORT",
	  .meaning = "Where nginx listens for HTTP. Addresses of a family that the kernel lacks are left out, and  says so." },
	{ HOST("nginx.https", list, nginx.https), .preset = "[\"0.0.0.0:443\", \"[::]:443\"]",
	  .check = value_listen, .form = "ADDRESS:PORT", .meaning = "Where nginx listens for HTTPS, likewise." },
	{ HOST("nginx.http2", flag, nginx.http2), .preset = "true",
	  .meaning = "Offer HTTP/2 on the HTTPS listeners." },
	{ HOST("nginx.tls_protocols", list, nginx.tls_protocols), .preset = "[\"TLSv1.2\", \"TLSv1.3\"]",
	  .check = value_tls_protocol, .form = "TLSv1.2 or TLSv1.3",
	  .meaning = "TLS versions of the HTTPS listeners; nginx has them per listener, not per site." },
	{ HOST("nginx.worker_processes", number, nginx.worker_processes), .preset = "0", .min = 0, .max = 1024,
	  .meaning = "Worker processes of nginx; 0: one for each processor." },
	{ HOST("nginx.worker_connections", number, nginx.worker_connections), .preset = "0", .min = 0, .max = 1048576,
	  .meaning = "Connections that each worker may have open, not less than 64. 0: at least 8192, and twice as many as "
		     "all processes of any one webspace's PHP can hold (php.max_children times php.rlimit_files), up to "
		     "131072: so none of them takes the last one." },
	{ HOST("nginx.limit_conn", number, nginx.limit_conn), .preset = "1024", .min = 0, .max = 1048576,
	  .meaning = "Requests that are served at a time to one address; what is beyond is answered 429. 0: any number. The "
		     "host's own addresses count as one, with room for what one webspace's PHP can ask. Where a proxy "
		     "stands before nginx, its address is that of all visitors." },
	{ HOST("nginx.large_client_header_buffers", text, nginx.large_client_header_buffers), .preset = "\"4 32k\"",
	  .sample = "\"8 64k\"", .check = value_buffers, .form = "NUMBER SIZE",
	  .meaning = "Room for a request's header beyond its first kilobyte, as in nginx: how many buffers, and how large. A "
		     "line of it, the cookies for one, fits into one buffer; together PHP takes 64 kB." },
	{ HOST("nginx.unknown", text, nginx.unknown), .preset = "\"refuse\"", .sample = "\"404\"",
	  .check = value_status, .form = "refuse, or a status from 400 to 599",
	  .meaning = "The answer to names that no webspace has. refuse: the connection is closed and no TLS handshake made." },
	{ HOST("nginx.suspended", text, nginx.suspended), .preset = "\"503\"",
	  .check = value_error_status, .form = "status from 400 to 599",
	  .meaning = "The status with which sites of suspended webspaces answer." },
	{ HOST("nginx.suspended_page", text, nginx.suspended_page), .preset = "\"\"",
	  .sample = "\"/etc/webspaces/suspended.html\"",
	  .check = value_absolute_or_none, .form = "absolute path, or empty",
	  .meaning = "The page (HTML) that goes with it; the web user must be able to read it. Empty: a short one of ours." },

	{ HOST("metrics.file", text, metrics.file), .preset = "\"/var/lib/prometheus/node-exporter/webspaces.prom\"",
	  .check = value_absolute_or_none, .form = "absolute path, or empty",
	  .meaning = "Figures for Prometheus, as node-exporter collects them; see `webspaces metrics`. Written where its "
		     "directory is there. Empty: never." },

	/* the host: PHP */
	{ HOST("php.shards", number, php.shards), .preset = "8", .min = 1, .max = 512,
	  .meaning = "How many masters share the pools of one PHP version. Doubled by itself until a master has at most "
		     "200 pools or so: the time a change takes grows with them." },
	{ HOST("php.binary", text, php.binary), .preset = "\"/usr/sbin/php-fpm%s\"",
	  .check = value_php_binary, .form = "absolute path with %s for the version",
	  .meaning = "The PHP-FPM to run." },

	{ HOST("base", list, base),
	  .preset = "[\"/usr/share/zoneinfo\", \"/etc/ssl/certs\", \"/usr/share/ca-certificates\", \"/etc/resolv.conf\", "
		    "\"/etc/hosts\", \"/etc/nsswitch.conf\", \"/etc/localtime\", \"/etc/services\", \"/etc/protocols\", "
		    "\"/usr/lib/ssl/openssl.cnf\", \"/usr/lib/" MULTIARCH "/gconv\", \"/usr/lib/locale/C.utf8\"]",
	  .check = value_absolute, .form = "absolute path",
	  .meaning = "Files and directories of the host that every jail has a copy of. /dev with null, zero, full, random "
		     "and urandom is always there, and so are /etc/passwd and /etc/group with the webspace's own line." },

	/* the host: reconcile */
	{ HOST("reconcile.settle_ms", number, reconcile.settle_ms), .preset = "200", .min = 0, .max = 60000,
	  .meaning = "Milliseconds of quiet in config_dir before its changes are taken up." },
	{ HOST("reconcile.full_pass_s", number, reconcile.full_pass_s), .preset = "60", .min = 1, .max = DAY,
	  .meaning = "Seconds between two looks at everything." },
	{ HOST("reconcile.removal_grace_s", number, reconcile.removal_grace_s), .preset = "30", .min = 0, .max = DAY,
	  .meaning = "Seconds for which a file must be gone before its webspace is taken out of service." },

	/* the host: certificates */
	{ HOST("acme.issuer", word, acme.issuer), .preset = "\"acme\"", .words = issuers,
	  .meaning = "Who certifies sites that do not say so themselves: a CA that speaks ACME, the CA of this host, nobody." },
	{ HOST("acme.directory", text, acme.directory),
	  .preset = "\"https://acme-v02.api.letsencrypt.org/directory\"",
	  .check = value_url, .form = "URL", .meaning = "The ACME CA's directory." },
	{ HOST("acme.contact", list, acme.contact), .preset = "[]", .sample = "[\"mailto:admin@example.org\"]",
	  .check = value_contact, .form = "mail address",
	  .meaning = "Whom the CA may write to." },
	{ HOST("acme.agree_tos", flag, acme.agree_tos), .preset = "false",
	  .meaning = "You have read the CA's terms of service and agree. Nothing is asked of an ACME CA before." },
	{ HOST("acme.ca_file", text, acme.ca_file), .preset = "\"\"",
	  .check = value_absolute_or_none, .form = "absolute path, or empty",
	  .meaning = "CA certificates by which the ACME server itself is known; empty: those of the system." },
	{ HOST("acme.eab.kid", text, acme.eab.kid), .preset = "\"\"", .check = value_key_id,
	  .form = "identifier, or empty",
	  .meaning = "External account binding, where the CA asks for it: the key's identifier. It needs the key too." },
	{ HOST("acme.eab.hmac_key", text, acme.eab.hmac_key), .preset = "\"\"", .check = value_base64url,
	  .form = "base64url, or empty",
	  .meaning = "External account binding: the key. Where others may read this file, use acme.eab.hmac_key_file." },
	{ HOST("acme.eab.hmac_key_file", text, acme.eab.hmac_key_file), .preset = "\"\"",
	  .check = value_absolute_or_none, .form = "absolute path, or empty",
	  .meaning = "External account binding: a file with the key, base64url, in place of acme.eab.hmac_key." },
	{ HOST("acme.account_key", text, acme.account_key), .preset = "\"\"",
	  .check = value_absolute_or_none, .form = "absolute path, or empty",
	  .meaning = "The account's key (PEM, P-256) when several hosts of a fleet share one account; empty: made by the "
		     "agent in state_dir." },
	{ HOST("acme.user", text, acme.user), .preset = "\"webspaces-acme\"",
	  .check = value_user, .form = "user",
	  .meaning = "The user as which the process that talks to the CA runs. It has no other rights and no keys." },
	{ HOST("acme.limits", word, acme.limits), .preset = "\"auto\"", .words = limits,
	  .meaning = "Which CA's rate limits are kept before they are hit. auto: Let's Encrypt's for its own directories, "
		     "none for others." },
	{ HOST("acme.preflight", word, acme.preflight), .preset = "\"local\"", .words = preflights,
	  .meaning = "What is checked before the CA is asked. local: our own listeners answer the challenge, the name has "
		     "an address and CAA allows the CA. strict: also, an address of the name is one of this host's. off: nothing." },
	{ HOST("acme.addresses", list, acme.addresses), .preset = "[]", .sample = "[\"192.0.2.1\", \"2001:db8::1\"]",
	  .check = value_address, .form = "IP address",
	  .meaning = "Further addresses that count as this host's (NAT, load balancers), for acme.preflight = \"strict\"." },
	{ HOST("acme.dns_hook", text, acme.dns_hook), .preset = "\"\"",
	  .check = value_absolute_or_none, .form = "absolute path, or empty",
	  .meaning = "The program that puts TXT records into DNS and removes them, for dns-01; empty: there is no dns-01." },
	{ HOST("acme.dns_hook_timeout", duration, acme.dns_hook_timeout), .preset = "\"120s\"", .min = 1, .max = 3600,
	  .meaning = "How long acme.dns_hook may take." },
	{ HOST("acme.dns_wait", duration, acme.dns_wait), .preset = "\"120s\"", .min = 0, .max = DAY,
	  .meaning = "How long it is waited at most until a record of acme.dns_hook is seen in DNS; 0: not at all." },
	{ HOST("acme.wildcard", flag, acme.wildcard), .preset = "false",
	  .meaning = "One certificate for *.base_domain by dns-01, for all sites whose names are all NAME.base_domain. "
		     "It needs base_domain and acme.dns_hook." },

	{ LATER("defaults", defaults),
	  .sample = "{ php = { memory_limit = \"64M\"; }; site = { redirect_https = false; }; }",
	  .meaning = "Presets of all webspaces of this host: any key of a webspace, and those of a site in the group `site`." },

	/* a webspace */
	{ WEBSPACE("state", word, state), .preset = "\"enabled\"", .words = states,
	  .meaning = "suspended: sites answer with nginx.suspended and PHP is off. disabled: nothing is served. "
		     "Either keeps data, account and certificates." },
	{ WEBSPACE("hosts", list, hosts), .preset = "[]", .sample = "[\"web1\", \"test*\"]",
	  .check = value_glob, .form = "host's name or pattern",
	  .meaning = "The hosts of a fleet on which the webspace is; empty: every host that has the file." },
	{ WEBSPACE("account.uid", number, account.uid), .preset = "-1", .min = -1, .max = ID_MAX, .sample = "20001",
	  .meaning = "The account's uid, for ids that are equal on several hosts. -1: chosen from the range of accounts." },
	{ WEBSPACE("account.gid", number, account.gid), .preset = "-1", .min = -1, .max = ID_MAX, .sample = "20001",
	  .meaning = "The account's gid; -1: the same number as the uid." },
	{ WEBSPACE("sites", sites, sites), .sample = "( { names = [\"example.org\", \"www.example.org\"]; } )",
	  .meaning = "The sites: a group of a site's keys for each. Left out: one site with every preset." },
	{ WEBSPACE("binds", binds, binds), .preset = "[]", .sample = "[\"/srv/media:/media:rw\"]",
	  .form = "SOURCE[:TARGET[:rw,exec,dev,suid]]",
	  .meaning = "Paths of the host that are put into the jail, read-only, without devices, programs and set-id unless "
		     "said. TARGET is the path within the jail, preset to SOURCE. exec together with rw, or of a SOURCE outside "
		     "of /usr, gives the webspace a PHP master of its own." },

	{ WEBSPACE("bundles", list, bundles), .preset = "[]", .sample = "[\"fonts\", \"mariadb\"]",
	  .check = value_bundle, .form = "imagick, fonts, locales, mariadb, postgresql or php-libraries",
	  .meaning = "Read-only binds that go together, where Debian has them: imagick (formats and policy of ImageMagick), fonts, "
		     "locales, mariadb and postgresql (the directory of the socket, where PHP looks for it), php-libraries "
		     "(/usr/share/php, /usr/share/javascript). They follow upgrades of the packages." },

	/* PHP */
	{ PHP(enabled, flag), .preset = "true", .meaning = "Whether the webspace has a pool." },
	{ PHP(version, text), .preset = "\"\"", .sample = "\"8.2\"", .check = value_php_version,
	  .form = "version, or empty", .meaning = "PHP's version; empty: the newest that is installed." },
	{ PHP(chroot, flag), .preset = "true",
	  .meaning = "Run the pool in the webspace's jail. false: on the host, limited by open_basedir alone, and in a master "
		     "of its own." },
	{ PHP(master, word), .preset = "\"shared\"", .sample = "\"dedicated\"", .words = masters,
	  .meaning = "dedicated: a master, and so an OPcache, an APCu cache, System V IPC and a control group, of its own. In a "
		     "shared one APCu and PHP's functions for System V IPC are off." },
	{ PHP(pm, word), .preset = "\"ondemand\"", .words = pms,
	  .meaning = "How processes come and go: as in php-fpm's pm." },
	{ PHP(max_children, number), .preset = "5", .min = 1, .max = 10000,
	  .meaning = "Processes at most, as in pm.max_children." },
	{ PHP(start_servers, number), .preset = "0", .min = 0, .max = 10000,
	  .meaning = "With pm = \"dynamic\": processes at start; 0: between the two that follow. Of these four numbers, "
		     "those that are left out fit those that are given." },
	{ PHP(min_spare_servers, number), .preset = "0", .min = 0, .max = 10000,
	  .meaning = "With pm = \"dynamic\": idle processes at least; 0: 1." },
	{ PHP(max_spare_servers, number), .preset = "0", .min = 0, .max = 10000,
	  .meaning = "With pm = \"dynamic\": idle processes at most; 0: 3, or max_children if that is less." },
	{ PHP(max_requests, number), .preset = "500", NO_LIMIT,
	  .meaning = "Requests after which a process is replaced; 0: never." },
	{ PHP(process_idle_timeout, duration), .preset = "\"10s\"", .min = 1, .max = DAY,
	  .meaning = "With pm = \"ondemand\": how long an idle process stays." },
	{ PHP(request_terminate_timeout, duration), .preset = "\"20s\"", .min = 0, .max = DAY,
	  .meaning = "A request that takes longer is ended; 0: never. Where it is left out it is never less than what "
		     "max_execution_time and max_input_time of values let a script take." },
	{ PHP(request_slowlog_timeout, duration), .preset = "\"15s\"", .min = 0, .max = DAY,
	  .meaning = "A request that takes longer is written to php-slow.log with its trace; 0: none. Where it is left "
		     "out it is less than request_terminate_timeout." },
	{ PHP(status_path, text), .preset = "\"/php-fpm-status\"", .check = value_uri_path,
	  .form = "path of a URL, or empty", .meaning = "Where the pool tells its state; empty: nowhere." },
	{ PHP(ping_path, text), .preset = "\"/php-fpm-ping\"", .check = value_uri_path,
	  .form = "path of a URL, or empty", .meaning = "Where the pool answers that it lives; empty: nowhere." },
	{ PHP(listen_mode, text), .preset = "\"0660\"", .check = value_socket_mode, .form = "0600 or 0660",
	  .meaning = "The mode of the pool's unix socket, which is the web user's." },
	{ PHP(memory_limit, size), .preset = "\"32M\"", MEMORY,
	  .meaning = "Memory that a request may use." },
	{ PHP(post_max_size, size), .preset = "\"24M\"", BODY,
	  .meaning = "The largest POST that PHP takes; where it is left out, more than upload_max_filesize." },
	{ PHP(upload_max_filesize, size), .preset = "\"20M\"", BODY,
	  .meaning = "The largest uploaded file." },
	{ PHP(disable_functions, text), .preset = "\"@exec\"", .check = value_functions,
	  .form = "list with commas, @exec, @strict, or empty",
	  .meaning = "Functions of PHP that are off. @exec: those that start programs or load code. @strict: also those "
		     "that look at the system, links, processes and OPcache." },
	{ PHP(open_basedir, text), .preset = "\"\"", .check = value_open_basedir,
	  .form = "paths with colons, none, or empty",
	  .meaning = "Paths that PHP may open, as seen by PHP. Empty: no limit in a jail, which is the boundary; without one, "
		     "the webspace's data and temporary files. none: no limit. PHP then examines every component of every path, "
		     "which makes a page of many files several times slower to load." },
	{ PHP(display_errors, flag), .preset = "false", .meaning = "Show errors to visitors." },
	{ PHP(allow_url_fopen, flag), .preset = "true", .meaning = "Let PHP's file functions open URLs." },
	{ PHP(session_gc_maxlifetime, duration), .preset = "\"1440s\"", .min = 60, .max = 365 * DAY,
	  .meaning = "How long a session stays without use." },
	{ PHP(session_gc_divisor, number), .preset = "1000", .min = 1, .max = 1000000,
	  .meaning = "Old sessions are collected once in that many session starts." },
	{ PHP(values, pairs), .preset = "{ }", .sample = "{ date = { timezone = \"Europe/Berlin\"; }; }",
	  .check_pair = value_pair_php, .words = switches, .form = "settings of php.ini",
	  .meaning = "Further settings of php.ini, which scripts cannot change. A dotted name is written as groups. What is "
		     "written is what PHP gets, but for error_reporting, which takes an expression like "
		     "\"E_ALL & ~E_DEPRECATED\"." },
	{ PHP(user_values, pairs), .preset = "{ }", .sample = "{ session = { name = \"SID\"; }; }",
	  .check_pair = value_pair_php, .words = switches, .form = "settings of php.ini",
	  .meaning = "Further settings of php.ini, which scripts may change." },
	{ PHP(env, pairs), .preset = "{ }", .sample = "{ APP_ENV = \"production\"; }",
	  .check_pair = value_pair_env, .words = truths, .form = "variables",
	  .meaning = "Environment variables of the pool. A value cannot begin with $." },
	{ PHP(clear_env, flag), .preset = "true", .meaning = "Keep the master's own environment from scripts." },
	{ PHP(limit_extensions, list), .preset = "[\".php\"]", .check = value_extension, .form = "extension",
	  .meaning = "Only files with these extensions are run." },
	{ PHP(rlimit_files, number), .preset = "256", .min = 0, .max = 1048576,
	  .meaning = "Files and connections that a process may have open, 16 at least; 0: as many as the master, with which one script "
		     "can take up what all others need." },
	{ PHP(process_priority, number), .preset = "0", .min = -19, .max = 20,
	  .meaning = "The nice value of the processes; 0: as the master." },
	{ PHP(limits.cpu_quota, number), .preset = "0", .sample = "150", .min = 0, .max = 1000000,
	  .meaning = "Limits of all processes of a webspace's PHP together; they need php.master = \"dedicated\" and systemd "
		     "(systemd.resource-control(5)), and a change holds at once. Percent of one processor; 0: no limit." },
	{ PHP(limits.cpu_weight, number), .preset = "0", .sample = "50", .min = 0, .max = 10000,
	  .meaning = "Its share when others want the processors too, where 100 is what others have; 0: that." },
	{ PHP(limits.memory_high, size), .preset = "\"0\"", .sample = "\"384M\"", .min = 0, .max = 1024 * GIB,
	  .meaning = "Memory above which its processes are slowed down and have to give some back; 0: no limit." },
	{ PHP(limits.memory_max, size), .preset = "\"0\"", .sample = "\"512M\"", .min = 0, .max = 1024 * GIB,
	  .meaning = "Memory that it may have: the process that wants more is killed, the master starts another; 0: no limit." },
	{ PHP(limits.tasks_max, number), .preset = "0", .sample = "64", .min = 0, .max = 4194304,
	  .meaning = "Processes and threads that it may have, the master included; 0: systemd's preset." },
	{ PHP(limits.io_weight, number), .preset = "0", .sample = "50", .min = 0, .max = 10000,
	  .meaning = "Its share when others want the disks too, where 100 is what others have; 0: that." },

	/* a site */
	{ SITE("names", list, names), .sample = "[\"example.org\", \"www.example.org\"]", SITE_NAME,
	  .meaning = "The site's host names, 200 at most. Left out: NAME.base_domain. Other scripts may be written as they are. "
		     "More than a certificate takes (100; 25 with the profiles tlsserver and shortlived) have several." },
	{ SITE("type", word, type), .preset = "\"php\"", .words = site_types,
	  .meaning = "static: files only. php: .php files go to the webspace's pool." },
	{ SITE("root", text, root), .preset = "\"\"", .sample = "\"wiki\"", .check = value_relative,
	  .form = "relative path, or empty",
	  .meaning = "The site's directory below chroot/data; empty: data itself." },
	{ SITE("index", list, index), .preset = "[\"index.html\", \"index.htm\", \"index.php\"]",
	  .check = value_file_name, .form = "file name", .meaning = "Files that stand for their directory." },
	{ SITE("redirect_https", flag, redirect_https), .preset = "true",
	  .meaning = "Send visitors from HTTP to HTTPS, once the site has the certificate it wants." },
	{ SITE("disable_symlinks", flag, disable_symlinks), .preset = "true",
	  .meaning = "Let nginx follow no symbolic links. false: a link in `root` counts as what it leads to at each request, for "
		     "PHP too. What a script includes by the path of a link is kept by PHP for longer, unless php.values has "
		     "opcache.revalidate_path = 1 and realpath_cache_ttl = 1, which costs system calls for each file." },
	{ SITE("client_max_body_size", size, client_max_body_size), .preset = "\"24M\"", .min = 0, .max = 64 * GIB,
	  .meaning = "The largest request body; 0: any. nginx has steps of it, so it may be rounded up. Where it is left "
		     "out it is never less than php.post_max_size." },
	{ SITE("tls.issuer", word, tls.issuer), .words = issuers, .sample = "\"internal\"",
	  .meaning = "Who certifies the site: a CA that speaks ACME, the CA of this host, or nobody (off: HTTP only). "
		     "Preset: acme.issuer of the host." },
	{ SITE("tls.hsts", text, tls.hsts), .preset = "\"\"", .sample = "\"1y; includeSubDomains\"", .check = value_hsts,
	  .form = "DURATION[; includeSubDomains][; preload], or empty",
	  .meaning = "Strict-Transport-Security: for how long browsers shall take HTTPS only. Empty: not sent." },
	{ SITE("tls.certificate", text, tls.certificate), .preset = "\"\"", .sample = "\"/etc/ssl/example.pem\"",
	  .check = value_absolute_or_none, .form = "absolute path, or empty",
	  .meaning = "A certificate of your own with its chain (PEM), instead of an issuer's; needs tls.key." },
	{ SITE("tls.key", text, tls.key), .preset = "\"\"", .sample = "\"/etc/ssl/private/example.key\"",
	  .check = value_absolute_or_none, .form = "absolute path, or empty",
	  .meaning = "The key of tls.certificate (PEM)." },
	{ SITE("tls.directory", text, tls.directory), .preset = "\"\"",
	  .sample = "\"https://acme-staging-v02.api.letsencrypt.org/directory\"",
	  .check = value_url_or_none, .form = "URL, or empty",
	  .meaning = "Another ACME CA's directory for this site; empty: acme.directory of the host." },
	{ SITE("tls.challenge", word, tls.challenge), .preset = "\"auto\"", .words = challenges,
	  .meaning = "How an ACME CA is shown that the names are ours. auto: dns-01 for names with *, http-01 for all else. "
		     "dns-01 needs acme.dns_hook of the host." },
	{ SITE("tls.key_type", word, tls.key_type), .preset = "\"ecdsa\"", .words = key_types,
	  .meaning = "The keys of certificates of an ACME CA: ecdsa (P-256), rsa, or a certificate with each, of which "
		     "a client gets the one it knows (both)." },
	{ SITE("tls.rsa_bits", number, tls.rsa_bits), .preset = "2048", .min = 2048, .max = 4096, .step = 1024,
	  .meaning = "The length of RSA keys for an ACME CA." },
	{ SITE("tls.key_lifetime", duration, tls.key_lifetime), .preset = "\"365d\"", .min = 0, .max = 3650 * DAY,
	  .meaning = "When a key is older than this, the next renewal by an ACME CA makes a new one; 0: never." },
	{ SITE("tls.profile", text, tls.profile), .preset = "\"\"", .sample = "\"shortlived\"",
	  .check = value_word, .form = "word, or empty",
	  .meaning = "The profile of certificates that the ACME CA is asked for; empty: the one it chooses." },
	{ SITE("tls.preferred_chain", text, tls.preferred_chain), .preset = "\"\"", .sample = "\"ISRG Root X1\"",
	  .form = "common name, or empty",
	  .meaning = "Where an ACME CA offers several chains: the common name of the root or intermediate that the chain "
		     "shall lead to. Empty, or none does: the first." },
	{ SITE("tls.scope", word, tls.scope), .preset = "\"site\"", .words = scopes,
	  .meaning = "site: a certificate of an ACME CA for this site. webspace: one for all sites of the webspace that say so." },
};
/* clang-format on */
const size_t n_options = ELEMENTS(options);
