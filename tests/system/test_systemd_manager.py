"""The systemd manager against a real systemd, and PHP masters as its units."""

import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

import pytest
import systemd_root
from test_php_service import Driver, Space, NGINX, ROOT, all_served, wait_for, NAMES

PROGRAMS = systemd_root.TOP / "build" / "system"

UNITS = {
    # Ready after a while, reloads, takes its time to end.
    "good.service": """[Service]
Type=notify
NotifyAccess=all
RuntimeDirectory=good
ExecStart=/bin/sh /opt/good
ExecReload=/bin/kill -HUP $MAINPID
CollectMode=inactive-or-failed
""",
    "bad.service": "[Service]\nType=exec\nExecStart=/bin/false\n",
    "none.service": "[Service]\nType=exec\nExecStart=/nonexistent\n",
    # What others need, and one of them; it takes its time to stop.
    "base.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/sleep 0.3\n",
    "on-base@.service": """[Unit]
Requires=base.service
After=base.service
CollectMode=inactive-or-failed
[Service]
Type=exec
ExecStart=/bin/sleep 1000
""",
    "webspaces-php@.service": """[Unit]
CollectMode=inactive-or-failed
StartLimitIntervalSec=0
[Service]
Type=notify
ExecStart=/opt/php_driver /run/w exec-php %i
KillMode=mixed
KillSignal=SIGQUIT
LimitNOFILE=65536
""",
}


GOOD = """trap "echo again >> /run/good/reloads" HUP
echo $$ > /run/good/pid
systemd-notify --ready --pid=$$
while :; do sleep 1 & wait; done
"""


class Machine(systemd_root.Container):
    """A container with what Space has of a host."""

    write, home, link, get = Space.write, Space.home, Space.link, Space.get

    def enter(self, argv):
        """What is not installed inside comes from outside, into its network."""
        flags = "-n" if argv[0] in ("curl", "wrk") else "-a"
        return ["nsenter", "-t", self.leader, flags, "--", *argv]

    def path(self, relative):
        base = pathlib.Path(f"/proc/{self.leader}/root")
        return base / relative.lstrip("/") if relative.startswith("/") else base / ROOT.lstrip("/") / relative

    def host(self):
        for name in ["etc", "home", "log", "state", "run"]:
            self.path(name).mkdir(parents=True)
        for name in ["passwd", "group"]:
            rest = {"passwd": "::/:/bin/false", "group": ""}[name]
            self.write(f"etc/{name}", "".join(
                f"{n}:x:{20001 + i}:{str(20001 + i) if rest else ''}{rest}\n" for i, n in enumerate(NAMES)))
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\n")
        for i, name in enumerate(NAMES):
            self.home(name, 20001 + i)
        return self


class Probe:
    def __init__(self, machine):
        self.process = machine.start(
            ["/opt/manager_probe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.heard = b""
        self.said = self.hear()

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self, seconds=20):
        """The next line; several may come at once."""
        while b"\n" not in self.heard:
            assert select.select([self.process.stdout], [], [], seconds)[0], "nothing is said"
            more = os.read(self.process.stdout.fileno(), 4096)
            assert more, "it has ended"
            self.heard += more
        line, _, self.heard = self.heard.partition(b"\n")
        return line.decode().strip()

    def pid(self, unit, seconds=10):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pid = int(self.tell(f"pid {unit}").split()[2])
            if pid:
                return pid
            time.sleep(0.02)
        raise AssertionError("no pid")

    def quit(self):
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="module")
def machine():
    if systemd_root.why_not() or os.geteuid() != 0:
        pytest.skip(systemd_root.why_not() or "needs root")
    place = tempfile.mkdtemp(dir="/mnt")
    m = Machine(place)
    for name, text in UNITS.items():
        (m.root / "etc/systemd/system" / name).write_text(text)
    (m.root / "opt/good").write_text(GOOD)
    for program in ["manager_probe", "php_driver"]:
        shutil.copy(PROGRAMS / program, m.root / "opt" / program)
    m.boot()
    yield m.host()
    m.close()


@pytest.fixture
def probe(machine):
    p = Probe(machine)
    yield p
    p.quit()


def test_systemd_is_found_where_it_booted(probe):
    assert probe.said == "manager systemd"


def test_a_unit_is_started_reloaded_and_ended(machine, probe):
    begin = time.monotonic()
    assert probe.tell("start good.service /run/good/pid").startswith("start good.service 0")
    pid = probe.pid("good.service")
    print(f"started in {(time.monotonic() - begin) * 1000:.0f} ms")
    assert machine.run(["systemctl", "show", "-P", "MainPID", "good.service"]).strip() == str(pid)
    probe.tell("signal good.service 1")
    wait_for(lambda: machine.path("/run/good/reloads").exists())
    assert probe.tell("signal good.service 15").startswith("signal good.service 0")
    assert probe.hear().startswith(f"ended good.service {pid}")


def test_a_unit_that_does_not_start_is_told_as_ended(probe):
    assert probe.tell("start none.service /run/none").startswith("start none.service 0")
    assert "could not start none.service: failed" in probe.hear()
    assert probe.tell("start absent.service /run/none").startswith("start absent.service 0")
    assert "absent.service not found" in probe.hear()
    probe.tell("start bad.service /run/none")
    assert probe.hear().startswith("ended bad.service")


