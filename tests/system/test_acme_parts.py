"""Which certificates the names of a webspace have: as many as needed, and another one only for another name."""

import itertools
import json
import random

import pytest

from acme_host import change
from answers import problem
from certificates import names_of, write
from faulty_ca import FaultyCA
from host import Host, wait_for
from records import Certificate
from scripted_ca import ScriptedCA
from test_acme_limits import told
from test_acme_names import CREATING, SUFFIX, has_any, rejected


@pytest.fixture(autouse=True)
def accounts():
    """Of the module: the webspaces of its hosts outlive a test."""


# More names than a certificate has -----------------------------------------------------------------------


def many(stem, count):
    return [f"n{number}.{stem}.test" for number in range(count)]


def dressed(lists, tls):
    listed = ", ".join(f"{{ names = [{', '.join(json.dumps(name, ensure_ascii=False) for name in names)}]; tls = {{ {tls} }}; }}" for names in lists)
    return f"sites = ( {listed} ); php = {{ enabled = false; }};"


class TrustingCA(ScriptedCA):
    """It knows that all names are this host's: an order is ready when it is made, as quick as hundreds of names need it."""

    def do_order(self, origin, header, payload, number=None):
        answer = super().do_order(origin, header, payload, number)
        if not number:
            number = answer.get("Location").rsplit("/", 1)[1]
            order = self.orders[number]
            order["valid"] = {str(at) for at in range(len(order["names"]))}
            answer.json = self.shown(origin, number)
        return answer


class Crowd:
    """A host whose CA takes 100 names a certificate, and 25 of a short-lived one, as Let's Encrypt does."""

    def __init__(self, host, ca):
        self.host, self.ca = host, ca

    def order(self, webspace, text):
        """The webspace has this file and is ready: how many orders that cost."""
        before = len(self.ca.seen("newOrder"))
        change(self.host, webspace, text)
        return len(self.ca.seen("newOrder")) - before

    def certificates(self, names, ciphers=None):
        """What is served for every ninth of them and the last: {PEM: names}. Each has the name that it is served for."""
        found = {}
        for name in [*names[::9], names[-1]]:
            found.setdefault(self.host.served(name, ciphers=ciphers), []).append(name)
        for pem, served in found.items():
            assert set(served) <= set(names_of(pem))
        return found


def too_many(seen):
    most = 25 if seen.payload.get("profile") else 100
    return len(seen.payload["identifiers"]) > most


@pytest.fixture(scope="module")
def crowd(accounts_of_the_module, dns_of_the_module):
    ca = FaultyCA(TrustingCA(), profiles={"shortlived": "a week"})
    ca.on("newOrder", problem("malformed", 400, CREATING + "Order cannot contain more than 100 DNS names"), when=too_many)
    host = Host(ports=(80, 443), trust=ca.root_file, acme=ca.settings('preflight = "off";')).start()
    yield Crowd(host, ca)
    host.destroy()
    ca.stop()


def test_f4_the_101st_name_costs_one_order_and_takes_nothing_from_the_others(crowd):
    """F4: two certificates then, each name served with the one that has it; both are renewed."""
    names = many("crowd", 101)
    assert crowd.order("crowd", dressed([names[:100]], "")) == 1
    first = crowd.certificates(names[:100])
    assert len(first) == 1
    assert crowd.order("crowd", dressed([names], "")) == 1
    second = crowd.certificates(names)
    assert set(first) < set(second) and len(second) == 2
    assert crowd.host.get(names[100], "/", https=True).status == crowd.host.get(names[0], "/", https=True).status == 403
    out = crowd.host.command("certs", "renew", "crowd")
    assert out.returncode == 0, out.stderr
    third = wait_for("both are others", lambda: (now := crowd.certificates(names)) and not set(now) & set(second) and now, 20, 0.1)
    assert len(third) == 2


def test_f4_one_name_more_or_less_orders_one_certificate_at_most(crowd):
    """F4: of 200 names, wherever in the file it stands."""
    names = many("stable", 200)
    parts = crowd.order("stable", dressed([names[10:190]], ""))
    assert 2 <= parts <= 4
    for at in (9, 190, 8):
        names_now = [*names[10:100], names[at], *names[100:190]]
        assert crowd.order("stable", dressed([names_now], "")) <= 2
        crowd.certificates(names_now)
    assert crowd.order("stable", dressed([names[10:190]], "")) == 0


@pytest.mark.parametrize("tls", ['scope = "webspace";', 'scope = "webspace"; key_type = "both";', 'key_type = "both";', 'profile = "shortlived";'])
def test_f4_sites_of_many_names_are_all_served_with(crowd, tls):
    """F4: … one certificate for the webspace, two kinds of keys, a profile that takes fewer names."""
    stem = f"w{abs(hash(tls)) % 10000}"
    lists = [many(f"{letter}.{stem}", 60) for letter in "abc"]
    change(crowd.host, stem, dressed(lists, tls))
    names = [name for names in lists for name in names]
    crowd.certificates(names)
    if "both" in tls:
        crowd.certificates(names, ciphers="aRSA")
    assert all(len(names_of(pem)) <= (25 if "profile" in tls else 100) for pem in crowd.certificates(names))


