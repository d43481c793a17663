"""G2: doctor names the first broken thing and its cure, and all is well again once that is mended.

One host for a table of faults. What an agent would put back at once is broken while none runs.
"""

import json
import os
import re
import shutil
import signal
import socket

import pytest

from host import Host, kill_with_group, wait_for

STEPS = "agent file loads state account".split() + ["home root"] + "directories mounts php nginx sites names http https certificate".split()


@pytest.fixture(scope="module")
def shared(accounts_of_the_module):
    host = Host().start()
    host.add("alice")
    host.add("bob")  # a generation of its own
    host.wait_answers("alice", https=True)
    yield host
    host.destroy()


def examine(host, name="alice"):
    done = host.command("doctor", name, "--json")
    assert done.returncode in (0, 1) and done.stderr == "", done
    found = json.loads(done.stdout)
    assert found["well"] is (done.returncode == 0) and found["name"] == name
    return found


def first_wrong(host, name="alice"):
    steps = examine(host, name)["steps"]
    wrong = [step for step in steps if step["found"] == "wrong"]
    assert all(step["cure"] for step in wrong) and all(step["step"] == "agent" or step is steps[-1] for step in wrong)
    return wrong[0] if wrong else None


def wait_well(host, name="alice"):
    wait_for(f"{name} is well: {first_wrong(host, name)}", lambda: first_wrong(host, name) is None, 30, 0.2)


def test_all_is_well(shared):
    out = shared.command("doctor", "alice")
    assert (out.returncode, out.stderr) == (0, ""), out
    assert [line[2:14].strip() for line in out.stdout.splitlines() if line[0] in "+.?-"] == STEPS
    assert "serves generation" in out.stdout and "alice.web.test answers 200 with a certificate of" in out.stdout
    assert [step["step"] for step in examine(shared)["steps"]] == STEPS
    assert "\033" not in out.stdout


# name of the step, what is said, what is to be done; what breaks it; what mends it ------------------


def no_file(host):
    host.remove("alice")


def file_again(host):
    host.drop("alice")


def writable_file(host):
    os.chmod(os.path.join(host.drops, "alice.conf"), 0o666)


def broken_text(host):
    host.drop("alice", "\nphp = { versoin = 1; };")


def disabled(host):
    host.drop("alice", 'state = "disabled";')


def no_names(host):
    host.drop("alice", "sites = ( );")


def open_home_root(host):
    os.chmod(host.home_root, 0o777)


def closed_home_root(host):
    os.chmod(host.home_root, 0o755)


def no_source(host):
    host.drop("alice", 'binds = ["/nonexistent:/srv/media"];')


def no_such_php(host):
    host.drop("alice", 'php = { version = "5.3"; };')


def index_gone(host):
    os.unlink(host.data("alice", "index.php"))


def index_again(host):
    host.write("alice", "index.php", "<?php echo 'again';")


def fatal(host):
    host.write("alice", "index.php", "<?php exit(undefined());")


LOUD = [  # with the agent awake
    ("file", "is not there", "put it back", no_file, file_again),
    ("file", "may be written by others", "chmod", writable_file, file_again),
    ("loads", r"alice.conf:2: .*versoin", "webspaces check", broken_text, file_again),
    ("state", "disabled", "enabled", disabled, file_again),
    ("home root", "can be|writ", "chmod go-w", open_home_root, closed_home_root),
    ("mounts", "/nonexistent", "by hand", no_source, file_again),
    ("php", "VersionMissing: PHP 5.3", "install", no_such_php, file_again),
    ("http", "answers 404|answers 403|answers 301", "index page", index_gone, index_again),
    ("http", "answers 500", "php-error.log", fatal, index_again),
]


@pytest.mark.parametrize("step, said, cure, break_it, mend_it", LOUD, ids=[row[3].__name__ for row in LOUD])
def test_the_first_broken_thing_and_its_cure_are_named(shared, step, said, cure, break_it, mend_it):
    host = shared
    step = "https" if step == "http" else step  # over HTTP there is only the redirect
    break_it(host)
    try:
        found = wait_for(f"wrong at {step}", lambda: (w := first_wrong(host)) and w["step"] == step and re.search(said, w["message"]) and w, 20, 0.2)
        assert cure in found["cure"], found
        text = host.command("doctor", "alice").stdout
        assert re.search(rf"^- {step} ", text, re.M) and "→" in text
    finally:
        mend_it(host)
    host.wait_ready("alice")
    wait_well(host)


