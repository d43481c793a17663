"""G7: back to an earlier generation, held until a file changes."""

import json
import os

import pytest
from host import wait_for

TEN = 'sites = ( { type = "static"; root = "%s"; } );'


def generation(host):
    """Once it stands still: a page may be served before status has the generation that it came with."""
    host.settle()
    return host.status()["generation"]


def quiet(host, *words, code=0):
    done = host.command(*words)
    assert (done.returncode, done.stderr) == (code, ""), (words, done)
    return done.stdout


def refused(host, *words):
    done = host.command(*words)
    assert done.returncode == 1 and done.stderr.startswith("webspaces: "), (words, done)
    return done.stderr


def shows(host, name, text, seconds=20):
    """The page of the webspace says this."""
    return wait_for(
        f"{name} shows {text}", lambda: (response := host.get_quietly(name, https=True)) and response.text == text, seconds, 0.05
    )


def versions(host, name):
    """Three directories, each with its own page; the file says which is served."""
    for version in ("one", "two", "three"):
        host.write(name, f"{version}/index.html", f"{name} {version}")


def serve(host, name, version):
    host.drop(name, TEN % version)
    shows(host, name, f"{name} {version}")
    host.wait_ready(name)


def all_at_one(host, *names):
    for name in names:
        host.drop(name)
    host.wait_ready(*names)
    for name in names:
        versions(host, name)
        serve(host, name, "one")


@pytest.fixture
def changed(host):
    """alice went from one to two to three, bob stays at one."""
    all_at_one(host, "alice", "bob")
    for version in ("two", "three"):
        serve(host, "alice", version)
    return host


def test_without_a_number_the_last_change_is_taken_back_and_held(changed):  # G7
    host = changed
    before = generation(host)
    out = quiet(host, "rollback")
    assert "alice" in out and "bob" not in out and "--release" in out
    shows(host, "alice", "alice two")
    shows(host, "bob", "bob one")
    wait_for("a generation of its own", lambda: host.status()["generation"] > before, 10)

    status = host.status()["rollback"]
    assert status["generation"] > 0 and status["webspaces"] == "alice" and status["since"] > "2020"
    assert "rolled back" in host.command("status").stdout
    assert "rolled back to what was in force at generation" in host.journal()
    assert TEN % "three" == open(os.path.join(host.drops, "alice.conf"), encoding="utf-8").read()

    assert "alice" in quiet(host, "rollback")  # once more: one change further back
    shows(host, "alice", "alice one")


def test_a_look_does_not_end_it_and_a_change_of_any_file_does(changed):  # G7
    host = changed
    quiet(host, "rollback")
    shows(host, "alice", "alice two")
    os.utime(os.path.join(host.drops, "alice.conf"))  # touched, not changed
    host.command("plan")
    quiet(host, "rollback")
    shows(host, "alice", "alice one")

    serve(host, "bob", "two")
    shows(host, "alice", "alice three")
    assert host.status()["rollback"] is None
    assert "is over: what files say is in force" in host.journal()
    wait_for("nothing to do", lambda: host.command("plan").returncode == 0, 10, 0.2)


def test_it_survives_a_restart_and_release_ends_it(changed):  # G7
    host = changed
    quiet(host, "rollback")
    shows(host, "alice", "alice two")
    host.kill()
    host.start()
    shows(host, "alice", "alice two")
    wait_for("known again", lambda: (host.status() or {}).get("rollback"), 20)
    wait_for("nothing to do", lambda: host.command("plan").returncode == 0, 20, 0.2)
    assert "in force again" in quiet(host, "rollback", "--release")
    shows(host, "alice", "alice three")
    assert "nothing was held" in quiet(host, "rollback", "--release")
    host.end()
    host.start()
    shows(host, "alice", "alice three")


def test_a_file_that_changed_while_no_agent_ran_ends_it(changed):  # G7
    host = changed
    quiet(host, "rollback")
    shows(host, "alice", "alice two")
    host.end()
    host.drop("bob", TEN % "three")
    host.start()
    shows(host, "bob", "bob three")
    shows(host, "alice", "alice three")
    wait_for("status says so", lambda: host.status()["rollback"] is None, 20)


