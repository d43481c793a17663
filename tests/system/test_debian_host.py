"""A Debian host as an admin has it: booted by systemd, the package installed by apt, and bad days.

One host serves most of these tests; each leaves it as it found it.
"""

import json
import os
import re
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time

import control_groups
import debian
import pytest
import systemd_root
from debian_host import CA_FILE, CONFIG, DOMAIN, DebianHost
from host import wait_for

AGENT, NGINX, NAMESPACE = "webspaces.service", "webspaces-nginx.service", "webspaces-ns.service"


def booted(deb, prefix=()):
    made = DebianHost(tempfile.mkdtemp(dir="/mnt"))
    made.prefix = prefix
    made.boot()
    made.install(deb)
    return made


@pytest.fixture(scope="module")
def deb():
    if systemd_root.why_not() or os.geteuid() != 0:
        pytest.skip(systemd_root.why_not() or "needs root")
    return debian.package()


@pytest.fixture(scope="module")
def groups():
    made = control_groups.ControlGroups(f"webspaces-test-{secrets.token_hex(4)}")
    made.problem = made.make()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def host(deb, groups):
    made = booted(deb, [] if groups.problem else groups.prefix())
    if not groups.problem:
        groups.hand_over(made)
    made.add("alice", "bob")
    yield made
    made.close()


@pytest.fixture
def drop_in(host):
    """Settings of a unit for one test."""
    units = []

    def put(unit, text):
        units.append(unit)
        host.write(f"/run/systemd/system/{unit}.d/test.conf", text)
        host.systemctl("daemon-reload")

    yield put
    for unit in units:
        shutil.rmtree(host.path(f"/run/systemd/system/{unit}.d"))
    host.systemctl("daemon-reload")


