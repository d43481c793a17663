"""Which certificate: chains, profiles, keys, one for many sites; and what happens when an admin wants another."""

import itertools
import json
import os
import re
import shutil
import socket
import time

import pytest

from acme_host import NO_PHP, Place, account, certs, change, is_internal, one, served_quietly, site, sites, use, wait_public, wait_reason, wait_served
from answers import delay, problem
from certificates import Authority, names_of, openssl, public_key_of, read, serial_of, split
from faulty_ca import FaultyCA
from host import Host, wait_for
from peers import Pebble

NUMBERS = itertools.count(1)


@pytest.fixture(autouse=True)
def accounts():
    """Those of the host that most tests here share stay until the last of them."""


@pytest.fixture(scope="module")
def chains_pebble(dns_of_the_module):
    """Three roots, and three intermediates between a root and a certificate."""
    server = Pebble(alternate_roots=2, chain_length=3)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared(chains_pebble):
    """(host, its CA)."""
    ca = FaultyCA(chains_pebble, profiles={"shortlived": "six days", "classic": "ninety"})
    host = Host(ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=ca.root_file, acme=ca.settings()).start()
    yield host, ca
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
def name():
    """A webspace's, new for each test."""
    return f"user{next(NUMBERS)}"


@pytest.fixture
def alone(make_host, make_peer, second_pebble):
    """A function: (host, its CA), for what needs other settings of the host."""

    def make(more="", **options):
        ca = make_peer(FaultyCA, second_pebble)
        return make_host(trust=ca.root_file, acme=ca.settings(more), **options).start(), ca

    return make


def common_name(pem, which="subject"):
    return re.search(r"CN ?= ?([^,\n]+)", openssl("x509", "-noout", f"-{which}", text=pem)).group(1)


def certified(host, name, tls="", *names):
    """Drops a webspace of one site, which is ready; its place."""
    change(host, name, one(*(names or (f"{name}.test",)), tls=tls))
    return Place(host, name, (names or (f"{name}.test",))[0])


# Chains (E6) ----------------------------------------------------------------------------------------------


def test_a_chain_of_three_intermediates_is_installed_whole_and_served(host, ca, chains_pebble, name):
    place = certified(host, name)
    chain = split(place.chain())
    assert len(chain) == 4 and host.get(f"{name}.test", https=True).status in (403, 404)
    assert common_name(chain[-1], "issuer") == common_name(chains_pebble.root(0))
    assert len(ca.seen("certificate")) == 1, "no other chain is fetched"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_preferred_chain_is_installed_and_no_more_are_fetched_than_needed(host, ca, chains_pebble, name, number):
    root = chains_pebble.root(number)
    place = certified(host, name, f'preferred_chain = "{common_name(root)}";')
    assert common_name(split(place.chain())[-1], "issuer") == common_name(root)
    assert 1 <= len(ca.seen("certificate")) <= 3 and (number or len(ca.seen("certificate")) == 1)
    assert len(ca.seen("newOrder")) == 1


def test_without_the_preferred_chain_the_first_one_is_taken(host, ca, chains_pebble, name):
    place = certified(host, name, 'preferred_chain = "Nobody X1";')
    assert common_name(split(place.chain())[-1], "issuer") == common_name(chains_pebble.root(0))
    assert len(ca.seen("certificate")) == 3


def test_an_alternate_chain_that_is_not_to_be_had_costs_nothing_but_the_wish(host, ca, chains_pebble, name):
    ca.on("certificate", problem("malformed", 404, "gone"), nth=(2, 3))
    place = certified(host, name, f'preferred_chain = "{common_name(chains_pebble.root(1))}";')
    assert place.issued and common_name(split(place.chain())[-1], "issuer") == common_name(chains_pebble.root(0))


# Profiles (E6) --------------------------------------------------------------------------------------------


def test_a_known_profile_is_ordered_and_none_if_none_is_wanted(host, ca, name):
    certified(host, name, 'profile = "shortlived";')
    certified(host, f"{name}b")
    assert [seen.payload.get("profile") for seen in ca.seen("newOrder")] == ["shortlived", None]


