"""What no CA should do, and what becomes of it: nothing that was good is lost, and it comes right by itself.

Each row of CASES is a CA of its own that misbehaves in one way, and a webspace of one host that has its certificate
from there (tls.directory). All meet it at once. Each CA behaves again once it was met; the wait until the next try, a
minute, is taken out of the records.
"""

import json
import os
import signal
import ssl
import threading
import time

import pytest

from answers import (body, chain, cut, drip, edit, empty_chain, flood, forged, header, html, long_chain, lose, put,
                     redirect, stall, stall_after, tokens, truncate, unordered)  # fmt: skip
from certificates import Authority, read, requested_names, write
from faulty_ca import FaultyCA
from host import Host, wait_for
from peers import Pebble

ELSEWHERE = "https://elsewhere.test/x"
STEPS = ("directory", "newNonce", "newAccount", "newOrder", "authz", "challenge", "order", "finalize", "certificate")


class Case:
    """rules: (kind, action) each, or a function of the CA. reason, text: of the condition, and of the journal."""

    def __init__(self, name, rules, reason, text, times=None):
        """times: how often it has to happen before the agent waits a minute."""
        self.name, self.rules, self.reason, self.text = name, rules, reason, text
        self.times = times or (4 if reason == DOWN else 1)

    def spoil(self, ca):
        if callable(self.rules):
            self.rules(ca)
            return
        for kind, action in self.rules:
            ca.on(kind, action, times=self.times)

    def is_said(self, condition, journal, about):
        is_told = any(about in line and self.text in line for line in journal.splitlines())
        return condition["reason"] == self.reason and self.text in condition["message"] and is_told


def at(kind, action):
    return [(kind, action)]


def first_of(key, value):
    """Another URL in place of the first of a list."""

    def change(answer):
        found = answer.json
        found[key][0] = value
        answer.json = found

    return edit(change)


def in_challenges(**fields):
    def change(answer):
        found = answer.json
        for challenge in found["challenges"]:
            challenge.update(fields)
        answer.json = found

    return edit(change)


def plain_http(answer):
    answer.json = {key: value.replace("https://", "http://") if isinstance(value, str) else value
                   for key, value in answer.json.items()}  # fmt: skip


def more_names(seen):
    names = requested_names(seen.ca.csrs[seen.path])
    return forged(names=[*names, "bank.test"])(seen)


def shows(**options):
    return lambda ca: ca.present_certificate(**options)


def greets(ca):
    ca.greeting = b"HTTP/1.0 400 this is not TLS\r\n\r\n"


REFUSED, DOWN = "CaMisbehaves", "CaUnreachable"  # its answer fails one try; it has answered nothing four times

