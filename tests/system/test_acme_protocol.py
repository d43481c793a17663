"""RFC 8555 as CAs speak it, in all its turns: nonces, orders in each state, names as people write them; and how few
requests it takes.

One host for all; each test has a CA of its own before Pebble (or Caddy), and webspaces that have their certificates
from there (tls.directory).
"""

import json
import os

import pytest

from answers import Answer, doubled, edit, header, problem, put, redirect, stale_nonce
from certificates import names_of
from faulty_ca import FaultyCA
from host import Host, wait_for
from peers import Pebble

OF_EACH = {"newOrder": 1, "authz": 1, "challenge": 1, "order": 2, "finalize": 1, "certificate": 1}
SIGNED = "newAccount newOrder authz challenge order finalize certificate"


class Town:
    numbers = iter(range(1, 10000))

    def __init__(self, pebble):
        self.pebble = pebble
        self.host = Host(ports=(80, 443), trust=pebble.root_file, acme=pebble.settings())
        self.host.start()

    def drop(self, ca, *names):
        """A webspace that has its certificate from there; its name. names: NAME.web.test otherwise."""
        webspace = f"p{next(Town.numbers):02}"
        named = f"names = {json.dumps(names, ensure_ascii=False)}; " if names else ""
        self.host.drop(webspace, "php = { enabled = false; }; "
                       f'sites = ({{ {named}tls = {{ directory = "{ca.directory_url}"; }}; }});')  # fmt: skip
        return webspace

    def ready(self, ca, *names, seconds=15):
        webspace = self.drop(ca, *names)
        self.host.wait_ready(webspace, seconds=seconds)
        return webspace

    def condition(self, webspace):
        return self.host.condition(webspace, "Certificate") or {"reason": "", "message": "", "status": ""}

    def failed(self, webspace):
        """How; None: not yet."""
        condition = self.condition(webspace)
        return condition if condition["reason"] not in ("", "Pending") else None

    def fails(self, ca, *names):
        """Until its first failure: (webspace, reason, message)."""
        webspace = self.drop(ca, *names)
        found = wait_for("a reason", lambda: self.failed(webspace), 15, 0.05)
        assert found["status"] == "False" and self.host.agent.poll() is None
        return webspace, found["reason"], found["message"]

    def renew(self, webspace):
        assert self.host.command("certs", "renew", webspace, "--no-wait").returncode == 0

    def has_order(self, webspace):
        return os.path.exists(f"{self.host.state_dir}/certs/{webspace}/{webspace}.web.test/order.json")


@pytest.fixture(autouse=True)
def accounts():
    """Those of the module's host stay between tests."""


@pytest.fixture(scope="module")
def town(dns_of_the_module, pebble_of_the_module):
    town = Town(pebble_of_the_module)
    yield town
    is_well = town.host.ends_well()
    town.host.destroy()
    assert is_well


def nonces_of(ca):
    """Of all signed requests, in order; none may be there twice."""
    nonces = [seen.header["nonce"] for seen in ca.seen() if seen.header]
    assert len(set(nonces)) == len(nonces)
    return nonces


def made_once(ca):
    """One order was made, and finalized with success once."""
    assert [seen.status for seen in ca.seen("newOrder")].count(201) == 1, ca.seen("newOrder")
    assert [seen.status for seen in ca.seen("finalize")].count(200) == 1, ca.seen("finalize")


# Nonces ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [0, 5, 50])
def test_where_pebble_rejects_nonces_the_certificates_come_and_none_is_used_twice(town, make_peer, percent):
    ca = make_peer(FaultyCA, make_peer(Pebble, nonce_reject=percent))
    webspaces = [town.drop(ca) for _ in range(3)]
    town.host.wait_ready(*webspaces, seconds=20)
    refused = [seen for seen in ca.seen() if seen.header and seen.status == 400]
    assert len(nonces_of(ca)) - len(refused) <= 3 * 8 + 3 and bool(refused) == (percent == 50) or percent == 5
    assert len({seen.path for seen in ca.seen("finalize")}) == 3


def test_where_pebble_rejects_nine_nonces_of_ten_each_is_used_once_and_after_ten_comes_a_pause(town, make_peer):
    ca = make_peer(FaultyCA, make_peer(Pebble, nonce_reject=90))
    webspace = town.drop(ca)
    wait_for("many requests", lambda: len(nonces_of(ca)) >= 30 or town.host.ready(webspace), 30, 0.05)
    assert longest_run(ca) <= 10 and town.host.agent.poll() is None


def longest_run(ca):
    """Of requests to one URL that follow each other without a pause."""
    longest = run = 0
    last = None
    for seen in [seen for seen in ca.seen() if seen.header]:
        follows = last and last.url == seen.url and last.status == 400 and seen.time - last.time < 0.4
        run = run + 1 if follows else 1
        longest, last = max(longest, run), seen
    return longest


