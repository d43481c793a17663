"""The Debian package as a file: what lintian says, what is in it, that it is reproducible."""

import filecmp
import os
import re
import shutil
import stat
import subprocess
import tarfile

import pytest
from debian import package
from systemd_root import TOP


def run(*argv, **options):
    return subprocess.run(argv, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def members():
    """path → tarfile.TarInfo of all that the package holds."""
    made = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package()], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=made.stdout, mode="r|") as archive:
        found = {member.name[1:].rstrip("/") or "/": member for member in archive}
    made.wait()
    return found


def test_lintian_has_neither_errors_nor_warnings_and_each_override_is_needed_and_has_its_reason():
    said = run("lintian", "--allow-root", "-I", "--fail-on", "error,warning", package())
    assert said.returncode == 0 and not re.search("^[EW]:|unused-override", said.stdout, re.M), said.stdout + said.stderr
    lines = (TOP / "packaging/debian/webspaces.lintian-overrides").read_text().splitlines()
    for before, line in zip(["", *lines], lines):
        assert line.startswith("#") or before.startswith(("#", "webspaces:")), line


def test_it_belongs_to_root_and_nobody_else_writes_it(members):
    for path, member in members.items():
        assert (member.uid, member.gid) == (0, 0), path
        mode = stat.S_IMODE(member.mode)
        is_program = member.isdir() or path.startswith(("/usr/bin/", "/usr/lib/webspaces/", "/etc/ca-certificates/update.d/"))
        if not member.issym():
            assert mode == (0o755 if is_program else 0o644), f"{path}: {mode:o}"


def test_it_has_all_that_a_service_of_debian_has(members):
    wanted = """/usr/bin/webspaces /usr/lib/webspaces/acme-worker /etc/webspaces/webspaces.conf /etc/webspaces.d
        /etc/nginx/webspaces.d /etc/logrotate.d/webspaces
        /lib/systemd/system/webspaces.service /lib/systemd/system/webspaces-ns.service
        /lib/systemd/system/webspaces-nginx.service /lib/systemd/system/webspaces-php@.service
        /lib/systemd/system/webspaces.slice /usr/lib/sysusers.d/webspaces.conf /usr/lib/tmpfiles.d/webspaces.conf
        /usr/lib/sysctl.d/30-webspaces.conf /usr/lib/systemd/catalog/webspaces.catalog
        /usr/share/bash-completion/completions/webspaces
        /usr/share/man/man8/webspaces.8.gz /usr/share/man/man5/webspaces.conf.5.gz
        /usr/share/man/man7/webspaces-metrics.7.gz
        /usr/share/doc/webspaces/copyright /usr/share/doc/webspaces/changelog.gz /usr/share/doc/webspaces/README.Debian"""
    assert set(wanted.split()) <= set(members)
    control = run("dpkg-deb", "-f", package()).stdout
    for dependency in ["nginx", "php-fpm", "systemd", "logrotate", "ca-certificates", "tzdata", "libssl3", "libinotifytools0"]:
        assert re.search(rf"^Depends:.*\b{dependency}\b", control, re.M), dependency


def test_what_an_admin_edits_is_a_conffile(members, tmp_path):
    assert run("dpkg-deb", "-e", package(), str(tmp_path / "control")).returncode == 0
    conffiles = set((tmp_path / "control/conffiles").read_text().split())
    assert conffiles == {path for path, member in members.items() if path.startswith("/etc/") and member.isfile()}
    assert "/etc/webspaces/webspaces.conf" in conffiles


def test_the_hosts_file_as_shipped_loads_and_changes_nothing(members, tmp_path):
    assert run("dpkg-deb", "-x", package(), str(tmp_path / "root")).returncode == 0
    shipped = tmp_path / "root/etc/webspaces/webspaces.conf"
    checked = run(os.environ["WEBSPACES"], "--config", str(shipped), "check", str(tmp_path / "root/etc/webspaces.d"))
    assert checked.returncode == 0, checked.stderr
    lines = shipped.read_text().splitlines()
    assert len(lines) > 100 and all(not line or line.startswith("#") for line in lines)


def test_make_install_installs_what_the_package_has(members, tmp_path):
    root = tmp_path / "root"
    r = run("make", "-s", "install", f"DESTDIR={root}", "PREFIX=/usr", "UNIT_DIR=/lib/systemd/system", cwd=TOP)
    assert r.returncode == 0, r.stderr
    made = {"/" + os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root) for name in names}
    packaged = {path.removesuffix(".gz") for path, member in members.items() if member.isfile()}
    own = {p for p in packaged if p.startswith(("/usr/share/doc/", "/usr/share/lintian/", "/usr/lib/webspaces/default-site", "/etc/ca-certificates/"))}
    assert made == packaged - own


def test_installed_below_another_prefix_the_units_run_what_is_there(tmp_path):
    assert run("make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr/local", cwd=TOP).returncode == 0
    units = tmp_path / "usr/local/lib/systemd/system"
    text = "".join(path.read_text() for path in units.iterdir())
    assert "ExecStart=/usr/local/bin/webspaces run" in text and "/usr/bin/webspaces" not in text
    assert (tmp_path / "usr/local/bin/webspaces").exists()
    assert (tmp_path / "usr/local/lib/webspaces/acme-worker").exists()


def test_both_changelogs_and_the_program_say_the_same_version(tmp_path):
    version = run("dpkg-deb", "-f", package(), "Version").stdout.strip()
    assert run(os.environ["WEBSPACES"], "--version").stdout == f"webspaces {version}\n"
    assert run(TOP / "packaging/check-version", version).returncode == 0
    told = run(TOP / "packaging/check-version", "9.9")
    assert told.returncode == 1 and "9.9" in told.stderr and version in told.stderr


IGNORED = shutil.ignore_patterns("build", "build-*", ".git", "__pycache__")


def tree(top):
    """path → time of change, of all that git would see."""
    found = {}
    for at, folders, names in os.walk(top):
        folders[:] = set(folders) - IGNORED(at, folders)
        found.update({os.path.join(at, name): os.lstat(os.path.join(at, name)).st_mtime_ns for name in names})
    return found


def test_built_again_elsewhere_it_has_the_same_bytes_and_leaves_nothing_in_the_tree(tmp_path):
    """In another directory, with another umask, time zone, language and home."""
    copy = tmp_path / "a-longer-path"
    shutil.copytree(TOP, copy, ignore=IGNORED)
    before = tree(copy)
    environment = {**os.environ, "TZ": "Pacific/Kiritimati", "LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)}
    made = subprocess.run(["sh", "-c", "umask 027 && exec make -s deb"], cwd=copy, env=environment, capture_output=True,
                          text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert tree(copy) == before
    names = [name for name in os.listdir(copy / "build") if name.endswith(".deb")]
    assert len(names) == 2
    for name in names:
        assert filecmp.cmp(copy / "build" / name, TOP / "build" / name, shallow=False), name