CASES = [
    # HTML in place of ACME, at each step
    *[Case(f"502 in HTML for {kind}", at(kind, html()), DOWN, "HTTP status 502") for kind in STEPS],
    Case("404 in HTML for the directory", at("directory", html(404)), DOWN, "there is no directory at this address", times=1),
    Case("an order that is a page of HTML", at("newOrder", body("<html>Welcome!</html>", "text/html")), REFUSED, "line 1"),
    Case("a redirect in answer to newOrder", at("newOrder", redirect(ELSEWHERE)), REFUSED, f"302 to {ELSEWHERE}"),
    # Broken off
    *[Case(f"{kind} broken off in its middle", at(kind, truncate()), DOWN, "closed") for kind in STEPS if kind != "newNonce"],
    Case("no answer for the directory", at("directory", cut), DOWN, ""),
    Case("no answer to newNonce", at("newNonce", cut), DOWN, "", times=5),  # curl itself repeats the first HEAD
    Case("no answer to newOrder", at("newOrder", cut), DOWN, ""),
    # Too much
    Case("a directory of 1 GiB", at("directory", flood()), DOWN, "larger than 1 MiB"),
    Case("an order of 1 GiB", at("newOrder", flood()), REFUSED, "larger than 1 MiB"),
    Case("a chain of 1 GiB", at("certificate", flood()), REFUSED, "larger than 1 MiB"),
    Case("a chain of 256 KiB", at("certificate", body(b"x" * 262144)), REFUSED, "a chain of 262144 bytes"),
    # Not JSON
    *[
        Case(f"{what} for {kind}", at(kind, body(text)), reason, told)
        for what, text, told in (
            ("JSON 100,000 levels deep", b"[" * 100000 + b"]" * 100000, "nested deeper than 32 levels"),
            ("a NUL in JSON", b'{"status": "pend\0ing"}', ""),
            ("JSON with bad UTF-8", b'{"status": "\xff\xfe"}', "unable to decode byte"),
            ("a list for an object", b"[]", "is not an object"),
            ("a number for a text", b'{"status": 1, "newNonce": 1, "authorizations": 1}', "is not a string"),
        )
        for kind, reason in (("directory", DOWN), ("newOrder", REFUSED), ("authz", REFUSED))
    ],
    # Tokens
    Case("a token that is a path", at("authz", tokens("../../../../etc/passwd")), REFUSED, "token is not base64url"),
    Case("a token ../x", at("authz", tokens("../x")), REFUSED, "token is not base64url"),
    Case("an empty token", at("authz", tokens("")), REFUSED, "token is not base64url"),
    Case("a token of two letters", at("authz", tokens("ab")), REFUSED, "without a valid token or address"),
    Case("a token of 4 KiB", at("authz", tokens("A" * 4096)), REFUSED, "token is not base64url"),
    # Addresses elsewhere
    Case("a directory of http URLs", at("directory", edit(plain_http)), DOWN, "newNonce is not an https URL"),
    *[
        Case(f"{key} on another host", at("directory", put(**{key: ELSEWHERE})), DOWN, "another host", times=1)
        for key in ("newNonce", "newAccount", "newOrder")
    ],
    Case("an account on another host", at("newAccount", header("Location", ELSEWHERE)), DOWN, "another host", times=1),
    Case("an order on another host", at("newOrder", header("Location", ELSEWHERE)), REFUSED, "without an address of its own"),
    Case("an order at an http URL", at("newOrder", header("Location", "http://localhost/x")), REFUSED, "without an address"),
    Case("finalize on another host", at("newOrder", put(finalize=ELSEWHERE)), REFUSED, "addresses elsewhere"),
    Case("finalize at an http URL", at("newOrder", put(finalize="http://localhost/x")), REFUSED, "finalize is not an https URL"),
    Case("an authorization on another host", at("newOrder", first_of("authorizations", ELSEWHERE)), REFUSED, "elsewhere"),
    Case("a challenge on another host", at("authz", in_challenges(url=ELSEWHERE)), REFUSED, "without a valid token or address"),
    Case("a certificate on another host", at("order finalize", put(certificate=ELSEWHERE)), REFUSED, "addresses elsewhere"),
    # What is not there
    Case("an account without Location", at("newAccount", header("Location", None)), DOWN, "does not say where our account is", times=1),
    Case("an order without Location", at("newOrder", header("Location", None)), REFUSED, "without an address of its own"),
    Case("an order without authorizations", at("newOrder", put(authorizations=[])), REFUSED, "without what it should have"),
    Case("an order without finalize", at("newOrder", put(finalize=None)), REFUSED, "finalize is missing"),
    Case("an order of no known status", at("newOrder", put(status="pondering")), REFUSED, "is not a status of RFC 8555"),
    Case("a valid order without a certificate", at("order finalize", put(status="valid", certificate=None)), REFUSED,
         "a valid order without its certificate"),
    Case("an authorization of another name", at("authz", put(identifier={"type": "dns", "value": "bank.test"})), REFUSED,
         "an authorization for bank.test, which was not ordered"),
    Case("an authorization without http-01", at("authz", put(challenges=[])), "Refused", "offers no http-01"),
    # Certificates
    Case("a certificate for another key", at("certificate", forged(other_key=True)), REFUSED, "key"),
    Case("a certificate of other names", at("certificate", forged(names=["bank.test"])), REFUSED, "not asked for"),
    Case("a certificate of more names", at("certificate", more_names), REFUSED, "not asked for"),
    Case("a certificate that has expired", at("certificate", forged(start=-2, end=-1)), REFUSED, "expired"),
    Case("a certificate that begins in a month", at("certificate", forged(start=30)), REFUSED, "not valid yet"),
    Case("a certificate of a CA", at("certificate", forged(is_ca=True)), REFUSED, "CA"),
    Case("a certificate for clients", at("certificate", forged(usage="clientAuth")), REFUSED, "server"),
    Case("an empty chain", at("certificate", empty_chain), REFUSED, "a chain of 0 bytes"),
    Case("a chain of words", at("certificate", body(b"Dear customer,\n")), REFUSED, "cannot be used"),
    Case("a chain in binary", at("certificate", body(b"0\x82\x01\x00\xff")), REFUSED, "a chain that is not text"),
    Case("a chain in the wrong order", at("certificate", unordered), REFUSED, "cannot be used"),
    Case("a chain without end", at("certificate", long_chain), REFUSED, "more than 10 certificates"),
    Case("a chain that begins with a key", at("certificate", chain(lambda text: text.replace("CERTIFICATE", "EC PRIVATE KEY"))),
         REFUSED, "cannot be used"),
    # TLS
    Case("no TLS", greets, DOWN, "SSL"),
    Case("an expired server", shows(end=-0.1), DOWN, "expired"),
    Case("a server of another name", shows(names=["other.test"]), DOWN, "localhost"),
    Case("a server that nobody vouches for", lambda ca: ca.present_certificate(Authority("nobody knows")), DOWN, "certificate"),
]  # fmt: skip