def test_a_request_whose_nonces_are_all_refused_is_given_up_after_ten_and_the_ca_after_four_times_that(town, ca):
    ca.on("newOrder", problem("badNonce", 400, "I do not like this one"))
    _, reason, message = town.fails(ca)
    assert reason == "CaUnreachable" and "I do not like this one" in message
    ca.wait("newOrder", 40)
    assert longest_run(ca) == 10 and len(nonces_of(ca)) == 41 and len(ca.seen("newNonce")) == 1
    wait_for("the journal", lambda: f"{ca.origin}: badNonce: I do not like this one" in town.host.journal(), 5)
    assert len(ca.seen("newOrder")) == 40


def test_a_ca_that_gives_no_nonce_at_all_is_told_of_and_left_alone(town, ca):
    ca.on("*", header("Replay-Nonce", None))
    _, reason, message = town.fails(ca)
    assert reason == "CaUnreachable" and "it gives no nonce" in message
    assert ca.counts() == {"directory": 1, "newNonce": 1}


# Turns that end well, all at once on one host ---------------------------------------------------------


class Turn:
    """rules: a function of the CA; check: of it and the served certificate; names: as they are written in the file."""

    def __init__(self, name, rules, check, names=()):
        self.name, self.rules, self.check, self.names = name, rules, check, names


def used_before(ca):
    """An answer whose nonce was in an answer before, and has been used."""
    return edit(lambda answer: answer.set("Replay-Nonce", ca.seen("newAccount")[0].header["nonce"]))


def never_given(answer):
    """Answers that succeed have a nonce that the CA will refuse; those that refuse one have a good one."""
    if answer.status < 400:
        answer.set("Replay-Nonce", f"bmV2ZXI{id(answer):x}")


def with_nonces(action):
    return lambda ca: ca.on(SIGNED, action(ca) if action is used_before else action, when=lambda seen: seen.header)


def asked(ca):
    return ca.seen("newOrder")[0].payload["identifiers"]


def is_asked_as(name):
    return lambda ca, pem: asked(ca) == [{"type": "dns", "value": name}] and names_of(pem) == [name]


def spelled(change):
    """The CA spells the name of an authorization in its own way."""

    def spell(answer):
        found = answer.json
        found["identifier"]["value"] = change(found["identifier"]["value"])
        answer.json = found

    return lambda ca: ca.on("authz", edit(spell))


def after_finalize(ca):
    return lambda seen: ca.seen("finalize")


def slowly(ca):
    ca.on("finalize", put(status="processing"))
    ca.on("order", put(status="processing"), times=2, when=after_finalize(ca))


def gone(kind):
    page = Answer(404, "404 page not found", content_type="text/plain", wants_nonce=False)
    return Turn(f"{kind} is no longer where the directory said", lambda ca: ca.on(kind, page, times=1),
                lambda ca, _: ca.counts()["directory"] == 2 == ca.counts()[kind])  # fmt: skip


EACH = object()  # one for each signed request: how often an order is asked for is a matter of time


def are_few(most_nonces, most_refused):
    def check(ca, _):
        signed = [seen for seen in ca.seen() if seen.header]
        refused = [seen for seen in signed if seen.status == 400]
        most = {EACH: len(signed) - len(refused)}
        return len(ca.seen("newNonce")) <= most.get(most_nonces, most_nonces) and len(refused) <= most.get(most_refused, most_refused)

    return check


def many(count):
    names = [f"n{number}.of{count}.test" for number in range(count)]

    def check(ca, pem):
        counts = ca.counts()
        polls, nonces = counts.pop("order"), counts.pop("newNonce")
        few = polls <= 10 and nonces <= 2 + count // 25
        once = {"directory": 1, "newAccount": 1, "newOrder": 1, "finalize": 1, "certificate": 1}
        return few and counts == {**once, "authz": count, "challenge": count} and sorted(names_of(pem)) == sorted(names)

    return Turn(f"{count} names in one certificate", lambda ca: None, check, names)


