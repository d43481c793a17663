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

    def fails(self, ca, *names):
        """Until its first failure: (webspace, reason, message)."""
        webspace = self.drop(ca, *names)
        wait_for("a reason", lambda: self.condition(webspace)["reason"] not in ("", "Pending"), 15, 0.05)
        found = self.condition(webspace)
        assert found["status"] == "False" and self.host.agent.poll() is None
        return webspace, found["reason"], found["message"]

    def renew(self, webspace):
        assert self.host.command("certs", "renew", webspace).returncode == 0

    def has_order(self, webspace):
        return os.path.exists(f"{self.host.state_dir}/certs/{webspace}/{webspace}.web.test/order.json")


@pytest.fixture(autouse=True)
def accounts():
    """Those of the module's host stay between tests."""


@pytest.fixture(scope="module")
def town(dns_of_the_module, pebble_of_the_module):
    town = Town(pebble_of_the_module)
    yield town
    town.host.destroy()


def nonces_of(ca):
    """Of all signed requests, in order; none may be there twice."""
    nonces = [seen.header["nonce"] for seen in ca.seen() if seen.header]
    assert len(set(nonces)) == len(nonces)
    return nonces


def made_once(ca, orders=1):
    """One order finalized, with success once."""
    assert len(ca.seen("newOrder")) == orders, ca.counts()
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
    town.drop(ca)
    ca.wait("newAccount", 4)
    wait_for("some more", lambda: len(nonces_of(ca)) > 25, 15)
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


def used_before(ca):
    """An answer whose nonce was in an answer before, and has been used."""
    return edit(lambda answer: answer.set("Replay-Nonce", ca.seen("newAccount")[0].header["nonce"]))


@pytest.mark.parametrize(
    ("rule", "most_nonces", "most_refused"),
    [
        (lambda ca: header("Replay-Nonce", None), 9, 0),
        (lambda ca: doubled("Replay-Nonce"), 1, 0),
        (lambda ca: header("Replay-Nonce", "not base64url!"), 9, 0),
        (lambda ca: stale_nonce(), 1, 8),
        (used_before, 9, 0),
    ],
    ids=["missing", "doubled", "no nonce", "stale", "used before"],
)
def test_nonces_of_answers_may_be_odd(town, ca, rule, most_nonces, most_refused):
    ca.on("newAccount newOrder authz challenge order finalize certificate", rule(ca), when=lambda seen: seen.header)
    town.ready(ca)
    nonces_of(ca)
    refused = sum(1 for seen in ca.seen() if seen.header and seen.status == 400)
    assert len(ca.seen("newNonce")) <= most_nonces and refused <= most_refused, ca.counts()
    made_once(ca)


def test_a_ca_that_gives_no_nonce_at_all_is_told_of_and_left_alone(town, ca):
    ca.on("*", header("Replay-Nonce", None))
    _, reason, message = town.fails(ca)
    assert reason == "CaUnreachable" and "it gives no nonce" in message
    assert ca.counts() == {"directory": 1, "newNonce": 1}


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


def test_a_ca_that_makes_the_certificate_in_its_own_time_is_looked_at_until_then(town, ca):
    ca.on("finalize", put(status="processing"))
    ca.on("order", put(status="processing"), times=2, when=lambda seen: ca.seen("finalize"))
    town.ready(ca)
    made_once(ca)
    assert 4 <= len(ca.seen("order")) <= 6


def test_an_order_that_is_processing_for_ever_is_gone_on_with_by_the_next_agent(town, ca):
    ca.on("finalize order", put(status="processing"), when=lambda seen: ca.seen("finalize"))
    webspace = town.drop(ca)
    ca.wait("finalize")
    at_least = len(ca.seen("order")) + 4
    ca.wait("order", at_least)
    looks = [seen.time for seen in ca.seen("order")][-4:]
    assert looks[3] - looks[2] > 1.5 * (looks[1] - looks[0])  # rarer and rarer
    assert town.has_order(webspace)
    town.host.end()
    ca.clear()
    town.host.start()
    town.host.wait_ready(webspace, seconds=15)
    made_once(ca)
    assert not town.has_order(webspace)


# Orders that go wrong -----------------------------------------------------------------------------------


def finalized(ca):
    return lambda seen: ca.seen("finalize")