# What should not happen but does, and costs nobody a certificate -------------------------------------


class Mishap(Case):
    """times: how often a kind is asked for then, if it is not the least."""

    def __init__(self, name, rules, **times):
        super().__init__(name, rules, None, None)
        self.counts = {**LEAST, **times}


def once(kind, action):
    return lambda ca: ca.on(kind, action, nth=1)


LEAST = {"directory": 1, "newAccount": 1, "newOrder": 1, "authz": 1, "challenge": 1, "finalize": 1, "certificate": 1}

MISHAPS = [
    Mishap("newAccount", once("newAccount", lose), newAccount=2),
    Mishap("newOrder", once("newOrder", lose), newOrder=2),
    Mishap("authz", once("authz", lose), authz=2),
    Mishap("challenge", once("challenge", lose), challenge=2),
    Mishap("finalize", once("finalize", lose), finalize=2),
    Mishap("certificate", once("certificate", lose), certificate=2),
]
EVERYBODY = [*CASES, *MISHAPS]
WITHOUT_PHP = "php = { enabled = false; };"


class Town:
    """A host, an honest CA, and one for each case: how each is met, and how it ends once the CA behaves."""

    def __init__(self, pebble):
        self.pebble = pebble
        self.host = Host(ports=(80, 443), trust=pebble.root_file, acme=pebble.settings())
        self.host.start()
        for number, case in enumerate(EVERYBODY):
            case.webspace, case.ca = f"w{number:02}", FaultyCA(pebble)
            case.met = case.ended = None
            case.spoil(case.ca)
        for case in EVERYBODY:
            self.drop(case)
        self.wait(lambda: [case for case in CASES if not case.met], self.meet)
        self.host.drop("honest", WITHOUT_PHP)
        self.host.wait_ready("honest")
        self.host.end()
        for case in CASES:
            case.waited = self.wait_no_more(case)
        self.host.start()
        self.wait(lambda: [case for case in EVERYBODY if not case.ended], self.end)

    def drop(self, case):
        self.host.drop(case.webspace, f'{WITHOUT_PHP} sites = ({{ tls = {{ directory = "{case.ca.directory_url}"; }}; }});')

    def conditions(self):
        """Of certificates, by webspace."""
        return {webspace["name"]: next((one for one in webspace["conditions"] if one["type"] == "Certificate"), None)
                for webspace in self.host.status()["webspaces"]}  # fmt: skip

    def wait_no_more(self, case):
        """Returns how long it would have been until the next try, in seconds; 0: that is not in its record."""
        path = f"{self.host.state_dir}/certs/{case.webspace}/{case.webspace}.web.test/state.json"
        record, written = json.loads(read(path)), os.stat(path).st_mtime
        write(path, json.dumps({**record, "next_try": 0}), 0o600)
        return record["next_try"] - written if "next_try" in record else 0

    def wait(self, left, step):
        began = time.monotonic()
        while left():
            step()
            if time.monotonic() - began > 40:
                told = [f"{case.name}: {self.conditions().get(case.webspace)} {case.ca.counts()}" for case in left()]
                raise AssertionError("\n".join(told + self.host.journal().splitlines()[-30:]))
            time.sleep(0.1)

    def meet(self):
        """The condition says so, and the journal, while the stand-in is served."""
        conditions, journal = self.conditions(), self.host.journal()
        for case in CASES:
            found = conditions.get(case.webspace)
            about = case.webspace if case.reason != DOWN else case.ca.origin
            if not case.met and found and case.is_said(found, journal, about):
                case.served = self.host.served(case.webspace)
                case.met, case.requests = found, case.ca.counts()
                if callable(case.rules):
                    case.ca.clear()
                    case.ca.present_certificate()
                elif case.reason == "Refused":
                    self.host.command("certs", "renew", case.webspace, "--no-wait")

    def end(self):
        conditions = self.conditions()
        for case in EVERYBODY:
            if not case.ended and conditions[case.webspace]["status"] == "True":
                case.ended = self.host.served(case.webspace)

    def stop(self):
        is_well = self.host.ends_well()
        self.host.destroy()
        for case in EVERYBODY:
            case.ca.stop()
        assert is_well


