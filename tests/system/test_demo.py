"""make demo, as a newcomer runs it, and that nothing of it is left."""

import os
import subprocess

from host import REPOSITORY

PLACES = ("/etc", "/home", "/run", "/var/lib", "/var/log", "/mnt", "/srv")


def listing(directory, depth=2):
    """Names, owners and modes below a directory; what cannot be listed is empty."""
    found = set()
    for root, directories, files in os.walk(directory):
        if root[len(directory):].count("/") >= depth:
            directories.clear()
        for name in directories + files:
            try:
                status = os.lstat(os.path.join(root, name))
            except FileNotFoundError:
                continue
            found.add((os.path.join(root, name), status.st_uid, status.st_gid, status.st_mode))
    return found


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def processes():
    return {pid for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}/exe")}


def machine():
    return {
        "accounts": [text_of(f"/etc/{name}") for name in ("passwd", "group", "shadow")],
        "mounts": text_of("/proc/self/mounts"),
        "files": set().union(*(listing(place) for place in PLACES)),
        "processes": processes(),
    }


def test_the_demo_shows_everything_and_leaves_nothing(tmp_path):  # G6
    before = machine()
    out = subprocess.run(
        ["tests/private", "--host-net", "/usr/bin/python3", "-B", "tests/demo/demo.py"],
        cwd=REPOSITORY,
        env={**os.environ, "DEMO_EXIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert out.returncode == 0, out.stdout + out.stderr
    for sight in ("runs as uid 20", "this file is /data/index.php", "/etc/shadow is not there", "a killed PHP master", "still there"):
        assert sight in out.stdout
    assert out.stdout.count("put back after") == 6
    after = machine()
    assert after["accounts"] == before["accounts"]
    assert after["mounts"] == before["mounts"]
    assert {file for file in after["files"] ^ before["files"] if str(tmp_path) not in file[0]} == set()
    assert after["processes"] <= before["processes"]
