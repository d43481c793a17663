"""dns-01 by the admin's program: names with *, one certificate for *.base_domain, and programs that fail."""

import itertools
import os
import re
import time

import pytest

from acme_host import NO_PHP, certs, is_internal, one, site, sites, use, wait_public, wait_reason, wait_served
from answers import delay
from certificates import names_of
from faulty_ca import FaultyCA
from host import Host, Timeout, wait_for
from peers import Pebble
from resolver import Hook

NUMBERS = itertools.count(1)


@pytest.fixture(autouse=True)
def accounts():
    """Those of the host that most tests here share stay until the last of them."""


@pytest.fixture(scope="module")
def shared(pebble_of_the_module, dns_of_the_module):
    """(host, its CA, its hook)."""
    ca, hook = FaultyCA(pebble_of_the_module), Hook(dns_of_the_module)
    acme = ca.settings(f'dns_hook = "{hook.path}"; dns_wait = "3s";')
    host = Host(ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=ca.root_file, acme=acme).start()
    yield host, ca, hook
    host.destroy()
    ca.stop()


@pytest.fixture
def host(shared, dns):
    return shared[0]


@pytest.fixture
def ca(shared):
    ca = shared[1]
    ca.forget_requests()
    yield ca
    ca.clear()


@pytest.fixture
def hook(shared):
    hook = shared[2]
    hook.behave("work")
    hook.forget()
    return hook


@pytest.fixture
def name():
    """A webspace's, new for each test."""
    return f"user{next(NUMBERS)}"


def verbs(hook):
    return [call["argv"][0] for call in hook.calls]


def wait_cleaned(hook, dns, record, calls):
    try:
        wait_for("cleanup", lambda: verbs(hook).count("cleanup") == calls, 20)
    except Timeout:
        raise Timeout(f"{calls} × cleanup in {verbs(hook)}") from None
    wait_for("no record is left", lambda: dns.texts(record) == [], 2)


# Names with * (E6) --------------------------------------------------------------------------------------


def test_a_wildcard_and_its_base_are_in_one_certificate_by_two_records_of_one_name(host, ca, hook, dns, name):
    record, seen = f"_acme-challenge.{name}.test", []
    ca.on("challenge", lambda asked: seen.append(dns.texts(record)) or asked.forward())
    host.drop(name, one(f"{name}.test", f"*.{name}.test", tls='challenge = "dns-01";'))
    host.wait_ready(name)
    assert sorted(names_of(host.served(f"any.{name}.test"))) == [f"*.{name}.test", f"{name}.test"]
    assert host.served(f"any.{name}.test") == host.served(f"{name}.test")
    assert len({*seen[-1]}) == 2, "both are there when the CA looks for the second"
    wait_cleaned(hook, dns, record, 2)
    assert len(ca.seen("newOrder")) == 1 and verbs(hook).count("present") == 2


def test_a_wildcard_is_proved_by_dns_and_its_base_by_http_if_nothing_is_said(host, ca, hook, dns, name):
    host.drop(name, one(f"{name}.test", f"*.{name}.test"))
    host.wait_ready(name)
    assert sorted(names_of(host.served(f"any.{name}.test"))) == [f"*.{name}.test", f"{name}.test"]
    wait_cleaned(hook, dns, f"_acme-challenge.{name}.test", 1)
    assert verbs(hook) == ["present", "cleanup"] and len(ca.seen("newOrder")) == 1


def test_plain_names_are_proved_by_dns_where_the_site_says_so_wherever_they_point(host, hook, dns, name):
    dns.set_a(f"{name}.test", "127.0.0.9")  # nobody answers there
    dns.nxdomain(f"www.{name}.test", "A", "AAAA")
    host.drop(name, one(f"{name}.test", f"www.{name}.test", tls='challenge = "dns-01";'))
    host.wait_ready(name)
    assert names_of(host.served(f"{name}.test")) == [f"{name}.test", f"www.{name}.test"]
    assert verbs(hook).count("present") == 2


