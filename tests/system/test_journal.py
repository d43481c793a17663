"""What an admin reads: the journal says each thing once, also over a restart, and status as much."""

import re
import subprocess

from host import wait_for

SETTINGS = "reconcile = { removal_grace_s = 1; };"


def lines(host, pattern):
    return [line for line in host.journal().splitlines() if re.search(pattern, line)]


def wait_line(host, pattern):
    wait_for(f"a line {pattern}", lambda: lines(host, pattern))


def test_a_webspace_is_told_once_when_it_becomes_ready_and_when_its_file_does_not_load(make_host):
    host = make_host(settings=SETTINGS)
    host.start()
    host.add("alice", "bob")
    host.drop("alice", "oops")
    wait_line(host, r"alice: .*alice\.conf:\d+: oops: syntax error.*; its last good text stays in force")
    assert host.condition("alice", "Loaded")["status"] == "False"
    host.end()
    before = len(host.journal())
    host.start()
    wait_for("the agent", host.status)
    host.add("carol")
    assert not re.search("alice|bob", host.journal()[before:]), "a restart is no news"
    host.drop("alice", "php = { memory_limit = \"48M\"; };")
    wait_for("alice as her new file says", lambda: len(lines(host, "alice: ready$")) == 2)
    assert len(lines(host, "bob: ready$")) == 1
    assert len(lines(host, r"alice: .*syntax error.*stays in force")) == 1
    assert len(lines(host, r"alice: its file loads again; it was: .*syntax error")) == 1


def test_what_only_a_condition_says_is_in_the_journal_too(make_host):
    host = make_host(settings=SETTINGS)
    host.start()
    host.drop("erin", 'php = { version = "9.9"; };')
    wait_line(host, r"erin: PHP 9\.9 is not installed")
    host.add("fred", text='sites = ( { names = ["x.test"]; } );')
    host.drop("gina", 'sites = ( { names = ["x.test"]; } );')
    wait_line(host, r"gina: x\.test belongs to fred")
    assert host.condition("gina", "Sites")["reason"] == "NameTaken"


def test_a_file_that_never_loaded_takes_nothing_out_of_service(make_host):
    host = make_host(settings=SETTINGS)
    host.start()
    host.add("alice")
    host.drop("root")
    wait_line(host, "root: .*a name of the system's own")
    host.remove("root")
    wait_for("root forgotten", lambda: host.status("root") is None)
    assert not lines(host, "out of service")


def test_files_that_are_gone_at_once_are_one_line(make_host):
    host = make_host(settings=SETTINGS)
    host.start()
    host.add("alice", "bob", "carol")
    before = len(lines(host, "alice|bob|carol"))
    for name in ("alice", "bob", "carol"):
        host.remove(name)
    wait_line(host, r"files? (is|are) gone at once")
    wait_for("all held", lambda: host.status()["held"] == 3)
    missed = len(lines(host, "its file is gone: out of service in"))  # before they were so many
    assert len(lines(host, "alice|bob|carol")) - before - missed <= len(lines(host, "gone at once"))


def test_a_changed_file_of_the_host_is_told_because_it_waits_for_a_restart(make_host):
    host = make_host(settings=SETTINGS)
    host.start()
    host.add("alice")
    host.configure(settings=SETTINGS + "\nname = \"web9\";")
    wait_line(host, "webspaces.conf has changed: it is read when the agent starts")


def test_who_is_not_root_may_read_the_status_as_one_of_adm(make_host):
    host = make_host(settings=SETTINGS)
    host.start()
    host.add("alice")
    host.settle()
    program = [host.webspaces, "--config", host.config]
    nobody = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", *program]
    reader = ["setpriv", "--reuid=1234", "--regid=1234", "--groups", "adm", *program]
    for verb in (["plan"], ["run"], ["purge", "alice", "--yes"], ["confirm"]):
        out = subprocess.run([*nobody, *verb], capture_output=True, text=True, check=False)
        assert (out.returncode, out.stderr) == (1, f"webspaces: {verb[0]}: needs root\n")
    out = subprocess.run([*nobody, "status"], capture_output=True, text=True, check=False)
    assert out.returncode == 1 and "adm" in out.stderr and not out.stdout, out.stderr
    out = subprocess.run([*reader, "status"], capture_output=True, text=True, check=False)
    assert out.returncode == 0 and "NO AGENT" not in out.stdout, out.stdout


def test_a_plan_with_names_shows_the_daemons_files_and_knows_who_is_nobody(make_host):
    host = make_host(settings=SETTINGS)
    host.start()
    host.add("alice")
    host.end()
    host.drop("alice", "php = { memory_limit = \"96M\"; };")
    out = host.command("plan", "alice", "--diff")
    assert out.returncode == 2 and "+php_admin_value[memory_limit]=96M" in out.stdout, out.stdout
    out = host.command("plan", "nobody")
    assert (out.returncode, out.stderr) == (1, "webspaces: nobody: no such webspace\n")