def chmod_data(host):
    os.chmod(host.data("alice"), 0o777)


def kill_masters(host):
    for pid in host.masters().values():
        kill_with_group(pid)  # children would go on to answer


def kill_nginx(host):
    os.kill(host.nginx_pid(), signal.SIGTERM)


def file_for_a_directory(host):
    shutil.rmtree(host.home("alice", "chroot/tmp/wsdl"))
    with open(host.home("alice", "chroot/tmp/wsdl"), "w", encoding="ascii"):
        pass


def unmount(host):
    assert host.enter("umount", host.home("alice", "chroot/.base")).returncode == 0


def other_generation(host):
    link = os.path.join(host.state_dir, "nginx/current")
    older = sorted((int(n) for n in os.listdir(os.path.dirname(link)) if n.isdigit()), reverse=True)[1]
    os.unlink(link)
    os.symlink(str(older), link)


QUIET = [  # while no agent runs, which would mend it
    ("directories", r"data: (mode|acl|rights|access)", "systemctl reload webspaces", chmod_data),
    ("directories", "tmp/wsdl", "by hand", file_for_a_directory),
    ("mounts", r"\.base is missing", "systemctl reload webspaces", unmount),
    ("php", "line ", "starts its master again", kill_masters),
    ("nginx", "nginx does not answer", "starts it", kill_nginx),
    ("nginx", "is published", "reload webspaces", other_generation),
]


@pytest.mark.parametrize("step, said, cure, break_it", QUIET, ids=[row[3].__name__ for row in QUIET])
def test_what_is_wrong_besides_that_no_agent_runs(shared, step, said, cure, break_it):
    host = shared
    host.end()
    break_it(host)
    try:
        found = wait_for(f"wrong at {step}: {examine(host)['steps'][-1]}", lambda: (w := examine(host)["steps"][-1])["step"] == step and w, 20, 0.2)
        assert re.search(said, found["message"]) and cure in found["cure"], found
        assert first_wrong(host)["step"] == "agent"
    finally:
        wsdl = host.home("alice", "chroot/tmp/wsdl")
        if os.path.isfile(wsdl):
            os.unlink(wsdl)
        host.start()
    wait_well(host)


def test_an_agent_that_hangs_is_told_from_none(shared):
    host = shared
    host.agent.send_signal(signal.SIGSTOP)
    try:
        assert "does not answer" in first_wrong(host)["message"]
    finally:
        host.agent.send_signal(signal.SIGCONT)
    wait_well(host)


def test_a_host_whose_ports_another_has_is_told_who_that_is(make_host):
    host = make_host(ports=(8180, 8543))
    with socket.create_server(("127.0.0.1", 8180)):
        host.drop("alice")
        host.start()
        wait_for("the mounts", lambda: (host.condition("alice", "Mounts") or {}).get("status") == "True", 30)
        found = wait_for("wrong at nginx", lambda: (w := first_wrong(host)) and w["step"] == "nginx" and w, 30, 0.2)
        assert f"process {os.getpid()}" in found["message"] and "8180" in found["message"]
        assert 'instance = "system"' in found["cure"]


def test_without_an_agent_that_is_the_first_thing(make_host):
    host = make_host()
    host.drop("alice")
    assert first_wrong(host)["step"] == "agent"
    assert "systemctl start webspaces" in first_wrong(host)["cure"]


def test_a_certificate_that_is_to_come_is_told_with_what_it_waits_for(make_host):
    host = make_host(acme='issuer = "acme"; directory = "https://127.0.0.1:1/dir"; agree_tos = false;', ports=(8280, 8643)).start()
    host.drop("alice")
    wait_for("a tree", lambda: (host.condition("alice", "Sites") or {}).get("status") == "True", 30)
    host.write("alice", "index.php", "<?php echo 'hello';")
    found = wait_for("wrong at the end", lambda: (w := first_wrong(host)) and w["step"] == "certificate" and w, 30, 0.2)
    assert "TermsNotAgreed" in found["message"] and "agree_tos" in found["cure"]


def test_usage_and_unknown_names(shared):
    assert shared.command("doctor").returncode == 64
    done = shared.command("doctor", "../alice")
    assert done.returncode == 1 and done.stderr.startswith("webspaces: ")
    assert first_wrong(shared, "nobodyhere")["step"] == "file"