@pytest.fixture(autouse=True)
def accounts():
    """Those of the module's hosts stay between tests."""


@pytest.fixture(scope="module")
def town(slow, pebble_of_the_module):
    """After the slow ones, for of these time is to pass."""
    town = Town(pebble_of_the_module)
    yield town
    town.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_cause_is_told_the_stand_in_is_served_and_the_certificate_comes_once_the_ca_behaves(town, case):
    assert case.met["status"] == "False" and town.host.agent.poll() is None
    assert not is_pebbles(case.served, case.webspace) and is_pebbles(case.ended, case.webspace)
    polls, requests = case.requests.pop("order", 0), case.requests
    assert max(requests.values(), default=0) <= case.times and polls <= 3 + case.times, (polls, requests)
    # A CA's trouble is not counted as the certificate's failure.
    assert case.waited < 30 if case.reason == DOWN else 46 <= case.waited <= 73 or case.reason == "Refused"


def is_pebbles(pem, webspace):
    der = ssl.PEM_cert_to_DER_cert(pem)
    assert f"{webspace}.web.test".encode() in der
    return b"Pebble Intermediate" in der


@pytest.mark.parametrize("case", MISHAPS, ids=lambda case: case.name)
def test_after_an_answer_that_was_lost_nothing_is_made_twice(town, case):
    counts = case.ca.counts()
    finalized = case.ca.seen("finalize")
    assert is_pebbles(case.ended, case.webspace)
    assert len({seen.path for seen in finalized}) == 1, finalized
    assert [seen.status for seen in finalized].count(200) == 1
    assert {kind: counts[kind] for kind in case.counts} == case.counts


# With a certificate already there -----------------------------------------------------------------


RENEWALS = [case for case in CASES if case.reason == REFUSED and ("chain" in case.name or "a certificate" in case.name)]


@pytest.fixture(scope="module")
def renewed(town):
    """The same CAs once more, now asked for a renewal."""
    for case in RENEWALS:
        case.ca.clear()
        case.spoil(case.ca)
        assert town.host.command("certs", "renew", case.webspace, "--no-wait").returncode == 0
    wait_for("all renewals fail", lambda: all(is_told(town, case) for case in RENEWALS), 20, 0.2)
    for case in RENEWALS:
        case.kept = town.host.served(case.webspace)
        case.listed = json.loads(town.host.command("certs", "list", case.webspace, "--json").stdout)[0]
    town.host.end()
    for case in RENEWALS:
        town.wait_no_more(case)
    town.host.start()
    wait_for("all are renewed", lambda: all(town.host.served(case.webspace) != case.ended for case in RENEWALS), 30, 0.2)
    return town


def is_told(town, case):
    about = f"acme: {case.webspace}.web.test: "
    return any(about in line and case.text in line for line in town.host.journal().splitlines())


@pytest.mark.parametrize("case", RENEWALS, ids=lambda case: case.name)
def test_of_a_renewal_the_old_certificate_is_served_until_a_good_one_comes(renewed, case):
    assert case.kept == case.ended
    assert case.listed["reason"] == case.reason and case.text in case.listed["problem"] and case.listed["failures"] == 1
    assert is_pebbles(renewed.host.served(case.webspace), case.webspace) and renewed.host.ready(case.webspace)


# With time --------------------------------------------------------------------------------------


class Slow:
    """A host beside the town, from the module's beginning: CAs that let it wait, once, and one that is down."""

    ADDRESS = "127.0.0.2"

    def __init__(self, dns, pebble):
        self.dns, self.pebble, self.cas, self.told = dns, pebble, {}, {}
        self.host = Host(ports=(80, 443), addresses=(self.ADDRESS,), trust=pebble.root_file, acme=pebble.settings())
        self.host.start()
        self.ends = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def drop(self, name, ca):
        self.dns.set_a(f"{name}.slow.test", self.ADDRESS)
        self.cas[name] = ca
        self.host.drop(name, f'{WITHOUT_PHP} sites = ({{ names = ["{name}.slow.test"]; '
                       f'tls = {{ directory = "{ca.directory_url}"; }}; }});')  # fmt: skip

    def watch(self):
        """What conditions said, by webspace: when an answer is given up it is asked for again soon."""
        while not self.ends.wait(0.2):
            status = self.host.status() or {"webspaces": []}
            for webspace in status["webspaces"]:
                for condition in webspace["conditions"]:
                    if condition["type"] == "Certificate":
                        told = self.told.setdefault(webspace["name"], [])
                        told.append((condition["reason"], condition["message"], webspace["ready"]))

    def served(self, name):
        return self.host.served(f"{name}.slow.test", address=self.ADDRESS)

    def has_certificate(self, name):
        return b"Pebble Intermediate" in ssl.PEM_cert_to_DER_cert(self.served(name))

    def stop(self):
        self.ends.set()
        self.watcher.join()
        assert self.host.ends_well()
        self.host.destroy()
        for ca in self.cas.values():
            if isinstance(ca, FaultyCA):
                ca.stop()


