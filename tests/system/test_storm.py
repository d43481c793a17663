"""Many files change at once, as a git checkout leaves them: that costs what one pass costs.

P1: each PHP master is replaced at most once for a burst, however long the pass over it takes. The agent is stopped
while the files are written, so that all of them are one burst whatever the machine's speed.
"""

import os
import signal

import pytest

from host import Host, wait_for

SHARDS = 4
NAMES = [f"s{i:03}" for i in range(200)]  # some slices of a pass


@pytest.fixture(scope="module")
def crowded():
    """A host of many empty webspaces, all ready."""
    host = Host(shards=SHARDS)
    for name in NAMES:
        host.drop(name)
    host.start()
    host.wait_ready(*NAMES, seconds=90)
    yield host
    host.destroy()


def burst(host, texts):
    """All files at once, each unlinked and created anew."""
    host.agent.send_signal(signal.SIGSTOP)
    try:
        for name, text in texts.items():
            path = os.path.join(host.drops, f"{name}.conf")
            os.unlink(path)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
    finally:
        host.agent.send_signal(signal.SIGCONT)


def lines(host):
    return os.listdir(f"{host.run_dir}/php/line")


def generations(host, line):
    """Those that were published in a line, of which the last five are kept."""
    return {int(name) for name in os.listdir(f"{host.state_dir}/php/{line}") if name.isdigit()}


def at_rest(host):
    """Each line is served by a master of the generation that was published last."""
    return all(
        os.readlink(f"{host.run_dir}/php/line/{line}").split(".")[-2] == os.readlink(f"{host.state_dir}/php/{line}/current")
        for line in lines(host)
    )


def remember(host):
    return {line: generations(host, line) for line in lines(host)}


def published_since(host, before):
    """line → how many generations were published, of those who serve now."""
    wait_for("all masters serve what was published", lambda: at_rest(host), 60, 0.1)
    return {line: len(generations(host, line) - before.get(line, set())) for line in lines(host)}


def pools_with(host, setting):
    """How many pools have it in force."""
    count = 0
    for line in lines(host):
        with open(f"{host.state_dir}/php/{line}/current/php-fpm.conf", encoding="utf-8") as file:
            count += file.read().count(setting)
    return count


def wait_applied(host, texts, setting):
    wait_for(
        f"{setting} in every pool",
        lambda: pools_with(host, setting) == len(texts) and all(host.ready(name) for name in (NAMES[0], NAMES[-1])),
        60, 0.1,
    )  # fmt: skip


def test_a_storm_replaces_each_master_once(crowded):  # P1 G5
    before = remember(crowded)
    texts = {name: 'php = { memory_limit = "48M"; };' for name in NAMES}
    burst(crowded, texts)
    wait_applied(crowded, texts, "48M")
    assert published_since(crowded, before) == {line: 1 for line in before}


def test_pools_that_move_away_replace_their_old_master_once(crowded):  # P1
    movers = NAMES[::5]
    before = remember(crowded)
    texts = {name: 'php = { memory_limit = "49M"; master = "dedicated"; };' for name in movers}
    burst(crowded, texts)
    wait_applied(crowded, texts, "49M")
    wait_for("the old masters let them go", lambda: pools_with(crowded, "48M") == len(NAMES) - len(movers), 60, 0.1)
    assert set(published_since(crowded, before).values()) == {1}
    assert len(lines(crowded)) == len(before) + len(movers)


def test_pools_that_come_back_replace_their_new_master_once(crowded):  # P1
    before = remember(crowded)
    shared = {line for line in before if "-u" not in line}
    texts = {name: 'php = { memory_limit = "48M"; };' for name in NAMES}
    burst(crowded, texts)
    wait_applied(crowded, texts, "48M")
    wait_for("masters without pools are gone", lambda: set(lines(crowded)) == shared, 60, 0.1)
    assert published_since(crowded, before) == {line: 1 for line in shared}


def test_whom_nobody_serves_is_not_behind_the_storm(crowded):  # P1
    """A master that dies in the middle of it comes back, and all is as the files say in the end."""
    texts = {name: 'php = { memory_limit = "50M"; };' for name in NAMES}
    burst(crowded, texts)
    line, pid = sorted(crowded.masters().items())[-1]
    os.kill(pid, signal.SIGKILL)
    wait_for("another master", lambda: crowded.masters().get(line) not in (None, pid), 30)
    wait_applied(crowded, texts, "50M")