def test_an_unknown_profile_is_told_with_those_there_are_and_ordered_again_once_it_is_right(host, ca, name):
    host.drop(name, one(f"{name}.test", tls='profile = "longlived";'))
    message = wait_reason(host, name, "Refused", "longlived")
    assert "shortlived" in message and "classic" in message
    time.sleep(0.5)
    assert not ca.seen("newOrder"), "the directory says already that there is no such profile"
    certified(host, name, 'profile = "classic";')


def test_a_ca_that_wants_a_profile_is_believed_and_asked_again_once_there_is_one(host, ca, name):
    # profile required
    ca.on("newOrder", problem("malformed", 400, "a profile is required"), when=lambda seen: "profile" not in seen.payload)
    host.drop(name, one(f"{name}.test"))
    wait_reason(host, name, "Refused", "a profile is required")
    time.sleep(0.5)
    assert len(ca.seen("newOrder")) == 1
    certified(host, name, 'profile = "classic";')


def test_a_profile_of_the_hosts_defaults_is_tried_at_once_after_a_restart(alone):
    host, ca = alone()
    host.end()
    ca.profiles = {"classic": ""}
    host.configure(settings='defaults = { site = { tls = { profile = "other"; }; }; };')
    host.start()
    host.drop("alice", NO_PHP)
    wait_reason(host, "alice", "Refused", "other")
    host.end()
    host.configure(settings='defaults = { site = { tls = { profile = "classic"; }; }; };')
    host.start()
    host.wait_ready("alice")


# Keys (E2) ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tls", "kind"),
    [('key_type = "ecdsa";', "ecdsa"), ('key_type = "rsa";', "rsa 2048"), ('key_type = "rsa"; rsa_bits = 4096;', "rsa 4096")],
)
def test_the_key_is_of_the_wanted_kind(host, name, tls, kind):
    assert certified(host, name, tls).key_kind() == kind


def test_the_agent_answers_at_its_door_while_long_keys_are_made(host, name):  # 4096 bits beside the loop
    for letter in "abc":
        host.drop(f"{name}{letter}", one(f"{name}{letter}.test", tls='key_type = "rsa"; rsa_bits = 4096;'))
    slowest = 0
    while not all(host.ready(f"{name}{letter}") for letter in "abc"):
        began = time.monotonic()
        assert door(host, {"verb": "look"})
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 0.8, "a key of 4096 bits takes longer"


def door(host, question):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.settimeout(30)
        line.connect(f"{host.run_dir}/agent.sock")
        line.send(json.dumps(question).encode())
        return line.recv(4096)


def test_with_both_kinds_each_client_gets_the_one_it_knows_and_both_are_renewed(host, ca, name):
    place = certified(host, name, 'key_type = "both";')
    second = Place(host, name, f"{name}.test+rsa")
    assert (place.key_kind(), second.key_kind()) == ("ecdsa", "rsa 2048") and len(ca.seen("newOrder")) == 2

    def served():
        return [serial_of(host.served(f"{name}.test", ciphers=kind)) for kind in ("aECDSA", "aRSA")]

    wait_for("both are served", lambda: served() == [place.record()["serial"], second.record()["serial"]], 10, 0.1)
    before = served()
    certs(host, "renew", name)
    wait_for("both are new", lambda: not set(before) & set(served()), 10, 0.1)
    assert len(ca.seen("newOrder")) == 4


def test_a_switch_of_the_kind_of_key_keeps_the_old_one_served_until_the_new_one_is_there(host, ca, name):
    place = certified(host, name)
    old = host.served(f"{name}.test")
    rule = ca.on("finalize", delay(1))
    host.drop(name, one(f"{name}.test", tls='key_type = "rsa";'))
    wait_for("it is ordered", lambda: rule.fired, 10)
    assert host.served(f"{name}.test") == old
    wait_served(host, f"{name}.test", other_than=old)
    host.wait_ready(name)
    assert place.key_kind() == "rsa 2048" and place.generation == 2
    certified(host, name, 'key_type = "both";')
    assert (place.key_kind(), Place(host, name, f"{name}.test+rsa").key_kind()) == ("ecdsa", "rsa 2048")
    certified(host, name)
    assert place.key_kind() == "ecdsa" and len(ca.seen("newOrder")) == 3, "the one with an RSA key went on as the second"