TURNS = [
    Turn("nonces are missing", with_nonces(header("Replay-Nonce", None)), are_few(EACH, 0)),
    Turn("nonces come twice in one answer", with_nonces(doubled("Replay-Nonce")), are_few(1, 0)),
    Turn("nonces are none", with_nonces(header("Replay-Nonce", "not base64url!")), are_few(EACH, 0)),
    Turn("nonces are stale", with_nonces(edit(never_given)), are_few(2, EACH)),
    Turn("a nonce is always the same", with_nonces(stale_nonce()), are_few(EACH, 1)),
    Turn("a nonce is given again after its use", with_nonces(used_before), are_few(EACH, 0)),
    Turn("the certificate is made in the CA's own time", slowly, lambda ca, _: 3 <= len(ca.seen("order")) <= 6),
    Turn("the order is not ready for finalize",
         lambda ca: ca.on("finalize", problem("orderNotReady", 403, "not so fast"), times=1),
         lambda ca, _: len(ca.seen("finalize")) == 2),
    many(25),
    many(100),
    Turn("a name is written in capitals", lambda ca: None, is_asked_as("case.names.test"), ["Case.Names.Test"]),
    Turn("a name ends in a dot", lambda ca: None, is_asked_as("dot.names.test"), ["dot.names.test."]),
    Turn("a name is in a language", lambda ca: None, is_asked_as("xn--bcher-kva.names.test"), ["b\u00fccher.names.test"]),
    Turn("a name is all of that", lambda ca: None, is_asked_as("xn--rger-koa.names.test"), ["\u00c4RGER.Names.Test."]),
    Turn("the CA writes a name in capitals", spelled(str.upper), lambda ca, _: True),
    Turn("the CA ends a name in a dot", spelled(lambda name: f"{name}."), lambda ca, _: True),
    Turn("the directory redirects within its host", lambda ca: ca.on("directory", redirect(f"{ca.directory_url}?again", 301)),
         lambda ca, _: ca.counts()["directory"] == 1),
    gone("newNonce"),
    gone("newAccount"),
    gone("newOrder"),
]  # fmt: skip


@pytest.fixture(scope="module")
def turned(town):
    for turn in TURNS:
        turn.ca = FaultyCA(town.pebble)
        turn.rules(turn.ca)
    for turn in TURNS:
        turn.webspace = town.drop(turn.ca, *turn.names)
    try:
        town.host.wait_ready(*(turn.webspace for turn in TURNS), seconds=40)
    finally:
        for turn in TURNS:
            turn.ca.stop()
    return town


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_the_certificate_comes_and_once_also_where(turned, turn):
    names = list(turn.names) or [f"{turn.webspace}.web.test"]
    pem = turned.host.served(asked(turn.ca)[0]["value"])
    nonces_of(turn.ca)
    made_once(turn.ca)
    assert len(names_of(pem)) == len(names) and turn.check(turn.ca, pem), turn.ca.counts()


# Orders that go wrong, all at once ---------------------------------------------------------------------


class Fault:
    def __init__(self, name, kinds, action, reason, text, later=False):
        """later: only once finalize was asked for."""
        self.name, self.kinds, self.action, self.reason, self.text, self.later = name, kinds, action, reason, text, later