def test_a_generation_is_the_whole_hosts(host):  # G7
    """New webspaces are as if disabled, changed ones as they were, removed ones there again; data stays."""
    all_at_one(host, "alice", "carol")
    then = generation(host)
    host.add("dave")
    serve(host, "alice", "two")
    newest = generation(host)
    assert newest > then

    out = quiet(host, "rollback", str(then))
    assert "alice" in out and "dave" in out and "carol" not in out
    shows(host, "alice", "alice one")
    wait_for("dave is out of service", lambda: not host.answers("dave", https=True), 10)
    assert host.status("dave")["state"] == "disabled" and os.path.exists(host.data("dave", "index.php"))
    quiet(host, "rollback", str(newest))  # as the files say
    host.wait_answers("dave", https=True)
    shows(host, "alice", "alice two")
    assert host.status()["rollback"] is None


def test_a_removed_webspace_comes_back_and_goes_again(make_host):  # G7
    host = make_host(settings="reconcile = { removal_grace_s = 0; };").start()
    all_at_one(host, "alice", "carol")
    then = generation(host)
    host.remove("carol")
    wait_for("out of service", lambda: not host.status("carol"), 20)
    quiet(host, "rollback", str(then))
    shows(host, "carol", "carol one")
    host.end()
    host.start()
    host.wait_ready("carol")
    shows(host, "carol", "carol one")
    quiet(host, "rollback", "--release")
    wait_for("out of service again", lambda: not host.status("carol"), 20)
    assert os.path.isdir(host.data("carol"))


def test_what_can_be_gone_back_to_is_listed(changed):  # G7
    host = changed
    lines = quiet(host, "rollback", "--list").splitlines()
    assert lines[0].split()[0] == "GENERATION" and "now" in lines[1] and lines[2].endswith("  alice")
    whole = json.loads(quiet(host, "rollback", "--list", "--json"))
    assert whole["newest"] >= generation(host) and whole["rolled_back"] is None
    points = whole["generations"]
    assert [p["generation"] for p in points] == sorted((p["generation"] for p in points), reverse=True)
    assert points[0]["changed"] == ["alice"] and points[0]["until"] > "2020"
    quiet(host, "rollback", str(points[1]["generation"]))
    shows(host, "alice", "alice one")
    assert json.loads(quiet(host, "rollback", "--list", "--json"))["rolled_back"] == points[1]["generation"]
    assert f"as of generation {points[1]['generation']}" in quiet(host, "rollback", "--list")


def test_what_is_not_known_is_refused_and_changes_nothing(changed):  # G7
    host = changed
    assert "no generation 999999" in refused(host, "rollback", "999999")
    for word in ("0", "x", "1x", "99999999999999999999"):
        assert "not the number" in refused(host, "rollback", word)
    assert "no file has changed since" in quiet(host, "rollback", str(generation(host)))
    for i in range(12):  # more than are kept
        host.drop("bob", TEN % ("two", "one")[i % 2])
        shows(host, "bob", ("bob two", "bob one")[i % 2])
    assert "not known any more" in refused(host, "rollback", "1")
    shows(host, "alice", "alice three")
    assert host.status()["rollback"] is None


def test_a_fresh_host_has_nothing_to_go_back_to(make_host):  # G7
    host = make_host()
    assert "nothing earlier is known" in refused(host, "rollback")
    host.start()
    assert "nothing earlier is known" in refused(host, "rollback")
    assert "nothing was held" in quiet(host, "rollback", "--release")


def test_without_an_agent_the_next_apply_goes_back(make_host):  # G7
    host = make_host()
    host.drop("alice")
    assert host.command("apply").returncode == 0
    versions(host, "alice")
    for version in ("one", "two"):
        host.drop("alice", TEN % version)
        assert host.command("apply").returncode == 0
    shows(host, "alice", "alice two")
    assert "no agent runs" in quiet(host, "rollback")
    shows(host, "alice", "alice two")
    assert host.command("apply").returncode == 0
    shows(host, "alice", "alice one")
    assert host.command("plan").returncode == 0
    host.drop("alice", TEN % "three")
    assert host.command("apply").returncode == 0
    shows(host, "alice", "alice three")


def test_nobodys_requests_fail_meanwhile(changed):  # G7 G1
    """Also PHP goes back: another master is put beside the one that serves."""
    host = changed
    host.add("frank", text='php = { memory_limit = "40M"; };', index="<?php echo ini_get('memory_limit');")
    shows(host, "frank", "40M")
    host.drop("frank", 'php = { memory_limit = "50M"; };')
    shows(host, "frank", "50M")
    quiet(host, "rollback")
    wait_for("frank as before, and bob all the time", lambda: host.get("bob", https=True).status == 200 and host.get("frank", https=True).text == "40M", 20, 0.02)
