"""When certificates are renewed: by the CA's own word (ARI, RFC 9773), by their lifetime, before it is too late.

One host, one webspace a case: all get a certificate, each of an age of its own. Then the agent stops, the CA says
when it wants each renewed, and with the agent's next start it shows what comes of it.
"""

import email.utils
import functools
import signal
import time

import pytest

from answers import Answer, body, forged, problem
from certificates import renewal_id, requested_names
from faulty_ca import FaultyCA
from host import Host, wait_for
from records import DAY, Certificate, Clock

SITE = 'sites = ({{ names = ["{name}.web.test"]; type = "static"; }}); php = {{ enabled = false; }};'
LONG_AGO = 40 * DAY
HOUR = 3600


class Case:
    """A certificate of `age` days out of `life`, last renewed `since` seconds ago. The CA's window: (start, end,
    Retry-After), seconds from now; or rules: (kind of request, its answer). Is it renewed then?"""

    def __init__(self, renewed, age=1, life=90, since=LONG_AGO, window=None, rules=(), serial=None):
        self.renewed, self.age, self.life, self.since = renewed, age, life, since
        self.window, self.rules, self.serial = window, rules, serial


NOW = (-HOUR, -HOUR + 1, None)
WINDOWS = {
    "is in the future": Case(False, window=(10 * DAY, 11 * DAY, None)),
    "is now": Case(True, window=(-5, -4, None)),
    "is long past": Case(True, window=(-900 * DAY, -899 * DAY, None)),
    "lies behind the end of the certificate": Case(False, window=(200 * DAY, 201 * DAY, None)),
    "is inverted": Case(False, window=(-DAY, -2 * DAY, None)),
    "is of no length": Case(False, window=(-DAY, -DAY, None)),
    "is absent": Case(False, rules=[("renewalInfo", Answer(200, {}))]),
    "is half there": Case(False, window=(-DAY, None, None)),
    "is no date": Case(False, window=("yesterday", "today", None)),
    "is a number": Case(False, rules=[("renewalInfo", Answer(200, {"suggestedWindow": {"start": 1, "end": 2}}))]),
    "is no JSON": Case(False, rules=[("renewalInfo", Answer(200, "now, please"))]),
    "is not known": Case(False, rules=[("renewalInfo", problem("malformed", 404, "no such certificate"))]),
    "is a page": Case(False, rules=[("renewalInfo", Answer(404, "<html>", content_type="text/html"))]),
    "breaks the CA": Case(False, rules=[("renewalInfo", problem("serverInternal", 500, "oops"))]),
    "is now, of a serial with its high bit set": Case(True, serial="f123456789abcdef", window=NOW),
}
REPLACED = {
    "alreadyReplaced": problem("alreadyReplaced", 409, "it has been replaced"),
    "a conflict without a word": Answer(409, "", content_type="text/plain"),
    "malformed": problem("malformed", 400, "replaces: no such certificate"),
    "not found": problem("malformed", 404, "replaces: no such certificate"),
}
RETRY_AFTERS = {  # → seconds until it is asked again, least and most
    "nothing": (None, 6 * HOUR, 6 * HOUR),
    "0": (0, 60, 60),
    "a second": (1, 60, 60),
    "two hours": (2 * HOUR, 2 * HOUR, 2 * HOUR),
    "30 days": (30 * DAY, DAY, DAY),
    "a date": (email.utils.formatdate(time.time() + 3 * HOUR, usegmt=True), 2 * HOUR, 3 * HOUR),
    "a date in the past": (email.utils.formatdate(time.time() - 3 * HOUR, usegmt=True), 60, 60),
    "nonsense": ("soon", 6 * HOUR, 6 * HOUR),
}
AGES = {  # by their lifetime: two thirds, half below ten days, 3 % more or less
    "90 days is not renewed at 57": Case(False, age=57),
    "90 days is renewed at 63": Case(True, age=63),
    "45 days is not renewed at 28": Case(False, age=28, life=45),
    "45 days is renewed at 32": Case(True, age=32, life=45),
    "6 days is not renewed at 2.8": Case(False, age=2.8, life=6, since=2 * DAY),
    "6 days is renewed at 3.2": Case(True, age=3.2, life=6, since=2 * DAY),
    "6 days is renewed within its window": Case(True, age=1, life=6, since=DAY, window=NOW),
    "6 days is not renewed within its window when it is a quarter of a day old": Case(
        False, age=0.25, life=6, since=DAY / 4, window=NOW),
    "90 days is not renewed twice within a tenth of its life": Case(False, age=8, since=8 * DAY, window=NOW),
    "90 days is renewed again after a tenth of its life": Case(True, age=10, since=10 * DAY, window=NOW),
    "90 days is renewed at 87 whatever the CA says": Case(True, age=87, window=(DAY, 2 * DAY, None)),
    "6 days is renewed a day before its end whatever the CA says": Case(
        True, age=5.1, life=6, window=(DAY / 2, DAY, None)),
}  # fmt: skip
CASES = {
    **WINDOWS,
    **{f"replaced: {what}": Case(True, window=NOW, rules=[("newOrder", answer)]) for what, answer in REPLACED.items()},
    **{f"Retry-After: {what}": Case(False, window=(DAY, 2 * DAY, value)) for what, (value, *_) in RETRY_AFTERS.items()},
    **AGES,
}
NAMES = {case: f"w{number:02}" for number, case in enumerate(CASES)}


