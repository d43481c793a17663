"""PHP masters are replaced while they serve, by the real php-fpm.

The php service runs alone (php_driver.c) in namespaces of its own, with nginx in
front and wrk as the crowd. What is proved is about requests: none fails when a
neighbour changes, moves, breaks or leaves, and all come back when a master dies.
"""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
DRIVER = pathlib.Path(os.environ.get("PHP_DRIVER", TOP / "build" / "system" / "php_driver"))
ROOT = "/run/w"  # on a tmpfs of the namespace: socket paths are short
NAMES = ["alice", "bob", "carol"]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not DRIVER.exists() or not list(pathlib.Path("/usr/sbin").glob("php-fpm*")),
    reason="needs root, the driver and php-fpm",
)

NGINX = """
daemon off; pid {root}/nginx.pid; error_log {root}/log/nginx.log; worker_processes 1;
user www-data; worker_rlimit_nofile 8192;
events {{ worker_connections 2048; }}
http {{ access_log off;
 server {{ listen 127.0.0.1:8080 backlog=4096; fastcgi_read_timeout 60s;
  location ~ ^/(?<who>[a-z]+)/(?<script>[a-z]+\\.php)$ {{
   fastcgi_pass unix:{root}/run/php/$who.sock;
   include /etc/nginx/fastcgi_params;
   fastcgi_param SCRIPT_FILENAME /data/$script; }} }} }}
"""


class Driver:
    program = [str(DRIVER), ROOT]

    def __init__(self, space):
        self.space = space
        self.lines = []
        self.process = space.start(self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rest = b""
        self.wait(lambda line: line.get("idle"))

    def tell(self, line):
        self.process.stdin.write((line + "\n").encode())
        self.process.stdin.flush()

    def read(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        assert data, "the driver ended"
        *whole, self.rest = (self.rest + data).split(b"\n")
        self.lines += [json.loads(line) for line in whole]
        return True

    def wait(self, wanted, seconds=30):
        """The first line from now on for which wanted is true."""
        seen, until = len(self.lines), time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self.lines[seen:]:
                if wanted(line):
                    return line
            seen = len(self.lines)
            self.read(max(0, until - time.monotonic()))
        raise AssertionError(f"nothing like it within {seconds} s; last: {self.lines[-5:]}")

    def settle(self, *lines, seconds=30):
        """In one write, or it would be idle between two of them."""
        self.tell("\n".join(lines))
        self.wait(lambda line: line.get("idle"), seconds)

    def masters(self):
        self.tell("masters")
        return self.wait(lambda line: "masters" in line)["masters"]

    def standing(self, name):
        return [line for line in self.lines if line.get("condition") == name][-1]

    def reports(self, kind):
        return [line for line in self.lines if line.get("report") == kind]

    def kill(self):
        self.space.run(["sh", "-c", f"kill -9 $(pgrep -x php_driver)"])
        self.process.wait()


class Space:
    """Mount, pid and network namespaces, ended with everything in them."""

    def __init__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "sleep", "infinity"]
        )
        until = time.monotonic() + 5
        self.pid = None
        while not self.pid and time.monotonic() < until:
            children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
            if children and b"sleep" in pathlib.Path(f"/proc/{children[0]}/cmdline").read_bytes():
                self.pid = children[0]
        self.run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
        self.run(["ip", "link", "set", "lo", "up"])
        for name in ["etc", "home", "log", "state", "run"]:
            self.run(["mkdir", "-p", f"{ROOT}/{name}"])
        self.write("etc/passwd", "".join(f"{n}:x:{20001 + i}:{20001 + i}::/:/bin/false\n" for i, n in enumerate(NAMES + ["dora"])))
        self.write("etc/group", "".join(f"{n}:x:{20001 + i}:\n" for i, n in enumerate(NAMES + ["dora"])))
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\n")
        for i, name in enumerate(NAMES):
            self.home(name, 20001 + i)

    def path(self, relative):
        return pathlib.Path(f"/proc/{self.pid}/root{ROOT}") / relative

    def write(self, relative, text):
        self.path(relative).write_text(text)

    def home(self, name, uid):
        for sub in ["logs", "chroot/data", "chroot/log", "chroot/tmp/misc", "chroot/tmp/upload", "chroot/tmp/session"]:
            self.path(f"home/{name}/{sub}").mkdir(parents=True)
        for sub in ["chroot/log", "chroot/tmp/misc", "chroot/tmp/upload", "chroot/tmp/session"]:
            os.chown(self.path(f"home/{name}/{sub}"), uid, uid)
        self.write(f"home/{name}/chroot/data/id.php", "<?php echo posix_getuid(), ' ', ini_get('memory_limit');")
        self.write(f"home/{name}/chroot/data/slow.php", "<?php sleep((int)$_GET['s']); echo 'slept';")

    def enter(self, argv):
        return ["nsenter", "-t", self.pid, "-m", "-p", "-n", "--", *argv]

    def run(self, argv, **kw):
        return subprocess.run(self.enter(argv), check=True, capture_output=True, text=True, **kw).stdout

    def start(self, argv, **kw):
        return subprocess.Popen(self.enter(argv), **kw)

    def get(self, path):
        r = subprocess.run(
            self.enter(["curl", "-s", "-m", "30", "-w", "\n%{http_code}", f"http://127.0.0.1:8080{path}"]),
            capture_output=True, text=True,
        )
        body, _, status = r.stdout.rpartition("\n")
        return int(status), body

    def link(self, name):
        try:
            return os.readlink(self.path(f"run/php/{name}"))
        except FileNotFoundError:
            return None

    def crowd(self, path, seconds, connections=8):
        return self.start(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", f"http://127.0.0.1:8080{path}"],
            stdout=subprocess.PIPE, text=True,
        )

    def close(self):
        self.holder.send_signal(signal.SIGKILL)
        self.holder.wait()


