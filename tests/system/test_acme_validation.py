"""Names that cannot be proved to a CA, now or ever: what is wrong with one is said, and takes nothing from the others."""

import os
import time

import pytest

from certificates import write
from faulty_ca import FaultyCA
from host import Host, Timeout, wait_for
from peers import Pebble
from records import DAY, Certificate
from test_acme_limits import ask, orders, sites, told

HOUR = 3600
CLOSED = "/etc/nginx/webspaces.d/closed.conf"


@pytest.fixture(autouse=True)
def accounts():
    """Of the module: the webspaces of its hosts outlive a test."""


# Ten names each, one of which has a trouble: what makes it, and what the condition then says of it.
TROUBLES = {
    "has no address": (lambda dns, name: dns.set_a(name), "has no address in DNS", False),
    "does not exist": (lambda dns, name: dns.nxdomain(name), "has no address in DNS", False),
    "gets SERVFAIL": (lambda dns, name: dns.servfail(name), "DNS does not answer", False),
    "is refused by DNS": (lambda dns, name: dns.refuse(name), "DNS does not answer", False),
    "is an alias of nothing": (
        lambda dns, name: (dns.set_cname(name, f"gone.{name}"), dns.set_a(f"gone.{name}")), "no address", False),
    "is at a dead address": (lambda dns, name: dns.set_a(name, "127.0.0.77"), "onnection", True),
    "has a dead IPv6 address": (lambda dns, name: dns.set_aaaa(name, "::7"), "onnect", True),
    "is at somebody else's": (lambda dns, name: dns.set_a(name, "127.0.0.99"), "unauthorized", True),
    "is forbidden by CAA": (lambda dns, name: dns.set_caa(name, ("issue", "other-ca.test")), "CAA", False),
}  # fmt: skip
NAMES = {trouble: f"t{number}" for number, trouble in enumerate(TROUBLES)}
FINE = {
    "is an alias of one of ours": lambda dns, name: dns.set_cname(name, "here.test"),
    "is an alias of an alias": lambda dns, name: (dns.set_cname(name, "a.here.test"), dns.set_cname("a.here.test", "b.here.test")),
    "has two addresses": lambda dns, name: dns.set_a(name, "127.0.0.1", "127.0.0.1"),
    "has an IPv6 address of ours": lambda dns, name: dns.set_aaaa(name, "::1"),
    "has a CAA record for this CA": lambda dns, name: dns.set_caa(name, ("issue", "ca.test; accounturi=x"), ("iodef", "mailto:x")),
    "has a critical CAA record for this CA": lambda dns, name: dns.set_caa(name, ("issue", "CA.test"), flags=128),
    "gets its answers late": lambda dns, name: dns.slow(name, 0.7),
    "has a CAA record that DNS does not give": lambda dns, name: dns.servfail(name, "CAA"),
}


def bad(name):
    return f"n5.{name}.test"


def ten(name):
    return [f"n{number}.{name}.test" for number in range(10)]


class Elsewhere:
    """Another's web server, on 127.0.0.99:80, which answers all with its own page."""

    def __init__(self):
        import http.server
        import threading

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"under construction")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.99", 80), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Troubles:
    def __init__(self, host, ca, dns):
        self.host, self.ca, self.dns = host, ca, dns
        ca.on("directory", with_identity("ca.test"))
        self.began = time.time()
        for trouble, name in NAMES.items():
            TROUBLES[trouble][0](dns, bad(name))
            host.drop(name, sites(ten(name)))
        for number, fine in enumerate(FINE):
            FINE[fine](dns, f"f{number}.test")
            host.drop(f"f{number}", sites([f"f{number}.test"]))
        for name in NAMES.values():
            try:
                wait_for(f"{name}: nine of ten", lambda: self.certificate(name).is_of_ca, 90)
            except Timeout as timeout:
                raise Timeout(f"{timeout}: {host.condition(name, 'Certificate')}\n{host.journal()[-3000:]}") from None
        self.took = time.time() - self.began

    def certificate(self, name):
        return Certificate(self.host, name, f"n0.{name}.test")


def with_identity(identity):
    """The CA says by which name CAA records allow it."""

    def action(seen):
        answer = seen.forward()
        directory = answer.json
        directory.setdefault("meta", {})["caaIdentities"] = [identity]
        answer.json = directory
        return answer

    return action


