"""Each key of the table does what its meaning says: one look at its effect, or the test that has it."""

import json
import os
import pwd
import re
import select
import shutil
import socket
import ssl
import subprocess

import pytest

from host import Host, wait_for
from snippets import values

# Keys whose effect has a test of its own: part of the test's name.
ELSEWHERE = {
    "config_dir": "test_every_way_to_write_a_file_is_seen", "home_root": "test_an_empty_file_becomes_a_served_site",
    "state_dir": "test_an_empty_file_becomes_a_served_site", "run_dir": "test_an_empty_file_becomes_a_served_site",
    "log_root": "test_an_empty_file_becomes_a_served_site", "base_domain": "test_an_empty_file_becomes_a_served_site",
    "name": "test_a_file_meant_for_another_host_is_as_if_absent", "hosts": "test_a_file_meant_for_another_host_is_as_if_absent",
    "web_user": "test_by_group_the_web_server_is_a_member_and_there_is_no_acl",
    "web_access": "test_by_group_the_web_server_is_a_member_and_there_is_no_acl", "manager": "test_php_masters_are_units_and_are_swapped",
    "accounts.create": "test_a_user_that_appears_later_is_picked_up", "nginx.instance": "test_from_own_to_system_and_back_leaves_nothing_behind",
    "nginx.binary": "test_the_two_keys_that_name_a_program", "php.binary": "test_the_two_keys_that_name_a_program",
    "nginx.main": "test_it_serves_webspaces_beside_its_own_site", "nginx.include": "test_it_serves_webspaces_beside_its_own_site",
    "nginx.http": "test_http_redirects_to_https", "nginx.https": "test_http_redirects_to_https",
    "nginx.http2": "test_listeners_are_as_the_host_says", "nginx.tls_protocols": "test_listeners_are_as_the_host_says",
    "nginx.worker_processes": "test_listeners_are_as_the_host_says", "nginx.worker_connections": "test_listeners_are_as_the_host_says",
    "nginx.limit_conn": "test_S4_connections_that_one_webspace_holds_cost_another_no_request",
    "nginx.large_client_header_buffers": "test_F18_thirty_kilobytes_of_cookies_reach_PHP",
    "nginx.unknown": "test_listeners_are_as_the_host_says", "nginx.suspended": "test_the_admin_says_with_which_page_and_status",
    "nginx.suspended_page": "test_the_admin_says_with_which_page_and_status", "metrics.file": "test_figures_say_what_is_and_count_what_was_done",
    "php.shards": "test_lines_double_as_webspaces_come_and_nobody_is_refused", "base": "test_a_changed_source_of_the_base_is_seen_in_the_jail",
    "reconcile.settle_ms": "test_drift_does_not_wait_for_files_to_settle", "reconcile.full_pass_s": "test_a_lost_membership_is_put_back",
    "reconcile.removal_grace_s": "test_one_file_removed_takes_its_site_after_the_grace",
    "acme.issuer": "test_a_dropped_file_is_served_with_the_certificate_of_the_ca", "acme.directory": "test_a_dropped_file_is_served_with_the_certificate_of_the_ca",
    "acme.ca_file": "test_a_dropped_file_is_served_with_the_certificate_of_the_ca", "acme.contact": "test_changed_contacts_are_told_to_the_ca_at_the_next_start",
    "acme.agree_tos": "test_before_the_terms_are_agreed_to_nothing_is_asked_of_the_ca",
    "acme.eab.kid": "test_an_account_is_bound_by_a_key_in_the_host_s_file", "acme.eab.hmac_key": "test_an_account_is_bound_by_a_key_in_the_host_s_file",
    "acme.eab.hmac_key_file": "test_an_account_that_has_to_be_bound_is_held", "acme.account_key": "test_an_account_key_that_cannot_be_used_is_told",
    "acme.user": "test_the_worker_has_a_user_of_its_own", "acme.limits": "test_fifty_certificates_of_a_domain_come_in_a_burst",
    "acme.preflight": "test_a_strict_look_holds_back_what_points_elsewhere", "acme.addresses": "test_a_strict_look_holds_back_what_points_elsewhere",
    "acme.dns_hook": "test_a_wildcard_and_its_base_are_in_one_certificate", "acme.dns_hook_timeout": "test_a_hanging_hook_is_killed_at_its_deadline",
    "acme.dns_wait": "test_with_dns_wait_0_the_ca_is_asked_to_look_at_once", "acme.wildcard": "test_one_certificate_of_the_base_domain_is_used",
    "bundles": "test_bundles_are_binds_that_are_read_only_and_come_and_go",
    "defaults": "test_a_file_is_served_beside_defaults_that_it_contradicts", "php.master": "test_file_systems_of_their_own_do_not_mix_up_the_cache",
    "php.limits.cpu_quota": "test_a_limit_of_cpu_holds_for_the_php", "php.limits.cpu_weight": "test_limits_go_over_to_the_next_master",
    "php.limits.io_weight": "test_limits_go_over_to_the_next_master", "php.limits.memory_high": "test_limits_go_over_to_the_next_master",
    "php.limits.memory_max": "test_a_limit_of_memory_holds_for_the_php", "php.limits.tasks_max": "test_a_limit_of_tasks_holds_for_the_php",
    "php.values": "test_every_text_arrives_in_settings_and_variables", "php.user_values": "test_every_text_arrives_in_settings_and_variables",
    "php.env": "test_every_text_arrives_in_settings_and_variables", "client_max_body_size": "test_a_site_may_take_less_than_php_does",
    "php.post_max_size": "test_a_site_may_take_less_than_php_does", "php.upload_max_filesize": "test_an_upload_of_15_MB_arrives",
    "tls.certificate": "test_from_acme_to_own_files_and_back", "tls.key": "test_from_acme_to_own_files_and_back",
    "tls.directory": "test_a_site_of_another_ca_has_its_own_account_there", "tls.challenge": "test_plain_names_are_proved_by_dns_where_the_site_says_so",
    "tls.key_type": "test_the_key_is_of_the_wanted_kind", "tls.rsa_bits": "test_the_key_is_of_the_wanted_kind",
    "tls.key_lifetime": "test_a_renewal_keeps_the_key_and_its_generation_until", "tls.profile": "test_a_known_profile_is_ordered",
    "tls.preferred_chain": "test_the_preferred_chain_is_installed", "tls.scope": "test_one_certificate_for_all_sites_of_a_webspace",
}  # fmt: skip

