"""The wall clock jumps by years, forwards and backwards: no grace ends by it, and none is prolonged."""

import json

import pytest
from host import wait_for
from records import Clock

GRACE = "reconcile = { removal_grace_s = 8; full_pass_s = 1; };"
LONG = "reconcile = { removal_grace_s = 600; full_pass_s = 1; };"
YEAR = 365 * 86400


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


def jump(clock, years):
    clock.set(years * YEAR)


def settled(host):
    """Nothing is left to do; the agent's counters."""
    done = host.command("settle")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_gone(host, name):
    return host.status(name) is None


@pytest.mark.parametrize("years", [1, -1])
def test_a_jump_ends_no_grace(make_host, clock, years):
    """A grace by the wall clock: a year ahead must not remove at once what a checkout has just moved away."""
    host = make_host(settings=LONG)
    host.start(prefix=clock.prefix)
    host.add("alice", "bob")
    host.remove("alice")
    wait_for("missed", lambda: "alice: its file is gone" in host.journal(), 10)
    jump(clock, years)
    before = settled(host)["passes"]
    wait_for("passes under the new time", lambda: settled(host)["passes"] >= before + 3, 20)
    assert host.get("alice").status == 301  # over HTTP: certificates do go by the wall clock
    # … nor at the next start.
    host.end()
    host.start(prefix=clock.prefix)
    before = settled(host)["passes"]
    wait_for("passes after the start", lambda: settled(host)["passes"] >= before + 3, 20)
    assert host.get("alice").status == 301  # over HTTP: certificates do go by the wall clock
    host.drop("alice", "")
    wait_for("it is back", lambda: "alice: its file is back" in host.journal(), 10)


@pytest.mark.parametrize("years", [1, -1])
def test_a_jump_prolongs_no_grace(make_host, clock, years):
    """A grace by the wall clock: a year back must not serve for a year what its owner has removed."""
    host = make_host(settings=GRACE)
    host.start(prefix=clock.prefix)
    host.add("alice", "bob")
    host.remove("alice")
    wait_for("missed", lambda: "alice: its file is gone" in host.journal(), 10)
    jump(clock, years)
    wait_for("out of service", lambda: is_gone(host, "alice"), 30)


def test_a_hold_survives_jumps(make_host, clock):
    host = make_host(settings="reconcile = { removal_grace_s = 1; full_pass_s = 1; };")
    host.start(prefix=clock.prefix)
    host.add("alice")
    host.remove("alice")
    wait_for("held", lambda: host.status()["held"] == 1, 20)
    for years in (1, -1, 0):
        jump(clock, years)
        before = settled(host)["passes"]
        wait_for("passes", lambda: settled(host)["passes"] >= before + 2, 20)
        assert host.status()["held"] == 1
    assert host.get("alice").status == 301  # over HTTP: certificates do go by the wall clock
