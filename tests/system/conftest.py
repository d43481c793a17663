"""Each test gets a host of its own; accounts of one are gone before the next."""

import functools
import os
import shutil

import pytest

from host import WEBSPACES, Host

SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "leaks.supp")
ACCOUNT_FILES = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")


@functools.cache
def is_sanitized(program):
    with open(program, "rb") as file:
        return b"__asan_init" in file.read()


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