# key: (text of the file, what is looked at). A look returns None or what is wrong.
LOOKS = {}


def look(key, text=""):
    def add(function):
        LOOKS[key] = (text, function)
        return function

    return add


def expect(what, got, wanted):
    return None if got == wanted else f"{what}: {got!r} instead of {wanted!r}"


def ini(setting, wanted):
    return lambda host, name: expect(setting, values(host, name, f"return ini_get('{setting}');"), wanted)


def children(name):
    """Pids of the pool's processes."""
    uid = pwd.getpwnam(name).pw_uid
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{entry}").st_uid == uid:
                found.append(int(entry))
        except OSError:
            pass
    return found


def pool(lines):
    """A look at what php-fpm says of itself where the pool tells its state."""

    def at(host, name):
        text = fpm(host, name, "/php-fpm-status")
        return None if all(re.search(line, text) for line in lines) else text

    return at


def fpm(host, name, path):
    """The pool itself is asked, as a monitor on the host does."""
    return subprocess.run(
        ["cgi-fcgi", "-bind", "-connect", f"{host.run_dir}/php/{name}.sock"],
        env={"SCRIPT_NAME": path, "SCRIPT_FILENAME": path, "REQUEST_METHOD": "GET"}, capture_output=True, text=True, timeout=20, check=False,
    ).stdout  # fmt: skip


look("php.memory_limit", 'php = { memory_limit = "48M"; };')(ini("memory_limit", "48M"))
look("php.display_errors", "php = { display_errors = true; };")(ini("display_errors", "1"))
look("php.allow_url_fopen", "php = { allow_url_fopen = false; };")(ini("allow_url_fopen", "0"))
look("php.session_gc_maxlifetime", 'php = { session_gc_maxlifetime = "2h"; };')(ini("session.gc_maxlifetime", "7200"))
look("php.session_gc_divisor", "php = { session_gc_divisor = 7; };")(ini("session.gc_divisor", "7"))
look("php.open_basedir", 'php = { open_basedir = "/data/"; };')(ini("open_basedir", "/data/"))
look("php.version", 'php = { version = "8.2"; };')(
    lambda host, name: expect("version", values(host, name, "return PHP_VERSION;")[:4], "8.2."))  # fmt: skip


