"""Said wrongly: what doctor, check and status say names the thing, and what to do."""

import json
import os

import pytest
from host import Host, wait_for

SLOW = "<?php if ($_SERVER['REQUEST_URI'] === '/') sleep(20); echo 'done';"


@pytest.fixture(scope="module")
def accounts():
    """Those of the one host of this module stay: it is in a namespace of its own."""
    yield


@pytest.fixture(scope="module")
def host():
    made = Host(root="/mnt/said", settings="reconcile = { full_pass_s = 1; };").start()
    made.add("alice", "slow", "denying", "bound")
    yield made
    made.destroy()


def steps(host, name):
    return {step["step"]: step for step in json.loads(host.command("doctor", name, "--json").stdout)["steps"]}


def test_doctor_names_the_bind_whose_source_is_missing(host):
    host.drop("bound", 'binds = ["/srv/not-there-yet:/srv/media"];')
    wait_for("seen", lambda: (host.condition("bound", "Mounts") or {}).get("reason") == "SourceMissing", 20)
    step = steps(host, "bound")["mounts"]
    assert "/srv/not-there-yet" in step["message"] and "make that path" in step["cure"] and "binds" in step["cure"]
    host.drop("bound", "")


def test_doctor_says_that_a_page_is_slow(host):
    host.write("slow", "index.php", SLOW)
    found = steps(host, "slow")
    step = found.get("https", found["http"])
    assert "no answer within" in step["message"] and "answers 0" not in step["message"], step
    assert "php-slow.log" in step["cure"]


def test_doctor_counts_what_apache_would_have_read(host):
    host.write("denying", ".htaccess", "Deny from all\n")
    host.write("denying", "private/.htaccess", "Deny from all\n")
    step = steps(host, "denying")["sites"]
    assert step["found"] == "hint" and "2 .htaccess files" in step["message"] and step["cure"]
    assert "htaccess" not in steps(host, "alice")["sites"]["message"]


def test_check_and_the_agent_ignore_the_same_files_and_say_so(host):
    ignored = ["README", "alice.conf.bak", "alice.conf~", ".alice.conf.swp"]
    for name in ignored:
        with open(os.path.join(host.drops, name), "w", encoding="utf-8") as file:
            file.write("sites = nonsense")
    os.mkdir(os.path.join(host.drops, "archive"))
    done = host.command("check", host.drops)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    for name in [*ignored, "archive"]:
        assert f"{host.drops}/{name}: ignored" in done.stdout
    said = wait_for("status", lambda: host.status()["ignored"], 10)
    assert "more" in said or all(name in said for name in ignored)
    wait_for("the journal", lambda: "named NAME.conf" in host.journal(), 10)
    assert host.journal().count("named NAME.conf") == 1


def test_check_and_the_agent_name_the_same_loser(host):
    """a.conf comes before a-b.conf for both, though "-" sorts before "."."""
    host.end()
    for name in ("a", "a-b"):
        host.drop(name, 'sites = ( { names = ["wanted.test"]; } );')
    done = host.command("check", host.drops)
    assert done.returncode == 1 and "a-b.conf" in done.stderr and "/a.conf" not in done.stderr
    host.start()
    wait_for("refused", lambda: "wanted.test" in ((host.condition("a-b", "Sites") or {}).get("message") or ""), 20)
    assert not ((host.condition("a", "Sites") or {}).get("message") or "")


def test_a_full_disk_is_called_full(host):
    """It was the file that was called invalid."""
    good = os.path.join(host.state_dir, "good")
    small = "/mnt/said-small"
    os.makedirs(small, exist_ok=True)
    assert os.system(f"mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs {small} && mount --bind {small} {good}") == 0
    host.end()
    host.start()
    host.drop("late", "# one more\n" + "#" * 5000 + "\n")
    condition = wait_for("said", lambda: (host.condition("late", "Loaded") or {}).get("status") == "False" and host.condition("late", "Loaded"), 20)
    assert condition["reason"] == "NotSaved" and "No space left on device" in condition["message"], condition
    wait_for("in force all the same", lambda: (answer := host.get_quietly("late")) and answer.status == 301, 20)
    host.end()
    assert os.system(f"umount {good} && umount {small}") == 0