@pytest.fixture(autouse=True)
def accounts():
    """Of the module: the webspaces of its one host outlive a test."""


class Renewals:
    """What became of all cases: before and after the second start of the agent."""

    def __init__(self, host, ca):
        self.host, self.ca = host, ca
        self.certificates = {case: Certificate(host, name) for case, name in NAMES.items()}
        self.issue()
        self.nginx = host.status()["generation"]
        self.host.end()
        self.before = {case: Was(found) for case, found in self.certificates.items()}
        ca.clear()
        ca.forget_requests()
        for case, found in self.certificates.items():
            self.prepare(CASES[case], found)
        self.started = time.time()
        self.host.start()
        self.settle()

    def issue(self):
        for case, name in NAMES.items():
            wanted = CASES[case]
            options = {"serial": wanted.serial} if wanted.serial else {}
            aged = forged(start=-wanted.age, end=wanted.life - wanted.age, **options)
            self.ca.on("certificate", aged, when=is_of(name))
            self.host.drop(name, SITE.format(name=name))
        self.host.wait_ready(*NAMES.values(), seconds=60)

    def prepare(self, case, found):
        renewal = found.record["ari"]
        if not case.window and not case.rules:
            self.ca.on("renewalInfo", problem("malformed", 404, "no window"), when=is_about(found.name, renewal))
        if case.window:
            self.ca.set_window(*case.window, certificate=renewal)
        for kind, answer in case.rules:
            self.ca.on(kind, answer, when=is_about(found.name, renewal))
        found.rewrite(success=int(time.time() - case.since), ask_window=None)

    def settle(self):
        """Until each case was asked about, and what shall be renewed is."""
        for case, found in self.certificates.items():
            if CASES[case].renewed:
                wait_for(f"renewed: {case}\n{self.host.journal()[-2000:]}", lambda: self.is_renewed(case), 30)
            elif CASES[case].age < 50:
                wait_for(f"asked again: {case}", lambda: found.record.get("ask_window"), 30)

    def is_renewed(self, case):
        return self.certificates[case].chain != self.before[case].chain

    def asked(self, case):
        """Its requests for renewal information since the second start."""
        return [seen for seen in self.ca.seen("renewalInfo") if seen.path.endswith("/" + self.before[case].id)]

    def ordered(self, case):
        name = f"{NAMES[case]}.web.test"
        return [seen.payload for seen in self.ca.seen("newOrder") if name in str(seen.payload["identifiers"])]


class Was:
    def __init__(self, found):
        self.chain, self.key, self.generation, self.id = found.chain, found.key, found.generation, found.record["ari"]


names_asked = functools.cache(requested_names)


def is_of(name):
    return lambda seen: f"{name}.web.test" in names_asked(seen.ca.csrs[seen.path])


def is_about(name, renewal):
    def check(seen):
        if seen.kind == "renewalInfo":
            return seen.path.endswith("/" + renewal)
        return f"{name}.web.test" in str(seen.payload) and "replaces" in seen.payload

    return check


@pytest.fixture(scope="module")
def renewals(accounts_of_the_module, pebble_of_the_module):
    ca = FaultyCA(pebble_of_the_module)
    host = Host(ports=(80, 443), addresses=("127.0.0.1",), trust=ca.root_file, acme=ca.settings()).start()
    yield Renewals(host, ca)
    host.destroy()
    ca.stop()


@pytest.mark.parametrize("case", WINDOWS)
def test_a_certificate_is_renewed_if_the_cas_window(renewals, case):
    """… is as the case says; a window that says nothing changes nothing."""
    assert renewals.is_renewed(case) == CASES[case].renewed
    assert len(renewals.asked(case)) == 1, "each is asked about once, also where the answer was an error"
    assert len(renewals.ordered(case)) == CASES[case].renewed


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case].renewed])
def test_a_renewal_keeps_its_key_and_its_place(renewals, case):
    found, before = renewals.certificates[case], renewals.before[case]
    assert (found.key, found.generation) == (before.key, before.generation)


def test_no_renewal_reloads_nginx(renewals):
    assert renewals.host.status()["generation"] == renewals.nginx


@pytest.mark.parametrize("case", [case for case in CASES if case not in AGES])
def test_an_order_says_which_certificate_it_replaces(renewals, case):
    orders, before = renewals.ordered(case), renewals.before[case]
    if CASES[case].renewed:
        assert orders[0]["replaces"] == before.id
    else:
        assert not orders