def test_a_renewal_keeps_the_key_and_its_generation_until_the_key_is_older_than_its_lifetime(host, ca, name):
    place = certified(host, name, 'key_lifetime = "30d";')
    generation, key, old = place.generation, place.key(), host.served(f"{name}.test")
    certs(host, "renew", name)
    renewed = wait_served(host, f"{name}.test", other_than=old)
    assert (place.generation, place.key()) == (generation, key) and public_key_of(renewed) == public_key_of(old)

    month_ago = time.time() - 31 * 86400
    os.utime(f"{place.path}/{generation}/key.pem", (month_ago, month_ago))
    certs(host, "renew", name)
    wait_for("another generation", lambda: place.generation == generation + 1, 10)
    assert place.key() != key
    newest = wait_served(host, f"{name}.test", other_than=renewed)
    assert public_key_of(newest) != public_key_of(old)
    mode = os.stat(f"{place.path}/{place.generation}/key.pem")
    assert oct(mode.st_mode & 0o7777) == "0o640" and mode.st_uid == 0  # E1


def test_a_key_that_lives_for_ever_is_kept(host, name):
    place = certified(host, name, 'key_lifetime = "0s";')
    os.utime(f"{place.path}/{place.generation}/key.pem", (1, 1))
    old, key = host.served(f"{name}.test"), place.key()
    certs(host, "renew", name)
    wait_served(host, f"{name}.test", other_than=old)
    assert place.key() == key


# One for many sites (E2) --------------------------------------------------------------------------------------


def of_webspace(*names, tls='scope = "webspace";'):
    return [site(name, tls=tls) for name in names]


def test_one_certificate_for_all_sites_of_a_webspace_that_say_so(host, ca, name):
    host.drop(name, sites(*of_webspace(f"a.{name}.test", f"b.{name}.test"), site(f"c.{name}.test")))
    host.wait_ready(name)
    assert host.served(f"a.{name}.test") == host.served(f"b.{name}.test")
    assert sorted(names_of(host.served(f"a.{name}.test"))) == [f"a.{name}.test", f"b.{name}.test"]
    assert names_of(host.served(f"c.{name}.test")) == [f"c.{name}.test"]
    assert len(ca.seen("newOrder")) == 2
    for letter in "abc":
        host.get(f"{letter}.{name}.test", https=True)


def test_a_switch_of_scope_keeps_a_good_certificate_served(host, ca, name):
    """One for all is ordered; the way back is free."""
    names = [f"a.{name}.test", f"b.{name}.test"]
    host.drop(name, sites(*of_webspace(*names, tls="")))
    host.wait_ready(name)
    old = host.served(names[0])
    rule = ca.on("finalize", delay(1))
    host.drop(name, sites(*of_webspace(*names, tls='scope = "webspace";')))
    wait_for("it is ordered", lambda: rule.fired, 10)
    assert host.served(names[0]) == old
    wait_served(host, names[0], other_than=old)
    host.wait_ready(name)
    asked = len(ca.seen("newOrder"))
    change(host, name, sites(*of_webspace(*names, tls="")))
    assert host.served(names[0]) == old and len(ca.seen("newOrder")) == asked


def test_sites_go_on_with_the_certificate_that_they_shared(host, ca, name):
    names = [f"a.{name}.test", f"b.{name}.test"]
    host.drop(name, sites(*of_webspace(*names)))
    host.wait_ready(name)
    shared, asked = host.served(names[0]), len(ca.seen("newOrder"))
    change(host, name, sites(*of_webspace(*names, tls="")))
    assert host.served(names[0]) == host.served(names[1]) == shared and len(ca.seen("newOrder")) == asked


# Names ------------------------------------------------------------------------------------------------------------


def test_added_names_are_ordered_at_once_and_the_old_certificate_is_served_meanwhile(host, ca, name):
    certified(host, name)
    old = host.served(f"{name}.test")
    ca.forget_requests()
    rule = ca.on("finalize", delay(4))
    host.drop(name, one(f"{name}.test", f"www.{name}.test"))
    wait_for("it is ordered", lambda: rule.fired, 10)
    wait_for("www is served", lambda: served_quietly(host, f"www.{name}.test") == old, 5, 0.02)
    assert host.served(f"{name}.test") == old
    new = wait_served(host, f"www.{name}.test", other_than=old)
    assert sorted(names_of(new)) == [f"{name}.test", f"www.{name}.test"] and len(ca.seen("newOrder")) == 1


