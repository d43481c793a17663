"""From the CA to what is served: whatever else happens to nginx meanwhile, no handshake fails for a renewal."""

import base64
import datetime
import grp
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from certificates import https_authority, openssl, public_key_of, serial_of
from faulty_ca import FaultyCA
from host import Host, wait_for
from scripted_ca import ScriptedCA, pem
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
        time.sleep(1.1)  # then the key has lived
        assert ask(host, "certs-renew", "rekeyed")["ok"]
        while serial_of(host.served("rekeyed")) == before:
            reload()
            time.sleep(0.1)
        wait_issued(host, "rekeyed")
        assert public_key_of(host.served("rekeyed")) != key
    load.end()
    assert load.done > 20 and not load.failed, load.failed[:5]


def served_quietly(host, name, address):
    """As host.served; a line that is in no chain where nothing of that name is served."""
    try:
        return host.served(name, address)
    except OSError:
        return "nothing"


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
        with open(pem, encoding="ascii") as text:
            chain, where = text.read(), address.rsplit(":", 1)[0].strip("[]")
        wait_for("nginx serves it", lambda: served_quietly(host, name, where) in chain)

    yield take
    os.unlink(file)
    alice = lambda address: host.served("alice", address) in chain_of(host, "alice")
    wait_for("it is gone", lambda: alice("127.0.0.1") and alice("::1"))


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
    before, ca.upstream.lifetime = serial_of(host.served(name)), datetime.timedelta(seconds=4)
    assert ask(host, "certs-renew", name)["ok"]
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


# Five thousand ------------------------------------------------------------------------------------


def content_of(*texts):
    """As a record names what it is about: FNV-1a of the bytes."""
    value = 14695981039346656037
    for byte in b"".join(texts):
        value = (value ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return value


def lay_down(host, ca, webspaces):
    """The same certificate and key for all of these sites, as if they had come from the CA."""
    key = openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout").encode()
    key = openssl("pkcs8", "-topk8", "-nocrypt", text=key.decode()).encode()
    with tempfile.NamedTemporaryFile() as file:
        file.write(key)
        file.flush()
        request = openssl("req", "-new", "-key", file.name, "-subj", "/CN=x", "-outform", "PEM")
    der = base64.b64decode("".join(request.splitlines()[1:-1]))
    leaf = ca.upstream.issuer.sign_request(der, [f"*.{name}.test" for name in webspaces], datetime.timedelta(days=90))
    chain = (pem(leaf) + ca.upstream.intermediate).encode()
    record = json.dumps({"ca": ca.directory_url, "key": "p256", "content": f"{content_of(chain, key):x}", "success": int(time.time())})
    web = grp.getgrnam("www-data").gr_gid
    for name, sites in webspaces.items():
        for place in [f"{host.state_dir}/certs/{name}", *(f"{host.state_dir}/certs/{name}/{site}" for site in sites)]:
            make_directory(place, web)
        for at in sites:
            place = f"{host.state_dir}/certs/{name}/{at}"
            make_directory(f"{place}/1", web)
            for file, text, mode, group in (("1/key.pem", key, 0o640, web), ("1/chain.pem", chain, 0o644, 0), ("state.json", record.encode(), 0o600, 0)):
                fd = os.open(f"{place}/{file}", os.O_WRONLY | os.O_CREAT, 0o600)
                os.write(fd, text)
                os.fchown(fd, 0, group)
                os.fchmod(fd, mode)
                os.close(fd)
            os.symlink("1", f"{place}/current")


def make_directory(path, group):
    os.mkdir(path)
    os.chown(path, 0, group)
    os.chmod(path, 0o710)


def spent(pid):
    """Seconds of processor time."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until_idle(host):
    """Processor time of the agent so far, once it has nothing more to do."""
    last = -1
    while spent(host.agent.pid) != last:
        last = spent(host.agent.pid)
        time.sleep(0.5)
    return last


def start_and_look(host):
    """(seconds until the door answers, processor time of a start, of a look at everything)"""
    began = time.monotonic()
    host.start()
    door, whole = time.monotonic() - began, until_idle(host)
    host.agent.send_signal(signal.SIGHUP)
    return door, whole, until_idle(host) - whole


def test_five_thousand_certificates_cost_little_more_than_as_many_internal_ones_at_the_start_and_at_a_look(make_host, machine):
    """50 webspaces of 100 sites; figures are printed. Nothing is asked of the CA for them."""
    machine[0].end()
    os.killpg(os.getpgid(machine[0].nginx_pid()), signal.SIGKILL)
    ca = machine[1]
    host = make_host(ports=(80, 443), trust=ca.root_file, acme=ca.settings(), settings="reconcile = { full_pass_s = 3600; };")
    webspaces = {f"big{n}": [f"s{at}.big{n}.test" for at in range(100)] for n in range(50)}
    lay = lambda issuer: [host.drop(name, "php = { enabled = false; }; sites = (" + ", ".join(
        f'{{ type = "static"; names = ["{at}"]; tls = {{ issuer = "{issuer}"; }}; }}' for at in sites) + ");") for name, sites in webspaces.items()]  # fmt: skip
    lay("internal")
    host.start()
    host.wait_ready(*webspaces, seconds=60)
    host.end()
    internal = start_and_look(host)
    host.end()
    shutil.rmtree(f"{host.state_dir}/certs")
    make_directory(f"{host.state_dir}/certs", grp.getgrnam("www-data").gr_gid)
    lay("acme")
    lay_down(host, ca, webspaces)
    host.start()
    host.wait_ready(*webspaces, seconds=60)
    until_idle(host)
    host.end()
    acme = start_and_look(host)
    for who, (door, start, look) in (("internal", internal), ("of the CA", acme)):
        print(f"\n  5,000 {who}: the door answers after {door:.2f} s, a start takes {start:.2f} s of CPU, a look {look:.3f} s", end="")
    print()
    assert not ca.seen(), ca.counts()
    assert handshake(host, "s99.big49.test") is None
    assert acme[1] < 3 * internal[1] + 0.5 and acme[2] < 3 * internal[2] + 0.1 and acme[2] < acme[1] / 2
