"""X13: what a user does to his own directories, however often, costs the agent next to nothing.

Counted are the agent's looks at him, by its system calls; a neighbour's drift is put back at once all the while.
"""

import os
import pwd
import subprocess

import pytest

from host import rights, wait_for

TOUCH = "import os, sys\nwhile True:\n for path in sys.argv[1:]:\n  os.utime(path)\n"
DIRECTORIES = ["data", "log", "tmp/misc", "tmp/session"]


@pytest.fixture
def toucher(host):
    """alice, who sets the times of all her directories as fast as she can."""
    host.add("alice", "bob")
    alice = pwd.getpwnam("alice")
    process = subprocess.Popen(
        ["/usr/bin/python3", "-c", TOUCH, *(host.home("alice", "chroot", name) for name in DIRECTORIES)],
        user=alice.pw_uid, group=alice.pw_gid, extra_groups=[],
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()


def switches(pid):
    """How often the process has gone to sleep and was woken: once for each thing that it hears of."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_touching_without_end_costs_the_agent_little(host, toucher):  # X13
    # She has used up what she may at once when neither she nor the agent has more to say.
    agent = host.agent.pid
    before = [switches(agent)]

    def is_muted():
        last, before[0] = before[0], switches(agent)
        return before[0] - last < 10

    wait_for("the agent to mute her", is_muted, 30, 0.3)
    hers, its = cpu_ticks(toucher.pid), cpu_ticks(agent)
    wait_for("she has worked for three seconds", lambda: cpu_ticks(toucher.pid) - hers > 300, 120, 0.1)
    assert toucher.poll() is None
    assert cpu_ticks(agent) - its < 30, "a tenth of what she spends; it was more than she did"


def test_her_neighbour_is_put_right_at_once_meanwhile(host, toucher):  # X13
    place = host.home("bob", "chroot", "data")
    right = rights(place)
    for _ in range(4):  # once more would be a fight
        os.chmod(place, 0o777)
        wait_for("bob's directory to be put right", lambda: rights(place) == right, 10)


def test_her_own_drift_is_put_right_when_she_is_heard_again(host, toucher):  # X13
    place = host.home("alice", "chroot", "tmp")
    right = rights(place)
    os.chmod(place, 0o777)
    wait_for("alice's directory to be put right", lambda: rights(place) == right, 30)