@pytest.fixture(scope="module")
def troubles(accounts_of_the_module, dns_of_the_module, pebble_of_the_module):
    ca, elsewhere = FaultyCA(pebble_of_the_module), Elsewhere()
    os.makedirs(os.path.dirname(CLOSED), exist_ok=True)
    write(CLOSED, 'auth_basic "closed for maintenance"; auth_basic_user_file /dev/null; deny all; satisfy all;\n')
    host = Host(ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=ca.root_file, acme=ca.settings()).start()
    yield Troubles(host, ca, dns_of_the_module)
    host.destroy()
    ca.stop()
    elsewhere.stop()
    os.unlink(CLOSED)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_nine_of_ten_names_get_their_certificate_when_one(troubles, trouble):
    """… has this trouble. It is held back with a reason, and asked of the CA only if nothing speaks against it before."""
    name = NAMES[trouble]
    found, (_, words, is_the_cas) = troubles.certificate(name), TROUBLES[trouble][1:] and TROUBLES[trouble]
    assert found.names == sorted(set(ten(name)) - {bad(name)})
    held = found.held(bad(name))
    assert words in held["why"], held
    told(troubles.host, name, "NamesHeld", bad(name))
    asked = orders(troubles.ca, bad(name))
    assert len(asked) == is_the_cas
    wait = held["until"] - troubles.began
    assert (40 if is_the_cas else 500) < wait < (75 if is_the_cas else 600) + troubles.took + 5


@pytest.mark.parametrize("fine", FINE)
def test_a_certificate_comes_when_a_name(troubles, fine):
    name = f"f{list(FINE).index(fine)}"
    troubles.host.wait_ready(name)
    assert len(orders(troubles.ca, f"{name}.test")) == 1


def test_a_name_that_is_well_again_comes_by_itself(troubles):
    """And one that is not is asked of the CA once each time that its wait is over, each longer than the last."""
    host, dns = troubles.host, troubles.dns
    well, ill = NAMES["does not exist"], NAMES["is at somebody else's"]
    dns.clear(bad(well))
    host.end()
    before = len(orders(troubles.ca, bad(ill)))
    for name in NAMES.values():
        if name in (well, ill):
            troubles.certificate(name).release()
    host.start()
    wait_for("all ten", lambda: troubles.certificate(well).names == ten(well), 15)
    assert troubles.certificate(well).held(bad(well)) is None
    wait_for("asked again", lambda: len(orders(troubles.ca, bad(ill))) == before + 1)
    held = wait_for("held again", lambda: (h := troubles.certificate(ill).held(bad(ill))) and h["failures"] == 2 and h, 10)
    assert 8 * 60 - 20 < held["until"] - time.time() < 12 * 60
    assert troubles.certificate(ill).names == sorted(set(ten(ill)) - {bad(ill)}), "and the nine keep theirs"
    host.wait_ready(well)


def test_a_name_that_moves_away_keeps_its_certificate_and_returns_to_the_next(troubles):
    """A renewal waits for a name that the live certificate has: a day, for DNS has faults that pass. Then it goes without."""
    host, dns, ca = troubles.host, troubles.dns, troubles.ca
    host.drop("mover", sites(["a.mover.test", "b.mover.test"]))
    host.wait_ready("mover")
    found = Certificate(host, "mover", "a.mover.test")
    first = found.chain
    dns.nxdomain("b.mover.test")
    # due since a minute: the renewal waits
    host.end()
    days = lambda number: int(time.time() - number * DAY)
    found.rewrite(success=days(40), chosen=int(time.time()) - 60, window_start=1, window_end=2, ask_window=int(time.time()) + HOUR)
    ca.forget_requests()
    host.start()
    wait_for("held", lambda: found.held("b.mover.test"))
    time.sleep(0.5)
    assert found.chain == first and not orders(ca, "a.mover.test"), (found.names, found.record, host.journal()[-1500:])
    assert host.condition("mover", "Certificate")["reason"] == "NamesHeld"
    # … due since more than a day: it goes without
    host.end()
    found.rewrite(success=days(40), chosen=days(1) - 60)
    host.start()
    wait_for("renewed without", lambda: found.names == ["a.mover.test"], 15)
    # … and back
    dns.clear("b.mover.test")
    host.end()
    found.release()
    host.start()
    wait_for("renewed with it", lambda: found.names == ["a.mover.test", "b.mover.test"], 15)
    host.wait_ready("mover")


# What stands before a challenge ----------------------------------------------------------------------

FRONT = {  # a webspace's own doing: its file, its index.php
    "redirects everything elsewhere": ("{php}", "<?php header('Location: https://elsewhere.test/', true, 301);"),
    "shows a maintenance page for everything": ("{php}", "<?php http_response_code(503); echo 'back soon';"),
    "redirects all to HTTPS": ('sites = ({{ names = ["{name}.test"]; redirect_https = true; tls = {{ hsts = "1y"; }}; }});', None),
    "has the directory of challenges itself": ("{php}", "<?php"),
    "is suspended": ('state = "suspended"; {php}', None),
}


def dotfile(host, name):
    """Another client's leftovers, in the way as far as can be."""
    os.symlink("/etc", host.data(name, ".well-known"))