def test_a_killed_unit_is_told(machine, probe):
    probe.tell("start good.service /run/good/pid")
    pid = probe.pid("good.service")
    machine.run(["kill", "-9", str(pid)])
    assert probe.hear().startswith(f"ended good.service {pid}")
    wait_for(lambda: machine.run(["systemctl", "is-active", "good.service"], check=False).strip() != "active")


def test_what_runs_is_adopted_by_pid_file_and_cgroup(machine, probe):
    probe.tell("start good.service /run/good/pid")
    pid = probe.pid("good.service")
    again = Probe(machine)
    assert again.tell("adopt good.service /run/good/pid").startswith("adopt good.service 0")
    assert again.pid("good.service") == pid
    assert again.tell("adopt bad.service /run/good/pid").startswith("adopt bad.service -3")
    assert again.tell("adopt good.service /run/absent").startswith("adopt good.service -3")
    again.tell("signal good.service 9")
    assert again.hear().startswith(f"ended good.service {pid}")
    assert probe.hear().startswith(f"ended good.service {pid}")
    again.quit()


def test_who_is_released_is_heard_of_no_more(machine, probe):
    probe.tell("start good.service /run/good/pid")
    probe.pid("good.service")
    assert probe.tell("release good.service").startswith("release")
    machine.run(["systemctl", "stop", "good.service"])
    assert probe.tell("pid good.service").startswith("pid good.service -2")


def test_a_limit_is_set_at_run_time(machine, probe):
    probe.tell("start good.service /run/good/pid")
    probe.pid("good.service")
    probe.tell("limit good.service TasksMax 77")
    wait_for(lambda: machine.run(["systemctl", "show", "-P", "TasksMax", "good.service"]).strip() == "77")
    probe.tell("signal good.service 9")
    probe.hear()


def test_systemd_executing_itself_anew_is_survived(machine, probe):
    probe.tell("start good.service /run/good/pid")
    pid = probe.pid("good.service")
    machine.run(["systemctl", "daemon-reexec"])
    time.sleep(0.5)
    probe.tell("limit good.service TasksMax 66")  # finds the connection lost, at the latest
    probe.tell("limit good.service TasksMax 55")
    wait_for(lambda: machine.run(["systemctl", "show", "-P", "TasksMax", "good.service"]).strip() == "55")
    probe.tell("signal good.service 9")
    assert probe.hear().startswith(f"ended good.service {pid}")


def test_a_unit_that_is_being_stopped_is_not_started_by_what_needs_it(machine):
    """X12: systemctl stop webspaces-ns is not cancelled by an agent that starts a daemon meanwhile."""
    for attempt in range(5):
        machine.run(["systemctl", "start", "base.service"])
        probe = Probe(machine)
        probe.tell(f"start on-base@{attempt}.service /run/none")
        probe.pid(f"on-base@{attempt}.service")
        stop = machine.start(["systemctl", "stop", "base.service"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for number in range(1000):
            probe.process.stdin.write(f"start on-base@{attempt}-{number}.service /run/none\n".encode())
            probe.process.stdin.flush()
            while select.select([probe.process.stdout], [], [], 0.01)[0]:
                os.read(probe.process.stdout.fileno(), 65536)
            if stop.poll() is not None:
                break
        assert stop.returncode == 0, stop.stdout.read()
        assert number > 5, "it was tried while the unit stopped"
        probe.process.kill()
        probe.process.wait()
        machine.run(["systemctl", "stop", "base.service"])


class UnitDriver(Driver):
    program = ["/opt/php_driver", ROOT, "systemd"]


def test_php_masters_are_units_and_are_swapped_without_a_failed_request(machine):
    machine.write("nginx.conf", NGINX.format(root=ROOT))
    nginx = machine.start(["nginx", "-c", f"{ROOT}/nginx.conf", "-e", f"{ROOT}/log/nginx.log"])
    driver = UnitDriver(machine)
    driver.settle(*[f"serve {name}" for name in NAMES], "publish")
    assert machine.get("/alice/id.php") == (200, "20001 32M")
    crowd = Space.crowd(machine, "/bob/id.php", 8)
    for i in range(10):
        driver.settle(f"serve carol memory={64 + i}", "publish")
        assert machine.get("/carol/id.php") == (200, f"20003 {64 + i}M")
    assert all_served(crowd) > 500
    wait_for(lambda: len(driver.masters()) == 1)
    master = driver.masters()[0]
    units = machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "webspaces-php@*"])
    assert [line.split()[0] for line in units.splitlines()] == [f"webspaces-php@{master['id']}.service"]

    machine.run(["kill", "-9", str(master["pid"])])
    wait_for(lambda: machine.get("/bob/id.php")[0] == 200)
    before = driver.masters()[0]
    driver.kill()
    again = UnitDriver(machine)
    again.settle(*[f"serve {name}" for name in NAMES[:2]], "serve carol memory=73", "publish", "look")
    assert [m["pid"] for m in again.masters()] == [before["pid"]]
    again.settle(*[f"withdraw {name}" for name in NAMES], "publish")
    wait_for(lambda: not again.masters())
    again.process.stdin.close()
    nginx.kill()
