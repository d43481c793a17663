"""The limits of a CA: kept before they are hit, heeded when they are, and never anybody else's affair."""

import email.utils
import json
import os
import socket
import time

import pytest

from answers import html, limited, paused, problem
from certificates import read, write
from faulty_ca import FaultyCA
from host import Host, Timeout, wait_for
from records import DAY, Certificate, Clock
from scripted_ca import ScriptedCA

HOUR = 3600
URL = f"https://portal.ca.test/sfe/v1/unpause?jwt={'abcdefgh' * 60}.{'xyz' * 20}"


def sites(*lists):
    """A file with a static site for each list of names."""
    listed = ", ".join(f"{{ names = [{', '.join(json.dumps(name) for name in names)}]; type = \"static\"; }}" for names in lists)
    return f"sites = ({listed}); php = {{ enabled = false; }};"


def is_about(name):
    return lambda seen: seen.payload and any(one["value"] == name for one in seen.payload["identifiers"])


def orders(ca, name=None):
    return [seen for seen in ca.seen("newOrder") if not name or is_about(name)(seen)]


def ask(host, verb, word):
    """The agent's door."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.connect(f"{host.run_dir}/agent.sock")
        door.send(json.dumps({"verb": verb, "word": word}).encode())
        return json.loads(door.recv(65536))


def told(host, names, reason="RateLimited", words="", seconds=10):
    """Waits until the certificate of the webspace (of one of them) is held up by this."""

    def look():
        found = [host.condition(name, "Certificate") for name in ([names] if isinstance(names, str) else names)]
        return any(one and one["reason"] == reason and words in one["message"] for one in found)

    try:
        wait_for(f"{names}: {reason} {words}", look, seconds)
    except Timeout as timeout:
        raise Timeout(f"{timeout}: {host.status()['webspaces']}\n{host.journal()[-3000:]}") from None


@pytest.fixture(autouse=True)
def accounts():
    """Of the module: the webspaces of its hosts outlive a test."""


# Each webspace has a name that the CA refuses: what it says, made when asked
# since some of it are dates → seconds that the certificate waits at least.
REFUSALS = {
    "unknown": (lambda: limited("unknown", retry_after=2 * HOUR), 2 * HOUR),
    "unknown, a date": (lambda: limited("unknown", retry_after=3 * HOUR, as_date=True), 3 * HOUR),
    "unknown, a date in its text": (lambda: limited("unknown", retry_after=4 * HOUR, in_header=False), 4 * HOUR),
    "unknown, without a time": (lambda: limited("unknown", in_header=False, in_text=False), HOUR),
    "unknown, for 30 days": (lambda: limited("unknown", retry_after=30 * DAY, in_text=False), 7 * DAY),
    "set": (lambda: limited("set", retry_after=5 * HOUR), 5 * HOUR),
    "domain": (lambda: limited("domain", "x06.test", retry_after=6 * HOUR), 6 * HOUR),
    "name": (lambda: limited("name", "www.x07.test", retry_after=2 * HOUR), 2 * HOUR),
    "paused": (lambda: paused("www.x08.test", URL), 0.8 * DAY),
}
NAMES = {case: f"x{number:02}" for number, case in enumerate(REFUSALS)}


class Refusals:
    def __init__(self, host, ca):
        self.host, self.ca, self.began = host, ca, time.time()
        self.answers = {case: make() for case, (make, _) in REFUSALS.items()}
        for case, name in NAMES.items():
            ca.on("newOrder", self.answers[case], when=is_about(f"www.{name}.test"))
            host.drop(name, sites([f"{name}.test", f"www.{name}.test"]))
        host.drop("free", sites(["free.test"]))
        host.wait_ready("free")
        self.free_after = time.time() - self.began
        for case, name in NAMES.items():
            wait_for(f"{case} is refused", lambda: self.condition(case)["reason"] not in ("Pending",), 10)

    def condition(self, case):
        return self.host.condition(NAMES[case], "Certificate")

    def certificate(self, case):
        return Certificate(self.host, NAMES[case], f"{NAMES[case]}.test")


@pytest.fixture(scope="module")
def refusals(accounts_of_the_module, pebble_of_the_module):
    ca = FaultyCA(pebble_of_the_module)
    host = Host(ports=(80, 443), addresses=("127.0.0.1",), trust=ca.root_file, acme=ca.settings()).start()
    yield Refusals(host, ca)
    host.destroy()
    ca.stop()


@pytest.mark.parametrize("case", [case for case in REFUSALS if case not in ("name", "paused")])
def test_a_refusal_is_heeded_for_as_long_as_the_ca_asks(refusals, case):
    """429, Retry-After in seconds, as a date, in the text, not at all: never earlier, and little later."""
    waits = refusals.certificate(case).record["next_try"] - refusals.began
    least = REFUSALS[case][1]
    assert least - 2 <= waits <= least * 1.05 + 30
    condition = refusals.condition(case)
    assert (condition["status"], condition["reason"]) == ("False", "RateLimited")
    assert refusals.answers[case].json["detail"][:40] in condition["message"], "in the CA's own words"
    assert len(orders(refusals.ca, f"{NAMES[case]}.test")) == 1


@pytest.mark.parametrize("case", ["name", "paused"])
def test_a_limited_name_takes_nothing_from_the_others_of_its_certificate(refusals, case):
    """429 of a name, and paused: the others are ordered at once without it."""
    name = NAMES[case]
    found = wait_for("the others' certificate", lambda: (c := refusals.certificate(case)).is_of_ca and c, 10)
    assert found.names == [f"{name}.test"]
    held, least = found.held(f"www.{name}.test"), REFUSALS[case][1]
    assert least - 2 <= held["until"] - refusals.began <= max(least * 1.05, 1.2 * DAY if case == "paused" else 0) + 30
    assert len(orders(refusals.ca, f"www.{name}.test")) == 1
    told(refusals.host, name, "NamesHeld")


def test_where_a_paused_name_is_let_go_on_is_shown_in_full(refusals):
    condition = refusals.condition("paused")
    assert URL in condition["message"]


def test_limited_names_delay_no_other(refusals):
    assert refusals.free_after < 8 and Certificate(refusals.host, "free", "free.test").is_of_ca


def test_a_domain_that_is_limited_is_not_asked_for_by_another_webspace(refusals):
    refusals.host.drop("neighbour", sites(["other.x06.test"], ["other.x05.test"]))
    wait_for("the free one", lambda: Certificate(refusals.host, "neighbour", "other.x05.test").is_of_ca, 10)
    told(refusals.host, "neighbour", words="registered domain")
    assert not orders(refusals.ca, "other.x06.test")


def test_refusals_survive_a_kill(refusals):
    before = len(refusals.ca.seen("newOrder"))
    refusals.host.kill()
    refusals.host.start()
    refusals.host.drop("after", sites(["after.test"]))
    refusals.host.wait_ready("after")
    assert [seen.payload["identifiers"][0]["value"] for seen in refusals.ca.seen("newOrder")[before:]] == ["after.test"]


# All of the account, all of the CA ------------------------------------------------------------------


def move_limits(host, seconds):
    """While no agent runs: as if so many seconds had gone by."""
    for folder in os.listdir(f"{host.state_dir}/acme"):
        path = f"{host.state_dir}/acme/{folder}/limits.json"
        if os.path.exists(path):
            rows = [{**row, "full_at": row["full_at"] - seconds} for row in json.loads(read(path))]
            write(path, json.dumps(rows), 0o600)


@pytest.fixture(scope="module")
def account(accounts_of_the_module, dns_of_the_module, pebble_of_the_module):
    """A host with one certificate, before a CA."""
    ca = FaultyCA(pebble_of_the_module)
    dns_of_the_module.set_default("127.0.0.2")
    host = Host(ports=(80, 443), addresses=("127.0.0.2",), trust=ca.root_file, acme=ca.settings()).start()
    host.drop("first", sites(["first.test"]))
    host.wait_ready("first")
    yield host, ca
    host.destroy()
    ca.stop()


def test_a_limit_of_the_account_holds_up_new_orders_but_no_renewal(account):
    host, ca = account
    ca.forget_requests()
    ca.on("newOrder", limited("account", retry_after=3 * HOUR), when=lambda seen: "replaces" not in seen.payload)
    host.drop("second", sites(["second.test"]))
    told(host, "second")
    host.drop("third", sites(["third.test"]))
    told(host, "third", words="300 new orders")
    assert ask(host, "certs-renew", "first")
    wait_for("the renewal", lambda: len(ca.seen("certificate")) == 1)
    assert [seen.payload["identifiers"][0]["value"] for seen in ca.seen("newOrder")] == ["second.test", "first.test"]
    ca.clear()
    host.kill()
    host.start()
    host.drop("fourth", sites(["fourth.test"]))
    told(host, "fourth")
    assert len(ca.seen("newOrder")) == 2, "also after a kill"
    host.end()
    move_limits(host, 3.2 * HOUR)
    Certificate(host, "second", "second.test").rewrite(next_try=None)
    host.start()
    host.wait_ready("second", "third", "fourth")


@pytest.mark.parametrize("answer", [
    problem("rateLimited", 503, "overloaded", retry_after=2),
    html(503, retry_after=2),
    html(429, retry_after=2),
    html(503, retry_after=email.utils.formatdate(time.time() + 86400 * 9, usegmt=True)),
], ids=["503", "503, a page", "429, a page", "503 for days"])  # fmt: skip
def test_an_overloaded_ca_is_left_alone_by_all_for_as_long_as_it_asks(account, answer, request):
    host, ca = account
    ca.forget_requests()
    ca.on("newOrder", answer, times=1)
    names = [f"{'abcdefghij'[len(request.node.name) % 10]}{number}-{abs(hash(request.node.name)) % 1000}" for number in range(2)]
    for name in names:
        host.drop(name, sites([f"{name}.test"]))
    first = ca.wait("newOrder")[0]
    if "days" in request.node.name:
        told(host, names, "CaBusy")
        assert len(ca.seen("newOrder")) <= 2, "but those that were under way"
        for name in names:
            host.remove(name)
        return
    host.wait_ready(*names, seconds=15)
    later = [seen.time - first.time for seen in ca.seen("newOrder") if seen.time > first.time + 0.3]
    assert later and min(later) >= 1.9 and max(later) < 6


# Kept before they are hit ----------------------------------------------------------------------------


class Newcomers:
    """A host that keeps Let's Encrypt's limits, 55 names of one domain, and 255 domains of one name each."""

    def __init__(self, host, ca, clock):
        self.host, self.ca, self.clock = host, ca, clock
        host.drop("alice", sites(["alice.test"]))
        host.wait_ready("alice")


@pytest.fixture(scope="module")
def newcomers(accounts_of_the_module, dns_of_the_module):
    ca = FaultyCA(ScriptedCA(), ari=False)
    host = Host(ports=(80, 443), addresses=("127.0.0.3",), trust=ca.root_file,
                acme=ca.settings('limits = "letsencrypt"; preflight = "off";'))  # fmt: skip
    clock = Clock(host.root)
    host.start(prefix=clock.prefix)
    yield Newcomers(host, ca, clock)
    host.destroy()
    ca.stop()


def test_the_same_names_get_five_certificates_in_seven_days(newcomers):
    """The exact-set guard, also against a person in a hurry."""
    host, ca = newcomers.host, newcomers.ca
    for count in range(2, 6):
        ask(host, "certs-renew", "alice")
        wait_for("renewed", lambda: len(ca.seen("certificate")) == count and not Certificate(host, "alice", "alice.test").has_order)
    ask(host, "certs-renew", "alice")
    wait_for("held", lambda: "same names" in Certificate(host, "alice", "alice.test").record.get("problem", ""))
    assert len(ca.seen("newOrder")) == 5
    assert host.served("alice.test", "127.0.0.3").split() == Certificate(host, "alice", "alice.test").leaf.split()


def test_fifty_certificates_of_a_domain_come_in_a_burst_and_the_others_wait(newcomers):
    host, ca = newcomers.host, newcomers.ca
    ca.forget_requests()
    for part in range(5):
        host.drop(f"shared{part}", sites(*([f"n{part}-{number}.shared.test"] for number in range(11))))
    wait_for("50", lambda: len(ca.seen("certificate")) >= 50, 30)
    wait_for("held", lambda: any("registered domain" in (host.condition(f"shared{part}", "Certificate") or {}).get("message", "")
                                 for part in range(5)))  # fmt: skip
    assert len(ca.seen("newOrder")) == 50


def test_three_hundred_new_orders_come_in_a_burst_and_then_one_each_36_seconds(newcomers):
    host, ca, clock = newcomers.host, newcomers.ca, newcomers.clock
    ca.forget_requests()
    room = 300 - 1 - 50
    began = time.time()
    for part in range(15):
        host.drop(f"many{part:02}", sites(*([f"d{part}-{number}.test"] for number in range(17))))
    wait_for(f"{room} orders", lambda: len(ca.seen("newOrder")) >= room, 300)
    wait_for("the last one", lambda: len(ca.seen("certificate")) == len(ca.seen("newOrder")), 20)
    assert len(ca.seen("newOrder")) <= room + (time.time() - began) / 36 + 1
    # kill -9: what was spent stays spent
    before = len(ca.seen("newOrder"))
    host.kill()
    host.start(prefix=clock.prefix)
    host.drop("late", sites(["late.test"]))
    told(host, "late", words="300 new orders", seconds=20)
    assert len(ca.seen("newOrder")) <= before + 1
    # 72 seconds later there are two more
    before = len(ca.seen("newOrder"))
    clock.set(72)
    host.agent.send_signal(1)
    wait_for("two more", lambda: len(ca.seen("newOrder")) >= before + 2, 10)
    time.sleep(0.5)
    assert len(ca.seen("newOrder")) - before in (2, 3)