def curl(host, name, scheme, port):
    """(status, body), with the CA of the host alone."""
    answer = subprocess.run(
        ["nsenter", "-t", host.leader, "-n", "--", "curl", "-sS", "-m", "20", "-w", "\n%{http_code}",
         "--resolve", f"{name}:{port}:127.0.0.1", "--cacert", str(host.path(CA_FILE)), f"{scheme}://{name}/"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    body, status = answer.stdout.rsplit("\n", 1)
    return int(status), body


def serving(host):
    """Who serves: the processes of nginx and of the PHP masters."""
    return {unit: host.main_pid(unit) for unit in [NGINX, *host.masters().values()]}


# What a host is for


def test_a_dropped_file_is_served_over_http_and_https(host):
    host.drop("carol", 'sites = ({ redirect_https = false; });')
    host.wait_ready("carol", seconds=90)
    host.content("carol", "index.php", "<?php echo 'carol is ', posix_getuid();")
    assert curl(host, f"carol.{DOMAIN}", "http", 80) == (200, f"carol is {host.uid('carol')}")
    assert curl(host, f"carol.{DOMAIN}", "https", 443) == (200, f"carol is {host.uid('carol')}")


def test_pid_1_sees_none_of_the_mounts_of_jails(host):
    inside = host.result("nsenter", "--mount=/run/webspaces/ns/mnt", "cat", "/proc/self/mountinfo").stdout
    assert "/home/www/alice/chroot/.base" in inside
    assert "/home/www" not in host.read("/proc/1/mountinfo")


def test_what_drifts_is_told_in_the_journal_with_its_fields(host):
    place = host.path("/home/www/alice/chroot/tmp")
    place.chmod(0o777)
    wait_for("the mode is put back", lambda: place.stat().st_mode & 0o7777 != 0o777, 30)

    def told():
        lines = host.journal("-o", "json", "-u", AGENT, "WEBSPACE=alice", "CHANGE=drift").splitlines()
        return [entry for entry in map(json.loads, lines) if entry["RESOURCE"] == "directory"]

    entry = wait_for("the journal has it", told, 30, 0.1)[-1]
    assert re.fullmatch("[0-9a-f]{32}", entry["MESSAGE_ID"])
    assert "0777" in entry["OLD"] and "0777" not in entry["NEW"]
    assert entry["MESSAGE"].startswith("alice: ")
    assert host.result("journalctl", "-q", "-x", "-n", "1", "-o", "cat", f"MESSAGE_ID={entry['MESSAGE_ID']}").returncode == 0


def test_status_of_the_unit_says_how_many_webspaces_there_are(host):
    wait_for("the line", lambda: re.match(r"\d+ webspaces; generation \d+$", host.property(AGENT, "StatusText")), 30, 0.1)


def test_the_units_are_as_systemd_likes_them_and_expose_little(host):
    php = next(iter(host.masters().values()))
    verified = host.result("systemd-analyze", "verify", "--man=no", AGENT, NGINX, NAMESPACE, php, "webspaces.slice")
    assert verified.returncode == 0 and not verified.stderr + verified.stdout
    # Tenths of what systemd calls exposure, 10 being a service that says nothing.
    for unit, most in [(AGENT, 58), (NGINX, 50), (php, 60)]:
        told = host.result("systemd-analyze", "security", "--no-pager", f"--threshold={most}", unit)
        assert told.returncode == 0, told.stdout[-200:]


def test_the_process_that_talks_to_cas_can_lock_itself_in(host):
    away = 'acme = { directory = "https://127.0.0.1:14000/dir"; agree_tos = true; preflight = "off"; };'
    host.write("/etc/webspaces/webspaces.conf", CONFIG.replace('acme = { issuer = "internal"; };', away))
    try:
        host.systemctl("restart", AGENT)
        # As far as the network: what hinders it before says something else.
        wait_for("nobody there", lambda: "Connection refused" in (certificate(host)["message"] or ""), 60, 0.1)
    finally:
        host.write("/etc/webspaces/webspaces.conf", CONFIG)
        host.systemctl("restart", AGENT)
    host.wait_ready("alice")


def certificate(host):
    return host.condition("alice", "Certificate") or {"message": None}


# Restarts


def test_a_reload_looks_at_everything_and_is_over_when_it_has(host):
    conf = host.path("/var/lib/webspaces/nginx/current/nginx.conf")
    conf.write_text(conf.read_text() + "# an edit that nobody watches\n")
    before = host.main_pid(AGENT)
    assert host.result("systemctl", "reload", AGENT).returncode == 0
    assert "an edit" not in host.read("/var/lib/webspaces/nginx/current/nginx.conf")
    assert host.main_pid(AGENT) == before


def test_restarting_the_agent_interrupts_no_request(host):
    before, agent = serving(host), host.main_pid(AGENT)
    crowd = host.crowd("alice", "bob")
    for _ in range(3):
        assert host.result("systemctl", "restart", AGENT).returncode == 0
        host.wait_served("alice", "bob")
        time.sleep(0.3)
    visits = crowd.end()
    assert not visits.failed and len(visits.visits) > 20, visits.failed
    assert serving(host) == before and host.main_pid(AGENT) != agent


def test_an_agent_that_was_killed_is_started_again_and_no_request_is_lost(host):
    before, agent = serving(host), host.main_pid(AGENT)
    crowd = host.crowd("alice", "bob")
    host.run(["kill", "-9", str(agent)])
    wait_for("another agent", lambda: host.main_pid(AGENT) not in (0, agent) and host.is_active(AGENT), 60, 0.1)
    host.wait_served("alice", "bob")
    visits = crowd.end()
    assert not visits.failed and visits.visits, visits.failed
    assert serving(host) == before


def test_an_agent_whose_file_was_broken_comes_back_when_it_is_mended(host):
    before = serving(host)
    host.write("/etc/webspaces/webspaces.conf", "base_domain = 5;\n")
    try:
        assert host.result("systemctl", "restart", AGENT).returncode != 0
        wait_for("several attempts", lambda: int(host.property(AGENT, "NRestarts")) >= 2, 60, 0.1)
        assert "webspaces.conf:1: base_domain" in host.journal("-u", AGENT, "-n", "30")
        assert host.is_served("alice")
    finally:
        host.write("/etc/webspaces/webspaces.conf", CONFIG)
    wait_for("the agent", lambda: host.is_active(AGENT), 60, 0.1)
    assert serving(host) == before


def test_an_agent_whose_loop_hangs_is_replaced_by_the_watchdog(host, drop_in):
    drop_in(AGENT, "[Service]\nWatchdogSec=3s\n")
    host.systemctl("restart", AGENT)
    agent = host.main_pid(AGENT)
    host.run(["kill", "-STOP", str(agent)])
    wait_for("another agent", lambda: host.main_pid(AGENT) not in (0, agent) and host.is_active(AGENT), 60, 0.1)
    assert "Watchdog timeout" in host.journal("-u", AGENT, "-n", "30")
    host.wait_served("alice")


def test_an_agent_that_works_is_left_alone_by_the_watchdog(host, drop_in):
    drop_in(AGENT, "[Service]\nWatchdogSec=6s\n")
    host.systemctl("restart", AGENT)
    agent, since = host.main_pid(AGENT), int(host.property(AGENT, "WatchdogTimestampMonotonic"))
    # Two beats after the one that began it.
    for _ in range(2):
        now = since
        wait_for("a beat", lambda: int(host.property(AGENT, "WatchdogTimestampMonotonic")) > now, 30, 0.1)
        since = int(host.property(AGENT, "WatchdogTimestampMonotonic"))
    assert host.main_pid(AGENT) == agent


def test_nginx_comes_back_after_a_kill(host):
    before, begin = host.main_pid(NGINX), time.monotonic()
    host.run(["kill", "-9", str(before)])
    wait_for("another nginx", lambda: host.main_pid(NGINX) not in (0, before), 60, 0.1)
    host.wait_served("alice", "bob")
    print(f"nginx was killed, and served again {time.monotonic() - begin:.1f} s later")


def test_nginx_comes_back_without_an_agent_too(host):
    host.systemctl("stop", AGENT)
    before = host.main_pid(NGINX)
    host.run(["kill", "-9", str(before)])
    wait_for("another nginx", lambda: host.main_pid(NGINX) not in (0, before), 60, 0.1)
    host.wait_served("alice", "bob")
    now = host.main_pid(NGINX)
    host.systemctl("start", AGENT)
    assert host.main_pid(NGINX) == now


def test_php_masters_come_back_after_a_kill(host):
    before = php_pids(host)
    host.run(["kill", "-9", *map(str, before)])
    wait_for("other masters", lambda: len(php_pids(host) - before) == len(before), 60, 0.1)
    host.wait_served("alice", "bob")

    def only_those():
        listed = host.systemctl("list-units", "--all", "--plain", "--no-legend", "webspaces-php@*")
        return {line.split()[0] for line in listed.splitlines()} == set(host.masters().values())

    wait_for("units of those that serve, and no others", only_those, 30, 0.1)


def php_pids(host):
    return {host.main_pid(unit) for unit in host.masters().values()} - {0}


# The namespace


def test_all_that_serves_is_in_the_namespace_and_the_agent_too(host):
    name = host.result("nsenter", "--mount=/run/webspaces/ns/mnt", "readlink", "/proc/self/ns/mnt").stdout.strip()
    outside = os.readlink(host.path("/proc/1/ns/mnt"))
    pids = [host.main_pid(AGENT), *serving(host).values()]
    assert {os.readlink(host.path(f"/proc/{pid}/ns/mnt")) for pid in pids} == {name} and name != outside


def test_S1_the_home_tree_is_sealed_in_the_namespace(host):
    told = host.result("nsenter", "--mount=/run/webspaces/ns/mnt", "findmnt", "-n", "-o", "VFS-OPTIONS", "/home/www").stdout
    assert {"noexec", "nosuid", "nodev"} <= set(told.strip().split(",")), told


def test_S3_each_master_has_an_ipc_namespace_of_its_own_and_the_others_have_the_hosts(host):
    masters = [os.readlink(host.path(f"/proc/{pid}/ns/ipc")) for pid in php_pids(host)]
    others = [os.readlink(host.path(f"/proc/{pid}/ns/ipc")) for pid in (1, host.main_pid(AGENT), host.main_pid(NGINX))]
    assert masters and len(set(masters)) == len(masters)
    assert len(set(others)) == 1 and not set(others) & set(masters)


def test_stopping_the_namespace_stops_all_and_starting_the_agent_brings_all_back(host):
    before = serving(host)
    assert host.result("systemctl", "stop", NAMESPACE).returncode == 0
    assert not any(host.is_active(unit) for unit in [AGENT, *before])
    assert not any(host.path(f"/proc/{pid}").exists() for pid in before.values())
    assert host.result("systemctl", "start", AGENT).returncode == 0
    host.wait_served("alice", "bob")


def test_X12_stopping_the_namespace_is_not_cancelled_by_changes_meanwhile(host):
    """X12: files come and go, so masters are started, while its unit is stopped."""
    for attempt in range(3):
        host.run(["systemctl", "start", "webspaces.service"])
        host.wait_served("alice", "bob")
        for number in range(4):
            host.drop(f"late{number}", f'php = {{ master = "dedicated"; memory_limit = "{32 + attempt}M"; }};')
        assert "canceled" not in host.result("systemctl", "stop", "webspaces-ns.service").stderr
        for unit in ("webspaces-ns.service", "webspaces.service", "webspaces-nginx.service"):
            assert host.property(unit, "ActiveState") == "inactive", unit
    for number in range(4):
        host.path(f"/etc/webspaces.d/late{number}.conf").unlink()
    host.run(["systemctl", "start", "webspaces.service"])
    host.wait_served("alice", "bob")


def test_enter_leaves_nothing_behind_on_a_host_with_systemd(host):
    """S7"""
    done = host.result("webspaces", "enter", "alice", "sh", "-c", "setsid sleep 4711 & exit 6")
    assert done.returncode == 6, done.stderr
    assert host.result("pgrep", "-f", "sleep 4711").stdout == ""


def test_a_unit_with_mounts_of_its_own_does_not_make_a_second_namespace(host, drop_in):
    drop_in(AGENT, "[Service]\nPrivateTmp=yes\nRestart=no\n")
    host.systemctl("stop", AGENT)
    assert host.result("systemctl", "start", AGENT).returncode != 0
    assert "is not to be seen from here" in host.journal("-u", AGENT, "-n", "20")
    host.write(f"/run/systemd/system/{AGENT}.d/test.conf", "")
    host.systemctl("daemon-reload")
    assert host.result("systemctl", "restart", AGENT).returncode == 0
    host.wait_served("alice")


# Limits

TASKS = """<?php
for ($n = 0; $n < 40; $n++)
	if (!($started[$n] = @proc_open(['/bin/sleep', '30'], [], $pipes))) break;
echo $n;
foreach (array_filter($started) as $process) { proc_terminate($process, 9); proc_close($process); }
"""
MEMORY = "<?php echo strlen(str_repeat('x', 160 << 20)) >> 20;"
WORK = """<?php
$begin = microtime(true); $before = getrusage();
while (microtime(true) < $begin + 3) md5('work');
$after = getrusage();
$used = fn($t) => $t['ru_utime.tv_sec'] + $t['ru_utime.tv_usec'] / 1e6 + $t['ru_stime.tv_sec'] + $t['ru_stime.tv_usec'] / 1e6;
echo ($used($after) - $used($before)) / (microtime(true) - $begin);
"""


def limited(limits):
    return (
        'php = { master = "dedicated"; chroot = false; disable_functions = ""; memory_limit = "512M"; '
        f"limits = {{ {limits} }}; }};"
    )


@pytest.fixture
def dave(host, groups):
    """A webspace with a master of its own, and without limits."""
    if groups.problem or not groups.hold(host):
        pytest.skip(groups.problem or "the systemd in the container has no control groups to limit anything with")
    host.add("dave", text=limited(""))
    for name, text in [("tasks", TASKS), ("memory", MEMORY), ("work", WORK)]:
        host.content("dave", f"{name}.php", text)
    return f"dave.{DOMAIN}"


def dedicated(host):
    return next(unit for line, unit in host.masters().items() if "-u" in line)


def limit(host, limits, property, value):
    """Says so in the file, and waits until systemd has it; the master stays."""
    unit, before = dedicated(host), host.main_pid(dedicated(host))
    host.drop("dave", limited(limits))
    wait_for(f"{property}={value}", lambda: host.property(unit, property) == value, 60, 0.1)
    assert host.main_pid(unit) == before and dedicated(host) == unit


def test_a_limit_of_tasks_holds_for_the_php_of_the_webspace(host, dave):
    assert host.get(dave, "/tasks.php", https=True, timeout=60).text == "40"
    limit(host, "tasks_max = 12;", "TasksMax", "12")
    # The master, the child that answers, and what that could start.
    assert 1 <= int(host.get(dave, "/tasks.php", https=True, timeout=60).text) <= 10
    assert host.is_served("alice")


def test_a_limit_of_memory_holds_for_the_php_of_the_webspace(host, dave):
    assert host.get(dave, "/memory.php", https=True, timeout=60).text == "160"
    limit(host, 'memory_max = "96M";', "MemoryMax", str(96 << 20))
    unit, pid = dedicated(host), host.main_pid(dedicated(host))
    status = host.get(dave, "/memory.php", https=True, timeout=60).status
    assert status == 502 or swaps()
    # The child that wanted too much is gone; its master goes on, with another.
    assert host.main_pid(unit) == pid
    host.wait_served("dave", "alice")


def swaps():
    with open("/proc/swaps", encoding="ascii") as file:
        return len(file.read().splitlines()) > 1


def test_a_limit_of_cpu_holds_for_the_php_of_the_webspace(host, dave):
    limit(host, "cpu_quota = 20;", "CPUQuotaPerSecUSec", "200ms")
    assert float(host.get(dave, "/work.php", https=True, timeout=60).text) < 0.5


def test_limits_go_over_to_the_next_master_and_nothing_stays_of_the_last(host, dave):
    limit(host, "tasks_max = 30;", "TasksMax", "30")
    before = dedicated(host)
    host.drop("dave", limited("tasks_max = 30;").replace("512M", "256M"))
    wait_for("another master", lambda: dedicated(host) != before, 60, 0.1)
    assert host.property(dedicated(host), "TasksMax") == "30"
    control = host.path("/run/systemd/system.control")
    wait_for("the last one's settings go", lambda: os.listdir(control) == [f"{dedicated(host)}.d"], 60, 0.1)


# What it costs


def test_500_webspaces_make_a_daemon_reload_not_twice_as_long(host, deb):
    names = [f"w{n:03}" for n in range(500)]
    many = booted(deb)
    try:
        without = booted(deb)
        try:
            for name in names:
                many.drop(name)
            wait_for("500 webspaces", lambda: many.n_ready() >= 500, 180, 0.5)
            times = [(without.seconds("systemctl", "daemon-reload"), many.seconds("systemctl", "daemon-reload")) for _ in range(11)]
        finally:
            without.close()
    finally:
        many.close()
    bare, full = (statistics.median(column) for column in zip(*times))
    print(f"daemon-reload: {bare * 1000:.0f} ms without webspaces, {full * 1000:.0f} ms with 500")
    assert full < 2 * bare


# Upgrades and boots


def test_an_upgrade_under_load_fails_no_request(host, deb):
    later = debian.newer("/mnt")
    host.add("erin", text="sites = ({ redirect_https = false; });")
    before, agent = serving(host), host.main_pid(AGENT)
    crowd = host.crowd("alice", "bob", visitors=8, pause=0.02)
    wrk = host.wrk("erin")
    host.install(later)
    assert "+1" in host.result("dpkg-query", "-W", "-f", "${Version}", "webspaces").stdout
    host.wait_served("alice", "bob")
    visits, told = crowd.end(), host.wrk_end(wrk)
    assert not visits.failed and len(visits.visits) > 50, visits.failed
    assert told["requests"] > 50 and told["failed"] == 0, told
    assert host.main_pid(AGENT) not in (0, agent) and serving(host) == before


BEFORE_PHP = "/bin/sh -c 'nsenter --mount=/run/webspaces/ns/mnt cat /proc/self/mountinfo > /root/before-%i'"


def test_after_a_reboot_all_is_served_without_help_and_mounts_were_there_before_php(host):
    host.write("/etc/systemd/system/webspaces-php@.service.d/test.conf", f"[Service]\nExecStartPre=+{BEFORE_PHP}\n")
    host.reboot()
    host.wait_served("alice", "bob")
    for line, unit in host.masters().items():
        mounts = host.read(f"/root/before-{unit.removeprefix('webspaces-php@').removesuffix('.service')}")
        for name in ["alice", "bob"]:
            assert f"/home/www/{name}/chroot/.base " in mounts, f"{line} was started before the mounts of {name}"
    assert host.systemctl("is-system-running") == "running", host.systemctl("--failed")


def test_after_a_power_cut_all_is_served_without_help(host):
    host.lose_power()
    host.wait_served("alice", "bob")
    assert host.systemctl("is-system-running") == "running", host.systemctl("--failed")
