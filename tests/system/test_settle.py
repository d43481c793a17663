"""`webspaces settle` waits until nothing is left to do, and its counters say whether anything happened."""

import os
import signal

from host import rights


def test_what_was_dropped_is_served_when_it_returns(host):  # G2
    host.drop("alice")
    counters = host.settle()
    host.write("alice", "index.html", "hers")
    assert host.ready("alice") and host.get("alice", https=True).text == "hers"
    assert counters["publishes"] >= 2 and counters["changes"] > 0 and counters["failures"] == 0


def test_drift_is_put_back_when_it_returns(host):
    host.add("alice")
    right = rights(host.data("alice"))
    before = host.settle()
    os.chmod(host.data("alice"), 0o777)
    after = host.settle()
    assert rights(host.data("alice")) == right
    assert after["changes"] == before["changes"] + 1 and after["publishes"] == before["publishes"]


def test_equal_counters_mean_that_nothing_happened(host):
    host.add("alice", "bob")
    before = host.settle()
    assert host.settle() == before
    host.agent.send_signal(signal.SIGHUP)
    after = host.settle()
    assert after["passes"] > before["passes"]
    assert {**after, "passes": 0} == {**before, "passes": 0}, "a pass over what is right changes, publishes and logs nothing"


def test_a_removal_is_over_when_it_returns(make_host):
    host = make_host(settings="reconcile = { removal_grace_s = 1; };").start()
    host.add("alice", "bob")
    before = host.settle()
    host.remove("alice")
    host.settle()
    assert host.status("alice"), "its time of grace is not waited for"
    while host.settle()["removals"] == before["removals"]:
        pass
    assert host.status("alice") is None and host.ready("bob")


def test_it_times_out(host):  # 75
    host.agent.send_signal(signal.SIGSTOP)
    try:
        stopped = host.command("settle", "--timeout", "0")
    finally:
        host.agent.send_signal(signal.SIGCONT)
    assert stopped.returncode == 1 and "does not answer" in stopped.stderr
    host.drop("alice")
    assert host.command("settle", "--timeout", "0").returncode == 75
    host.settle()


def test_other_exit_codes(make_host):
    host = make_host()
    assert host.command("settle").returncode == 3
    for words in (["--timeout"], ["--timeout", "x"], ["--timeout", "-1"], ["5"], ["--timeout", "5", "6"]):
        assert host.command("settle", *words).returncode == 64, words