def test_removed_names_are_not_ordered_anew(host, ca, name):
    certified(host, name, "", f"{name}.test", f"www.{name}.test")
    old = host.served(f"{name}.test")
    ca.forget_requests()
    host.drop(name, one(f"{name}.test"))
    time.sleep(1)
    host.wait_ready(name)
    assert host.served(f"{name}.test") == old and not ca.seen()


def test_another_first_name_keeps_the_certificate(host, ca, name):
    certified(host, name, "", f"{name}.test", f"www.{name}.test")
    old = host.served(f"{name}.test")
    ca.forget_requests()
    change(host, name, one(f"www.{name}.test", f"{name}.test"))
    assert host.served(f"{name}.test") == old == host.served(f"www.{name}.test")
    assert not ca.seen("newOrder")


# Other issuers (E7) -------------------------------------------------------------------------------------------------


def test_from_the_internal_ca_to_acme_to_off_and_back(host, ca, name):
    text = f"{name}.test"
    place = certified(host, name, 'issuer = "internal";')
    assert is_internal(host, host.served(text)) and not ca.seen()
    rule = ca.on("finalize", delay(0.7))
    host.drop(name, one(text))
    wait_for("it is ordered", lambda: rule.fired, 10)
    assert is_internal(host, host.served(text)), "it stands in"
    public = wait_public(host, text)
    host.wait_ready(name)

    change(host, name, one(text, tls='issuer = "off";'))
    assert host.get_quietly(text, https=True) is None
    assert host.get(text).status in (403, 404) and place.issued
    ca.forget_requests()

    certified(host, name)
    assert wait_public(host, text) == public and not ca.seen("newOrder"), "it was kept"
    host.drop(name, one(text, tls='issuer = "internal";'))
    wait_for("the internal one", lambda: is_internal(host, host.served(text)), 10, 0.05)
    host.wait_ready(name)


@pytest.fixture(scope="module")
def own():
    """A function: paths of a certificate and its key of the admin's own."""
    authority = Authority("of an admin")

    def make(*names, **options):
        return authority.server(list(names), names[0], **options)

    return make


def own_tls(files):
    return f'certificate = "{files[0]}"; key = "{files[1]}";'


def test_from_acme_to_own_files_and_back_what_is_good_stays_and_the_own_key_is_never_ordered_with(host, ca, own, name):
    text = f"{name}.test"
    place = certified(host, name)
    of_ca = host.served(text)
    files = own(text)
    host.drop(name, one(text, tls=own_tls(files)))
    host.wait_ready(name)
    of_admin = wait_served(host, text, other_than=of_ca)
    assert split(read(files[0]))[0].strip() == of_admin.strip()

    ca.forget_requests()
    rule = ca.on("finalize", delay(0.7))
    host.drop(name, one(text))
    wait_for("it is ordered", lambda: rule.fired, 10)
    assert host.served(text) == of_admin
    again = wait_served(host, text, other_than=of_admin)
    host.wait_ready(name)
    assert place.issued and public_key_of(again) != public_key_of(of_admin) and len(ca.seen("newOrder")) == 1
    certs(host, "renew", name)
    assert public_key_of(wait_served(host, text, other_than=again)) != public_key_of(of_admin)


def test_own_files_that_cannot_be_used_leave_the_certificate_of_the_ca_served(host, own, name):
    text = f"{name}.test"
    certified(host, name)
    old = host.served(text)
    host.drop(name, one(text, tls=own_tls(own("other.test"))))
    wait_reason(host, name, "BadCertificate")
    time.sleep(0.3)
    assert host.served(text) == old


# Without a word to the terms (E6) --------------------------------------------------------------------------------------


def test_before_the_terms_are_agreed_to_nothing_is_asked_of_the_ca(make_host, make_peer, second_pebble):
    ca = make_peer(FaultyCA, second_pebble)
    host = make_host(trust=ca.root_file, acme=ca.settings().replace("agree_tos = true;", "")).start()
    host.drop("alice", NO_PHP)
    assert "agree_tos" in wait_reason(host, "alice", "TermsNotAgreed")
    stands_in = wait_for("it is served", lambda: served_quietly(host, "alice"), 10, 0.05)
    assert is_internal(host, stands_in) and host.get("alice", https=True, cafile=host.ca_file)
    assert not ca.seen() and not os.path.exists(f"{host.state_dir}/acme")
    out = host.command("certs", "renew", "alice")
    assert out.returncode == 1 and "agree_tos" in out.stderr
    host.end()
    use(host, ca.settings())
    host.start()
    host.wait_ready("alice")