def all_served(crowd):
    """How many requests; none of them failed."""
    text = crowd.communicate()[0]
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    slowest = re.search(r"Latency\s+\S+\s+\S+\s+(\S+)", text).group(1)
    n = int(re.search(r"(\d+) requests in", text).group(1))
    print(f"{n} requests, slowest {slowest}")
    return n


@pytest.fixture
def space():
    s = Space()
    s.write("nginx.conf", NGINX.format(root=ROOT))
    s.start(["nginx", "-c", f"{ROOT}/nginx.conf", "-e", f"{ROOT}/log/nginx.log"])
    yield s
    s.close()


@pytest.fixture
def driver(space):
    d = Driver(space)
    d.settle(*[f"serve {name}" for name in NAMES], "publish")
    return d


def wait_for(true, seconds=15):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def test_each_webspace_is_served_as_its_user(space, driver):
    for i, name in enumerate(NAMES):
        assert driver.standing(name)["reason"] == "Serving"
        assert space.get(f"/{name}/id.php") == (200, f"{20001 + i} 32M")
        assert space.link(f"{name}.sock") == f"line/8.2-00/{name}.sock"


def test_twenty_swaps_under_load_cost_nobody_a_request(space, driver):
    crowds = [space.crowd("/alice/id.php", 12), space.crowd("/bob/id.php", 12)]
    slow = space.start(["curl", "-s", "-m", "30", "http://127.0.0.1:8080/alice/slow.php?s=5"], stdout=subprocess.PIPE)
    took = []
    for i in range(20):
        begin = time.monotonic()
        driver.settle(f"serve carol memory={64 + i}", "publish")
        took.append(time.monotonic() - begin)
        assert space.get("/carol/id.php") == (200, f"20003 {64 + i}M")
    print(f"a swap: {sorted(took)[10] * 1000:.0f} ms, at most {max(took) * 1000:.0f} ms")
    assert sum(all_served(c) for c in crowds) > 1000
    assert slow.communicate()[0] == b"slept"
    wait_for(lambda: len(driver.masters()) == 1)
    wait_for(lambda: len(list(space.path("run/php/masters").iterdir())) == 1)


def test_more_changes_than_may_drain_wait_and_go_out_together(space, driver):
    slow = []
    for i in range(14):
        slow.append(space.start(["curl", "-s", "-m", "60", "http://127.0.0.1:8080/alice/slow.php?s=8"], stdout=subprocess.PIPE))
        time.sleep(0.15)
        driver.tell(f"serve carol memory={100 + i}")
        driver.tell("publish")
        time.sleep(0.3)
        assert len(driver.masters()) <= 1 + 1 + 8
    wait_for(lambda: space.get("/carol/id.php") == (200, "20003 113M"), 60)
    assert [s.communicate()[0] for s in slow] == [b"slept"] * 14


def test_a_killed_master_comes_back(space, driver):
    pid = driver.masters()[0]["pid"]
    space.run(["kill", "-9", str(pid)])
    begin = time.monotonic()
    wait_for(lambda: space.get("/bob/id.php")[0] == 200)
    print(f"back after {(time.monotonic() - begin) * 1000:.0f} ms")
    assert driver.masters()[0]["pid"] != pid
    assert driver.reports("died")


def upgrade(space):
    """As a package does: another file in the same place, with an old time of modification."""
    space.run(["sh", "-c", "cp -p /usr/sbin/php-fpm8.2 /run/php-fpm && mount --bind /run/php-fpm /usr/sbin/php-fpm8.2"])


def program(space, master):
    return space.run(["stat", "-L", "-c", "%d:%i", f"/proc/{master['pid']}/exe"])


def test_an_upgraded_php_gets_new_masters_without_a_failed_request(space, driver):
    before = driver.masters()[0]
    crowd = space.crowd("/alice/id.php", 5)
    driver.settle("look", "look")
    assert [m["id"] for m in driver.masters()] == [before["id"]], "nothing was upgraded yet"
    upgrade(space)
    driver.settle("look")
    assert all_served(crowd) > 100
    wait_for(lambda: len(driver.masters()) == 1)
    after = driver.masters()[0]
    assert after["id"] != before["id"] and program(space, after) == space.run(["stat", "-c", "%d:%i", "/usr/sbin/php-fpm8.2"])
    assert driver.reports("changed")
    driver.settle("look", "look")
    assert [m["id"] for m in driver.masters()] == [after["id"]], "once is enough"


