"""A disk that is full, broken, read-only, or has garbage on it: what is served stays, the CA is left in peace, and all
goes on by itself once there is room."""

import glob
import grp
import os
import shutil
import signal
import subprocess
import time

import pytest

from certificates import public_key_of, serial_of
from faulty_ca import FaultyCA
from host import Host, rights, wait_for
from test_acme_crash import ask, asks_for, chain_of, revive, site, wait_issued

SETTINGS = "reconcile = { removal_grace_s = 0; full_pass_s = 5; };"


@pytest.fixture(scope="module")
def machine(pebble_of_the_module):
    """(host, ca): the state lies on a small disk of its own. alice keeps her key, bob has a new one each time."""
    ca = FaultyCA(pebble_of_the_module)
    host = Host(ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=ca.root_file, acme=ca.settings(), settings=SETTINGS)
    os.makedirs(host.state_dir)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=16m,nr_inodes=3000", "tmpfs", host.state_dir], check=True)
    host.start()
    host.add("alice")
    host.add("bob", text='sites = ({ tls = { key_lifetime = "1s"; }; });')
    for name in ("alice", "bob"):
        wait_issued(host, name)
        host.wait_answers(name, https=True)
    yield host, ca
    host.destroy()
    subprocess.run(["umount", "-l", host.state_dir], stderr=subprocess.DEVNULL, check=False)
    ca.stop()


@pytest.fixture(autouse=True)
def clean(machine, dns):
    host, ca = machine
    ca.clear()
    revive(host)


# Room ----------------------------------------------------------------------------------------


class Full:
    def __enter__(self):
        with open(self.file, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def __exit__(self, *_):
        os.unlink(self.file)

    def __init__(self, host):
        self.file = f"{host.state_dir}/ballast"


class NearlyFull(Full):
    """Files can be written, but there is no room to speak of."""

    def __enter__(self):
        super().__enter__()
        os.truncate(self.file, os.path.getsize(self.file) - 500_000)


class NoInodes:
    def __init__(self, host):
        self.directory = f"{host.state_dir}/many"

    def __enter__(self):
        os.mkdir(self.directory)
        try:
            for n in range(100000):
                os.mknod(f"{self.directory}/{n}")
        except OSError:
            pass

    def __exit__(self, *_):
        subprocess.run(["rm", "-r", self.directory], check=True)


class ReadOnly:
    def __init__(self, host):
        self.directory = host.state_dir

    def __enter__(self):
        subprocess.run(["mount", "-o", "remount,ro", self.directory], check=True)

    def __exit__(self, *_):
        subprocess.run(["mount", "-o", "remount,rw", self.directory], check=True)


class Failing:
    """A system call of the agent that fails each time."""

    def __init__(self, host, call, error):
        self.pid = host.agent.pid
        self.words = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}",
                      "-p", str(self.pid)]  # fmt: skip

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stderr=subprocess.DEVNULL)
        status = f"/proc/{self.pid}/status"
        wait_for("strace to attach", lambda: "TracerPid:\t0\n" not in open(status, encoding="ascii").read())

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def quota(host):
    return Failing(host, "fallocate", "EDQUOT")


@pytest.mark.parametrize("trouble", [Full, NearlyFull, NoInodes, ReadOnly, quota],
                         ids=["ENOSPC", "nearly full", "no inodes", "EROFS", "EDQUOT"])  # fmt: skip
def test_without_room_the_old_certificate_stays_and_nothing_is_ordered_until_there_is(machine, trouble):
    host, ca = machine
    before = serial_of(host.served("alice"))
    ca.forget_requests()
    with trouble(host):
        assert ask(host, "certs-renew", "alice")["ok"]
        time.sleep(1.5)  # two tries
        assert serial_of(host.served("alice")) == before and host.get("alice", https=True).status == 200
        assert not ca.seen("newOrder", "newAccount", "finalize"), ca.seen()
        assert host.agent.poll() is None
    wait_for("renewed by itself", lambda: serial_of(host.served("alice")) != before, 12)
    wait_issued(host, "alice")
    assert ca.counts()["newOrder"] == 1, ca.seen()


def test_a_webspace_dropped_on_a_full_disk_comes_by_itself_when_there_is_room(machine):
    host, ca = machine
    ca.forget_requests()
    with Full(host):
        host.drop("fresh")
        wait_for("it is told", lambda: (host.status("fresh") or {}).get("ready") is False, 10)
        time.sleep(1)
        assert not ca.seen("newOrder") and host.get("alice", https=True).status == 200
    wait_issued(host, "fresh", seconds=40)
    assert ca.counts()["newOrder"] == 1


@pytest.mark.parametrize(("call", "error"), [("write", "EIO"), ("write", "EDQUOT"), ("renameat", "EIO"), ("fchmod", "EROFS"),
                                             ("fsync", "EIO"), ("mkdirat", "ENOSPC"), ("symlinkat", "EDQUOT")])  # fmt: skip