# Several CAs (E6) ----------------------------------------------------------------------------------------------------------


def test_a_site_of_another_ca_has_its_own_account_there_and_is_proved_by_files(host, ca, make_peer, pebble, name):
    other = make_peer(FaultyCA, pebble)
    files = f"{host.run_dir}/http01/.well-known/acme-challenge"
    met = []
    other.on("challenge", lambda seen: met.extend(os.listdir(files)) or seen.forward())
    host.drop(name, sites(site(f"{name}.test"), site(f"b.{name}.test", tls=f'directory = "{other.directory_url}";')))
    host.wait_ready(name)
    assert len(met) == 1 and not os.listdir(files)
    assert [len(one.seen("newOrder")) for one in (ca, other)] == [1, 1]
    keys = [read(account(host, one, "account.key")) for one in (ca, other)]
    assert keys[0] != keys[1]
    assert Place(host, name, f"{name}.test").record()["ca"] == ca.directory_url
    assert Place(host, name, f"b.{name}.test").record()["ca"] == other.directory_url


def test_from_staging_to_production_everything_is_ordered_anew_and_the_old_stays_until_then(alone, make_peer, second_pebble):
    host, staging = alone()
    host.drop("alice", NO_PHP)
    host.wait_ready("alice")
    old = host.served("alice")
    host.end()
    production = make_peer(FaultyCA, second_pebble)
    rule = production.on("finalize", delay(1))
    staging.forget_requests()
    use(host, production.settings())
    host.start()
    wait_for("it is ordered", lambda: rule.fired, 15)
    assert host.served("alice") == old
    wait_served(host, "alice", other_than=old)
    host.wait_ready("alice")
    assert Place(host, "alice").record()["ca"] == production.directory_url and not staging.seen()


# Redirect and HSTS (C13) -----------------------------------------------------------------------------------------------------


def test_neither_redirect_nor_hsts_before_the_certificate_is_the_ca_s_and_both_after(host, ca, name):
    text = f"{name}.test"
    ca.on("newOrder", problem("rateLimited", 429, "too many moons", retry_after=5), nth=1)
    host.drop(name, one(text, tls='hsts = "1y";'))
    wait_reason(host, name, "RateLimited")
    wait_for("it is served", lambda: host.answers(text, status=403) or host.answers(text, status=404), 10, 0.05)
    stands_in = host.get(text, https=True, cafile=host.ca_file)
    assert stands_in.headers.get("Strict-Transport-Security") is None
    certs(host, "renew", name)
    host.wait_ready(name)
    redirect = host.wait_answers(text, "/x?y", status=301)
    assert redirect.headers["Location"] == f"https://{text}/x?y"
    assert host.get(text, https=True).headers["Strict-Transport-Security"] == "max-age=31536000"

    old = host.served(text)  # E3: an HTTPS-only site renews, for challenges are answered before any redirect
    certs(host, "renew", name)
    wait_served(host, text, other_than=old)
    token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    by_http, by_https = (host.get(text, f"/.well-known/acme-challenge/{token}", https=way) for way in (False, True))
    assert by_http.status == by_https.status == 200 and by_http.text == by_https.text, "a proxy may ask by HTTPS"
    assert by_http.text.startswith(f"{token}.")


# States (A7) --------------------------------------------------------------------------------------------------------------------


def test_a_suspended_webspace_keeps_and_renews_its_certificate_and_a_disabled_one_asks_for_none(host, ca, name):
    text = f"{name}.test"
    certified(host, name)
    old = host.served(text)
    host.drop(name, one(text) + ' state = "suspended";')
    wait_for("it is suspended", lambda: host.status(name)["state"] == "suspended", 10, 0.05)
    certs(host, "renew", name)
    renewed = wait_served(host, text, other_than=old)

    host.drop(name, one(text) + ' state = "disabled";')
    wait_for("it is disabled", lambda: host.status(name)["state"] == "disabled", 10, 0.05)
    ca.forget_requests()
    assert host.command("certs", "renew", name).returncode == 1
    time.sleep(0.3)
    assert not ca.seen()
    certified(host, name)
    assert wait_public(host, text) == renewed and not ca.seen("newOrder")
