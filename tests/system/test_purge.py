"""What is left of a user after purge: nothing. And that it works where the user has left no room."""

import glob
import grp
import os
import pwd
import shutil
import subprocess

import pytest

from attacker import as_user, start_as_user
from host import wait_for
from test_root_commands import processes_of

SETTINGS = "reconcile = { removal_grace_s = 0; full_pass_s = 3; };"


def out_of_service(host, name):
    host.remove(name)
    wait_for(f"{name} out of service", lambda: host.command("confirm") and not host.status(name), 30, 0.2)


# Everywhere else -----------------------------------------------------------------

LEAVE = """
import socket, subprocess
os.umask(0)
for place in sys.argv[1:]:
    os.mkdir(f"{place}/left.{os.getuid()}")
    open(f"{place}/left.{os.getuid()}/in", "w").write("x")
    os.mkfifo(f"{place}/left.fifo.{os.getuid()}")
    os.symlink("/etc", f"{place}/left.link.{os.getuid()}")
socket.socket(socket.AF_UNIX).bind(f"/tmp/left.socket.{os.getuid()}")
for number in (1, 2):
    if libc.shmget(4711 + number, 4096, 0o1666) < 0 or libc.semget(4711 + number, 1, 0o1666) < 0 or libc.msgget(4711 + number, 0o1666) < 0:
        raise SystemExit("no objects")
"""
PLACES = ("/tmp", "/var/tmp", "/dev/shm")


def objects_of(uid):
    """Lines of System V IPC that have the id."""
    return [line for kind in ("shm", "sem", "msg") for line in open(f"/proc/sysvipc/{kind}", encoding="ascii").read().splitlines()[1:]
            if str(uid) in line.split()]  # fmt: skip


def files_of(uid):
    return [path for place in PLACES for path in glob.glob(f"{place}/left*.{uid}")]


def alive(uid):
    """State and name of all processes with the id, but for those that wait for us to see their end."""
    states = [open(f"/proc/{pid}/stat", encoding="ascii").read().split()[1:3]
              for pid in filter(str.isdigit, os.listdir("/proc")) if os.stat(f"/proc/{pid}").st_uid == uid]
    return [state for state in states if state[1] != "Z"]


FORK = "[os._exit(0) for _ in range(2) if os.fork()]; os.setsid(); print('ready', flush=True); time.sleep(4711)"


def test_nothing_of_a_user_is_left_on_the_host(make_host):
    """What one user leaves behind: processes, IPC, files, account."""
    host = make_host(shards=1, settings=SETTINGS + 'web_access = "group";').start()
    host.add("alice", "bob")
    ids = {name: pwd.getpwnam(name).pw_uid for name in ("alice", "bob")}
    try:
        for name, uid in ids.items():
            as_user(name, LEAVE.replace("4711", str(10 * uid)), *PLACES)
            start_as_user(name, FORK).stdout.readline()
        assert len(objects_of(ids["alice"])) == 6 and len(files_of(ids["alice"])) == 10 and processes_of("alice")
        out_of_service(host, "alice")
        for file in ("/etc/subuid", "/etc/subgid"):
            with open(file, "a", encoding="ascii") as entries:
                entries.write("alice:900000:65536\n")
        done = host.command("purge", "alice", "--yes")
        assert done.returncode == 0, done.stderr
        for file in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid"):
            with open(f"/etc/{file}", encoding="utf-8") as entries:
                assert "alice" not in entries.read(), file
        assert objects_of(ids["alice"]) == [] and files_of(ids["alice"]) == []
        assert alive(ids["alice"]) == []
        for find in (pwd.getpwnam, grp.getgrnam):
            with pytest.raises(KeyError):
                find("alice")
        # The socket of a former master goes with that.
        wait_for("no path names her", lambda: not [path for path in glob.glob(f"{host.root}/**", recursive=True, include_hidden=True) if "alice" in path], 20)
        assert len(objects_of(ids["bob"])) == 6 and len(files_of(ids["bob"])) == 10 and processes_of("bob"), "nothing of others"
        assert host.wait_answers("bob", https=True)
    finally:
        for uid in ids.values():
            for path in files_of(uid):
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        for pid in processes_of("bob"):
            os.kill(pid, 9)


def test_of_an_account_that_came_from_elsewhere_nothing_is_ended(make_host):
    subprocess.run("groupadd -g 3001 alice && useradd -u 3001 -g 3001 -M alice", shell=True, check=True)
    host = make_host(shards=1, settings=SETTINGS).start()
    host.add("alice", "bob")
    beside = start_as_user("alice", "print('ready', flush=True); time.sleep(4711)")
    beside.stdout.readline()
    out_of_service(host, "alice")
    assert host.command("purge", "alice", "--yes").returncode == 0
    assert beside.poll() is None
    beside.kill()
    beside.wait()


# No room ----------------------------------------------------------------------------

FILL = {
    "inodes": """
n = 0
try:
    for d in range(100000):
        os.mkdir(f"d{d}")
        for f in range(100):
            os.close(os.open(f"d{d}/{f}", os.O_CREAT))
            n += 1
except OSError as e:
    print(e.errno)
""",
    "directories": """
at = os.open(".", os.O_RDONLY)
try:
    for d in range(1000000):
        os.mkdir("a" * 200, dir_fd=at)
        old, at = at, os.open("a" * 200, os.O_RDONLY, dir_fd=at)
        os.close(old)
except OSError as e:
    print(e.errno)
""",
    "blocks": """
fd = os.open("file", os.O_CREAT | os.O_WRONLY)
try:
    while True:
        os.write(fd, bytes(65536))
except OSError as e:
    print(e.errno)
""",
}
DISKS = {
    "tmpfs": "mount -t tmpfs -o mode=0755,size=64m,nr_inodes=6000 tmpfs {0}",
    "ext4": "mkfs.ext4 -q -N 6000 -m 0 /mnt/disk && mount -o loop /mnt/disk {0}",
}


@pytest.fixture
def small_disk():
    """A function that makes a place on a disk with little room."""
    made = []

    def make(kind):
        place = "/mnt/small"
        os.makedirs(place, exist_ok=True)
        if os.path.exists("/mnt/disk"):
            os.unlink("/mnt/disk")
        with open("/mnt/disk", "wb") as file:
            file.truncate(64 << 20)
        done = subprocess.run(DISKS[kind].format(place), shell=True, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no {kind} here: {done.stderr}")
        made.append(place)
        return os.path.join(place, "host")

    yield make
    for place in made:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("what", FILL)
@pytest.mark.parametrize("disk", DISKS)
def test_who_has_filled_the_disk_is_purged(make_host, small_disk, disk, what):
    """X14: the others are served meanwhile and after, and what is new is."""
    host = make_host(root=small_disk(disk), shards=1, settings=SETTINGS).start()
    host.add("alice", "bob")
    assert as_user("alice", "os.chdir(sys.argv[1])\n" + FILL[what], host.data("alice")).strip() == "28"  # ENOSPC
    assert host.wait_answers("bob", https=True) and host.ready("bob")
    host.remove("alice")
    assert "alice" in host.command("status").stdout
    host.command("confirm")
    wait_for("the agent has no room", lambda: host.command("confirm") and ("No space left" in host.journal() or not host.status("alice")), 30, 0.2)
    done = host.command("purge", "alice", "--yes")
    assert done.returncode == 0, (done.stderr, host.journal()[-2000:])
    assert not os.path.exists(host.home("alice"))
    with pytest.raises(KeyError):
        pwd.getpwnam("alice")
    assert host.wait_answers("bob", https=True)
    host.add("carol")
    assert host.wait_answers("carol", https=True)