def test_where_a_write_fails_nothing_is_lost_and_the_ca_is_asked_for_one_certificate(machine, call, error):
    host, ca = machine
    before = {name: serial_of(host.served(name)) for name in ("alice", "bob")}
    ca.forget_requests()
    with Failing(host, call, error):
        for name in before:
            assert ask(host, "certs-renew", name)["ok"]
        time.sleep(1.5)
        for name in before:
            assert public_key_of(host.served(name)) and host.get(name, https=True).status == 200
        assert ca.counts()["newOrder"] <= 2 and ca.counts()["finalize"] <= 2, ca.seen()
        assert host.agent.poll() is None
    for name in before:
        wait_for(f"{name} renewed by itself", lambda: serial_of(host.served(name)) != before[name], 15)
        wait_issued(host, name)
    assert ca.counts()["newOrder"] <= 2 and ca.counts()["finalize"] == 2, ca.seen()


# Garbage ---------------------------------------------------------------------------------------


def text(content):
    def damage(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)

    return damage


def replaced(make):
    """Something else is at its place."""

    def damage(path):
        os.unlink(path)
        make(path)

    return damage


def half(path):
    os.truncate(path, os.path.getsize(path) // 2)


def linked(path):
    """The same bytes, but by way of a link to where others may write."""
    elsewhere = f"/mnt/elsewhere.{path.replace('/', '_')}"
    shutil.copyfile(path, elsewhere)
    os.unlink(path)
    os.symlink(elsewhere, path)


def mode(bits):
    return lambda path: os.chmod(path, bits)


def of_nobody(path):
    os.chown(path, 65534, -1)


EMPTY, NOISE = text(""), text("\0\xff garbage\n" * 100)
KEY, CHAIN, STATE, ORDER = "current/key.pem", "current/chain.pem", "state.json", "order.json"
WILD = '{"next_try": 9e18, "failures": -1, "chosen": "x", "ask_window": 1e300, "held": [1, {"name": 5}, null], "ca": {}}'
DAMAGES = {  # what: (file, damage, is the CA needed again?)
    "key empty": (KEY, EMPTY, True), "key garbage": (KEY, NOISE, True), "key half": (KEY, half, True),
    "key of another": (KEY, lambda path: text(subprocess.run(["openssl", "ecparam", "-genkey", "-name", "prime256v1"], capture_output=True, text=True, check=True).stdout)(path), True),
    "key large": (KEY, text("x" * 200000), True), "key a fifo": (KEY, replaced(os.mkfifo), True),
    "key gone": (KEY, os.unlink, True), "key a directory": (KEY, replaced(os.mkdir), True),
    "key a link": (KEY, linked, True), "key open to all": (KEY, mode(0o644), True),
    "key written by all": (KEY, mode(0o660), True), "key of nobody": (KEY, of_nobody, True),
    "chain empty": (CHAIN, EMPTY, True), "chain garbage": (CHAIN, NOISE, True), "chain half": (CHAIN, half, True),
    "chain gone": (CHAIN, os.unlink, True), "chain a directory": (CHAIN, replaced(os.mkdir), True),
    "chain a link": (CHAIN, linked, True), "chain written by all": (CHAIN, mode(0o666), True),
    "chain of nobody": (CHAIN, of_nobody, True),
    "current dangling": ("current", replaced(lambda path: os.symlink("77", path)), True),
    "current leads out": ("current", replaced(lambda path: os.symlink("../../..", path)), True),
    "state empty": (STATE, EMPTY, None), "state garbage": (STATE, NOISE, None), "state half": (STATE, half, None),
    "state of wild values": (STATE, text(WILD), None), "state a list": (STATE, text("[[]]"), None),
    "state deep": (STATE, text("[" * 60000), None), "state large": (STATE, text('"' + "x" * 100000 + '"'), None),
    "state a directory": (STATE, replaced(os.mkdir), None), "state a fifo": (STATE, replaced(os.mkfifo), None),
    "order empty": (ORDER, EMPTY, False), "order garbage": (ORDER, NOISE, False),
    "order from elsewhere": (ORDER, text('{"ca": "https://x/", "url": "https://x/1", "finalize": "https://x/2", "generation": 1, "names": ["a"]}'), False),
}  # fmt: skip


def is_in_order(host, name):
    """Served, verified, ready, and nothing in flight."""
    has_order = os.path.exists(site(host, name, "order.json")) and "elsewhere" not in name
    return host.get_quietly(name, https=True) and host.served(name) in chain_of(host, name) and host.ready(name) and not has_order


def test_whatever_is_found_damaged_at_the_start_is_made_anew_and_costs_one_certificate_at_most(machine):
    host, ca = machine
    names = {what: what.replace(" ", "-") for what in DAMAGES}
    for name in names.values():
        host.drop(name)
    for name in names.values():
        wait_issued(host, name, seconds=60)
    before = {what: serial_of(host.served(name)) for what, name in names.items()}
    host.end()
    for what, (file, damage, _) in DAMAGES.items():
        damage(site(host, names[what], file))
    ca.forget_requests()
    host.start()
    bad = []
    for what, name in names.items():
        try:
            wait_for("it is in order", lambda: is_in_order(host, name), 20)
        except AssertionError:
            bad.append(f"{what}: {host.status(name)['conditions']} {os.listdir(site(host, name))}")
        asked = sum(asks_for(seen, host.host_name(name)) for seen in ca.seen("newOrder"))
        needed = DAMAGES[what][2]
        if asked > 1 or needed is not None and asked != needed:
            bad.append(f"{what}: asked {asked} times")
        if needed is False and serial_of(host.served(name)) != before[what]:
            bad.append(f"{what}: another certificate is served")
    assert not bad, "\n".join(bad)
    for name in names.values():
        host.remove(name)
    wait_for("all gone", lambda: not any(host.status(name) for name in names.values()), 30)


def test_directories_with_wrong_rights_are_put_right_and_links_in_their_place_are_told_and_not_followed(machine):
    host, ca = machine
    host.drop("open")
    host.drop("linked")
    wait_issued(host, "open")
    wait_issued(host, "linked")
    host.end()
    for directory in (site(host, "open"), os.path.dirname(site(host, "open")), site(host, "open", "1")):
        os.chown(directory, 65534, 65534)
        os.chmod(directory, 0o777)
    shutil.move(site(host, "linked"), "/mnt/linked.site")
    os.symlink("/mnt/linked.site", site(host, "linked"))
    listing = sorted(os.walk("/mnt/linked.site"))
    host.start()
    assert ask(host, "certs-renew", "open")["ok"]
    wait_for("rights", lambda: {rights(site(host, "open", *below)) for below in ((), ("1",))} == {(0, web_gid(), 0o710)}, 10)
    wait_for("it is told", lambda: not host.ready("linked") and "linked.web.test" in str(host.status("linked")["conditions"]), 10)
    assert sorted(os.walk("/mnt/linked.site")) == listing
    wait_issued(host, "open")
    assert host.get("open", https=True)
    os.unlink(site(host, "linked"))
    wait_issued(host, "linked", seconds=40)


def web_gid():
    return grp.getgrnam("www-data").gr_gid


# Account -------------------------------------------------------------------------------------


def rsa_key(path):
    subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)


