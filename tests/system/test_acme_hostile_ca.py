"""What no CA should do, and what becomes of it: nothing that was good is lost, and it comes right by itself.

Each row of CASES is a CA of its own that misbehaves in one way, and a webspace of one host that has its certificate
from there (tls.directory). All meet it at once. Each CA behaves again once it was met; the wait until the next try, a
minute, is taken out of the records.
"""

import json
import signal
import ssl
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
            ("a list for an object", b"[]", "is no object"),
            ("a number for a text", b'{"status": 1, "newNonce": 1, "authorizations": 1}', "is no text"),
        )
        for kind, reason in (("directory", DOWN), ("newOrder", REFUSED), ("authz", REFUSED))
    ],
    # Tokens
    Case("a token that is a path", at("authz", tokens("../../../../etc/passwd")), REFUSED, "token is not base64url"),
    Case("a token ../x", at("authz", tokens("../x")), REFUSED, "token is not base64url"),
    Case("an empty token", at("authz", tokens("")), REFUSED, "token is not base64url"),
    Case("a token of two letters", at("authz", tokens("ab")), REFUSED, "whose token or address is none"),
    Case("a token of 4 KiB", at("authz", tokens("A" * 4096)), REFUSED, "token is not base64url"),
    # Addresses elsewhere
    Case("a directory of http URLs", at("directory", edit(plain_http)), DOWN, "newNonce is no https URL"),
    *[
        Case(f"{key} on another host", at("directory", put(**{key: ELSEWHERE})), DOWN, "another host", times=1)
        for key in ("newNonce", "newAccount", "newOrder")
    ],
    Case("an account on another host", at("newAccount", header("Location", ELSEWHERE)), DOWN, "another host", times=1),
    Case("an order on another host", at("newOrder", header("Location", ELSEWHERE)), REFUSED, "without an address of its own"),
    Case("an order at an http URL", at("newOrder", header("Location", "http://localhost/x")), REFUSED, "without an address"),
    Case("finalize on another host", at("newOrder", put(finalize=ELSEWHERE)), REFUSED, "addresses elsewhere"),
    Case("finalize at an http URL", at("newOrder", put(finalize="http://localhost/x")), REFUSED, "finalize is no https URL"),
    Case("an authorization on another host", at("newOrder", first_of("authorizations", ELSEWHERE)), REFUSED, "elsewhere"),
    Case("a challenge on another host", at("authz", in_challenges(url=ELSEWHERE)), REFUSED, "token or address is none"),
    Case("a certificate on another host", at("order finalize", put(certificate=ELSEWHERE)), REFUSED, "addresses elsewhere"),
    # What is not there
    Case("an account without Location", at("newAccount", header("Location", None)), DOWN, "does not say where our account is", times=1),
    Case("an order without Location", at("newOrder", header("Location", None)), REFUSED, "without an address of its own"),
    Case("an order without authorizations", at("newOrder", put(authorizations=[])), REFUSED, "without what it should have"),
    Case("an order without finalize", at("newOrder", put(finalize=None)), REFUSED, "finalize is missing"),
    Case("an order of no known status", at("newOrder", put(status="pondering")), REFUSED, "is no status of RFC 8555"),
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
        record = json.loads(read(path))
        write(path, json.dumps({**record, "next_try": 0}), 0o600)
        return record.get("next_try", 0) - record.get("failed_since", 0)

    def wait(self, left, step):
        began = time.monotonic()
        while left():
            step()
            if time.monotonic() - began > 40:
                told = [f"{case.name}: {self.conditions().get(case.webspace)} {case.ca.counts()}" for case in left()]
                raise AssertionError("\n".join(told + self.host.journal().splitlines()[-30:]))
            time.sleep(0.1)
        print(f"{step.__name__} {time.monotonic() - began}")

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
                    self.host.command("certs", "renew", case.webspace)

    def end(self):
        conditions = self.conditions()
        for case in EVERYBODY:
            if not case.ended and conditions[case.webspace]["status"] == "True":
                case.ended = self.host.served(case.webspace)

    def stop(self):
        self.host.destroy()
        for case in EVERYBODY:
            case.ca.stop()


@pytest.fixture(scope="module")
def town(dns_of_the_module, pebble_of_the_module):
    town = Town(pebble_of_the_module)
    yield town
    town.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_cause_is_told_the_stand_in_is_served_and_the_certificate_comes_once_the_ca_behaves(town, case):
    assert case.met["status"] == "False" and town.host.agent.poll() is None
    assert not is_pebbles(case.served, case.webspace) and is_pebbles(case.ended, case.webspace)
    polls, requests = case.requests.pop("order", 0), case.requests
    assert max(requests.values(), default=0) <= case.times and polls <= 3 + case.times, (polls, requests)
    assert case.waited == 0 if case.reason == DOWN else 48 <= case.waited <= 72 or case.reason == "Refused"


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