@look("php.enabled", "php = { enabled = false; };")
def no_pool(host, name):
    host.write(name, "secret.php", "<?php echo 'r' . 'an';")
    answer = host.get(name, "/secret.php", https=True)
    there = os.path.exists(f"{host.run_dir}/php/{name}.sock")
    return None if not there and "r'" not in answer.text and "ran" not in answer.text else f"socket {there}, {answer.status} {answer.text}"


look("php.status_path", 'php = { status_path = "/state"; };')(
    lambda host, name: expect("status", "accepted conn" in fpm(host, name, "/state"), True))  # fmt: skip
look("php.ping_path", 'php = { ping_path = "/alive"; };')(
    lambda host, name: expect("ping", "pong" in fpm(host, name, "/alive"), True))  # fmt: skip
look("php.pm", 'php = { pm = "static"; max_children = 2; };')(pool(["process manager: +static", "total processes: +2"]))
DYNAMIC = 'php = { pm = "dynamic"; max_children = 9; %s };'
look("php.start_servers", DYNAMIC % "start_servers = 3; max_spare_servers = 4;")(pool(["process manager: +dynamic", "total processes: +3"]))
look("php.min_spare_servers", DYNAMIC % "start_servers = 2; min_spare_servers = 2;")(pool(["process manager: +dynamic", "total processes: +[2-9]"]))


@look("php.max_spare_servers", DYNAMIC % "start_servers = 2; min_spare_servers = 1; max_spare_servers = 2;")
def at_most_idle(host, name):
    hold_all(host, name, 6)
    wait_for("the idle ones go", lambda: re.search("idle processes: +[0-2]\n", fpm(host, name, "/php-fpm-status")), 30)


