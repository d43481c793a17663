"""Releases that are switched by a symbolic link (Deployer, Capistrano): what the link leads to now is what visitors get."""

import os
import pwd

import pytest

from host import Host, wait_for

LONG_AGO = 1600000000
TEXT = 'sites = ( { root = "current/public"; disable_symlinks = false; } );'
# A script that stays where it is, and includes what is behind the link by the link's path.
BY_PATH = 'php = { values = { opcache = { revalidate_path = "1"; }; realpath_cache_ttl = "1"; }; };'


@pytest.fixture(scope="module")
def released():
    host = Host(shards=1).start()
    host.drop("alice", TEXT)
    host.drop("bob", BY_PATH)
    host.wait_ready("alice", "bob")
    for name in ("alice", "bob"):
        for number in (1, 2):
            release = f"releases/{number}"
            put(host, name, f"{release}/public/index.php", f"<?php require __DIR__ . '/../lib/part.php'; echo 'index {number} ', part();")
            put(host, name, f"{release}/lib/part.php", f"<?php function part() {{ return 'part {number}'; }}")
            put(host, name, f"{release}/public/file.txt", f"file {number}")
        switch(host, name, 1)
    put(host, "bob", "index.php", "<?php require '/data/current/public/index.php';")
    yield host
    host.destroy()


def put(host, name, path, text):
    """As a release is unpacked: all of the same age and size."""
    full = host.write(name, path, text)
    os.utime(full, (LONG_AGO, LONG_AGO))


def switch(host, name, number, atomically=True):
    link = host.data(name, "current")
    if atomically:
        os.symlink(f"releases/{number}", f"{link}.new")
        os.lchown(f"{link}.new", pwd.getpwnam(name).pw_uid, -1)
        os.rename(f"{link}.new", link)
    else:  # ln -sfn
        os.unlink(link)
        os.symlink(f"releases/{number}", link)


def is_served(host, name, number, seen):
    """By each process of the pool, and each has compiled it then."""
    pages = [page(host, name) for _ in range(20)]
    seen.update(pages)
    return set(pages) == {f"index {number} part {number}"}


def page(host, name):
    return host.wait_answers(name, "/", https=True).text


@pytest.mark.parametrize("name", ["alice", "bob"])
@pytest.mark.parametrize("atomically", [True, False])
def test_F8_a_switched_release_is_served_within_seconds(released, name, atomically):
    seen = set()
    wait_for("the first release", lambda: is_served(released, name, 1, seen))
    for number in (2, 1):
        switch(released, name, number, atomically)
        if name == "alice":
            assert released.get(name, "/file.txt", https=True).text == f"file {number}"
        wait_for("the new release", lambda: is_served(released, name, number, seen))
    assert all(text.split()[1] == text.split()[3] for text in seen), f"no page is made of two releases: {seen}"


def test_F8_a_link_that_leads_out_of_the_jail_shows_php_of_nobody(released):
    """To nginx the neighbour's files are below a root of alice's; to her PHP they are nowhere."""
    put(released, "bob", "releases/2/public/only.php", "<?php echo 'of bob';")
    link = released.data("alice", "current")
    os.unlink(link)
    os.makedirs(released.data("alice", "releases/3"))
    os.symlink("../../../../bob/chroot/data/releases/2/public", released.data("alice", "releases/3/public"))
    os.symlink("releases/3", link)
    try:
        answer = released.get("alice", "/only.php", https=True)
        assert answer.status in (403, 404) and "of bob" not in answer.text
    finally:
        switch(released, "alice", 1)
