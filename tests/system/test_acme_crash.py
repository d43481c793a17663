"""Whenever the agent or its worker dies in an order: nothing is lost, and the CA is not asked for anything twice.

kill -9 at each request, before the CA has it and after it has; at each system call that puts something on disk;
SIGTERM, a file removed, a dead worker, two agents.
"""

import collections
import glob
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from answers import Cut
from certificates import public_key_of, requested_names, serial_of
from faulty_ca import FaultyCA
from host import Host, wait_for

# Put on disk, or put in place: the calls after which a crash would find something else.
PERSISTING = "renameat,renameat2,linkat,symlinkat,mkdirat,unlinkat,fsync,fdatasync,syncfs,sync"
KINDS = ["directory", "newNonce", "newAccount", "newOrder", "authz", "challenge", "order", "finalize", "certificate"]


@pytest.fixture(scope="module")
def machine(pebble_of_the_module):
    """(host, ca) that all tests here share, each with webspaces of its own. Its agent may be dead: see revive."""
    ca = FaultyCA(pebble_of_the_module)
    host = Host(ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=ca.root_file, acme=ca.settings(),
                settings="reconcile = { removal_grace_s = 0; full_pass_s = 10; };").start()  # fmt: skip
    yield host, ca
    host.destroy()
    ca.stop()


@pytest.fixture(autouse=True)
def clean(machine, dns):
    host, ca = machine
    ca.clear()
    ca.forget_requests()
    revive(host)


def revive(host):
    if host.agent.poll() is not None:
        host.start()


def site(host, name, *below):
    return os.path.join(host.state_dir, "certs", name, host.host_name(name), *below)


