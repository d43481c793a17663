"""Who can read and do what: the files of certificates and accounts, and the process that talks to CAs."""

import base64
import glob
import grp
import os
import pwd
import re
import stat
import subprocess

import pytest

from faulty_ca import FaultyCA
from host import Host
from test_acme_crash import site, wait_issued, worker_of

# Below state_dir/acme and state_dir/certs: what a file or directory of this name may be. (mode, group of the web server?)
RIGHTS = [
    (r"acme", 0o700, False), (r"acme/[^/]+", 0o700, False), (r"acme/[^/]+/account\.key", 0o400, False),
    (r"acme/[^/]+/(account|limits)\.json", 0o600, False),
    (r"certs(/[^/]+(/[^/]+(/\d+)?)?)?", 0o710, True), (r"certs/[^/]+/[^/]+/\d+/key\.pem", 0o640, True),
    (r"certs/[^/]+/[^/]+/\d+/chain\.pem", 0o644, False), (r"certs/[^/]+/[^/]+/(state|order)\.json", 0o600, False),
    (r"certs/\.removed", 0o700, False),
]  # fmt: skip


@pytest.fixture(scope="module")
def machine(pebble_of_the_module):
    """(host, ca, what the order looked like on disk while the CA was asked to finalize, /proc of the worker meanwhile)"""
    ca = FaultyCA(pebble_of_the_module)
    seen = {}
    host = Host(ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=ca.root_file, acme=ca.settings()).start()

    def look(request):
        worker = worker_of(host)
        seen["tree"] = tree(host)
        seen["memory"] = memory_of(worker)
        return request.forward()

    ca.on("finalize", look, times=1)
    host.add("alice", text='sites = ({ tls = { key_type = "both"; }; });')
    wait_issued(host, "alice")
    yield host, ca, seen
    host.destroy()
    ca.stop()


@pytest.fixture(autouse=True)
def names(dns):
    pass


def tree(host):
    """path below state_dir → (kind, mode, uid, gid)"""
    found = {}
    for top in ("acme", "certs"):
        for directory, folders, files in os.walk(f"{host.state_dir}/{top}"):
            for path in [directory, *(f"{directory}/{name}" for name in folders + files)]:
                st = os.lstat(path)
                found[os.path.relpath(path, host.state_dir)] = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid)
    return found


@pytest.mark.parametrize("when", ["in an order", "afterwards"])
def test_each_file_of_certificates_and_accounts_has_the_rights_that_it_needs_and_no_others(machine, when):
    host, _, seen = machine
    web, wrong, met = grp.getgrnam("www-data").gr_gid, [], set()
    for path, (kind, mode, uid, gid) in (seen["tree"] if when == "in an order" else tree(host)).items():
        if kind == stat.S_IFLNK and re.fullmatch(r"certs/[^/]+/[^/]+/current", path):
            continue
        rule = next((rule for rule in RIGHTS if re.fullmatch(rule[0], path)), None)
        met.add(rule)
        if not rule or (mode, uid, gid) != (rule[1], 0, web if rule[2] else 0):
            wrong.append(f"{path}: {mode:o} {uid}:{gid}")
    assert not wrong, wrong
    assert ("certs/alice/alice.web.test/order.json" in seen["tree"]) and len(met) >= 7, met


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_the_worker_has_a_user_of_its_own_no_capabilities_no_way_up_and_a_filter(machine):
    host, _, _ = machine
    status = status_of(worker_of(host))
    user = pwd.getpwnam("webspaces-acme")
    assert status["Uid"].split() == [str(user.pw_uid)] * 4 and status["Gid"].split() == [str(user.pw_gid)] * 4
    assert status["Groups"].split() in ([], [str(user.pw_gid)])
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Eff", "Prm", "Inh", "Amb", "Bnd")} == {0}, status
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_the_worker_has_no_file_open_or_mapped_that_is_ours_and_nothing_in_its_environment(machine):
    host, _, _ = machine
    worker = worker_of(host)
    files = {fd: os.readlink(f"/proc/{worker}/fd/{fd}") for fd in os.listdir(f"/proc/{worker}/fd")}
    odd = [path for path in files.values() if not re.match(r"socket:|pipe:|anon_inode:|/dev/null$", path)]
    assert odd in ([], [host.log]) or set(odd) == {host.log}, files  # stdout and stderr are the agent's
    with open(f"/proc/{worker}/maps", encoding="utf-8") as maps:
        mapped = {line.split(None, 5)[5].strip() for line in maps if line.count("/")}
    assert not [path for path in mapped if path.startswith((host.root, "/etc"))], mapped
    with open(f"/proc/{worker}/environ", "rb") as file:
        names = {variable.split(b"=")[0].decode() for variable in file.read().split(b"\0") if variable}
    assert names <= {"PATH", "LANG", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}, names


def memory_of(pid):
    """All that a process can write to."""
    parts = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            begin, end = (int(at, 16) for at in line.split()[0].split("-"))
            if line.split()[1].startswith("rw") and end - begin < 1 << 28:
                try:
                    memory.seek(begin)
                    parts.append(memory.read(end - begin))
                except OSError:
                    pass
    return b"".join(parts)


def secrets_of(key_file):
    """The number that is an EC key, as bytes either way round, and a line of its PEM text."""
    out = subprocess.run(["openssl", "pkey", "-in", key_file, "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    number = bytes.fromhex(re.search(r"priv:\s+([0-9a-f:\s]+?)pub:", out).group(1).replace(":", "").replace(" ", "").replace("\n", ""))
    number = number[-32:]
    with open(key_file, encoding="ascii") as file:
        line = file.read().splitlines()[1].encode()
    return [number, number[::-1], line, base64.b64encode(number)]


def test_no_key_is_in_the_worker_s_memory(machine):
    host, _, seen = machine
    now, agent = memory_of(worker_of(host)), memory_of(host.agent.pid)
    assert len(now) > 1 << 18 and len(seen["memory"]) > 1 << 18
    account, = glob.glob(f"{host.state_dir}/acme/*/account.key")
    assert any(secret in agent for secret in secrets_of(account)), "the agent has it: the search can find one"
    for file in (account, site(host, "alice", "current/key.pem")):
        for secret in secrets_of(file):
            assert secret not in now and secret not in seen["memory"], file


def test_neither_the_worker_s_user_nor_anybody_but_the_web_server_can_read_a_key(machine):
    host, _, _ = machine
    keys = [*glob.glob(f"{host.state_dir}/acme/*/account.key"), site(host, "alice", "current/key.pem")]
    for user, may in (("webspaces-acme", set()), ("alice", set()), ("nobody", set()), ("www-data", {keys[1]})):
        for key in keys:
            out = subprocess.run(["setpriv", f"--reuid={user}", f"--regid={grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name}", "--clear-groups", "cat", key],
                                 capture_output=True, check=False)  # fmt: skip
            assert (out.returncode == 0) == (key in may), (user, key)
