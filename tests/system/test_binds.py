"""Binds of every shape become binds of every other, and nothing is left of those before."""

import itertools
import os

import pytest

from host import Host, wait_for

QUICK = "reconcile = { settle_ms = 10; full_pass_s = 3600; };"
# Files of the sources, and where each shape shows them in the jail.
SOURCES = ("store/socket", "store/deep/down/leaf", "other/page")
SHAPES = {
    "nothing": {},
    "a directory": {"store": "var/run/place"},
    "a file in it": {"store/socket": "var/run/place/socket"},
    "a file in its stead": {"store/socket": "var/run/place"},
    "another directory in its stead": {"other": "var/run/place"},
    "two files in it": {"store/socket": "var/run/place/socket", "other/page": "var/run/place/more/page"},
    "a directory in it": {"store/deep": "var/run/place/more"},
    "the directory above it": {"store": "var/run"},
    "a file in the stead of the top": {"other/page": "var"},
    "beside the base's own": {"store": "etc/ldap", "other/page": "usr/share/place"},
    "below the base's own": {"store/socket": "etc/ldap/place/socket"},
}


def shown_by(shape):
    """Paths in the jail that have content."""
    found = set()
    for source, target in SHAPES[shape].items():
        for file in SOURCES:
            if file == source or file.startswith(f"{source}/"):
                found.add(target + file[len(source):])
    return found


def shown(host, name):
    chroot = host.home(name, "chroot")
    pruned = [word for own in ("data", "log", "tmp", ".base", ".passwd", ".group") for word in ("-path", f"{chroot}/{own}", "-prune", "-o")]
    return set(host.enter("find", chroot, *pruned, "-type", "f", "-size", "+0", "-printf", "%P\\n").stdout.split())


def layout(host, name):
    """All that is there, the user's own apart."""
    out = host.enter("find", host.home(name, "chroot"), "-xdev", "-printf", "%P %y %l %m\\n").stdout
    return sorted(line for line in out.splitlines() if not line.startswith(("data/", "log/", "tmp/")))


def text_of(host, shape):
    binds = ", ".join(f'"{host.root}/sources/{source}:/{target}"' for source, target in SHAPES[shape].items())
    return f"binds = [{binds}];"


@pytest.fixture(scope="module")
def house():
    host = Host(shards=1, settings=QUICK)
    for file in SOURCES:
        path = os.path.join(host.root, "sources", file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as out:
            out.write(file)
    host.start()
    yield host
    host.destroy()


def change(host, name, shape, before):
    host.drop(name, text_of(host, shape))
    try:
        wait_for("the binds", lambda: shown(host, name) == shown_by(shape), 10, 0.03)
    except AssertionError as fault:
        raise AssertionError(f"{before} → {shape}: {shown(host, name)}, {host.status(name)}") from fault
    host.wait_ready(name)
    told = host.command("mounts", name)
    listed = {line[3:].strip() for line in told.stdout.splitlines()[1:]} & set(SHAPES[shape].values())
    assert told.returncode == 0 and listed == set(SHAPES[shape].values()), (before, shape, told.stdout)


def test_X4_every_shape_of_binds_becomes_every_other(house):
    house.add("alice")
    plain = layout(house, "alice")
    before = "nothing"
    for one, other in itertools.permutations(SHAPES, 2):
        if one != before:
            change(house, "alice", one, before)
        change(house, "alice", other, one)
        before = other
    change(house, "alice", "nothing", before)
    wait_for("the layout of before", lambda: layout(house, "alice") == plain, 10)


def test_X4_what_the_source_is_may_change_under_a_bind(house):
    source = os.path.join(house.root, "changing")
    os.mkdir(source)
    open(os.path.join(source, "in"), "w", encoding="ascii").write("in a directory")
    house.add("bob", text=f'binds = ["{source}:/opt/place"];')
    assert shown(house, "bob") == {"opt/place/in"}
    for make, seen in ((lambda: open(source, "w", encoding="ascii").write("a file"), "opt/place"), (lambda: as_directory(source), "opt/place/in")):
        os.rename(source, f"{source}.{seen.count('/')}")
        make()
        house.command("plan", "bob")
        house.agent.send_signal(1)
        wait_for(f"{seen} in the jail", lambda: shown(house, "bob") == {seen}, 10)
        house.wait_ready("bob")


def as_directory(path):
    os.mkdir(path)
    with open(os.path.join(path, "in"), "w", encoding="ascii") as file:
        file.write("in a directory")


def test_X4_a_plan_of_another_shape_touches_nothing_and_names_the_change(house):
    house.add("carol", text=text_of(house, "a directory"))
    house.end()
    house.drop("carol", text_of(house, "a file in it"))
    before = shown(house, "carol")
    planned = house.command("plan", "carol")
    assert planned.returncode == 2 and "HostMount" not in planned.stdout + planned.stderr, planned
    assert "chroot/var/run/place type" in planned.stdout and "place/socket" in planned.stdout, planned.stdout
    assert shown(house, "carol") == before
    bound = house.command("mounts", "carol", "bind")
    assert bound.returncode == 0 and shown(house, "carol") == shown_by("a file in it"), bound
    house.start()
