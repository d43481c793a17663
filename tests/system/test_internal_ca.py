"""The CA of the host itself: whatever happened to the clock or to its files, each site is served with what browsers that know it take."""

import os
import ssl
import time

import pytest

from certificates import openssl, public_key_of, read, write
from host import wait_for
from records import DAY, Clock

NO_PHP = "php = { enabled = false; };"
YEAR = 365 * DAY


class Life:
    """A host of one webspace whose agent starts with a clock that is ahead."""

    def __init__(self, make_host, tmp_path, ahead=0):
        self.clock, self.host = Clock(tmp_path, ahead), make_host()
        self.host.start(prefix=self.clock.prefix)
        self.host.drop("alice", NO_PHP)
        self.host.wait_ready("alice")

    def now(self, ahead):
        """The agent finds out by what it does anyway: a new webspace, a reload."""
        self.clock.set(ahead)
        assert self.host.command("reload").returncode == 0

    def restart(self, ahead=0):
        self.host.end()
        self.clock.set(ahead)
        self.host.start(prefix=self.clock.prefix)

    @property
    def root(self):
        return read(self.host.ca_file)

    def trusts(self, name, ahead=0, root=None):
        """A browser with this clock that was given this root (by default the one of now)."""
        file = write(f"{self.host.root}/root.pem", root or self.root)
        leaf = write(f"{self.host.root}/leaf.pem", self.host.served(name))
        try:
            openssl("verify", "-attime", str(int(time.time() + ahead)), "-CAfile", file, "-purpose", "sslserver",
                    "-verify_hostname", self.host.host_name(name), leaf)  # fmt: skip
        except (AssertionError, OSError):
            return False
        return True

    def is_served(self, name, ahead=0):
        wait_for(f"{name} is served as browsers want it", lambda: served(self, name, ahead), 15, 0.1)
        self.host.wait_ready(name)
        return True


def served(life, name, ahead):
    try:
        return life.trusts(name, ahead)
    except (OSError, ssl.SSLError):
        return False


def same_ca(one, other):
    subject = [openssl("x509", "-noout", "-subject", text=pem) for pem in (one, other)]
    return subject[0] == subject[1] and public_key_of(one) == public_key_of(other)


@pytest.mark.parametrize("ahead", [20 * YEAR, 2 * DAY, -20 * YEAR], ids=["far ahead", "a little ahead", "far behind"])
def test_f10_a_ca_that_was_made_under_a_wrong_clock_is_made_anew_when_the_clock_is_right(make_host, tmp_path, ahead):
    """F10: the old webspace and a new one are served by what is valid now; who was given the CA's key trusts it."""
    life = Life(make_host, tmp_path, ahead)
    before = life.root
    assert not life.trusts("alice"), "the test is about something"
    life.now(0)
    life.host.drop("bob", NO_PHP)
    assert life.is_served("alice") and life.is_served("bob")
    assert life.root != before and same_ca(life.root, before)
    assert life.host.get("alice", "/", https=True).status == 403, "also by the clock and the libraries of others"


def test_f10_a_running_agent_renews_its_ca_long_before_its_end(make_host, tmp_path):
    """F10: for a year browsers that have the old root and those that have the new one take the same certificates."""
    life = Life(make_host, tmp_path)
    before = life.root
    life.now(8.9 * YEAR)
    assert life.is_served("alice", 8.9 * YEAR) and life.root == before
    life.now(9.1 * YEAR)
    life.host.drop("bob", NO_PHP)
    assert life.is_served("bob", 9.1 * YEAR) and life.is_served("alice", 9.1 * YEAR)
    assert life.root != before and same_ca(life.root, before)
    for name in ("alice", "bob"):
        assert life.trusts(name, 9.1 * YEAR, root=before)
    life.now(12 * YEAR)
    assert life.is_served("alice", 12 * YEAR)


def test_f10_a_ca_that_ended_while_nothing_ran_is_made_anew(make_host, tmp_path):
    """F10: off for eleven years."""
    life = Life(make_host, tmp_path)
    before = life.root
    life.restart(11 * YEAR)
    life.host.drop("bob", NO_PHP)
    assert life.is_served("alice", 11 * YEAR) and life.is_served("bob", 11 * YEAR)
    assert same_ca(life.root, before)


DAMAGES = {  # file, what becomes of it (None: it is gone), whether the key is still there
    "a garbled certificate": ("ca.pem", "garbage\n", True),
    "an empty certificate": ("ca.pem", "", True),
    "no certificate": ("ca.pem", None, True),
    "a garbled key": ("ca.key", "garbage\n", False),
    "an empty key": ("ca.key", "", False),
    "no key": ("ca.key", None, False),
    "another key": ("ca.key", "other", True),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_f10_a_damaged_ca_is_made_anew(make_host, tmp_path, damage):
    """F10: old and new webspaces are served; the CA stays the same if its key does; what was found is set aside."""
    life = Life(make_host, tmp_path)
    name, text, keeps_key = DAMAGES[damage]
    path, before = f"{life.host.state_dir}/ca/{name}", life.root
    life.host.end()
    if text == "other":
        text = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    os.unlink(path)
    if text is not None:
        write(path, text, 0o400)
    life.host.start(prefix=life.clock.prefix)
    life.host.drop("bob", NO_PHP)
    assert life.is_served("alice") and life.is_served("bob")
    assert same_ca(life.root, before) == (keeps_key and name == "ca.pem")
    if name == "ca.key" or text:
        left = f"{life.host.state_dir}/ca/ca.pem.damaged.1"
        assert read(left) == (before if name == "ca.key" else text)
    if name == "ca.key" and text and not keeps_key:
        assert read(f"{path}.damaged.1") == text
        assert os.stat(f"{path}.damaged.1").st_mode & 0o777 == 0o400
