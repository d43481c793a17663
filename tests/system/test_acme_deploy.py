"""From the CA to what is served: whatever else happens to nginx meanwhile, no handshake fails for a renewal."""

import datetime
import os
import random
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from certificates import https_authority, openssl, public_key_of, serial_of
from faulty_ca import FaultyCA
from host import Host, wait_for
from scripted_ca import ScriptedCA
from test_acme_crash import ask, chain_of, record_of, revive, site, wait_issued, worker_of

ADMINS = "/etc/nginx/webspaces.d"


@pytest.fixture(scope="module")
def machine(dns_of_the_module):
    """(host, ca) that all tests here share; the CA is quick, its certificates are real."""
    ca = FaultyCA(ScriptedCA())
    host = Host(ports=(80, 443), addresses=("0.0.0.0", "::"), trust=ca.root_file, acme=ca.settings(),
                settings="reconcile = { removal_grace_s = 0; full_pass_s = 5; };").start()  # fmt: skip
    host.add("alice")
    wait_issued(host, "alice")
    yield host, ca
    host.destroy()
    ca.stop()


@pytest.fixture(autouse=True)
def clean(machine, dns):
    host, ca = machine
    ca.clear()
    ca.forget_requests()
    ca.upstream.lifetime = datetime.timedelta(days=90)
    revive(host)


