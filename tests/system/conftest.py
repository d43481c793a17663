"""Each test gets a host of its own; accounts of one are gone before the next."""

import os
import shutil

import pytest

from host import Host

ACCOUNT_FILES = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")


@pytest.fixture(scope="session", autouse=True)
def private_machine():
    assert os.path.isdir("/mnt/.etc/upper"), "run me inside tests/private (make check does)"


@pytest.fixture(autouse=True)
def accounts(tmp_path):
    """Puts the files of accounts back as they were."""
    for name in ACCOUNT_FILES:
        if os.path.exists(f"/etc/{name}"):
            shutil.copy2(f"/etc/{name}", tmp_path / name)
    yield
    for name in ACCOUNT_FILES:
        if (tmp_path / name).exists():
            shutil.copy2(tmp_path / name, f"/etc/{name}")


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
