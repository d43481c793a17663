"""Whatever way a file comes, changes or goes, the agent sees it soon, and sees it as it is."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time

import pytest

from host import wait_for

LATE = "reconcile = { full_pass_s = 3600; };"  # nothing is found by looking at everything again
SOON = 8  # seconds; far below any full pass
LIMIT = "<?php echo ini_get('memory_limit');"
RENAME_EXCHANGE, AT_FDCWD = 2, -100


@pytest.fixture
def host(make_host):
    return make_host(settings=LATE)


def megabytes(n):
    return f'php = {{ memory_limit = "{n}M"; }};\n'


def limited_to(host, name, n):
    response = host.answers(name, https=True)
    return response and response.text == f"{n}M"


def wait_limit(host, name, n, seconds=SOON):
    wait_for(f"{name} has {n}M", lambda: limited_to(host, name, n), seconds, 0.03)


def path_of(host, name):
    return os.path.join(host.drops, f"{name}.conf")


def in_place(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def loaded(host, name):
    condition = host.condition(name, "Loaded")
    return condition and condition["status"] == "True"


def refused(host, name, words):
    condition = host.condition(name, "Loaded")
    return condition and condition["status"] == "False" and words in condition["message"]


def published(host):
    return host.journal().count("is in force")


def exchange(one, other):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, one.encode(), AT_FDCWD, other.encode(), RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def test_every_way_to_write_a_file_is_seen(host):  # G6 G1
    host.start()
    host.add("alice", text=megabytes(40), index=LIMIT)  # by rename
    wait_limit(host, "alice", 40)
    in_place(path_of(host, "alice"), megabytes(41))  # by write and close
    wait_limit(host, "alice", 41)
    with open(path_of(host, "alice"), "r+", encoding="utf-8") as file:  # edited in place
        file.write(megabytes(42))
    wait_limit(host, "alice", 42)
    in_place(f"{host.root}/elsewhere", megabytes(43))  # a hard link over it
    os.unlink(path_of(host, "alice"))
    os.link(f"{host.root}/elsewhere", path_of(host, "alice"))
    wait_limit(host, "alice", 43)
    in_place(f"{host.drops}/4913", "")  # as vim does
    os.unlink(f"{host.drops}/4913")
    os.rename(path_of(host, "alice"), path_of(host, "alice") + "~")
    in_place(path_of(host, "alice"), megabytes(44))
    os.unlink(path_of(host, "alice") + "~")
    wait_limit(host, "alice", 44)


def test_a_touch_changes_nothing_and_a_bad_mode_is_told(host):  # G1 G5
    host.start()
    host.add("alice", text=megabytes(40), index=LIMIT)
    wait_limit(host, "alice", 40)
    host.settle()
    before = published(host)
    os.utime(path_of(host, "alice"))
    host.settle()
    os.chmod(path_of(host, "alice"), 0o666)
    wait_for("the bad mode is told", lambda: refused(host, "alice", "written by others"), SOON)
    assert limited_to(host, "alice", 40)
    os.chmod(path_of(host, "alice"), 0o644)
    wait_for("all is well", lambda: loaded(host, "alice"), SOON)
    os.chown(path_of(host, "alice"), 12345, 0)
    wait_for("the owner is told", lambda: refused(host, "alice", "alice.conf"), SOON)
    os.chown(path_of(host, "alice"), 0, 0)
    wait_for("all is well", lambda: loaded(host, "alice"), SOON)
    assert published(host) == before


def test_noise_of_editors_is_not_a_webspace(host):  # G6
    host.start()
    host.add("alice")
    before = published(host)
    for name in (".alice.conf.swp", "alice.conf~", "4913", "#alice.conf#", ".#alice.conf", "alice.conf.dpkg-old",
                 "README", ".conf", ".git.conf"):
        in_place(os.path.join(host.drops, name), "not { a configuration")
    host.drop("bob")
    host.wait_ready("bob")
    assert [webspace["name"] for webspace in host.status()["webspaces"]] == ["alice", "bob"]
    assert published(host) > before and not host.status()["problem"]


def test_a_directory_replaced_by_rename_is_seen(host):  # G5
    host.start()
    host.add("alice", text=megabytes(40), index=LIMIT)
    wait_limit(host, "alice", 40)
    for n in (41, 42):
        shutil.copytree(host.drops, host.drops + ".new")
        in_place(host.drops + ".new/alice.conf", megabytes(n))
        os.rename(host.drops, host.drops + f".{n}")
        os.rename(host.drops + ".new", host.drops)
        wait_limit(host, "alice", n)
    in_place(path_of(host, "alice"), megabytes(43))  # and the new one is watched
    wait_limit(host, "alice", 43)
    in_place(host.drops + ".42/alice.conf", megabytes(99))  # the old one is not
    host.settle()
    assert limited_to(host, "alice", 43)


def test_exchanged_directories_are_seen(host):  # G5
    host.start()
    host.add("alice", text=megabytes(40), index=LIMIT)
    wait_limit(host, "alice", 40)
    other = host.drops + ".other"
    shutil.copytree(host.drops, other)
    in_place(other + "/alice.conf", megabytes(41))
    for n in (41, 40):
        exchange(host.drops, other)
        wait_limit(host, "alice", n)
    in_place(path_of(host, "alice"), megabytes(43))
    wait_limit(host, "alice", 43)


def test_a_symlink_that_is_swapped_is_seen(host):  # G5
    for n in (40, 41, 42):
        os.mkdir(f"{host.root}/etc/release-{n}")
        in_place(f"{host.root}/etc/release-{n}/alice.conf", megabytes(n))
    os.rmdir(host.drops)
    os.symlink("release-40", host.drops)
    host.start()
    host.wait_ready("alice")
    host.write("alice", "index.php", LIMIT)
    wait_limit(host, "alice", 40)
    os.symlink("release-41", host.drops + ".new")  # ln -s; mv -T
    os.rename(host.drops + ".new", host.drops)
    wait_limit(host, "alice", 41)
    subprocess.run(["ln", "-sfn", f"{host.root}/etc/release-42", host.drops], check=True)
    wait_limit(host, "alice", 42)
    in_place(f"{host.root}/etc/release-42/alice.conf", megabytes(43))
    wait_limit(host, "alice", 43)


def git(directory, *words):
    return subprocess.run(
        ["git", "-C", directory, "-c", "user.name=t", "-c", "user.email=t@test", *words],
        check=True, capture_output=True, text=True, env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}).stdout.strip()


def test_a_git_checkout_of_five_hundred_files(host):  # G5
    names = [f"u{i:03}" for i in range(500)]
    git(host.drops, "init", "-q")
    commits = []
    for state in ("enabled", "suspended"):
        for name in names:
            in_place(path_of(host, name), f'state = "{state}"; php = {{ enabled = false; }};\n')
        git(host.drops, "add", "-A")
        git(host.drops, "commit", "-qm", state)
        commits.append(git(host.drops, "rev-parse", "HEAD"))
    git(host.drops, "checkout", "-q", commits[0])
    host.start()

    def are(state):
        status = host.status()
        return status["revision"] == commits[state == "suspended"] and len(status["webspaces"]) == 500 and all(
            webspace["ready"] and webspace["state"] == state for webspace in status["webspaces"])

    wait_for("500 webspaces", lambda: are("enabled"), 60, 0.2)
    before = published(host)
    begin = time.monotonic()
    git(host.drops, "checkout", "-q", commits[1])
    wait_for("all of them suspended", lambda: are("suspended"), 60, 0.1)
    print(f"\ncheckout_of_500_seconds\t{time.monotonic() - begin:.2f}\t{published(host) - before} generations")
    assert published(host) - before <= 3
    assert host.status()["held"] == 0 and "out of service" not in host.journal()
    git(host.drops, "checkout", "-q", "-b", "live")  # a branch's name leads to the same commit
    git(host.drops, "checkout", "-q", "-B", "live", commits[0])
    wait_for("back", lambda: are("enabled"), 60, 0.1)


def test_a_directory_that_comes_later(host):  # G5
    os.rmdir(host.drops)
    host.start()
    assert "No such file" in host.status()["problem"]
    os.mkdir(host.drops)
    wait_for("it is readable", lambda: not host.status()["problem"], SOON)
    host.add("alice")
    host.wait_answers("alice", https=True)


def test_a_file_that_becomes_a_link_to_a_place_of_others_is_refused(host):  # G5
    host.start()
    host.add("alice", text=megabytes(40), index=LIMIT)
    wait_limit(host, "alice", 40)
    os.mkdir(f"{host.root}/elsewhere")
    in_place(f"{host.root}/elsewhere/alice", megabytes(41))
    os.chown(f"{host.root}/elsewhere", 1234, 1234)
    os.symlink(f"{host.root}/elsewhere/alice", path_of(host, "alice") + ".new")
    os.rename(path_of(host, "alice") + ".new", path_of(host, "alice"))
    wait_for("the link is refused", lambda: refused(host, "alice", "symbolic link"), SOON)
    assert limited_to(host, "alice", 40)
    host.drop("alice", megabytes(42))
    wait_limit(host, "alice", 42)


def test_a_storm_ends_in_the_right_state(host):  # G5
    host.start()
    host.add("alice", text=megabytes(40), index=LIMIT)
    host.add("bob")
    before = published(host)
    for i in range(2000):
        in_place(path_of(host, "alice"), megabytes(41 + i % 3))
    in_place(path_of(host, "alice"), megabytes(50))
    wait_limit(host, "alice", 50)
    print(f"\nstorm_generations\t{published(host) - before}")
    assert published(host) - before <= 10


def test_an_overflow_of_the_queue_loses_nothing(host):  # G5
    host.start()
    host.add("alice", "bob", text=megabytes(40), index=LIMIT)
    wait_limit(host, "alice", 40)
    shutil.copytree(host.drops, host.drops + ".other")
    host.agent.send_signal(signal.SIGSTOP)
    in_place(path_of(host, "alice"), megabytes(41))
    os.chmod(path_of(host, "alice"), 0o644)
    # Names of equal events in a row are merged by the kernel: two files in turn.
    noise = [os.path.join(host.drops, name) for name in (".one", ".two")]
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
        limit = int(file.read())
    for path in noise:
        in_place(path, "")
    for i in range(limit + 1000):
        os.utime(noise[i % 2])
    # Only after the queue is full: nobody tells of these.
    in_place(path_of(host, "bob"), megabytes(42))
    in_place(path_of(host, "carol"), megabytes(43))
    os.unlink(path_of(host, "alice"))
    os.chmod(host.home("bob", "chroot/tmp"), 0o700)
    os.rename(host.drops, host.drops + ".gone")
    shutil.copytree(host.drops + ".gone", host.drops)
    in_place(path_of(host, "alice"), megabytes(44))
    host.agent.send_signal(signal.SIGCONT)
    wait_limit(host, "alice", 44)
    wait_limit(host, "bob", 42)
    host.wait_ready("carol")
    wait_for("the drift is put back", lambda: os.stat(host.home("bob", "chroot/tmp")).st_mode & 0o777 != 0o700, SOON)
    in_place(path_of(host, "alice"), megabytes(45))  # watches are where they should be
    wait_limit(host, "alice", 45)


def test_a_user_that_appears_later_is_picked_up(make_host):  # A1
    host = make_host(settings=LATE)
    with open(host.config, encoding="utf-8") as file:
        text = file.read()
    in_place(host.config, text.replace("create = true", "create = false"))
    host.start()
    host.drop("alice")
    wait_for("no account", lambda: (host.condition("alice", "Account") or {}).get("reason") == "NoAccount", SOON)
    begin = time.monotonic()
    with open("/etc/group", "a", encoding="utf-8") as file:
        file.write("alice:x:23456:\n")
    with open("/etc/passwd", "a", encoding="utf-8") as file:
        file.write("alice:x:23456:23456::/nonexistent:/bin/false\n")
    host.wait_ready("alice", seconds=SOON)
    print(f"\naccount_seen_seconds\t{time.monotonic() - begin:.2f}")
    assert pwd.getpwnam("alice").pw_uid == os.stat(host.home("alice", "chroot")).st_gid


def test_a_user_that_was_refused_is_looked_at_again_when_it_changes(host):  # A1 A6
    with open("/etc/group", "a", encoding="utf-8") as file:
        file.write("alice:x:23456:mallory\n")
    with open("/etc/passwd", "a", encoding="utf-8") as file:
        file.write("alice:x:23456:23456::/nonexistent:/bin/false\nmallory:x:23457:23456::/nonexistent:/bin/false\n")
    host.start()
    host.drop("alice")
    wait_for("refused", lambda: (host.condition("alice", "Account") or {}).get("reason") == "NotAllowed", SOON)
    time.sleep(9)  # tried at 0, 1, 3, 7 s; by itself not again before 12 s
    for path, old, new in (("/etc/group", ":23456:mallory", ":23456:"), ("/etc/passwd", "23457:23456", "23457:100")):
        with open(path, encoding="utf-8") as file:
            text = file.read().replace(old, new)
        in_place(path + ".new", text)
        os.rename(path + ".new", path)
    host.wait_ready("alice", seconds=2.5)


def test_a_changed_source_of_the_base_is_seen_in_the_jail(host):  # D1
    host.start()
    host.add("alice", index="<?php echo @file_get_contents('/etc/resolv.conf');",
             text='php = { open_basedir = "none"; };')
    host.wait_answers("alice", https=True)
    for i, way in enumerate(("rename", "in place")):
        text = f"nameserver 192.0.2.{i + 1}\n"
        if way == "rename":
            in_place("/etc/resolv.conf.new", text)
            os.rename("/etc/resolv.conf.new", "/etc/resolv.conf")
        else:
            in_place("/etc/resolv.conf", text)
        wait_for(f"the jail's resolv.conf, written by {way}",
                 lambda text=text: host.get("alice", https=True).text == text, SOON, 0.05)


def test_quick_edits_settle(host):  # G1
    host.start()
    host.add("alice", text=megabytes(40), index=LIMIT)
    wait_limit(host, "alice", 40)
    before = published(host)
    for n in range(41, 61):
        host.drop("alice", megabytes(n))
        time.sleep(0.05)
    wait_limit(host, "alice", 60)
    print(f"\ntwenty_edits_generations\t{published(host) - before}")
    assert published(host) - before <= 4


def test_edits_that_never_end_do_not_hold_others_up(host):  # G1
    host.start()
    host.add("alice", text=megabytes(40), index=LIMIT)
    ended = threading.Event()

    def edit():
        while not ended.is_set():
            host.drop("bob", f"# {time.monotonic()}\n")
            time.sleep(0.05)

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        in_place(path_of(host, "alice"), megabytes(41))
        wait_limit(host, "alice", 41)
    finally:
        ended.set()
        thread.join()


def test_drift_does_not_wait_for_files_to_settle(make_host):  # A3
    host = make_host(settings="reconcile = { full_pass_s = 3600; settle_ms = 5000; };")
    host.drop("alice")
    host.start()
    host.wait_ready("alice")
    time.sleep(1)
    tmp = host.home("alice", "chroot/tmp")
    mode = os.stat(tmp).st_mode
    host.drop("bob")
    begin = time.monotonic()
    os.chmod(tmp, 0o777)
    wait_for("the mode is put back", lambda: os.stat(tmp).st_mode == mode, 4, 0.001)
    seconds = time.monotonic() - begin
    print(f"\ndrift_seconds\t{seconds:.4f}")
    assert seconds < 2 and host.status("bob") is None