@pytest.mark.parametrize(
    ("kinds", "action", "after_finalize", "reason", "text"),
    [
        ("newOrder", put(status="invalid"), False, "CaMisbehaves", "the order became invalid, and no name is at fault"),
        ("authz", put(status="invalid"), False, "NamesHeld", "its authorization is not valid"),
        ("authz", put(status="expired"), False, "NamesHeld", "its authorization is not valid"),
        ("authz", put(status="deactivated"), False, "NamesHeld", "its authorization is not valid"),
        ("order", put(status="invalid"), False, "CaMisbehaves", "the order became invalid, and no name is at fault"),
        ("order", put(status="invalid", error={"type": "urn:ietf:params:acme:error:caa", "detail": "CAA says no"}), False,
         "NamesHeld", "CAA says no"),
        ("finalize", put(status="invalid"), False, "CaMisbehaves", "the order became invalid, and no name is at fault"),
        ("order", put(status="invalid"), True, "CaMisbehaves", "the order became invalid, and no name is at fault"),
        ("order", problem("malformed", 404, "no such order"), True, "Refused", "no such order"),
        ("challenge", problem("unauthorized", 403, "not with me"), False, "NamesHeld", "not with me"),
        ("finalize", problem("badCSR", 400, "what a key"), False, "Refused", "what a key"),
    ],
    ids=["in newOrder", "an authorization", "an authorization that expired", "an authorization that was deactivated",
         "after validation", "after validation, with a reason", "in finalize", "after finalize", "gone after finalize",
         "a challenge refused", "a request refused"],
)  # fmt: skip
def test_an_order_that_becomes_invalid_is_told_of_left_and_begun_anew(town, ca, kinds, action, after_finalize, reason, text):
    ca.on(kinds, action, times=1, when=finalized(ca) if after_finalize else None)
    webspace, got, message = town.fails(ca)
    assert got == reason and text in message
    assert not town.has_order(webspace) and len(ca.seen("newOrder")) == 1 and len(ca.seen()) <= 14
    town.renew(webspace)
    town.host.wait_ready(webspace, seconds=10)
    assert len(ca.seen("newOrder")) == 2


def test_an_order_that_is_not_ready_for_finalize_is_looked_at_and_finalized_once_it_is(town, ca):
    ca.on("finalize", problem("orderNotReady", 403, "not so fast"), times=1)
    town.ready(ca)
    assert len(ca.seen("finalize")) == 2
    made_once(ca)


def test_an_order_that_is_never_ready_is_given_up_after_three_times(town, ca):
    ca.on("finalize", problem("orderNotReady", 403, "not so fast"))
    webspace, reason, message = town.fails(ca)
    assert reason == "CaMisbehaves" and "finalized 3 times" in message
    assert len(ca.seen("finalize")) == 3 and len(ca.seen("order")) <= 8 and town.has_order(webspace)


# Names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [25, 100])
def test_one_certificate_has_many_names(town, ca, count):
    names = [f"n{number}.of{count}.test" for number in range(count)]
    town.ready(ca, *names, seconds=30)
    assert sorted(names_of(town.host.served(names[-1]))) == sorted(names)
    counts = ca.counts()
    assert (counts["newOrder"], counts["authz"], counts["challenge"], counts["certificate"]) == (1, count, count, 1)
    assert counts["order"] <= 10 and counts["newNonce"] <= 1 + count // 25 + 1, counts


def spelled(change):
    """The CA spells the name of an authorization in its own way."""

    def spell(answer):
        found = answer.json
        found["identifier"]["value"] = change(found["identifier"]["value"])
        answer.json = found

    return edit(spell)


@pytest.mark.parametrize(
    ("written", "asked"),
    [("Case.Names.Test", "case.names.test"), ("dot.names.test.", "dot.names.test"),
     ("b\u00fccher.names.test", "xn--bcher-kva.names.test"), ("B\u00dcCHER2.Names.test.", "xn--bcher2-3ya.names.test")],
    ids=["case", "trailing dot", "IDN", "all of it"],
)  # fmt: skip
def test_a_name_is_asked_for_as_dns_has_it_however_it_is_written(town, ca, written, asked):
    town.ready(ca, written)
    assert ca.seen("newOrder")[0].payload["identifiers"] == [{"type": "dns", "value": asked}]
    assert names_of(town.host.served(asked)) == [asked]


@pytest.mark.parametrize("change", [str.upper, lambda name: f"{name}."], ids=["case", "trailing dot"])
def test_a_ca_may_spell_a_name_its_own_way(town, ca, change):
    ca.on("authz", spelled(change))
    town.ready(ca)
    made_once(ca)


# The directory ------------------------------------------------------------------------------------------


def test_a_directory_may_redirect_within_its_host(town, ca):
    ca.on("directory", redirect(f"{ca.directory_url}?again", 301))
    town.ready(ca)
    made_once(ca)


def test_a_directory_that_moved_to_another_host_is_not_followed_there_and_the_address_told(town, ca, pebble):
    ca.on("directory", redirect(pebble.directory_url))
    _, reason, message = town.fails(ca)
    assert reason == "CaUnreachable" and f"names another host, {pebble.origin}/" in message and "acme.directory" in message


@pytest.mark.parametrize("kind", ["newNonce", "newAccount", "newOrder"])
def test_what_is_no_longer_where_the_directory_said_is_looked_up_there_again(town, ca, kind):
    ca.on(kind, Answer(404, "404 page not found", content_type="text/plain", wants_nonce=False), times=1)
    town.ready(ca)
    assert (ca.counts()["directory"], ca.counts()[kind]) == (2, 2)
    made_once(ca, orders=2 if kind == "newOrder" else 1)


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
