"""X6: logs are rotated by the real logrotate: no line is lost, nothing is reloaded, no request ends early."""

import gzip
import os
import pwd
import stat
import subprocess
import threading

import pytest

from host import REPOSITORY, Host, wait_for

SLOW = "<?php touch('/data/begun'); usleep(1500000); echo 'slow ', getmypid();"


@pytest.fixture(autouse=True)
def accounts():
    """Of the module."""


@pytest.fixture(scope="module")
def host(accounts_of_the_module):
    host = Host(settings="defaults = { site = { redirect_https = false; }; };").start()
    host.add("alice", "bob")
    yield host
    host.destroy()


def rotate(host, expect=0):
    """The package's file, with the places of this host."""
    with open(os.path.join(REPOSITORY, "packaging/logrotate"), encoding="utf-8") as file:
        text = file.read()
    text = text.replace("/home/www", host.home_root).replace("/var/log/webspaces", host.log_root)
    text = text.replace("/usr/bin/webspaces reopen", f"{host.webspaces} --config {host.config} reopen").replace("/usr/bin/webspaces", host.webspaces)
    path = f"{host.root}/logrotate.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)
    done = subprocess.run(["/usr/sbin/logrotate", "-f", "-s", f"{host.root}/logrotate.state", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (expect, ""), done


def lines(path):
    """Of the log and all that it was before."""
    found = []
    directory, base = os.path.split(path)
    for name in os.listdir(directory):
        if name == base or name.startswith(f"{base}."):
            opener = gzip.open if name.endswith(".gz") else open
            with opener(os.path.join(directory, name), "rt", encoding="utf-8") as file:
                found += file.read().splitlines()
    return found


class Load:
    """Requests without a pause, each with a number of its own, from several threads."""

    def __init__(self, host, name, threads=3):
        self.host, self.name, self.sent, self.failed, self.over = host, name, [], [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, thread):
        number = 0
        while not self.over.is_set():
            path = f"/index.php?request={thread}-{number}"
            answer = self.host.get_quietly(self.name, path)
            self.sent.append(path)
            if not answer or answer.status != 200:
                self.failed.append((path, answer and answer.status))
            number += 1

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def daemons(host):
    return host.nginx_pid(), host.masters(), host.status()["generation"]


def test_x6_no_line_is_lost_and_nothing_is_reloaded(host):
    before = daemons(host)
    load = Load(host, "alice")
    for n in range(4):
        wait_for("requests are made", lambda n=n: len(load.sent) > 150 * (n + 1), 60)
        rotate(host)
    wait_for("and more", lambda: len(load.sent) > 800, 60)
    load.end()
    assert load.failed == []
    for log in ("access.log", "php-access.log"):
        path = host.home("alice", "logs", log)
        counted = lambda path=path: sum("/index.php" in line for line in lines(path))
        wait_for(f"{log} has a line for each: {counted()} of {len(load.sent)}", lambda: counted() == len(load.sent))
    said = " ".join(lines(host.home("alice", "logs/access.log")))
    assert all(f"{path} " in said for path in load.sent)
    assert daemons(host) == before, "no reload, and the same masters"
    assert "logs/" not in host.journal(), "no drift of logs"


def test_x6_what_is_written_goes_to_the_new_file_with_the_same_rights(host):
    paths = [host.home("bob", "logs", name) for name in ("access.log", "php-access.log", "error.log")]
    paths += [f"{host.log_root}/nginx-error.log"]
    host.get("bob")
    old = {path: (os.stat(path).st_ino, stat.S_IMODE(os.stat(path).st_mode), os.stat(path).st_gid) for path in paths}
    for path in paths:
        with open(path, "a", encoding="ascii") as file:
            file.write("a line\n")
    rotate(host)
    for path in paths:
        inode, mode, group = old[path]
        assert os.path.exists(f"{path}.1")
        status = os.stat(path)
        assert status.st_ino != inode and (stat.S_IMODE(status.st_mode), status.st_gid) == (mode, group), path
    wait_for("nginx writes to the new one", lambda: host.get("bob", "/?new") and "?new" in read(paths[0]))
    wait_for("PHP writes to the new one", lambda: host.get("bob") and "GET /index.php" in read(paths[1]))
    wait_for("all is in sync", lambda: host.ready("bob"))
    assert subprocess.run(["setpriv", f"--reuid={pwd.getpwnam('bob').pw_uid}", f"--regid={pwd.getpwnam('bob').pw_gid}", "--clear-groups",
                           "cat", f"{paths[0]}.1"], capture_output=True, check=False).returncode == 0, "its user reads what was rotated"  # fmt: skip


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_x6_workers_write_to_the_new_log_of_the_host(host):
    """They open it by path, as the web user, in a directory that others cannot enter."""
    rotate(host)
    path = f"{host.log_root}/nginx-error.log"
    workers = children(host.nginx_pid())
    wait_for("every worker has the new file", lambda: all(path in open_files(pid) for pid in workers))
    assert "Permission denied" not in read(path)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def open_files(pid):
    return {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


def test_x6_a_long_request_is_not_interrupted(host):
    host.write("alice", "slow.php", SLOW)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(host.get("alice", "/slow.php", timeout=30))) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for("they are on their way", lambda: os.path.exists(host.data("alice", "begun")))
    for _ in range(3):
        assert host.command("reopen-logs").returncode == 0
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 3


def test_x6_daemons_are_told_without_an_agent(host):
    before = daemons(host)
    host.end()
    rotate(host)
    path = host.home("bob", "logs/php-access.log")
    wait_for("PHP writes to the new one", lambda: host.get("bob", "/?alone") and "GET /index.php" in read(path))
    host.start()
    host.wait_ready("bob")
    assert daemons(host) == before


def test_x6_only_daemons_of_ours_get_the_signal(host):
    """The number in a stale pid file is another's by now."""
    bystander = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    masters = f"{host.run_dir}/php/masters"
    stale = f"{masters}/8.2-00.999.1"
    os.mkdir(stale)
    with open(f"{stale}/master.pid", "w", encoding="ascii") as file:
        file.write(f"{bystander.pid}\n")
    try:
        assert host.command("reopen-logs").returncode == 0
        assert bystander.poll() is None
        bystander.stdin.close()
        assert bystander.wait(10) == 0
    finally:
        if os.path.isdir(stale):
            os.unlink(f"{stale}/master.pid")
            os.rmdir(stale)


def test_x6_nothing_where_a_user_may_write_is_touched(host):
    """php-error.log and links that a user puts beside it."""
    secret = f"{host.root}/secret.log"
    with open(secret, "w", encoding="ascii") as file:
        file.write("root's\n" * 100)
    user = pwd.getpwnam("alice")
    log = host.home("alice", "chroot/log")
    mine = f"{log}/php-error.log"
    with open(mine, "a", encoding="ascii") as file:
        file.write("mine\n")
    os.chown(mine, user.pw_uid, user.pw_gid)
    os.symlink(secret, f"{log}/other.log")
    before, inode = os.stat(secret), os.stat(mine).st_ino
    rotate(host)
    assert os.stat(mine).st_ino == inode and not os.path.exists(f"{mine}.1") and not os.path.exists(f"{log}/other.log.1")
    after = os.stat(secret)
    assert (after.st_ino, after.st_size, after.st_uid) == (before.st_ino, before.st_size, before.st_uid)
    os.unlink(f"{log}/other.log")


def test_x6_a_log_that_is_lost_otherwise_is_made_again(host):
    host.add("carol")
    path = host.home("carol", "logs/access.log")
    os.unlink(path)
    host.command("reload")
    wait_for("it is there", lambda: os.path.exists(path))