def chain_of(host, name):
    try:
        with open(site(host, name, "current/chain.pem"), encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def record_of(host, name):
    with open(site(host, name, "state.json"), encoding="utf-8") as file:
        return json.load(file)


def issued(ca, host, name):
    """Serials of the certificates that the CA made for this webspace, by whatever order."""
    made = [seen for seen in ca.seen("finalize") if seen.status == 200 and host.host_name(name) in names_asked(seen)]
    return made


def names_asked(seen):
    return requested_names(seen.ca.requested[seen.path])


def wait_issued(host, name, seconds=15):
    """Until the CA's certificate is installed, served, and nothing is in flight."""
    host.wait_ready(name, seconds=seconds)
    assert not os.path.exists(site(host, name, "order.json")), os.listdir(site(host, name))
    wait_for(f"{name} served", lambda: host.served(name) in chain_of(host, name), 5)


def assert_one_certificate(host, ca, name, orders=1):
    """One was made for name, by one finalize; with `orders` of newOrder at most."""
    made = issued(ca, host, name)
    assert len({seen.path for seen in made}) == 1, f"orders that were finalized: {made}"
    keys = {public_key_of_request(ca.requested[seen.path]) for seen in made}
    assert keys == {public_key_of(chain_of(host, name))}, "another key than the one that is installed"
    assert len([seen for seen in ca.seen("newOrder") if asks_for(seen, host.host_name(name))]) <= orders, ca.seen("newOrder")


def asks_for(seen, name):
    return seen.payload and any(identifier["value"] == name for identifier in seen.payload.get("identifiers", []))


def public_key_of_request(request):
    out = subprocess.run(["openssl", "req", "-noout", "-pubkey"], input=request, capture_output=True, text=True, check=True)
    return out.stdout


class Death:
    """An action: the agent is dead before the CA gets the request, or after it got it and before the answer."""

    def __init__(self, host, is_before, signal_number=signal.SIGKILL):
        self.host, self.is_before, self.signal = host, is_before, signal_number

    def __call__(self, seen):
        if not self.is_before:
            seen.status = seen.forward().status
        self.host.agent.send_signal(self.signal)
        self.host.agent.wait(timeout=30)
        raise Cut


# kill -9 at each step that persists ------------------------------------------------------------------


def ask(host, verb, word):
    """A question at the agent's door: its answer, or None if it died of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.settimeout(10)
        door.connect(os.path.join(host.run_dir, "agent.sock"))
        door.send(json.dumps({"verb": verb, "word": word}).encode())
        try:
            answer = door.recv(65536)
        except ConnectionError:
            answer = b""
    return json.loads(answer) if answer else None


class Strace:
    """strace on the agent: the calls that persist something; kills it at the n-th one of this name, if given."""

    def __init__(self, host, call="", n=0):
        self.file = f"/mnt/strace.{os.path.basename(host.root)}"
        kill = ["-e", f"inject={call}:signal=KILL:when={n}"] if n else []
        self.process = subprocess.Popen(
            ["strace", "-qq", "-y", "-o", self.file, "-e", f"trace={PERSISTING}", *kill, "-p", str(host.agent.pid)],
            stderr=subprocess.DEVNULL)  # fmt: skip
        status = f"/proc/{host.agent.pid}/status"
        wait_for("strace to attach", lambda: "TracerPid:\t0\n" not in open(status, encoding="ascii").read())

    def end(self):
        """The calls, in order."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        with open(self.file, encoding="utf-8", errors="replace") as file:
            return [line.rstrip() for line in file if "(" in line]


def renew(host, name, before):
    """Asks at the door for it and waits until it is done, or the agent is dead. True: it was heard."""
    heard = ask(host, "certs-renew", name)
    done = lambda: host.agent.poll() is not None or is_renewed(host, name, before)
    if heard:
        wait_for("renewed, or killed", done, 15)
        time.sleep(0.1)  # for what comes last
    return bool(heard)


def is_renewed(host, name, before):
    return (serial_of(host.served(name)) != before and not os.path.exists(site(host, name, "order.json"))
            and not record_of(host, name).get("forced"))  # fmt: skip


def outlive_the_key(host, name):
    """Until the next certificate gets another, for a key_lifetime of one second."""
    made = os.stat(site(host, name, "current/key.pem")).st_mtime
    time.sleep(max(0, made + 2.1 - time.time()))


def steps_of(calls, directory):
    """(name, the how manieth of that name, the call) of those that changed something of this site, or made it last."""
    counts, found = collections.Counter(), []
    for call in calls:
        name = call.split("(")[0]
        counts[name] += 1
        if call.endswith("= 0") and directory in call and (name != "unlinkat" or "order.json" in call):
            found.append((name, counts[name], call))
    return found


def test_killed_at_each_call_that_persists_a_renewal_is_done_once(machine):
    """Each renewal has a new key, so all steps are taken. First none is killed; then one at each of its steps."""
    host, ca = machine
    host.add("steps", text='sites = ({ tls = { key_lifetime = "1s"; }; });')
    wait_issued(host, "steps")
    time.sleep(1.2)  # the look at what is served
    strace = Strace(host)
    assert renew(host, "steps", serial_of(host.served("steps")))
    calls = strace.end()
    steps = steps_of(calls, site(host, "steps"))
    print("", *steps, sep="\n  ")
    for what in ('"state.json")', '"order.json")', "fsync(", '"chain.pem")', '"current")', "mkdirat"):
        assert any(what in call for _, _, call in steps), f"no {what} among {calls}"
    for name, n, _ in steps:
        outlive_the_key(host, "steps")
        before = serial_of(host.served("steps"))
        ca.forget_requests()
        strace = Strace(host, name, n)
        was_heard = renew(host, "steps", before)
        host.agent.wait(timeout=10)
        killer = strace.end()[-1]
        assert serial_of(host.served("steps")), f"no certificate is served after {killer}"
        host.start()
        if was_heard:
            wait_for(f"renewed after {killer}", lambda: is_renewed(host, "steps", before), 15)
        else:  # whoever asked got no answer: it may be renewed or not
            time.sleep(1)
        if was_heard or ca.seen("newOrder"):
            wait_issued(host, "steps")
            # An order that no file tells of yet is forgotten. It costs no certificate.
            assert_one_certificate(host, ca, "steps", orders=2 if '"order.json") = ?' in killer else 1)
        assert all("replaces" in seen.payload for seen in ca.seen("newOrder")), ca.seen("newOrder")
        assert not record_of(host, "steps").get("forced"), record_of(host, "steps")


def test_nobody_waits_for_what_others_write(machine):
    """sync(2) and syncfs(2) wait for the gigabytes of whoever writes on the same file system."""
    host, ca = machine
    strace = Strace(host)
    host.add("waiting")
    wait_issued(host, "waiting")
    assert renew(host, "waiting", serial_of(host.served("waiting")))
    names = {call.split("(")[0] for call in strace.end()}
    assert "fsync" in names and not {"sync", "syncfs"} & names


# kill -9 at each request -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_request_the_order_goes_on_and_nothing_is_made_twice(machine, kind, moment):
    host, ca = machine
    name = f"{kind.lower()}-{moment}"
    if kind in ("directory", "newNonce", "newAccount"):
        host.end()
        for file in glob.glob(f"{host.state_dir}/acme/*/account.json"):
            os.unlink(file)
        host.start()
    ca.on(kind, Death(host, moment == "before"), times=1)
    host.drop(name)
    assert host.agent.wait(timeout=15) == -signal.SIGKILL
    lost = ca.seen("newOrder") and kind == "newOrder"
    host.start()
    wait_issued(host, name)
    assert_one_certificate(host, ca, name, orders=2 if lost else 1)
    if kind == "certificate":  # it was ready: looked at once and fetched, and nothing else
        after = [seen.kind for seen in ca.seen()][[seen.kind for seen in ca.seen()].index("certificate") + 1 :]
        assert [kind for kind in after if kind not in ("directory", "newNonce")] == ["order", "certificate"], after
    assert ca.counts()["finalize"] <= 2


# Others that end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["authz", "finalize"])
def test_sigterm_in_an_order_ends_the_agent_at_once_and_the_next_goes_on(machine, kind):
    host, ca = machine
    name = f"term-{kind}"
    ca.on(kind, Death(host, False, signal.SIGTERM), times=1)
    host.drop(name)
    assert host.agent.wait(timeout=10) == 0
    host.start()
    wait_issued(host, name)
    assert_one_certificate(host, ca, name)


@pytest.mark.parametrize("kind", ["newOrder", "challenge", "finalize", "certificate"])
def test_a_file_removed_in_an_order_ends_it_and_nothing_is_asked_any_more(machine, kind):
    host, ca = machine
    name = f"gone-{kind.lower()}"

    def remove(seen):
        answer = seen.forward()
        host.remove(name)
        wait_for("it is gone", lambda: not host.status(name))
        return answer

    ca.on(kind, remove, times=1)
    host.drop(name)
    ca.wait(kind)
    wait_for("it is gone", lambda: not os.path.exists(site(host, name)))
    time.sleep(0.5)
    asked = len(ca.seen())
    time.sleep(1)
    assert len(ca.seen()) == asked and not os.path.exists(site(host, name)), ca.seen()
    host.drop(name)
    wait_issued(host, name)


def worker_of(host):
    """The pid of the process that talks to the CA."""
    for child in subprocess.run(["pgrep", "-P", str(host.agent.pid)], capture_output=True, text=True, check=False).stdout.split():
        with open(f"/proc/{child}/cmdline", "rb") as file:
            if b"acme-worker" in file.read():
                return int(child)
    return None


@pytest.mark.parametrize("kind", ["newOrder", "challenge", "finalize", "certificate"])
def test_a_killed_worker_is_replaced_and_the_order_goes_on_by_itself(machine, kind):
    host, ca = machine
    name = f"worker-{kind.lower()}"
    agent = host.agent.pid

    def kill(seen):
        seen.status = seen.forward().status
        os.kill(worker_of(host), signal.SIGKILL)
        raise Cut

    ca.on(kind, kill, times=1)
    host.drop(name)
    wait_issued(host, name)
    assert host.agent.poll() is None and host.agent.pid == agent
    assert_one_certificate(host, ca, name, orders=2 if kind == "newOrder" else 1)
    assert ca.counts()["order"] + ca.counts()["finalize"] <= 8, ca.seen()


def test_of_two_agents_the_second_ends_and_asks_the_ca_for_nothing(machine):
    """Also one with another run_dir, that shares only the state."""
    host, ca = machine
    host.add("twice")
    wait_issued(host, "twice")
    ca.forget_requests()
    assert host.command("run").returncode == 75
    other = f"{host.root}/other.conf"
    with open(host.config, encoding="utf-8") as file, open(other, "w", encoding="utf-8") as copy:
        copy.write(file.read().replace(host.run_dir, f"{host.root}/run2").replace(":80", ":8081").replace(":443", ":8444"))
    out = subprocess.run([host.webspaces, "--config", other, "run"], capture_output=True, text=True, timeout=30, check=False)
    assert out.returncode == 75 and host.state_dir in out.stderr, out
    assert not ca.seen() and host.ready("twice")