def handshake(host, name, address="127.0.0.1"):
    """A full handshake, verified: no session is ever given back."""
    context = ssl.create_default_context(cafile=host.trust)
    with socket.create_connection((address, host.https_port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as line:
            assert not line.session_reused


class Load:
    """Clients that make full handshakes with any of these names, until end()."""

    def __init__(self, host, names, clients=2):
        self.host, self.names, self.done, self.failed, self.ends = host, names, 0, [], False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.ends:
            name = random.choice(self.names)
            try:
                handshake(self.host, name, random.choice(["127.0.0.1", "::1"]))
                self.done += 1
            except (OSError, AssertionError) as error:
                self.failed.append(f"{name}: {error}")

    def end(self):
        self.ends = True
        for thread in self.threads:
            thread.join()
        return self


def nginx_state(host):
    """Changes with each reload: the generation in force, and who works for it."""
    master = host.nginx_pid()
    workers = subprocess.run(["pgrep", "-P", str(master)], capture_output=True, text=True, check=True).stdout.split()
    return os.readlink(f"{host.state_dir}/nginx/current"), master, sorted(workers)


# Others meddle with nginx ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["finalize", "certificate"])
def test_nginx_is_down_when_the_certificate_comes_and_serves_it_when_it_is_back(machine, kind):
    host, ca = machine
    before = serial_of(host.served("alice"))

    def kill(seen):
        answer = seen.forward()
        os.killpg(os.getpgid(host.nginx_pid()), signal.SIGKILL)
        return answer

    ca.on(kind, kill, times=1)
    assert ask(host, "certs-renew", "alice")["ok"]
    ca.wait(kind)
    wait_for("the new one", lambda: host.get_quietly("alice", https=True) and serial_of(host.served("alice")) != before, 15)
    wait_issued(host, "alice")
    assert ca.counts()["newOrder"] == ca.counts()["certificate"] == 1, ca.seen()


def test_somebody_else_s_reloads_at_any_moment_of_a_renewal_fail_no_handshake(machine):
    """With a new key, whose generation comes into force by a reload; reloads of others come before each step and all the time."""
    host, ca = machine
    host.add("rekeyed", text='sites = ({ tls = { key_lifetime = "1s"; }; });')
    wait_issued(host, "rekeyed")
    reload = lambda: os.kill(host.nginx_pid(), signal.SIGHUP)

    def meddle(seen):
        reload()
        answer = seen.forward()
        reload()
        return answer

    ca.on("*", meddle)
    load = Load(host, [host.host_name("rekeyed"), host.host_name("alice")])
    for _ in range(3):
        before, key = serial_of(host.served("rekeyed")), public_key_of(host.served("rekeyed"))
        assert ask(host, "certs-renew", "rekeyed")["ok"]
        while serial_of(host.served("rekeyed")) == before:
            reload()
            time.sleep(0.1)
        wait_issued(host, "rekeyed")
        assert public_key_of(host.served("rekeyed")) != key
    load.end()
    assert load.done > 20 and not load.failed, load.failed[:5]


@pytest.fixture
def foreign_server(machine):
    """A function: a server block of the admin's own takes an address, with another certificate; gone afterwards."""
    host, _ = machine
    file = f"{ADMINS}/foreign.conf"
    os.makedirs(ADMINS, exist_ok=True)

    def take(address, name):
        pem, key = https_authority().server([name], "foreign")
        with open(file, "w", encoding="ascii") as text:
            text.write(f"server {{ listen {address} ssl; server_name {name}; ssl_certificate {pem}; ssl_certificate_key {key}; }}\n")
        os.kill(host.nginx_pid(), signal.SIGHUP)

    yield take
    os.unlink(file)
    os.kill(host.nginx_pid(), signal.SIGHUP)


@pytest.mark.parametrize(("bad", "good"), [("127.0.0.1", "::1"), ("[::1]", "127.0.0.1")], ids=["v4", "v6"])
def test_a_listener_that_serves_another_certificate_is_told_and_kept_in_the_record(machine, foreign_server, bad, good):
    """FULL=1 waits until the journal tells as well, half a minute later."""
    host, ca = machine
    name = "foreign6" if ":" in bad else "foreign4"
    foreign_server(f"{bad}:443", host.host_name(name))
    host.drop(name)
    said = f'"at {bad}:443 another certificate is served than the installed one"'  # and nothing of the other
    wait_for("kept", lambda: said in read_quietly(site(host, name, "state.json")), 30)
    assert host.served(name, good) in chain_of(host, name), "the other one is right"
    if os.environ.get("FULL"):
        wait_for("told", lambda: said.strip('"') in host.journal(), 60)


def read_quietly(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def test_a_renewal_whose_certificate_is_served_on_both_has_no_problem_in_its_record(machine):
    host, ca = machine
    before = serial_of(host.served("alice"))
    assert ask(host, "certs-renew", "alice")["ok"]
    wait_for("renewed", lambda: serial_of(host.served("alice")) != before)
    wait_issued(host, "alice")
    time.sleep(1.3)
    assert "served_problem" not in record_of(host, "alice")
    assert host.served("alice", "::1") == host.served("alice")


# Two kinds, and old ones --------------------------------------------------------------------------


def test_rsa_and_ecdsa_are_both_served_and_both_renewed(machine):
    host, ca = machine
    host.add("both", text='sites = ({ tls = { key_type = "both"; }; });')
    wait_issued(host, "both", seconds=30)
    kinds = ("aECDSA", "aRSA")
    before = {kind: serial_of(host.served("both", ciphers=kind)) for kind in kinds}
    assert before["aECDSA"] != before["aRSA"]
    assert "rsaEncryption" in openssl("x509", "-noout", "-text", text=host.served("both", ciphers="aRSA"))
    state = nginx_state(host)
    ca.forget_requests()
    assert ask(host, "certs-renew", "both")["ok"]
    for kind in kinds:
        wait_for(f"{kind} renewed", lambda: serial_of(host.served("both", ciphers=kind)) != before[kind], 15)
    wait_issued(host, "both")
    assert ca.counts()["newOrder"] == 2 and nginx_state(host) == state, "the keys stay: no reload"


@pytest.mark.parametrize("whole_machine", [False, True], ids=["the agent was off", "the machine was off"])
def test_a_certificate_that_expired_while_all_was_off_is_replaced_at_once(machine, whole_machine):
    """Thirty days pass while nobody is there: the certificate has a life of seconds, and the CA a longer one afterwards."""
    host, ca = machine
    name = f"asleep{int(whole_machine)}"
    host.add(name)
    wait_issued(host, name)
    assert ask(host, "certs-renew", name)["ok"]
    before, ca.upstream.lifetime = serial_of(host.served(name)), datetime.timedelta(seconds=4)
    wait_for("one that soon ends", lambda: serial_of(host.served(name)) != before and record_of(host, name)["success"])
    host.end()
    if whole_machine:
        os.killpg(os.getpgid(host.nginx_pid()), signal.SIGKILL)
    wait_for("expired", lambda: has_ended(chain_of(host, name)), 20, 0.1)
    ca.upstream.lifetime = datetime.timedelta(days=90)
    ca.forget_requests()
    host.start()
    wait_for("a good one", lambda: host.get_quietly(name, https=True), 15)
    wait_issued(host, name)
    assert ca.counts()["newOrder"] == ca.counts()["finalize"] == 1, ca.seen()


def has_ended(chain):
    return subprocess.run(["openssl", "x509", "-noout", "-checkend", "0"], input=chain, text=True, capture_output=True, check=False).returncode


# Many --------------------------------------------------------------------------------------------


def drop_many(host, prefix, webspaces, sites):
    """Webspaces with many sites each: the names, by webspace."""
    found = {}
    for n in range(webspaces):
        names = [f"s{at}.{prefix}{n}.test" for at in range(sites)]
        rows = ", ".join(f'{{ type = "static"; names = ["{name}"]; }}' for name in names)
        host.drop(f"{prefix}{n}", f"sites = ({rows});")
        found[f"{prefix}{n}"] = names
    host.wait_ready(*found, seconds=120)
    return found


def renew_all(host, ca, webspaces):
    """All certificates of these, and waits until they are there."""
    issued, wanted = ca.upstream.issued(), sum(len(names) for names in webspaces.values())
    for name in webspaces:
        assert ask(host, "certs-renew", name)["ok"]
    wait_for(f"{wanted} renewals", lambda: ca.upstream.issued() >= issued + wanted, 120, 0.05)
    wait_for("all installed", lambda: not in_flight(host, webspaces), 30, 0.05)


def in_flight(host, webspaces):
    certs = f"{host.state_dir}/certs"
    return [f"{name}/{site}" for name in webspaces for site in os.listdir(f"{certs}/{name}") if os.path.exists(f"{certs}/{name}/{site}/order.json")]


@pytest.fixture(scope="module")
def many(machine):
    host, _ = machine
    revive(host)
    found = drop_many(host, "many", 8, 25)
    wait_for("no reload any more", lambda: nginx_state(host) == (time.sleep(1), nginx_state(host))[1], 60)
    return found


def test_two_hundred_renewals_fail_no_handshake_and_reload_nothing(machine, many):
    host, ca = machine
    names = [name for sites in many.values() for name in sites]
    before = {name: host.served(name) for name in names}
    state = nginx_state(host)
    load = Load(host, names)
    began = time.monotonic()
    renew_all(host, ca, many)
    took = time.monotonic() - began
    load.end()
    assert nginx_state(host) == state, "nginx was reloaded"
    assert not load.failed and load.done > 50, (load.done, load.failed[:5])
    still = [name for name in names if host.served(name) == before[name]]
    assert not still, still
    print(f"\n  200 renewals in {took:.1f} s, {load.done} full handshakes, none failed")


def memory_of(pid):
    """Resident, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def test_renewals_without_end_need_no_more_memory(machine, many):
    """RENEWALS=10000 for a long look. The first third warms up (tables, connections, caches)."""
    host, ca = machine
    rounds = max(3, int(os.environ.get("RENEWALS", 600)) // 200)
    figures = []
    for _ in range(rounds):
        renew_all(host, ca, many)
        ca.upstream.orders.clear()
        ca.kinds = {path: kind for path, kind in ca.kinds.items() if kind.startswith(("new", "revoke", "key"))}
        ca.forget_requests()
        figures.append((memory_of(host.agent.pid), memory_of(worker_of(host))))
    print(f"\n  KiB of agent and worker: {figures[0]} after 200 renewals, {figures[rounds // 3]}, … {figures[-1]} after {200 * rounds}")
    for at, who in enumerate(("agent", "worker")):
        middle, last = figures[rounds // 3][at], figures[-1][at]
        assert last <= middle * 1.1 + 512, f"{who}: {[figure[at] for figure in figures]}"