@pytest.mark.parametrize("damage", [EMPTY, NOISE, rsa_key, linked], ids=["empty", "garbage", "an RSA key", "a link"])  # fmt: skip
def test_an_account_key_that_cannot_be_used_is_told_and_kept_and_sites_are_served(machine, damage, tmp_path):
    """It is the host's identity at the CA: only a person puts another in its place."""
    host, ca = machine
    key, name = account_file(host, "account.key"), f"acc{os.path.basename(tmp_path).replace('_', '-')[-12:]}".strip("-")
    host.end()
    shutil.copy2(key, tmp_path / "kept")
    damage(key)
    ca.forget_requests()
    before = os.lstat(key)
    host.start()
    host.drop(name)
    wait_for("it is told", lambda: "account.key" in host.journal()[-4000:], 10)
    wait_for("the internal CA stands in", lambda: host.get_quietly(name, https=True, cafile=host.ca_file), 10)
    assert host.get("alice", https=True).status == 200
    assert (os.lstat(key).st_ino, os.lstat(key).st_size) == (before.st_ino, before.st_size) and not ca.seen("newAccount")
    host.end()
    subprocess.run(["rm", "-rf", key], check=True)
    shutil.copy2(tmp_path / "kept", key)
    host.start()
    wait_issued(host, name)
    host.remove(name)


def account_file(host, name):
    return glob.glob(f"{host.state_dir}/acme/*")[0] + f"/{name}"


@pytest.mark.parametrize(
    ("file", "damage", "is_needed"),
    [("account.json", EMPTY, True), ("account.json", NOISE, True), ("account.json", text("[[1]]"), True),
     ("account.json", os.unlink, True), ("limits.json", NOISE, False), ("account.json", replaced(os.mkdir), True)],
    ids=["account empty", "account garbage", "account a list", "account gone", "limits garbage", "account a directory"],
)  # fmt: skip
def test_records_of_the_account_that_are_damaged_are_found_out_again(machine, file, damage, is_needed):
    host, ca = machine
    before = serial_of(host.served("alice"))
    host.end()
    path = account_file(host, file)
    text("")(path)
    damage(path)
    ca.forget_requests()
    host.start()
    assert ask(host, "certs-renew", "alice")["ok"]
    wait_for("renewed", lambda: serial_of(host.served("alice")) != before, 15)
    assert ca.counts()["newOrder"] == 1 and ca.counts()["newAccount"] == is_needed, ca.counts()
    wait_issued(host, "alice")
    if os.path.isdir(path):
        os.rmdir(path)
