"""The home tree in the jails' namespace is sealed: whatever is mounted there, no file in it becomes code."""

import os
import subprocess

from host import wait_for
from snippets import values


def flags(host, path):
    """As the jails see it."""
    told = host.enter("findmnt", "-n", "-o", "VFS-OPTIONS", "-T", path)
    assert told.returncode == 0, told.stderr
    return set(told.stdout.strip().split(",")) & {"noexec", "nosuid", "nodev"}


SEALED = {"noexec", "nosuid", "nodev"}


def test_S1_disks_that_are_mounted_inside_the_home_tree_are_sealed_too(make_host):
    host = make_host(shards=1)
    below = host.data("alice", "big")
    os.makedirs(below)
    for path in (host.home("alice"), below):
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", path], check=True)
    try:
        os.makedirs(below, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0777", "tmpfs", below], check=True)
        host.start()
        host.add("alice")
        assert flags(host, host.data("alice")) == flags(host, below) == SEALED
    finally:
        host.destroy()
        subprocess.run(["umount", "-R", "-l", host.home("alice")], check=False)


def test_S1_a_seal_that_was_broken_is_repaired_and_said(make_host):
    host = make_host(shards=1).start()
    host.add("alice")
    big = host.data("alice", "big")
    os.mkdir(big)
    everything = (host.home_root, big)
    assert host.enter("mount", "-t", "tmpfs", "-o", "mode=0777", "tmpfs", big).returncode == 0
    assert host.enter("mount", "-o", "remount,bind,exec,suid,dev", host.home_root).returncode == 0
    wait_for("sealed again", lambda: all(flags(host, path) == SEALED for path in everything), 30)
    assert "noexec" in host.journal()
    shown = host.command("mounts", "alice")
    assert shown.returncode == 0 and shown.stdout == "alice\n\t+ .base\n", shown.stdout + shown.stderr


def test_S1_an_agent_seals_the_namespace_that_an_older_one_made(make_host):
    """What that left: a home tree without the flags, and a disk in it, while the agent was away."""
    host = make_host(shards=1).start()
    host.add("alice")
    big = host.data("alice", "big")
    os.mkdir(big)
    host.end()
    assert host.enter("mount", "-t", "tmpfs", "-o", "mode=0777", "tmpfs", big).returncode == 0
    assert host.enter("mount", "-o", "remount,bind,exec,suid,dev", host.home_root).returncode == 0
    shown = host.command("mounts", "alice")
    assert shown.returncode == 1 and "- home: flags" in shown.stdout and "- home/chroot/data/big: flags" in shown.stdout
    masters = host.masters()
    host.start()
    wait_for("sealed", lambda: flags(host, host.home_root) == flags(host, big) == SEALED, 30)
    assert host.masters() == masters, "by its flags alone, nobody has to start anew"
