"""Names that a CA never certifies: what is wrong with one takes nothing from the others."""

import pytest

from answers import limited, problem
from certificates import request_of, requested_names
from faulty_ca import FaultyCA
from host import Host, Timeout, wait_for
from peers import Pebble
from records import Certificate
from test_acme_limits import orders, sites, told

CREATING, FINALIZING = "Error creating new order :: ", "Error finalizing order :: "
SUFFIX = "Domain name does not end with a valid public suffix (TLD)"
POLICY = "The ACME server refuses to issue a certificate for this domain name, because it is forbidden by policy"
MORE = " Refer to sub-problems for more information"


@pytest.fixture(autouse=True)
def accounts():
    """Of the module: the webspaces of its hosts outlive a test."""


def has_any(names):
    return lambda seen: seen.payload and any(one["value"] in names for one in seen.payload["identifiers"])


def is_for_any(names):
    """A request to finalize an order that has one of these."""
    return lambda seen: any(name in requested_names(request_of(seen.payload["csr"])) for name in names)


class Case:
    """Names of one certificate; those that are refused; what the CA says of them, in Boulder's words."""

    def __init__(self, good, bad, answer, at="newOrder", says=None, most_orders=2):
        self.good, self.bad, self.answer, self.at = good, bad, answer, at
        self.says, self.most_orders = says or answer.json["detail"], most_orders


def rejected(text, **options):
    return problem("rejectedIdentifier", 400, CREATING + text, **options)


CASES = {
    "has no public suffix": Case(
        ["a1.test", "b1.test"], ["nas.lan"], rejected(f'Cannot issue for "nas.lan": {SUFFIX}')),
    "is forbidden by policy": Case(
        ["a2.test", "b2.test"], ["bank.a2.test"], rejected(f'Cannot issue for "bank.a2.test": {POLICY}')),
    "is the beginning of a good one": Case(
        ["n3.lan.test", "www.n3.lan"], ["n3.lan"], rejected(f'Cannot issue for "n3.lan": {SUFFIX}')),
    "is spelled in another way by the CA": Case(
        ["a4.test"], ["n4.lan"], rejected(f'Cannot issue for "N4.LAN.": {SUFFIX}')),
    "is malformed to the CA": Case(
        ["a5.test"], ["x--y.a5.test"],
        problem("malformed", 400, CREATING + 'Cannot issue for "x--y.a5.test": Domain name contains an invalid label')),
    "is one of several": Case(
        ["a6.test"], ["n6.lan", "m6.lan"], rejected(
            f'Cannot issue for "n6.lan": {SUFFIX} (and 1 more problems.{MORE}.)',
            subproblems=[("rejectedIdentifier", name, f"{name}: {SUFFIX}") for name in ("n6.lan", "m6.lan")]), says=SUFFIX),
    "stands beside an address of the CA's": Case(
        ["docs.a7.test"], ["n7.lan"], rejected('Cannot issue for n7.lan, see https://docs.a7.test/docs.a7.test')),
    "is a parent of the one that is meant": Case(
        ["a8.test", "b8.test"], ["www.a8.test"], at="finalize", answer=problem(
            "caa", 403, FINALIZING + "rechecking caa: While processing CAA for www.a8.test: CAA record for a8.test prevents issuance")),
    "is one of several at the end": Case(
        ["a9.test"], ["b9.test", "c9.test"], at="finalize", says="prevents issuance", answer=problem(
            "caa", 403, FINALIZING + f'Rechecking CAA for "b9.test" and 1 more identifiers failed.{MORE}',
            subproblems=[("caa", name, f"CAA record for {name} prevents issuance") for name in ("b9.test", "c9.test")])),
    "is not said by the CA": Case(
        [f"a{number}.t10.test" for number in range(8)], ["b5.t10.test"],
        rejected("Policy forbids issuing for name"), most_orders=7),
    "is not said, and the last": Case(
        [f"a{number}.t11.test" for number in range(6)], ["b9.t11.test"],
        rejected("Policy forbids issuing for name"), most_orders=7),
    "is not said, and the first of two": Case(
        ["b1.t12.test", "c1.t12.test"], ["a1.t12.test", "d1.t12.test"],
        rejected("Policy forbids issuing for name"), most_orders=10),
    "is of a domain that is limited": Case(
        ["www.a13.test"], ["www.b13.test", "b13.test"], limited("domain", "b13.test")),
}  # fmt: skip


def of(case):
    return f"r{list(CASES).index(case):02}"


class Refusals:
    def __init__(self, host, ca):
        self.host, self.ca = host, ca
        for name, case in CASES.items():
            ca.on(case.at, case.answer, when=has_any(case.bad) if case.at == "newOrder" else is_for_any(case.bad))
            host.drop(of(name), sites(sorted(case.good + case.bad)))
        ca.on("newOrder", rejected("the moon is full"), when=has_any(["a.moon.test", "b.moon.test", "c.moon.test", "d.moon.test"]))
        host.drop("moon", sites([f"{letter}.moon.test" for letter in "abcd"]))
        for name in CASES:
            try:
                wait_for(f"{name}: the others", lambda: self.certificate(name).is_of_ca, 60)
            except Timeout as timeout:
                raise Timeout(f"{timeout}: {host.condition(of(name), 'Certificate')}\n{host.journal()[-3000:]}") from None

    def certificate(self, name):
        case = CASES[name]
        return Certificate(self.host, of(name), sorted(case.good + case.bad)[0])


@pytest.fixture(scope="module")
def refusals(accounts_of_the_module, dns_of_the_module):
    pebble = Pebble(always_valid=True)
    ca = FaultyCA(pebble)
    host = Host(ports=(80, 443), trust=ca.root_file, acme=ca.settings()).start()
    yield Refusals(host, ca)
    host.destroy()
    ca.stop()
    pebble.stop()


@pytest.mark.parametrize("name", CASES)
def test_f5_the_others_get_their_certificate_when_a_name(refusals, name):
    """F5: … is refused by the CA in this way. It is held with the CA's own words, and no other is."""
    case, found = CASES[name], refusals.certificate(name)
    assert found.names == sorted(case.good)
    assert sorted(row["name"] for row in found.record["held"]) == sorted(case.bad)
    for bad in case.bad:
        assert case.says in found.held(bad)["why"]
    told(refusals.host, of(name), "NamesHeld", case.bad[0])
    for good in case.good:
        assert refusals.host.get(good, "/", https=True, timeout=20).status in (200, 403, 404), "browsers trust it"
    assert len(orders(refusals.ca, case.good[0])) + len(orders(refusals.ca, case.bad[0])) <= 2 * case.most_orders


def test_f5_a_refusal_of_whatever_is_asked_is_no_names_fault(refusals):
    """F5: the whole certificate waits, with the CA's words, and few orders were spent to find that out."""
    told(refusals.host, "moon", "Refused", "the moon is full")
    asked = [seen for seen in refusals.ca.seen("newOrder") if has_any([f"{letter}.moon.test" for letter in "abcd"])(seen)]
    assert 1 < len(asked) <= 6
    assert not Certificate(refusals.host, "moon", "a.moon.test").record.get("held")