@pytest.mark.parametrize("answer", REPLACED)
def test_a_replacement_that_the_ca_does_not_take_is_ordered_at_once_without_saying_so(renewals, answer):
    said = ["replaces" in order for order in renewals.ordered(f"replaced: {answer}")]
    most = 2 if answer == "not found" else 1  # of which the directory might know better
    assert said[-1] is False and all(said[:-1]) and 1 <= len(said[:-1]) <= most


@pytest.mark.parametrize("what", RETRY_AFTERS)
def test_the_window_is_asked_for_again_after(renewals, what):
    """Retry-After is heeded within a minute and a day."""
    _, least, most = RETRY_AFTERS[what]
    waits = renewals.certificates[f"Retry-After: {what}"].record["ask_window"] - renewals.started
    assert least - 2 <= waits <= most + 10


@pytest.mark.parametrize("case", AGES)
def test_a_certificate_of(renewals, case):
    assert renewals.is_renewed(case) == CASES[case].renewed
    assert len(renewals.ordered(case)) == CASES[case].renewed, "and once"


def test_errors_of_renewal_information_do_not_close_the_ca(renewals):
    journal = renewals.host.journal()
    assert "oops" not in journal and "malformed" not in journal and "nreachable" not in journal, journal


def test_what_the_ca_asked_is_the_identifier_of_the_certificate(renewals):
    """Each request is about one of ours; a serial with its high bit set keeps its leading zero."""
    for case in ("is now", "is now, of a serial with its high bit set"):
        before = renewals.before[case]
        assert renewal_id(before.chain) == before.id and renewals.asked(case)
    assert before.id.split(".")[1].startswith("APEj")


# Clocks -------------------------------------------------------------------------------------------


class Watch:
    """A host with one certificate, whose agent believes in a clock of the test's."""

    def __init__(self, host, ca):
        self.host, self.ca, self.clock = host, ca, Clock(host.root)
        host.start(prefix=self.clock.prefix)
        host.drop("alice", SITE.format(name="alice"))
        host.wait_ready("alice")
        self.found = Certificate(host, "alice")
        self.chain = self.found.chain

    def move(self, days, cas_days=0):
        """The wall clock of the agent jumps; as at each minute, it looks at everything."""
        self.ca.forget_requests()
        self.ca.clock_skew = cas_days * DAY
        self.clock.set(days * DAY)
        self.host.agent.send_signal(signal.SIGHUP)

    def assert_kept(self):
        """Nothing has become of it: on disk, and for whoever comes."""
        assert self.found.chain == self.chain and self.found.is_of_ca
        assert self.host.served("alice", "127.0.0.2").split() == self.found.leaf.split()
        assert not self.ca.seen("newOrder", "newAccount"), self.ca.counts()


@pytest.fixture
def watch(make_host, pebble_of_the_module, dns_of_the_module, make_peer):
    dns_of_the_module.set_default("127.0.0.2")
    ca = make_peer(FaultyCA, pebble_of_the_module)
    host = make_host(ports=(80, 443), addresses=("127.0.0.2",), trust=ca.root_file, acme=ca.settings())
    yield Watch(host, ca)
    dns_of_the_module.clear()


@pytest.mark.parametrize("days", [-365, 365])
def test_a_clock_that_is_wrong_at_the_start_orders_nothing_and_takes_nothing_away(watch, days):
    """By the Date of the CA's answers it is known to be wrong; what looks expired is not replaced by anything less."""
    host = watch.host
    host.end()
    watch.clock.set(days * DAY)
    watch.ca.forget_requests()
    host.start(prefix=watch.clock.prefix)
    host.drop("bob", SITE.format(name="bob"))
    wait_for("told", lambda: (c := host.condition("bob", "Certificate")) and c["reason"] == "ClockWrong", 15)
    assert "the clock of this host is" in host.condition("bob", "Certificate")["message"]
    watch.assert_kept()
    host.end()
    watch.clock.set(0)
    host.start(prefix=watch.clock.prefix)
    host.wait_ready("alice", "bob")
    assert watch.found.chain == watch.chain and len(watch.ca.seen("newOrder")) == 1


@pytest.mark.parametrize("days", [-365, 365, 50])
def test_a_clock_that_jumps_and_comes_back_changes_nothing(watch, days):
    watch.move(days)
    if days != 50:
        wait_for("noticed", lambda: "the clock of this host is" in watch.host.journal(), 15)
    time.sleep(1)
    watch.assert_kept()
    watch.move(0)
    time.sleep(1)
    watch.assert_kept()
    watch.host.wait_ready("alice")


def test_after_a_long_sleep_what_is_due_is_renewed_at_the_next_look(watch):
    """Suspend: the clock has gone on, for the CA as well."""
    watch.ca.ari = False
    watch.move(86, cas_days=86)
    wait_for("renewed", lambda: watch.found.chain != watch.chain, 15)
    wait_for("known", lambda: watch.found.record["success"] > time.time() + 80 * DAY)
    time.sleep(0.5)
    assert len(watch.ca.seen("newOrder")) == 1, "and once"