INVALID = "the order became invalid, and no name is at fault"
CAA = {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA says no"}

FAULTS = [
    Fault("from the beginning", "newOrder", put(status="invalid"), "CaMisbehaves", INVALID),
    Fault("by an authorization", "authz", put(status="invalid"), "NamesHeld", "its authorization is not valid"),
    Fault("by an authorization that expired", "authz", put(status="expired"), "NamesHeld", "its authorization is not valid"),
    Fault("by one that was deactivated", "authz", put(status="deactivated"), "NamesHeld", "its authorization is not valid"),
    Fault("by a challenge that was refused", "challenge", problem("unauthorized", 403, "not with me"), "NamesHeld", "not with me"),
    Fault("after validation", "order", put(status="invalid"), "CaMisbehaves", INVALID),
    Fault("after validation, with a reason", "order", put(status="invalid", error=CAA), "NamesHeld", "CAA says no"),
    Fault("by a request that was refused", "finalize", problem("badCSR", 400, "what a key"), "Refused", "what a key"),
    Fault("in finalize", "finalize", put(status="invalid"), "CaMisbehaves", INVALID),
    Fault("after finalize", "order", put(status="invalid"), "CaMisbehaves", INVALID, True),
    Fault("after finalize, with a reason", "order", put(status="invalid", error=CAA), "NamesHeld", "CAA says no", True),
    Fault("gone after finalize", "order", problem("malformed", 404, "no such order"), "Refused", "no such order", True),
]


@pytest.fixture(scope="module")
def faulted(town):
    for fault in FAULTS:
        fault.ca = FaultyCA(town.pebble)
        fault.ca.on(fault.kinds, fault.action, times=1, when=after_finalize(fault.ca) if fault.later else None)
    for fault in FAULTS:
        fault.webspace = town.drop(fault.ca)
    for fault in FAULTS:
        fault.met = wait_for(f"{fault.name} fails", lambda: town.failed(fault.webspace), 30, 0.05)
        fault.left, fault.counts = town.has_order(fault.webspace), fault.ca.counts()
        town.renew(fault.webspace)
    town.host.wait_ready(*(fault.webspace for fault in FAULTS), seconds=30)
    yield town
    for fault in FAULTS:
        fault.ca.stop()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_an_order_that_becomes_invalid_is_told_of_left_and_the_next_begun_anew(faulted, fault):
    assert (fault.met["reason"], fault.met["status"]) == (fault.reason, "False") and fault.text in fault.met["message"]
    assert not fault.left and fault.counts["newOrder"] == 1 and sum(fault.counts.values()) <= 14, fault.counts
    assert len(fault.ca.seen("newOrder")) == 2 and faulted.host.agent.poll() is None


# Validation and issuance -------------------------------------------------------------------------------


def test_a_slow_validation_is_waited_for_with_few_looks(town, make_peer):
    ca = make_peer(FaultyCA, make_peer(Pebble, sleep_time=3))
    town.ready(ca)
    assert len(ca.seen("order")) <= 12, ca.counts()
    made_once(ca)


def test_where_authorizations_are_reused_an_order_is_born_ready(town, make_peer):
    ca = make_peer(FaultyCA, make_peer(Pebble, authz_reuse=100))
    webspace = town.ready(ca)
    before = town.host.served(webspace)
    ca.forget_requests()
    town.renew(webspace)
    wait_for("another certificate", lambda: town.host.served(webspace) != before, 10)
    assert {**ca.counts(), "order": 1} == {"newOrder": 1, "finalize": 1, "order": 1, "certificate": 1}


def test_a_ca_that_answers_finalize_with_the_certificate_is_not_asked_for_it_again(town, make_peer, caddy):
    ca = make_peer(FaultyCA, caddy)
    webspace = town.ready(ca)
    assert names_of(town.host.served(webspace)) == [f"{webspace}.web.test"]
    assert {kind: ca.counts()[kind] for kind in OF_EACH} == {**OF_EACH, "order": 1}, ca.counts()


def test_an_order_that_is_processing_for_ever_is_gone_on_with_by_the_next_agent(town, ca):
    ca.on("finalize order", put(status="processing"), when=lambda seen: ca.seen("finalize"))
    webspace = town.drop(ca)
    ca.wait("finalize")
    at_least = len(ca.seen("order")) + 7
    ca.wait("order", at_least)
    looks = [seen.time for seen in ca.seen("order")][-7:]
    assert looks[6] - looks[5] > 3 * (looks[1] - looks[0])  # rarer and rarer
    assert town.has_order(webspace)
    town.host.end()
    ca.clear()
    town.host.start()
    town.host.wait_ready(webspace, seconds=15)
    made_once(ca)
    assert not town.has_order(webspace)


# Orders that go wrong -----------------------------------------------------------------------------------


def test_an_order_that_is_never_ready_is_given_up_after_three_times(town, ca):
    ca.on("finalize", problem("orderNotReady", 403, "not so fast"))
    webspace, reason, message = town.fails(ca)
    assert reason == "CaMisbehaves" and "finalized 3 times" in message
    assert len(ca.seen("finalize")) == 3 and len(ca.seen("order")) <= 8 and town.has_order(webspace)


# The directory ------------------------------------------------------------------------------------------


def test_a_directory_that_moved_to_another_host_is_not_followed_there_and_the_address_told(town, ca, pebble):
    ca.on("directory", redirect(pebble.directory_url))
    _, reason, message = town.fails(ca)
    assert reason == "CaUnreachable" and f"names another host, {pebble.origin}/" in message and "acme.directory" in message


# How few requests -----------------------------------------------------------------------------------------


def test_a_warm_agent_has_a_certificate_of_pebble_with_at_most_nine_requests(town, ca):
    town.ready(ca)
    assert len(ca.seen("newAccount")) == len(ca.seen("directory")) == len(ca.seen("newNonce")) == 1
    ca.forget_requests()
    town.ready(ca)
    counts = ca.counts()
    assert {**counts, "order": 2} == OF_EACH and sum(counts.values()) <= 9, counts


def test_twenty_certificates_take_no_request_more_than_five_percent_above_the_bare_minimum(town, ca):
    town.ready(ca)
    ca.forget_requests()
    webspaces = [town.drop(ca) for _ in range(20)]
    town.host.wait_ready(*webspaces, seconds=30)
    counts = ca.counts()
    bare = 20 * sum(OF_EACH.values())
    assert {kind: counts[kind] for kind in OF_EACH if kind != "order"} == {kind: 20 for kind in OF_EACH if kind != "order"}
    assert sum(counts.values()) - counts["newNonce"] <= 1.05 * bare and counts["newNonce"] <= 15, counts
    assert set(counts) <= {*OF_EACH, "newNonce"}