def test_an_extension_that_comes_or_goes_is_noticed_also_after_a_start(space, driver):
    before = driver.masters()[0]
    driver.kill()
    space.run(["sh", "-c", "cp -a /etc/php/8.2/fpm/conf.d /run/ && echo 'user_agent = another' > /run/conf.d/99-another.ini"
               " && mount --bind /run/conf.d /etc/php/8.2/fpm/conf.d"])
    space.write("home/alice/chroot/data/agent.php", "<?php echo ini_get('user_agent');")
    assert space.get("/alice/agent.php") == (200, "")
    again = Driver(space)
    again.settle(*[f"serve {name}" for name in NAMES], "publish", "look")
    wait_for(lambda: space.get("/alice/agent.php") == (200, "another"))
    wait_for(lambda: [m["id"] for m in again.masters()] != [before["id"]] and len(again.masters()) == 1)


def test_a_new_agent_takes_over_what_runs(space, driver):
    before = driver.masters()[0]
    driver.kill()
    assert space.get("/alice/id.php")[0] == 200
    again = Driver(space)
    again.settle(*[f"serve {name}" for name in NAMES], "publish", "look")
    assert [m["id"] for m in again.masters()] == [before["id"]]
    assert [m["pid"] for m in again.masters()] == [before["pid"]]
    assert not again.reports("published")
    assert again.standing("alice")["reason"] == "Serving"


def test_a_change_while_no_agent_ran_replaces_the_old_master(space, driver):
    driver.kill()
    again = Driver(space)
    again.settle("serve alice memory=99", "serve bob", "serve carol", "publish", "look")
    assert space.get("/alice/id.php") == (200, "20001 99M")
    wait_for(lambda: len(again.masters()) == 1)


def test_moving_to_a_master_of_its_own_and_back_costs_no_request(space, driver):
    crowds = [space.crowd("/alice/id.php", 6), space.crowd("/bob/id.php", 6)]
    for _ in range(3):
        driver.settle("serve alice dedicated", "publish")
        assert space.link("alice.sock") == "line/8.2-u20001/alice.sock"
        driver.settle("serve alice", "publish")
        assert space.link("alice.sock") == "line/8.2-00/alice.sock"
    for c in crowds:
        all_served(c)
    wait_for(lambda: len(driver.masters()) == 1)
    assert space.link("line/8.2-u20001") is None


def test_a_move_while_no_agent_ran_costs_no_request(space, driver):
    driver.kill()
    crowds = [space.crowd("/alice/id.php", 3), space.crowd("/bob/id.php", 3)]
    again = Driver(space)
    again.settle("serve alice dedicated", "serve bob", "serve carol", "publish", "look")
    for c in crowds:
        all_served(c)
    assert space.link("alice.sock") == "line/8.2-u20001/alice.sock"
    wait_for(lambda: len(again.masters()) == 2)


def test_a_bad_pool_is_quarantined_alone(space, driver):
    driver.settle("serve dora", "serve bob memory=48", "publish")
    assert driver.standing("dora")["reason"] == "Quarantined"
    assert driver.standing("bob")["reason"] == "Serving"
    assert space.get("/bob/id.php") == (200, "20002 48M")
    space.home("dora", 20004)
    driver.settle("serve dora memory=40", "publish")
    assert space.get("/dora/id.php") == (200, "20004 40M")


def test_a_version_that_is_not_there_is_told_and_changes_nothing(space, driver):
    driver.settle("serve bob version=5.6", "publish")
    told = driver.standing("bob")
    assert (told["status"], told["reason"]) == ("False", "VersionMissing")
    assert "8.2" in told["message"]
    assert space.get("/bob/id.php")[0] == 200
    assert space.get("/alice/id.php")[0] == 200


def test_who_leaves_is_gone_and_the_last_one_takes_the_master_along(space, driver):
    driver.settle("withdraw alice", "publish")
    wait_for(lambda: space.link("alice.sock") is None)
    assert space.get("/bob/id.php")[0] == 200
    driver.settle("withdraw bob", "serve carol off", "publish")
    assert driver.standing("carol")["reason"] == "NotWanted"
    wait_for(lambda: not driver.masters())
    wait_for(lambda: not list(space.path("run/php/masters").iterdir()))
    assert space.link("line/8.2-00") is None
    driver.settle("serve bob", "publish")
    assert space.get("/bob/id.php")[0] == 200


def test_links_that_somebody_took_away_are_put_back(space, driver):
    space.path("run/php/bob.sock").unlink()
    space.path("run/php/line/8.2-00").unlink()
    driver.settle("look")
    assert space.get("/bob/id.php")[0] == 200
    assert len(driver.reports("changed")) == 2


def test_an_unchanged_webspace_costs_nothing(space, driver):
    n = len(driver.reports("published"))
    driver.settle(*[f"serve {name}" for name in NAMES], "publish")
    assert len(driver.reports("published")) == n
    assert driver.standing("bob")["reason"] == "Serving"