def test_the_hook_gets_one_word_and_exactly_the_environment_that_is_promised(host, hook, dns, name):
    host.drop(name, one(f"*.{name}.test"))
    host.wait_ready(name)
    wait_cleaned(hook, dns, f"_acme-challenge.{name}.test", 1)
    present, cleanup = hook.calls
    assert (present["argv"], cleanup["argv"]) == (["present"], ["cleanup"])
    value = present["environment"]["WEBSPACES_VALUE"]
    assert re.fullmatch(r"[-_A-Za-z0-9]{43}", value)
    promised = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
        "WEBSPACES_NAME": f"{name}.test", "WEBSPACES_RECORD": f"_acme-challenge.{name}.test.", "WEBSPACES_VALUE": value,
    }  # fmt: skip
    ours = {"LC_CTYPE"}  # python sets it for itself
    for call in hook.calls:
        assert {key: word for key, word in call["environment"].items() if key not in ours} == promised


def test_a_renewal_proves_by_the_hook_again(host, ca, hook, dns, name):
    host.drop(name, one(f"*.{name}.test"))
    host.wait_ready(name)
    old = host.served(f"a.{name}.test")
    certs(host, "renew", name)
    wait_served(host, f"a.{name}.test", other_than=old)
    wait_cleaned(hook, dns, f"_acme-challenge.{name}.test", 2)
    assert verbs(hook).count("present") == 2


# Programs that fail (E6) --------------------------------------------------------------------------------


def failing(host, name, text):
    """The condition of a site whose only name is a wildcard that cannot be proved."""
    host.drop(name, one(f"*.{name}.test"))
    message = wait_reason(host, name, "NamesHeld", text)
    assert f"*.{name}.test" in message and is_internal(host, host.served(f"a.{name}.test"))
    return message


def test_a_failing_hook_is_told_in_its_own_words_and_the_ca_is_not_asked_to_look(host, ca, hook, name):
    hook.behave("fail")
    assert "the zone is locked" in failing(host, name, "failed")
    time.sleep(0.5)
    assert not ca.seen("challenge") and len(ca.seen("newOrder")) == 1
    assert "the zone is locked" in host.command("certs", "list", name).stdout


def test_a_cleanup_that_fails_is_told_and_takes_nothing_from_the_site(host, ca, hook, dns, name):
    hook.behave("keep")
    host.drop(name, one(f"*.{name}.test"))
    host.wait_ready(name)
    told = f"cleanup for {name}.test failed: {hook.path}: the zone is locked"
    wait_for("it is told", lambda: told in host.journal(), 10)
    assert host.ready(name) and len(dns.texts(f"_acme-challenge.{name}.test")) == 1


def test_a_hook_that_talks_without_end_does_no_harm(host, hook, dns, name):
    hook.behave("flood")
    host.drop(name, one(f"*.{name}.test"))
    host.wait_ready(name)


def test_a_hook_that_lies_is_found_out_before_the_ca_is(host, ca, hook, dns, name):
    hook.behave("lie")
    message = failing(host, name, "was not seen in DNS")
    assert f"_acme-challenge.{name}.test" in message and "3 s" in message
    assert dns.asked(f"_acme-challenge.{name}.test", "TXT") in (2, 3) and not ca.seen("challenge")


def test_a_hook_that_fails_for_a_wildcard_takes_nothing_from_the_other_names(host, ca, hook, name):
    hook.behave("fail")
    host.drop(name, one(f"{name}.test", f"*.{name}.test"))
    wait_reason(host, name, "NamesHeld", "the zone is locked")
    assert names_of(wait_public(host, f"{name}.test")) == [f"{name}.test"]


def test_a_proof_goes_on_as_soon_as_the_record_is_seen(host, ca, hook, dns, name):
    record = f"_acme-challenge.{name}.test"
    dns.servfail(record, "TXT")
    host.drop(name, one(f"*.{name}.test"))
    wait_for("the record", lambda: dns.texts(record), 10)
    wait_for("it is looked for", lambda: dns.asked(record, "TXT"), 5)
    assert not ca.seen("challenge")
    dns.trouble.clear()
    host.wait_ready(name)


# Hosts of their own ------------------------------------------------------------------------------------


@pytest.fixture
def plain(make_host, make_peer, second_pebble):
    """A function: (host, its CA) with these settings, at other ports than the shared one's."""

    def make(more=""):
        ca = make_peer(FaultyCA, second_pebble)
        return make_host(trust=ca.root_file, acme=ca.settings(more)).start(), ca

    return make


@pytest.fixture(scope="module")
def second_pebble(dns_of_the_module):
    server = Pebble(http_port=8080, tls_port=8443)
    yield server
    server.stop()