def hold_all(host, name, count, seconds=0.5):
    """Requests at once; how many of them ran at the same time."""
    host.write(name, "hold.php", f"<?php usleep({int(seconds * 1000000)}); echo getmypid();")
    host.wait_answers(name, "/hold.php", https=True)
    script = f"{host.https_port}:127.0.0.1"
    url = f"https://{host.host_name(name)}:{host.https_port}/hold.php?[1-{count}]"
    done = subprocess.run(
        ["curl", "-sk", "--parallel", "--parallel-immediate", "--parallel-max", str(count), "--resolve", f"{host.host_name(name)}:{script}", "-w", "\n", url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return len(set(done.stdout.split()))


@look("php.max_children", 'php = { max_children = 3; master = "dedicated"; };')  # a master that nobody else changes
def at_most_children(host, name):
    return expect("processes", hold_all(host, name, 9), 3)


@look("php.max_requests", "php = { max_children = 1; max_requests = 3; };")
def replaced_after(host, name):
    host.write(name, "pid.php", "<?php echo getmypid();")
    pids = [host.wait_answers(name, "/pid.php", https=True).text for _ in range(9)]
    return None if 3 <= len(set(pids)) <= 4 else f"9 requests by {len(set(pids))} processes"


@look("php.process_idle_timeout", 'php = { process_idle_timeout = "1s"; };')
def idle_ones_go(host, name):
    values(host, name, "return 1;")
    wait_for("no process is left", lambda: not children(name), 10)


@look("php.request_terminate_timeout", "php = { request_terminate_timeout = 1; };")
def ended(host, name):
    host.write(name, "long.php", "<?php sleep(8); echo 'went on';")
    return expect("a long request", host.get(name, "/long.php", https=True, timeout=20).status, 502)


@look("php.request_slowlog_timeout", "php = { request_slowlog_timeout = 1; };")
def logged(host, name):
    host.write(name, "slow.php", "<?php for ($until = microtime(true) + 3; microtime(true) < $until;) usleep(1000);")
    host.get(name, "/slow.php", https=True, timeout=20)
    wait_for("a trace", lambda: "slow.php" in read(host.home(name, "logs/php-slow.log")), 10)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read()
    except FileNotFoundError:
        return ""


@look("php.listen_mode", 'php = { listen_mode = "0600"; };')
def mode_of_socket(host, name):
    return expect("mode", oct(os.stat(f"{host.run_dir}/php/{name}.sock").st_mode & 0o777), "0o600")


@look("php.chroot", "php = { chroot = false; };")
def outside(host, name):
    return expect("directory", values(host, name, "return __DIR__;"), host.data(name))


@look("php.disable_functions", 'php = { disable_functions = "str_rot13"; };')
def without_function(host, name):
    return expect("str_rot13", values(host, name, "return [function_exists('str_rot13'), function_exists('exec')];"), [False, True])


@look("php.clear_env", "php = { clear_env = false; };")
def environment_of_the_master(host, name):
    return expect("of the master", [values(host, who, "return getenv('WEBSPACES_RUN') !== false;") for who in (name, "plain")], [True, False])


@look("php.limit_extensions", 'php = { limit_extensions = [".phtml"]; };')
def only_these_run(host, name):
    host.write(name, "no.php", "<?php echo 'ran';")
    answer = host.get(name, "/no.php", https=True)
    return None if answer.status in (403, 404) and "ran" not in answer.text else f"{answer.status} {answer.text}"


def of_a_child(host, name, path):
    return [read(f"/proc/{pid}/{path}") for pid in children(name)]


@look("php.rlimit_files", 'php = { pm = "static"; max_children = 1; rlimit_files = 321; };')
def descriptors(host, name):
    return expect("limits", [bool(re.search(r"Max open files +321 +321 ", text)) for text in of_a_child(host, name, "limits")], [True])


@look("php.process_priority", 'php = { pm = "static"; max_children = 1; process_priority = 7; };')
def niceness(host, name):
    return expect("nice", [text.rsplit(")", 1)[1].split()[16] for text in of_a_child(host, name, "stat")], ["7"])


@look("account.uid", "account = { uid = 31234; };")
def uid(_, name):
    return expect("ids", (pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid), (31234, 31234))


@look("account.gid", "account = { gid = 31235; };")
def gid(host, name):
    return expect("gid", (pwd.getpwnam(name).pw_gid, os.stat(host.data(name)).st_gid in (31235, 0)), (31235, True))


@look("accounts.uid_min")
@look("accounts.uid_max")
def in_range(host, name):
    return expect("in range", host.uid_min <= pwd.getpwnam(name).pw_uid <= host.uid_max, True)


@look("binds", 'binds = ["/usr/share/zoneinfo:/zones"];')
def bound(host, name):
    return expect("the bind", values(host, name, "return is_file('/zones/UTC');"), True)


@look("state", 'state = "suspended";')
def suspended(host, name):
    return expect("status", host.get(name, "/", https=True).status, 503)


@look("sites", 'sites = ( { names = ["one.every.test"]; }, { names = ["two.every.test"]; type = "static"; } );')
@look("names", 'sites = ( { names = ["three.every.test", "four.every.test"]; } );')
def each_name(host, name):
    host.write(name, "name.html", "here")
    names = ("one.every.test", "two.every.test") if "one.every" in LOOKS["sites"][0] and name == name_of("sites") else ("three.every.test", "four.every.test")
    return expect("answers", [host.get(site, "/name.html", https=True).text for site in names], ["here", "here"])


@look("type", 'sites = ( { type = "static"; } );')
def nothing_runs(host, name):
    host.write(name, "run.php", "<?php echo 'r' . 'an';")
    return expect("ran", "ran" in host.get(name, "/run.php", https=True).text, False)


@look("root", 'sites = ( { root = "deep/er"; } );')
def from_below(host, name):
    host.write(name, "deep/er/page.html", "below")
    host.write(name, "page.html", "above")
    return expect("page", host.get(name, "/page.html", https=True).text, "below")


@look("index", 'sites = ( { index = ["start.htm", "other.html"]; } );')
def first_index(host, name):
    for page in ("other.html", "index.html", "start.htm"):
        host.write(name, f"i/{page}", page)
    return expect("index", host.get(name, "/i/", https=True).text, "start.htm")


@look("redirect_https", "sites = ( { redirect_https = false; } );")
def plain_http(host, name):
    host.write(name, "page.html", "plain")
    return expect("by HTTP", (host.get(name, "/page.html").text, host.get("plain", "/").status), ("plain", 301))


@look("disable_symlinks", "sites = ( { disable_symlinks = false; } );")
def followed(host, name):
    for who in (name, "plain"):
        host.write(who, "target.html", "linked")
        os.symlink("target.html", host.data(who, "link.html"))
        os.chown(host.data(who, "link.html"), *(pwd.getpwnam(who)[2:4]), follow_symlinks=False)
    answers = [host.get(who, "/link.html", https=True) for who in (name, "plain")]
    return expect("links", (answers[0].text, answers[1].status in (403, 404)), ("linked", True))


@look("tls.issuer", 'sites = ( { tls = { issuer = "off"; }; } );')
def no_tls(host, name):
    host.write(name, "page.html", "plain")
    return expect("by HTTP and HTTPS", (host.get(name, "/page.html").text, host.get_quietly(name, "/page.html", https=True)), ("plain", None))


@look("tls.hsts", 'sites = ( { tls = { hsts = "1d; includeSubDomains"; }; } );')
def header(host, name):
    return expect("header", host.get(name, "/", https=True).headers["Strict-Transport-Security"], "max-age=86400; includeSubDomains")


# ------------------------------------------------------------------------------------------------


def name_of(key):
    return "k-" + re.sub(r"[^a-z]", "-", key)[-28:].strip("-")


def keys():
    program = os.environ.get("WEBSPACES", "build/webspaces")
    done = subprocess.run([program, "options", "--json"], capture_output=True, text=True, check=True)
    return [row["key"] for row in json.loads(done.stdout)]


def test_each_key_has_its_look():
    """F: every key of the table has a test of its effect."""
    here = os.path.dirname(os.path.abspath(__file__))
    tests = {name for file in os.listdir(here) if file.startswith("test_") for name in re.findall(r"^def (test_\w+)", read(f"{here}/{file}"), re.M)}
    assert [key for key in keys() if key not in LOOKS and key not in ELSEWHERE] == []
    assert [key for key in (*LOOKS, *ELSEWHERE) if key not in keys()] == []
    assert {key: part for key, part in ELSEWHERE.items() if not any(name.startswith(part) for name in tests)} == {}


def test_listeners_are_as_the_host_says(make_host):
    """F: nginx.http2, tls_protocols, worker_processes, worker_connections, unknown."""
    host = make_host()
    host.configure(nginx='http2 = false; tls_protocols = ["TLSv1.2"]; worker_processes = 3; worker_connections = 77; unknown = "404";')
    host.start()
    host.add("alice")
    context = ssl.create_default_context(cafile=host.ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", host.https_port)) as plain:
        with context.wrap_socket(plain, server_hostname="alice.web.test") as line:
            assert (line.selected_alpn_protocol(), line.version()) == ("http/1.1", "TLSv1.2")
    assert host.get("nobody", "/").status == 404
    workers = subprocess.run(["pgrep", "-P", str(host.nginx_pid())], capture_output=True, text=True, check=True).stdout.split()
    assert len(workers) == 3
    idle = [socket.create_connection(("127.0.0.1", host.http_port)) for _ in range(400)]
    wait_for("no more are kept than workers have connections", lambda: len(idle) - len(select.select(idle, [], [], 0)[0]) <= 3 * 77)
    for one in idle:
        one.close()
    host.wait_answers("alice", https=True)


def test_the_two_keys_that_name_a_program(make_host):
    """F: nginx.binary, php.binary."""
    host = make_host()
    for program in ("nginx", "php-fpm8.2"):
        shutil.copy2(f"/usr/sbin/{program}", f"{host.root}/{program}")
    host.configure(nginx=f'binary = "{host.root}/nginx";')
    with open(host.config, encoding="utf-8") as file:
        text = file.read()
    with open(host.config, "w", encoding="utf-8") as file:
        file.write(text.replace("php = { ", f'php = {{ binary = "{host.root}/php-fpm%s"; '))
    host.start()
    host.add("alice")
    pids = [host.nginx_pid(), *host.masters().values()]
    assert {os.readlink(f"/proc/{pid}/exe") for pid in pids} == {f"{host.root}/nginx", f"{host.root}/php-fpm8.2"}


@pytest.fixture(scope="module")
def shared(accounts_of_the_module):
    host = Host(shards=2).start()
    host.drop("plain")
    for key, (text, _) in LOOKS.items():
        host.drop(name_of(key), text)
    host.wait_ready("plain", *map(name_of, LOOKS), seconds=90)
    with open("/etc/passwd", encoding="ascii") as users:
        host.accounts = users.read()
    yield host
    host.destroy()


def test_each_key_does_what_it_says(shared):
    """F: by its effect, one webspace a key on one host."""
    assert len({name_of(key) for key in LOOKS}) == len(LOOKS)
    wrong = {}
    for key, (_, function) in LOOKS.items():
        try:
            found = function(shared, name_of(key))
        except (AssertionError, OSError, KeyError) as error:
            found = repr(error)
        if found:
            wrong[key] = found
    assert not wrong, "\n".join(f"{key}: {found}" for key, found in wrong.items())