@pytest.mark.parametrize("front", FRONT)
def test_a_certificate_comes_and_is_renewed_when_the_site(troubles, front):
    host, (text, index) = troubles.host, FRONT[front]
    name = f"s{list(FRONT).index(front)}"
    php = f'sites = ({{ names = ["{name}.test"]; type = "php"; }});'
    host.drop(name, text.format(name=name, php=php))
    if index and not text.startswith("state"):
        wait_for("its place", lambda: os.path.isdir(host.data(name)))
        host.write(name, "index.php", index)
        if "directory" in front:
            dotfile(host, name)
    found = Certificate(host, name, f"{name}.test")
    wait_for(f"certificate: {host.condition(name, 'Certificate')}", lambda: found.is_of_ca, 20)
    first = found.chain
    host.wait_ready(name)
    assert host.served(f"{name}.test").split() == found.leaf.split()
    assert ask(host, "certs-renew", name)["ok"]
    wait_for("renewed", lambda: found.chain != first, 15)
    assert len(orders(troubles.ca, f"{name}.test")) == 2


def test_basic_auth_and_a_ban_of_the_admins_own_do_not_keep_the_ca_out(troubles):
    """They stand before all sites of this host, for all that was tested before."""
    host = troubles.host
    assert host.get("f0.test", "/", https=True).status == 403
    assert host.get("f0.test", "/.hidden", https=True).status in (403, 404)
    assert host.get("f0.test", f"/.well-known/acme-challenge/{'x' * 43}").status == 200


# What we think of a name, and what the CA thinks ---------------------------------------------------------


class Looks:
    """Hosts that look in their own way before a CA to which all names are right."""

    def __init__(self, pebble, dns):
        self.pebble, self.dns, self.hosts = pebble, dns, []
        self.number = 20

    def host(self, settings):
        self.number += 1
        ca = FaultyCA(self.pebble)
        host = Host(ports=(80, 443), addresses=(f"127.0.0.{self.number}",), trust=ca.root_file, acme=ca.settings(settings))
        self.hosts += [(host, ca)]
        return host.start(), ca


@pytest.fixture(scope="module")
def looks(accounts_of_the_module, dns_of_the_module):
    pebble = Pebble(always_valid=True)
    found = Looks(pebble, dns_of_the_module)
    yield found
    for host, ca in found.hosts:
        host.destroy()
        ca.stop()
    pebble.stop()


def test_a_strict_look_holds_back_what_points_elsewhere_and_tries_it_once_a_day_all_the_same(looks):
    """preflight = "strict", wrong: behind NAT, the CA reaches us where we do not know ourselves."""
    host, ca = looks.host('preflight = "strict"; addresses = ["192.0.2.1", "2001:db8::1"];')
    looks.dns.set_a("nat.test", "192.0.2.2")
    looks.dns.set_a("known.test", "192.0.2.1")
    looks.dns.set_a("known6.test")
    looks.dns.set_aaaa("known6.test", "2001:DB8:0::1")
    looks.dns.set_a("own.test", "127.0.0.1")
    for name in ("nat", "known", "known6", "own"):
        host.drop(name, sites([f"{name}.test"]))
    host.wait_ready("known", "known6", "own")
    told(host, "nat", "NamesHeld", "points to 192.0.2.2")
    found = Certificate(host, "nat", "nat.test")
    assert not orders(ca, "nat.test")
    # ten minutes later, once more: still held
    tried = found.held("nat.test")["tried"]
    host.end()
    found.release()
    host.start()
    wait_for("looked again", lambda: found.held("nat.test")["until"] > time.time() + 500)
    assert found.held("nat.test")["tried"] == tried and not orders(ca, "nat.test")
    # a day later
    host.end()
    found.release()
    found.rewrite(held=[{**found.held("nat.test"), "tried": tried - DAY}])
    host.start()
    host.wait_ready("nat")
    assert len(orders(ca, "nat.test")) == 1


def test_without_a_look_the_ca_alone_judges(looks):
    """preflight = "off": DNS as we see it says nothing; "local" would hold it back."""
    host, ca = looks.host('preflight = "off";')
    looks.dns.nxdomain("hidden.test")
    host.drop("hidden", sites(["hidden.test"]))
    host.wait_ready("hidden")
    assert len(orders(ca, "hidden.test")) == 1


def test_a_look_that_was_too_kind_costs_one_order_and_then_longer_and_longer_waits(troubles):
    """preflight = "local", wrong the other way: a minute, ten, a hundred, then daily."""
    host, ca = troubles.host, troubles.ca
    troubles.dns.set_a("kind.test", "127.0.0.99")
    host.drop("kind", sites(["kind.test"]))
    found = Certificate(host, "kind", "kind.test")
    minutes = []
    for count in range(1, 6):
        held = wait_for(f"failure {count}", lambda: (h := found.held("kind.test")) and h["failures"] == count and h, 15)
        minutes.append((held["until"] - time.time()) / 60)
        assert len(orders(ca, "kind.test")) == count
        host.end()
        found.release()
        if count < 5:
            host.start()
    for waited, planned in zip(minutes, (1, 10, 100, 1440, 1440)):
        assert 0.75 * planned < waited < 1.25 * planned, minutes
    troubles.dns.clear("kind.test")
    host.start()
    host.wait_ready("kind")