def test_f4_more_names_than_a_site_may_have_are_refused_with_the_number(crowd):
    """F4: by check, before anything is served."""
    path = write(f"{crowd.host.root}/toomany.conf", dressed([many("toomany", 201)], ""))
    out = crowd.host.command("check", path)
    assert out.returncode == 1 and "200" in out.stdout + out.stderr


# Edits that change nothing for a certificate ------------------------------------------------------------------

WWW, SHOP = ["e.test", "www.e.test", "bücher.e.test"], ["shop.e.test", "b.shop.e.test"]
FREE_OF_CHARGE = {
    "another order of names": ([WWW[::-1], SHOP], ""),
    "another order of sites": ([SHOP, WWW], ""),
    "both": ([SHOP[::-1], [WWW[1], WWW[0], WWW[2]]], ""),
    "HSTS": ([WWW, SHOP], 'hsts = "1y";'),
    "a site in two": ([WWW[:1], WWW[1:], SHOP], ""),
    "a name less": ([WWW[1:], SHOP], ""),
    "each name a site": ([[name] for name in WWW + SHOP], ""),
    "the longest of keys' lives": ([WWW[::-1], SHOP], 'key_lifetime = "3650d";'),
    "a name that goes to the other kind of site": ([WWW[:2], SHOP, WWW[2:]], ""),
}


@pytest.fixture
def edited(crowd):
    """Both sites as they were at first."""
    now = crowd.host.status("edited")
    if not now:
        crowd.order("edited", dressed([WWW, SHOP], ""))
        crowd.first = crowd.host.status("edited")["fingerprint"]
    elif now["fingerprint"] != crowd.first:
        assert crowd.order("edited", dressed([WWW, SHOP], "")) == 0, "nor does an edit back"
    return crowd


@pytest.mark.parametrize("edit", FREE_OF_CHARGE)
def test_an_edit_costs_neither_an_order_nor_a_key_when_it_is(edited, edit):
    lists, tls = FREE_OF_CHARGE[edit]
    names = [name for name in WWW + SHOP if name.isascii() and any(name in names for names in lists)]
    before = {name: edited.host.served(name) for name in names}
    assert edited.order("edited", f"# {edit}\n{dressed(lists, tls)}") == 0
    assert {name: edited.host.served(name) for name in names} == before


def test_a_comment_and_another_spelling_are_no_edit_at_all(edited):
    """… as far as anything but the file goes: another edit behind it shows that it was read."""
    before = edited.host.status("edited")["fingerprint"]
    spelled = [["E.Test", "WWW.e.test.", "xn--bcher-kva.e.test"], SHOP]
    edited.host.drop("edited", f"/* spelled */ {dressed(spelled, '')}")
    assert edited.order("behind", dressed([["behind.test"]], "")) == 1
    assert edited.host.command("reload").returncode == 0
    edited.host.wait_ready("edited")
    assert edited.host.status("edited")["fingerprint"] == before
    assert len([seen for seen in edited.ca.seen("newOrder") if has_any(WWW)(seen)]) == 1


def test_names_in_any_order_are_the_same_certificate(edited):
    """All files that say so, one after another."""
    order = random.Random(1)
    files = [(list(names), list(shops)) for names in itertools.permutations(WWW) for shops in (SHOP, SHOP[::-1])]
    order.shuffle(files)
    for names, shops in files:
        if names != WWW or shops != SHOP:  # which it has
            assert edited.order("edited", dressed([names, shops], "")) == 0


def test_a_name_that_is_held_stays_held_when_the_names_are_in_another_order(crowd):
    crowd.ca.on("newOrder", rejected(f'Cannot issue for "held.lan": {SUFFIX}'), when=has_any(["held.lan"]))
    crowd.host.drop("held", dressed([["a.held.test", "held.lan"]], ""))
    told(crowd.host, "held", "NamesHeld", "held.lan")
    wait_for("the other's", lambda: Certificate(crowd.host, "held", "a.held.test").is_of_ca, 10)
    before = len(crowd.ca.seen("newOrder"))
    fingerprint = crowd.host.status("held")["fingerprint"]
    crowd.host.drop("held", dressed([["held.lan", "a.held.test"]], ""))
    wait_for("the file counts", lambda: crowd.host.status("held")["fingerprint"] != fingerprint, 10)
    wait_for("it goes on", lambda: Certificate(crowd.host, "held", "held.lan").is_of_ca, 10)
    told(crowd.host, "held", "NamesHeld", "held.lan")
    assert len(crowd.ca.seen("newOrder")) == before
