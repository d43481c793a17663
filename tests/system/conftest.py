"""Each test gets a host of its own; accounts of one are gone before the next."""

import functools
import os
import shutil

import pytest

from faulty_ca import FaultyCA
from host import WEBSPACES, Host
from peers import Caddy, Pebble
from resolver import Dns, Hook

SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "leaks.supp")
ACCOUNT_FILES = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")


@functools.cache
def is_sanitized(program):
    with open(program, "rb") as file:
        return b"__asan_init" in file.read()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """What the agents said last goes with a test that fails."""
    report = (yield).get_result()
    if report.failed:
        said = [(f"journal of {host.root}", host.journal()[-4000:]) for host in Host.made]
        report.sections += [section for section in said if section[1]]


@pytest.fixture(scope="session", autouse=True)
def private_machine():
    assert os.path.isdir("/mnt/.etc/upper"), "run me inside tests/private (make check does)"


def keep_accounts(place):
    """Puts the files of accounts back as they were."""
    for name in ACCOUNT_FILES:
        if os.path.exists(f"/etc/{name}"):
            shutil.copy2(f"/etc/{name}", place / name)
    yield
    for name in ACCOUNT_FILES:
        if (place / name).exists():
            shutil.copy2(place / name, f"/etc/{name}")


@pytest.fixture(scope="module", autouse=True)
def accounts_of_the_module(tmp_path_factory):
    """Around hosts that all tests of a module share."""
    yield from keep_accounts(tmp_path_factory.mktemp("accounts"))


@pytest.fixture(scope="module", autouse=True)
def no_host_is_left(accounts_of_the_module):
    """One whose making failed would be in the way of the next module's."""
    yield
    for host in list(Host.made):
        host.destroy()


@pytest.fixture(autouse=True)
def accounts(tmp_path):
    yield from keep_accounts(tmp_path)


@pytest.fixture
def make_host():
    """A function that makes hosts; all of them are destroyed after the test."""
    made = []

    def make(**options):
        host = Host(**options)
        made.append(host)
        return host

    yield make
    for host in made:
        host.destroy()


@pytest.fixture
def host(make_host):
    """A host whose agent runs."""
    return make_host().start()


@pytest.fixture(autouse=True)
def sanitizers(tmp_path, monkeypatch):
    """With a program built with sanitizers (make asan), a test fails by any report of it."""
    if not is_sanitized(WEBSPACES):
        yield
        return
    reports = tmp_path / "sanitizers"
    reports.mkdir()
    os.chmod(reports, 0o1777)
    where = f"log_path={reports}/report"
    monkeypatch.setenv("ASAN_OPTIONS", f"detect_leaks=1:exitcode=99:{where}")
    monkeypatch.setenv("UBSAN_OPTIONS", f"print_stacktrace=1:exitcode=99:{where}")
    monkeypatch.setenv("LSAN_OPTIONS", f"suppressions={SUPPRESSIONS}:print_suppressions=0")
    yield
    found = [path.read_text(errors="replace")[:4000] for path in sorted(reports.iterdir())]
    assert not found, "\n".join(found)


# CAs and DNS: started once a module, clean for each test ------------------------------------------


@pytest.fixture(scope="module")
def dns_of_the_module():
    server = Dns()
    yield server
    server.stop()


@pytest.fixture
def dns(dns_of_the_module):
    """All names are at 127.0.0.1, until the test says otherwise."""
    dns_of_the_module.clear()
    dns_of_the_module.queries.clear()
    return dns_of_the_module


@pytest.fixture(scope="module")
def pebble_of_the_module(dns_of_the_module):
    server = Pebble()
    yield server
    server.stop()


@pytest.fixture
def pebble(dns, pebble_of_the_module):
    """Without pauses, rejected nonces and reused authorizations; make_pebble makes others."""
    pebble_of_the_module.renew_if_worn()
    return pebble_of_the_module


@pytest.fixture(scope="module")
def second_pebble(dns_of_the_module):
    """It validates at the ports of a second host."""
    server = Pebble(http_port=8080, tls_port=8443)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def caddy(dns_of_the_module):
    server = Caddy()
    yield server
    server.stop()


@pytest.fixture
def make_peer(dns):
    """make_peer(Pebble, nonce_reject=50), make_peer(FaultyCA, pebble, profiles={…}): gone after the test."""
    made = []

    def make(kind, *words, **options):
        made.append(kind(*words, **options))
        return made[-1]

    yield make
    for peer in reversed(made):
        peer.stop()


@pytest.fixture
def ca(make_peer, pebble):
    """A CA that passes everything on to Pebble, but for the test's rules."""
    return make_peer(FaultyCA, pebble)


@pytest.fixture
def hook(dns):
    return Hook(dns)
