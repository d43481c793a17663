"""webspaces certs renew: its words and its exit code are true, whatever becomes of it."""

import os

import pytest

from acme_host import NO_PHP, one
from answers import limited, problem
from faulty_ca import FaultyCA
from host import Host, wait_for
from records import Certificate
from scripted_ca import ScriptedCA
from test_acme_limits import is_about
from test_own_certificates import PLACE, place, self_signed


@pytest.fixture(autouse=True)
def accounts():
    """Of the module: the webspaces of its hosts outlive a test."""


class Renewals:
    def __init__(self, host, ca):
        self.host, self.ca = host, ca

    def certified(self, name, *names):
        self.host.drop(name, one(*(names or [f"{name}.test"])))
        self.host.wait_ready(name)
        return Certificate(self.host, name, (names or [f"{name}.test"])[0])

    def renew(self, name, *words):
        """(exit code, stdout, stderr)"""
        out = self.host.command("certs", "renew", name, *words)
        return out.returncode, out.stdout, out.stderr


@pytest.fixture(scope="module")
def renewals(accounts_of_the_module, dns_of_the_module):
    ca = FaultyCA(ScriptedCA(), ari=False)  # or a renewal would be free
    host = Host(ports=(80, 443), trust=ca.root_file, acme=ca.settings('limits = "letsencrypt";')).start()
    yield Renewals(host, ca)
    host.destroy()
    ca.stop()


def test_what_was_renewed_is_renewed_when_it_says_so(renewals):
    found = renewals.certified("fine")
    before = found.serial
    code, said, wrong = renewals.renew("fine")
    assert (code, wrong) == (0, "") and said.startswith("fine.test: renewed, until ")
    assert found.serial != before


def test_what_the_ca_refuses_is_not_renewed(renewals):
    """F5: … and its words say why, with the exit code of a failure."""
    found = renewals.certified("refused")
    before = found.serial
    renewals.ca.on("newOrder", problem("rejectedIdentifier", 400, "not this one"), when=is_about("refused.test"))
    code, said, wrong = renewals.renew("refused")
    assert code == 1 and "renewed, until" not in said
    assert "refused.test: not renewed: Refused: rejectedIdentifier: not this one" in wrong and "next try" in wrong
    assert found.serial == before


def test_a_name_that_is_held_is_said_beside_what_was_renewed(renewals):
    """F5: the others are renewed, and the command has not done all that was asked."""
    found = renewals.certified("part", "a.part.test", "b.part.test")
    renewals.ca.on("newOrder", problem("rejectedIdentifier", 400, 'Cannot issue for "b.part.test": no'), when=is_about("b.part.test"))
    renewals.host.end()
    found.rewrite(success=1, chosen=1)
    renewals.host.start()
    code, _, wrong = renewals.renew("part")
    assert code == 1 and 'NamesHeld: b.part.test: rejectedIdentifier: Cannot issue for "b.part.test": no' in wrong
    listed = renewals.host.command("certs", "list", "part").stdout
    assert "b.part.test is held until " in listed and 'Cannot issue for "b.part.test": no' in listed


def test_a_certificate_that_was_never_issued_is_listed_with_the_reason(renewals):
    renewals.ca.on("newOrder", limited("unknown", retry_after=7200), when=is_about("never.test"))
    renewals.host.drop("never", f'sites = ( {{ names = ["never.test"]; tls = {{ scope = "webspace"; }}; }} ); {NO_PHP}')
    wait_for("it is refused", lambda: (renewals.host.condition("never", "Certificate") or {}).get("reason") == "RateLimited", 15)
    listed = renewals.host.command("certs", "list", "never").stdout
    assert "not issued yet: _all" in listed and "RateLimited: rateLimited: too many moons" in listed
    code, said, wrong = renewals.renew("never")
    assert code == 1 and said == "" and "_all: not renewed: RateLimited: " in wrong


def test_our_own_limits_are_a_reason(renewals):
    """Five certificates of the same names a week: the rest is kept back, and said to be."""
    renewals.certified("often")
    answers = [renewals.renew("often") for _ in range(5)]
    code, said, wrong = answers[-1]
    assert code == 1 and said == "" and "often.test: not renewed: RateLimited: kept back within the CA's limit of 5 certificates" in wrong
    assert [answer[0] for answer in answers[:4]] == [0, 0, 0, 0]


def test_who_renews_what_no_ca_issues_is_said(renewals):
    renewals.host.drop("inside", f'sites = ( {{ tls = {{ issuer = "internal"; }}; }} ); {NO_PHP}')
    renewals.host.drop("plain", f'sites = ( {{ tls = {{ issuer = "off"; }}; }} ); {NO_PHP}')
    os.makedirs(PLACE, exist_ok=True)
    place("byhand", self_signed("byhand"))
    renewals.host.drop("byhand", f'sites = ( {{ tls = {{ certificate = "{PLACE}/byhand.pem"; key = "{PLACE}/byhand.key"; }}; }} ); {NO_PHP}')
    renewals.host.wait_ready("inside", "plain", "byhand")
    for name, words in (
        ("inside", "not renewed: the certificate of inside is of the internal CA, and the agent renews it by itself"),
        ("plain", "not renewed: plain has no certificate"),
        ("byhand", f"not renewed: the certificate of byhand is a file of your own; replace {PLACE}/byhand.pem, and it is served at once"),
        ("nobody1", "nobody1: no such webspace"),
    ):
        assert renewals.renew(name) == (1, "", f"webspaces: {words}\n")


def test_to_ask_alone_promises_nothing(renewals):
    renewals.certified("asked")
    assert renewals.renew("asked", "--no-wait") == (
        0, "asked for 1 new certificate; 'webspaces certs list asked' shows how it goes on\n", "")  # fmt: skip


def test_without_an_agent_nothing_is_renewed(renewals):
    renewals.host.end()
    assert renewals.renew("fine") == (1, "", "webspaces: not renewed: no agent runs, and only it talks to CAs\n")
    renewals.host.start()
