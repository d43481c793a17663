"""S6: who may read what of ours: a walk over all of it as a webspace's user without a jail."""

import grp
import os
import pwd
import re
import stat
import subprocess

import pytest

from host import Host, wait_for

ADM = grp.getgrnam("adm").gr_gid

# What others may read, below the host's directories. Everything else is closed to them.
OPEN = [
    r"state/ca/ca\.pem",  # the root certificate, for clients
    r"etc/webspaces\.conf",  # the admin's own
    r"etc/webspaces\.d/[^/]*\.conf",
    r"run/base/.*",  # copies of what everybody may read on the host
]
# … and which directories they may list.
LISTED = ["run", "state", "state/ca", "state/php", "etc", "etc/webspaces.d", "run/base.*"]

WALK = """
import os, stat, sys
for root in sys.argv[1:]:
    for path, directories, files in os.walk(root):
        print("listed", path)
        for name in files:
            full = os.path.join(path, name)
            mode = os.lstat(full).st_mode
            if stat.S_ISREG(mode) and os.access(full, os.R_OK) or stat.S_ISSOCK(mode) and os.access(full, os.W_OK):
                print("read", full)
        for name in [".", *directories]:
            if os.access(os.path.join(path, name), os.W_OK):
                print("written", os.path.join(path, name))
"""


@pytest.fixture(autouse=True)
def accounts():
    """Of the module."""


@pytest.fixture(scope="module")
def host(accounts_of_the_module):
    host = Host().start()
    host.add("alice")
    host.add("bob", text='php = { chroot = false; env = { DB_PASSWORD = "geheim"; }; };')
    for name in ("alice", "bob"):
        host.get(name, f"/{name}-asks-for-this")
        host.get(name, "/%2e%2e/x")
    yield host
    host.destroy()


def as_user(name, *argv, groups=()):
    user = pwd.getpwnam(name)
    return subprocess.run(
        ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
         f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups", *argv],
        capture_output=True, text=True, check=False)  # fmt: skip


def matches(path, patterns):
    return any(re.fullmatch(pattern, path) for pattern in patterns)


def mode(path):
    status = os.lstat(path)
    return stat.S_IMODE(status.st_mode), pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name


def test_s6_others_read_nothing_but_what_is_meant_for_them(host):
    roots = [f"{host.root}/{place}" for place in ("run", "state", "log", "etc")]
    said = as_user("bob", "/usr/bin/python3", "-c", WALK, *roots).stdout.splitlines()
    found = [line.split(" ", 1) for line in said]
    below = [(what, os.path.relpath(path, host.root)) for what, path in found]
    assert ("read", "state/ca/ca.pem") in below and ("listed", "run") in below, "it walks"
    assert [path for what, path in below if what == "read" and not matches(path, OPEN)] == []
    assert [path for what, path in below if what == "listed" and not matches(path, LISTED)] == []
    assert [path for what, path in below if what == "written"] == []


def test_s6_modes_and_owners_are_those_that_are_said(host):
    assert mode(host.log_root) == (0o750, "root", "adm")
    assert mode(f"{host.log_root}/nginx-error.log") == (0o640, "root", "adm")
    for line in host.masters():
        assert mode(f"{host.log_root}/php-{line}.log") == (0o640, "root", "adm")
    for name in os.listdir(f"{host.run_dir}/status"):
        assert mode(f"{host.run_dir}/status/{name}") == (0o640, "root", "adm")
    for name in os.listdir(host.home("alice", "logs")):
        assert mode(host.home("alice", "logs", name))[0] & 0o007 == 0


def test_s6_a_neighbour_reads_no_request_of_others(host):
    for path in (f"{host.log_root}/nginx-error.log", host.home("alice", "logs/access.log"), f"{host.run_dir}/status/alice.json"):
        assert as_user("bob", "cat", path).returncode != 0


def test_s6_who_is_in_adm_reads_logs_and_status(host):
    assert as_user("bob", "cat", f"{host.log_root}/nginx-error.log", groups=[ADM]).returncode == 0
    listed = as_user("bob", host.webspaces, "--config", host.config, "status", groups=[ADM])
    assert "alice" in listed.stdout, listed
    refused = as_user("bob", host.webspaces, "--config", host.config, "status")
    assert refused.returncode != 0 and "root and the group adm alone" in refused.stderr


def test_s6_rights_that_an_earlier_version_gave_are_mended(make_host):
    other = make_host(ports=(8180, 8543))
    for place, rights in (("log", 0o755), ("run/status", 0o755), ("state/made", 0o755)):
        os.makedirs(f"{other.root}/{place}", exist_ok=True)
        os.chmod(f"{other.root}/{place}", rights)
    for file in ("log/nginx-error.log", "state/ids"):
        with open(f"{other.root}/{file}", "w", encoding="ascii"):
            os.chmod(f"{other.root}/{file}", 0o644)
    other.start().add("carol")
    assert mode(other.log_root) == (0o750, "root", "adm")
    assert mode(f"{other.log_root}/nginx-error.log") == (0o640, "root", "adm")
    for place in ("run/status", "state/made", "state/ids"):
        assert mode(f"{other.root}/{place}")[0] & 0o007 == 0, place


def test_s6_a_directory_of_others_logs_keeps_its_rights(make_host):
    """log_root = "/var/log" must not close that."""
    other = make_host(ports=(8180, 8543))
    os.chmod(other.log_root, 0o755)
    with open(f"{other.log_root}/syslog", "w", encoding="ascii"):
        pass
    other.start()
    wait_for("its log is there", lambda: os.path.exists(f"{other.log_root}/nginx-error.log"))
    assert mode(other.log_root)[0] == 0o755
    assert mode(f"{other.log_root}/nginx-error.log") == (0o640, "root", "adm")


# Secrets ------------------------------------------------------------------------------------------

SECRET = 'php = { env = { DB_PASSWORD = "geheim"; APP_ENV = "production"; }; };'


def test_s6_a_secret_that_others_may_read_is_said_once_and_by_check(host):
    path = f"{host.drops}/dora.conf"
    host.drop("dora", SECRET)
    host.wait_ready("dora")
    warning = "dora: php.env.DB_PASSWORD looks like a secret, and the mode of the file, 0644, lets every user"
    assert host.journal().count(warning) == 1
    assert "geheim" not in host.journal()
    check = host.command("check")
    assert check.returncode == 0 and f"{path}: warning: php.env.DB_PASSWORD looks like a secret" in check.stderr
    assert "bob.conf: warning" in check.stderr and "alice.conf" not in check.stderr


@pytest.mark.parametrize("rights", [0o640, 0o600])
def test_s6_a_file_that_only_root_may_read_works_without_a_word(host, rights):
    name = f"e{rights:o}"
    host.drop(name, SECRET)
    os.chmod(f"{host.drops}/{name}.conf", rights)
    host.wait_ready(name)
    host.write(name, "index.php", "<?php echo getenv('DB_PASSWORD');")
    assert host.wait_answers(name, https=True).text == "geheim"
    assert f"{name}.conf" not in host.command("check").stderr
    assert host.command("plan").returncode == 0


def test_s6_a_secret_in_the_hosts_file_is_said(make_host):
    other = make_host(ports=(8180, 8543), settings='defaults = { php = { env = { API_TOKEN = "geheim"; }; }; };')
    assert "warning: defaults.php.env.API_TOKEN looks like a secret" in other.command("check").stderr
    other.start()
    assert "defaults.php.env.API_TOKEN looks like a secret" in other.journal()
    os.chmod(other.config, 0o600)
    assert other.command("check").stderr == ""