def test_a_wildcard_without_a_hook_has_a_clear_condition_and_costs_the_ca_nothing(plain):
    host, ca = plain()
    host.drop("alice", one("*.alice.test"))
    message = wait_reason(host, "alice", "NamesHeld", "dns_hook")
    assert "*.alice.test" in message and ca.counts()["newOrder"] == 0
    host.drop("bob", one("bob.test", "*.bob.test"))
    wait_public(host, "bob.test")
    wait_reason(host, "bob", "NamesHeld", "dns_hook")
    assert len(ca.seen("newOrder")) == 1


def test_dns_01_without_a_hook_is_refused_with_the_file(plain):
    host, _ = plain()
    host.drop("alice", one("alice.test", tls='challenge = "dns-01";'))
    wait_for("it is refused", lambda: (host.condition("alice", "Loaded") or {}).get("status") == "False", 10, 0.05)
    assert "dns_hook" in host.condition("alice", "Loaded")["message"]


def test_with_dns_wait_0_the_ca_is_asked_to_look_at_once(plain, dns):
    hook = Hook(dns)
    host, ca = plain(f'dns_hook = "{hook.path}"; dns_wait = "0s";')
    answered = []
    ca.on("challenge", lambda seen: answered.append(dns.asked("_acme-challenge.alice.test", "TXT")) or seen.forward())
    host.drop("alice", one("*.alice.test"))
    host.wait_ready("alice")
    assert answered == [0], "nobody had looked before the CA did"


def test_a_hanging_hook_is_killed_at_its_deadline_and_holds_no_other_site_up(plain, dns):
    hook = Hook(dns, "hang")
    host, ca = plain(f'dns_hook = "{hook.path}"; dns_hook_timeout = "5s";')
    host.drop("alice", one("*.alice.test"))
    wait_for("it hangs", lambda: hook.calls, 10)
    assert host.alive()
    host.drop("bob", one("bob.test"))
    host.wait_ready("bob")
    assert host.condition("alice", "Certificate")["reason"] != "NamesHeld", "the agent answers and works meanwhile"
    wait_reason(host, "alice", "NamesHeld", "not done in time")
    assert len(ca.seen("challenge")) == 1, "that of bob"
    hook.behave("work")
    wait_for("no hook is left", lambda: not hook_processes(hook), 10)


def hook_processes(hook):
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                found += [entry] if hook.path.encode() in file.read() else []
        except (OSError, ValueError):
            pass
    return found


# One certificate for *.base_domain (E2, E6) -----------------------------------------------------------------


def test_one_certificate_of_the_base_domain_is_used_by_all_sites_right_below_it(plain, dns):
    hook = Hook(dns)
    hook.behave("fail")
    host, ca = plain(f'dns_hook = "{hook.path}"; wildcard = true;')
    host.drop("alice", NO_PHP)
    host.drop("bob", sites(site("bob.web.test", "shop.web.test"), site("bob.test"), site("deep.bob.web.test")))
    wait_public(host, "bob.test")
    wait_public(host, "deep.bob.web.test")
    assert is_internal(host, host.served("alice")), "an internal one stands in"
    assert names_of(host.served("deep.bob.web.test")) == ["deep.bob.web.test"]

    hook.behave("work")
    certs(host, "renew", ".host")
    host.wait_ready("alice", "bob")
    for name in ("alice.web.test", "bob.web.test", "shop.web.test"):
        assert names_of(host.served(name)) == ["*.web.test"] and host.get(name, https=True).status
    assert names_of(host.served("bob.test")) == ["bob.test"]
    orders = [[one["value"] for one in seen.payload["identifiers"]] for seen in ca.seen("newOrder")]
    assert sorted(orders) == [["*.web.test"], ["*.web.test"], ["bob.test"], ["deep.bob.web.test"]]

    asked = len(ca.seen())
    host.drop("carol", NO_PHP)
    host.wait_ready("carol")
    assert host.served("carol") == host.served("alice") and len(ca.seen()) == asked
    assert "*.web.test" in host.command("certs", "list", ".host").stdout

    host.end()
    use(host, ca.settings())
    old, rule = host.served("alice"), ca.on("finalize", delay(1))
    host.start()
    wait_for("the sites' own are ordered", lambda: rule.fired, 15)
    assert host.served("alice") == old, "it is good until then"
    assert names_of(wait_served(host, "alice", other_than=old)) == ["alice.web.test"]
