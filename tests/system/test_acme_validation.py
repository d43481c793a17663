"""Names that cannot be proved to a CA, now or ever: what is wrong with one is said, and takes nothing from the others."""

import os
import time

import pytest

from faulty_ca import FaultyCA
from host import Host, wait_for
from records import Certificate
from test_acme_limits import ask, orders, sites, told

HOUR = 3600


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
            wait_for(f"{name}: nine of ten\n{host.condition(name, 'Certificate')}", lambda: self.certificate(name).is_of_ca, 30)
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
    host = Host(ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=ca.root_file, acme=ca.settings()).start()
    yield Troubles(host, ca, dns_of_the_module)
    host.destroy()
    ca.stop()
    elsewhere.stop()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_nine_of_ten_names_get_their_certificate_when_one(troubles, trouble):
    """… has this trouble. It is held back with a reason, and asked of the CA only if nothing speaks against it before."""
    name = NAMES[trouble]
    found, (_, words, is_the_cas) = troubles.certificate(name), TROUBLES[trouble][1:] and TROUBLES[trouble]
    assert found.names == sorted(set(ten(name)) - {bad(name)})
    held = found.held(bad(name))
    assert words in held["why"], held
    condition = troubles.host.condition(name, "Certificate")
    assert (condition["status"], condition["reason"]) == ("False", "NamesHeld") and bad(name) in condition["message"]
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
    days = lambda number: int(time.time() - number * 86400)
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