@pytest.fixture(scope="module")
def slow(dns_of_the_module, pebble_of_the_module):
    dns_of_the_module.clear()
    slow = Slow(dns_of_the_module, pebble_of_the_module)
    stopped = Pebble()
    stopped.process.send_signal(signal.SIGSTOP)
    for name, kind, action in (("stalled", "directory", stall), ("after", "newOrder", stall_after), ("loris", "newOrder", drip(1.0))):
        ca = FaultyCA(pebble_of_the_module)
        ca.on(kind, action, times=1)
        slow.drop(name, ca)
    down = FaultyCA(pebble_of_the_module)
    down.on("newOrder", html(503), times=4)
    slow.drop("down", down)
    slow.drop("stopped", stopped)
    slow.drop("patient", pebble_of_the_module)
    wait_for("others are served meanwhile", lambda: slow.host.ready("patient"), 15, 0.1)
    yield slow
    slow.stop()
    stopped.stop()


@pytest.fixture
def ca(pebble_of_the_module):
    """Names of the slow host stay where they are, as they would not with make_peer."""
    ca = FaultyCA(pebble_of_the_module)
    yield ca
    ca.stop()


def test_one_order_that_the_ca_cannot_deal_with_holds_up_no_other(town, ca):
    ca.on("newOrder", html(), when=lambda seen: "lonely" in str(seen.payload))
    text = f'{WITHOUT_PHP} sites = ({{ tls = {{ directory = "{ca.directory_url}"; }}; }});'
    town.host.drop("lonely", text)
    ca.wait("newOrder", 1)
    town.host.drop("others", text)
    town.host.wait_ready("others", seconds=10)
    wait_for("it fails", lambda: town.conditions()["lonely"]["reason"] == REFUSED, 10, 0.1)
    town.host.drop("later", text)
    town.host.wait_ready("later", seconds=10)
    assert len(ca.seen("newOrder")) == 4 + 2
    assert "HTTP status 502" in town.conditions()["lonely"]["message"]


def test_over_a_line_that_is_cut_at_every_third_request_all_certificates_come_and_none_twice(town, ca):
    ca.cut_every = 3
    names = [f"cut{number}" for number in range(4)]
    for name in names:
        town.host.drop(name, f'{WITHOUT_PHP} sites = ({{ tls = {{ directory = "{ca.directory_url}"; }}; }});')
    town.host.wait_ready(*names, seconds=30)
    finalized = [seen.path for seen in ca.seen("finalize") if seen.status == 200]
    assert len(set(finalized)) == len(finalized) == 4
    # Of each three one more, and each that is lost takes its nonce with it.
    assert len(ca.seen()) <= 100, ca.counts()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("stalled", "directory"), ("after", "newOrder"), ("loris", "newOrder")],
    ids=["total stall", "a stall after newOrder", "slow loris"],
)
def test_of_a_ca_that_gets_nowhere_nobody_waits_for_more_than_forty_seconds(town, slow, name, kind):
    wait_for("its certificate", lambda: slow.has_certificate(name), 60, 0.2)
    first, second = [seen.time for seen in slow.cas[name].seen(kind)]
    assert 39 < second - first < 55
    assert any(reason == DOWN and "too slow" in message and not ready for reason, message, ready in slow.told[name])
    assert slow.host.agent.poll() is None


def test_a_ca_that_accepts_connections_and_never_speaks_is_told_of_after_ten_seconds_each(town, slow):
    reasons = [reason for reason, message, _ in slow.told["stopped"] if "timed out" in message or "timeout" in message]
    assert set(reasons) == {DOWN}, slow.told["stopped"][-1]
    slow.cas["stopped"].process.send_signal(signal.SIGCONT)
    assert slow.host.agent.poll() is None


def test_a_ca_that_is_down_is_left_alone_for_a_minute_and_then_gives_the_certificate_by_itself(town, slow):
    wait_for("its certificate", lambda: slow.has_certificate("down"), 90, 0.2)
    asked = [seen.time for seen in slow.cas["down"].seen("newOrder")]
    waits = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert len(waits) == 4 and 3 < sum(waits[:3]) < 15 and 60 <= waits[3] < 70, waits
    assert any(reason == DOWN and "HTTP status 503" in message for reason, message, _ in slow.told["down"])
