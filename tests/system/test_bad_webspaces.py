"""A bad webspace harms itself alone: twenty good ones are served all the time, by the same daemons.

Each kind of badness is one row of a table: how it comes about, what status has to say of it, and
how it is mended. They all happen at once, on one host.
"""

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

import pytest

from crowd import Crowd
from host import Host, exchange, wait_for

GOOD = [f"good{n}" for n in range(20)]
PAGE = "<?php echo 'good';"
SETTINGS = "reconcile = { removal_grace_s = 1; }; defaults = { site = { redirect_https = false; }; };"

# php-fpm as it is, but its check dislikes a word that our own checks know nothing of. Laid under every
# program by ld.so.preload(5), so that what runs is still the program that the agent started.
PICKY = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
__attribute__((constructor)) static void look(int argc, char **argv)
{
	char line[4096], pool[4096] = "";
	FILE *f = argc > 3 && strcmp(argv[1], "--test") == 0 ? fopen(argv[3], "r") : NULL;
	while (f && fgets(line, sizeof(line), f)) {
		if (*line == '[')
			sscanf(line, "%4000s", pool);
		if (strstr(line, "unbearable")) {
			fprintf(stderr, "ERROR: %s this php-fpm does not like it\n", pool);
			exit(78);
		}
	}
	if (f)
		fclose(f);
}
"""


@pytest.fixture
def picky(tmp_path):
    (tmp_path / "picky.c").write_text(PICKY)
    library = "/mnt/picky.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "picky.c"], check=True)
    with open("/etc/ld.so.preload", "w", encoding="ascii") as file:
        file.write(f"{library}\n")
    yield
    os.unlink("/etc/ld.so.preload")
    os.unlink(library)


class Watch:
    """Good webspaces under visitors, and the daemons they had at first."""

    def __init__(self, host):
        self.host = host
        self.nginx = host.nginx_pid()
        names = [host.host_name(name) for name in GOOD]
        options = {"visitors": 2, "pause": 0.03, "ca_file": host.ca_file}
        self.crowd = Crowd("good ones", host.https_port, names, "/", "good", **options)

    def end(self):
        visits = self.crowd.end()
        print(f"\n  {visits}")
        assert len(visits.visits) > 20 and not visits.failed, (len(visits.visits), visits.failed[:5])
        assert self.host.nginx_pid() == self.nginx, "nginx was started again"
        for name in GOOD:
            assert self.host.ready(name), self.host.status(name)
        journal = self.host.journal()
        assert "ended by itself" not in journal, journal[-2000:]


@pytest.fixture
def served(make_host, picky):
    """A host with twenty good webspaces and a php-fpm that is hard to please."""
    host = make_host(settings=SETTINGS)
    host.start()
    host.add(*GOOD, index=PAGE)
    for name in GOOD:
        host.wait_answers(name, https=True)
    return host


def put(host, file, text, mode=0o644):
    path = os.path.join(host.drops, file)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, mode)
    return path


def told(host, name, kind, reason, *words):
    """Does status say so?"""
    condition = host.condition(name, kind)
    return (
        condition
        and condition["status"] == "False"
        and condition["reason"] == reason
        and all(word in condition["message"] for word in words)
    )


# Texts that do not load: name → text, what is said.
UNLOADABLE = {
    "unknownkey": ('php = { memory_limt = "64M"; };', "memory_limt", "memory_limit"),
    "badvalue": ('php = { memory_limit = "lots"; };', "memory_limit"),
    "outofrange": ("php = { max_children = 0; };", "max_children"),
    "wrongtype": ('php = "yes";', "php"),
    "wrongnumber": ('php = { max_children = "five"; };', "max_children"),
    "syntax": ("php = { memory_limit = ", "syntax"),
    "include": ('@include "/etc/shadow"', "include"),
    "comment": ("/* never ends", "comment"),
    "longlabel": ('sites = ({ names = ["' + "a" * 64 + '.example.test"]; });', "names"),
    "longname": ('sites = ({ names = ["' + ".".join(["a" * 49] * 6) + '"]; });', "names"),
    "injection": ('php = { values = { x = "1\\nuser = root"; }; };', "values"),
    "spares": ('php = { pm = "dynamic"; max_children = 2; max_spare_servers = 9; };', "max_spare_servers"),
    "halfcert": ('sites = ({ tls = { certificate = "/etc/ssl/a.pem"; }; });', "tls.key"),
    "rootid": ("account = { uid = 0; };", "account.uid"),
    "twice": ('sites = ({ names = ["t.example.test"]; }, { names = ["T.example.test"]; });', "twice"),
    "jailbind": ('binds = ["/etc/hostname:/data/x"];', "binds"),
    "opcache": ('php = { values = { opcache = { validate_root = "0"; }; }; };', "opcache"),
}


def fifo(host):
    os.mkfifo(os.path.join(host.drops, "fifo.conf"))


def link(host):
    os.makedirs(f"{host.root}/theirs", exist_ok=True)
    os.chown(f"{host.root}/theirs", 1234, 1234)
    os.symlink(f"{host.root}/theirs/link.conf", os.path.join(host.drops, "link.conf"))


def theirs(host):
    os.chown(put(host, "theirs.conf", ""), 1234, 1234)


# Files that are not read: name → how it comes, what is said.
UNREADABLE = {
    "fifo": (fifo, "not a regular file"),
    "link": (link, "symbolic link"),
    "theirs": (theirs, "must be root's"),
    "writable": (lambda host: put(host, "writable.conf", "", 0o666), "written by others"),
    "huge": (lambda host: put(host, "huge.conf", "#" * 70000 + "\n"), "larger than"),
    "nul": (lambda host: put(host, "nul.conf", "state = \0;"), ""),
    "directory": (lambda host: os.mkdir(os.path.join(host.drops, "directory.conf")), "not a regular file"),
    "Upper": (lambda host: put(host, "Upper.conf", ""), "lower-case"),
    "-dash": (lambda host: put(host, "-dash.conf", ""), "begins with"),
    "a b": (lambda host: put(host, "a b.conf", ""), "lower-case"),
    "x" * 40: (lambda host: put(host, "x" * 40 + ".conf", ""), "32"),
    "www-data": (lambda host: put(host, "www-data.conf", ""), "the system's own"),
    "root": (lambda host: put(host, "root.conf", ""), "the system's own"),
}


def mend_file(host, name):
    """Whatever is at NAME.conf makes place for an empty file."""
    path = os.path.join(host.drops, f"{name}.conf")
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)
    if name in UNLOADABLE or name.islower() and name.isalpha() and len(name) <= 32 and name != "root":
        host.drop(name)
        return True
    return False


def test_files_that_do_not_load_harm_nobody_and_heal(served):  # promise 2, G1 A6
    host, watch = served, Watch(served)
    for name, (text, *_) in UNLOADABLE.items():
        host.drop(name, text)
    for make, _ in UNREADABLE.values():
        make(host)
    for name, (_, *words) in UNLOADABLE.items():
        wait_for(f"{name}: {words}: {host.condition(name, 'Loaded')}", lambda: told(host, name, "Loaded", "Invalid", *words), 15)
    for name, (_, *words) in UNREADABLE.items():
        wait_for(f"{name}: {words}: {host.condition(name, 'Loaded')}", lambda: told(host, name, "Loaded", "Invalid", *words), 15)
    host.add("later", index=PAGE)
    host.wait_answers("later", https=True)
    mended = [name for name in [*UNLOADABLE, *UNREADABLE] if mend_file(host, name)]
    assert len(mended) > 20
    host.wait_ready(*mended)
    watch.end()


# What loads and cannot be had. ------------------------------------------------


def useradd(name, uid, gid):
    with open("/etc/passwd", "a", encoding="ascii") as file:
        file.write(f"{name}:x:{uid}:{gid}::/nonexistent:/usr/sbin/nologin\n")
    with open("/etc/group", "a", encoding="ascii") as file:
        if gid == uid:
            file.write(f"{name}:x:{gid}:\n")


def share_group(host, name):
    useradd(name, 61002, 61002)
    useradd("companion", 61003, 61002)


def forget_user(host, name):
    for path in ("/etc/passwd", "/etc/group"):
        with open(path, encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith(f"{name}:")]
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.writelines(lines)
        os.chmod(f"{path}.new", 0o644)
        os.rename(f"{path}.new", path)


def file_at(*below):
    """A file where a directory of the webspace has to be."""

    def make(host, name):
        path = host.home(name, *below)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8"):
            pass

    return make


def file_in_place_of(*below):
    """The same where there is one, which is never missed: it would be put back at once."""

    def make(host, name):
        aside = os.path.join(host.root, f"{name}.aside")
        with open(aside, "w", encoding="utf-8"):
            pass
        exchange(aside, host.home(name, *below))

    return make


def link_at_home(host, name):
    os.makedirs(os.path.join(host.root, "elsewhere"), exist_ok=True)
    os.symlink(os.path.join(host.root, "elsewhere"), host.home(name))


def nothing(host, name):
    pass


def remove_at(*below):
    def mend(host, name):
        os.unlink(host.home(name, *below))

    return mend


def pair_of_files(host, name, names, key_of=None):
    """A certificate of the host's own CA's kind, signed by itself, for these names."""
    base = os.path.join(host.root, name)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{each}" for each in names),
         "-keyout", f"{base}.key", "-out", f"{base}.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    if key_of:
        shutil.copy(os.path.join(host.root, f"{key_of}.key"), f"{base}.key")


def own(name):
    return f'sites = ({{ tls = {{ certificate = "ROOT/{name}.pem"; key = "ROOT/{name}.key"; }}; }});'


def garbage(host, name):
    for end in ("pem", "key"):
        with open(os.path.join(host.root, f"{name}.{end}"), "w", encoding="utf-8") as file:
            file.write("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")


def good_pair(host, name):
    pair_of_files(host, name, [host.host_name(name)])


# name → text of the file, what is done first, what is said of it, how it is mended (None: by an empty file).
IMPOSSIBLE = {
    "nosource": ('binds = ["/nonexistent/x:/srv/x"];', nothing, ("Mounts", "SourceMissing", "/nonexistent/x"), None),
    "noversion": ('php = { version = "5.6"; };', nothing, ("Php", "VersionMissing", "5.6"), None),
    "picky": ('php = { env = { WORD = "unbearable"; }; };', nothing, ("Php", "Quarantined", "does not like"), None),
    "nametaken": ('sites = ({ names = ["nametaken.web.test"]; }, { names = ["good3.web.test"]; });', nothing, ("Sites", "NameTaken", "good3"), None),
    "homefile": ("", file_at(), ("Directories", "WrongType", "a file"), remove_at()),
    "chrootfile": ("", file_at("chroot"), ("Directories", "WrongType", "chroot is a file"), remove_at("chroot")),
    "datafile": ("", file_at("chroot/data"), ("Directories", "WrongType", "data is a file"), remove_at("chroot/data")),
    "logsfile": ("", file_at("logs"), ("Directories", "WrongType", "logs is a file"), remove_at("logs")),
    "homelink": ("", link_at_home, ("Directories", "WrongType", "a link"), remove_at()),
    "lowid": ("", lambda host, name: useradd(name, 777, 777), ("Account", "NotAllowed", "system account"), forget_user),
    "sysgroup": ("", lambda host, name: useradd(name, 61001, grp.getgrnam("www-data").gr_gid), ("Account", "NotAllowed", "system group"), forget_user),
    "shared": ("", share_group, ("Account", "NotAllowed", "shares its primary group"), forget_user),
    "nopair": (own("nopair"), nothing, ("Certificate", "BadCertificate", "nopair.pem"), good_pair),
    "badpair": (own("badpair"), garbage, ("Certificate", "BadCertificate", "badpair"), good_pair),
    "otherkey": (own("otherkey"), lambda host, name: (good_pair(host, "spare"), pair_of_files(host, name, [host.host_name(name)], "spare")), ("Certificate", "BadCertificate", "key"), good_pair),
    "othername": (own("othername"), lambda host, name: pair_of_files(host, name, ["else.example.test"]), ("Certificate", "BadCertificate", "othername.web.test"), good_pair),
}


def test_what_cannot_be_had_harms_nobody_and_heals(served):  # promise 2, A3 A6 B8 C15 D2 E7
    host, watch = served, Watch(served)
    for name, (text, make, *_) in IMPOSSIBLE.items():
        make(host, name)
        host.drop(name, text.replace("ROOT", host.root))
    for name, (_, _, said, _) in IMPOSSIBLE.items():
        try:
            wait_for(f"{name}: {said}", lambda: told(host, name, *said), 15)
        except AssertionError as error:
            raise AssertionError(f"{error}: {host.status(name)}") from None
    for name, (_, _, _, mend) in IMPOSSIBLE.items():
        if mend:
            mend(host, name)
        else:
            host.drop(name)
    host.wait_ready(*IMPOSSIBLE, seconds=60)
    for name in IMPOSSIBLE:
        host.write(name, "index.php", PAGE)
        if name not in ("nopair", "badpair", "otherkey", "othername"):
            host.wait_answers(name, https=True)
    watch.end()


# The last known good ------------------------------------------------------------

# What was good and goes bad: name → the good file, what makes it bad, what is said.
SPOILED = {
    "typo": ("", lambda host, name: host.drop(name, "stat = 1;"), ("Loaded", "Invalid", "stat")),
    "picky": ("", lambda host, name: host.drop(name, 'php = { env = { WORD = "unbearable"; }; };'), ("Php", "Quarantined", "does not like")),
    "source": ("", lambda host, name: host.drop(name, 'binds = ["/nonexistent/x:/srv/x"];'), ("Mounts", "SourceMissing", "/nonexistent/x")),
    "lostsource": ('binds = ["/mnt/lost:/srv/x"];', lambda host, name: os.rmdir("/mnt/lost"), ("Mounts", "SourceMissing", "/mnt/lost")),
    "version": ("", lambda host, name: host.drop(name, 'php = { version = "5.6"; };'), ("Php", "VersionMissing", "5.6")),
    "logs": ("", file_in_place_of("chroot/tmp/wsdl"), ("Directories", "WrongType", "wsdl")),
    "pair": (own("pair"), lambda host, name: garbage(host, name), ("Certificate", "BadCertificate", "pair")),
}


def spoil(host):
    for name, (_, make_bad, _) in SPOILED.items():
        make_bad(host, name)
    host.agent.send_signal(signal.SIGHUP)
    for name, (_, _, said) in SPOILED.items():
        try:
            wait_for(f"{name}: {said}", lambda: told(host, name, *said), 15)
        except AssertionError as error:
            raise AssertionError(f"{error}: {host.status(name)}") from None


def all_answer(host, when):
    silent = [name for name in SPOILED if not host.answers(name)]
    assert not silent, f"{when}: {silent}: {host.journal()[-3000:]}"


def test_what_was_good_stays_in_force_over_restarts(served):  # promise 2, design 5: the last known good
    host = served
    os.mkdir("/mnt/lost")
    good_pair(host, "pair")
    for name, (text, _, _) in SPOILED.items():
        host.drop(name, text.replace("ROOT", host.root))
    host.wait_ready(*SPOILED)
    for name in SPOILED:
        host.write(name, "index.php", PAGE)
        host.wait_answers(name)
    visitors = Crowd("what was good", host.http_port, [host.host_name(name) for name in SPOILED], "/", "good", pause=0.02)
    watch = Watch(host)
    spoil(host)
    all_answer(host, "while the agent runs")
    host.end()
    host.start()
    host.settle()
    all_answer(host, "after a restart")
    host.kill()
    host.start()
    host.drop("another")
    host.wait_ready("another")
    all_answer(host, "after kill -9 and a change elsewhere")
    for name, (_, _, said) in SPOILED.items():
        wait_for(f"{name}: {said} after restarts, not {host.condition(name, said[0])}", lambda: told(host, name, *said), 15)
    visits = visitors.end()
    print(f"\n  {visits}")
    assert not visits.failed, visits.failed[:5]
    watch.end()


# The admin's own mistakes ----------------------------------------------------------


def put_etc(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def says(host, *words):
    return all(word in host.journal() for word in words)


def nobody_blamed(host):
    for webspace in host.status()["webspaces"]:
        for condition in webspace["conditions"]:
            assert condition["reason"] != "Quarantined", webspace


def test_a_broken_php_ini_of_the_admins_harms_nobody(served):  # promise 2, C3
    host, watch = served, Watch(served)
    version = sorted(os.listdir("/etc/php"))[-1]
    broken = f"/etc/php/{version}/fpm/conf.d/00-broken.ini"
    put_etc(broken, 'extension = no_such_extension.so\nopcache.validate_root = "\nmemory_limit = ((\n')
    try:
        host.drop("new1")
        time.sleep(3)
        nobody_blamed(host)
    finally:
        os.unlink(broken)
    host.agent.send_signal(signal.SIGHUP)
    host.wait_ready("new1", seconds=60)
    host.write("new1", "index.php", PAGE)
    host.wait_answers("new1")
    watch.end()


def test_a_port_that_somebody_has_is_named(make_host):  # promise 2, C3: we never take it
    host = make_host(settings=SETTINGS)
    with socket.create_server(("127.0.0.1", host.http_port)):
        host.start()
        host.drop("alice")
        wait_for(f"status names the port: {host.status('alice')}", lambda: told(host, "alice", "Sites", "HostFault", f"127.0.0.1:{host.http_port}", str(os.getpid())), 15)
        assert says(host, f"127.0.0.1:{host.http_port}")
        nobody_blamed(host)
    host.agent.send_signal(signal.SIGHUP)
    host.wait_ready("alice", seconds=60)
    host.write("alice", "index.php", PAGE)
    host.wait_answers("alice")


def no_master_can_start(host):
    """The logs of PHP's masters become directories: who dies stays dead. What mends it is returned."""
    logs = [os.path.join(host.log_root, f"php-{line}.log") for line in host.masters()]
    for path in logs:
        if os.path.exists(path):
            os.rename(path, f"{path}.old")
        os.mkdir(path)
    return lambda: [os.rmdir(path) for path in logs]


def is_dead(pid):
    """Gone, or waiting for somebody to fetch its status."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def kill_masters(host):
    pids = list(host.masters().values())
    assert pids
    for pid in pids:
        os.killpg(os.getpgid(pid), signal.SIGKILL)
    wait_for("the masters are dead", lambda: all(is_dead(pid) for pid in pids), 10)


def assert_down_until_mended(host, names, mend):
    for name in names:
        wait_for(f"{name} is not ready: {host.status(name)}", lambda: told(host, name, "Php", "HostFault", "php-"), 15)
        assert not host.ready(name) and host.command("status", name).returncode != 0
        assert not host.answers(name)
    nobody_blamed(host)
    mend()
    host.agent.send_signal(signal.SIGHUP)
    host.wait_ready(*names, seconds=60)
    for name in names:
        host.wait_answers(name)


def test_whose_master_cannot_be_started_again_is_not_ready(make_host):  # promises 2 and 5, C3
    host = make_host(settings=SETTINGS, shards=1).start()
    names = ["alice", "bob"]
    host.add(*names, index=PAGE)
    host.wait_answers("bob")
    mend = no_master_can_start(host)
    kill_masters(host)
    assert_down_until_mended(host, names, mend)


def test_a_start_without_any_master_is_not_ready(make_host):  # promises 2 and 5: a boot with a fault
    host = make_host(settings=SETTINGS, shards=1).start()
    names = ["alice", "bob"]
    host.add(*names, index=PAGE)
    host.wait_answers("bob")
    mend = no_master_can_start(host)
    host.kill()
    kill_masters(host)
    host.start()
    assert_down_until_mended(host, names, mend)
    since = host.condition("alice", "Php")["since"]
    time.sleep(1.1)  # its unit is a second
    kill_masters(host)  # and who is back within a moment was never away
    wait_for("another master", host.masters, 30)
    wait_for("it answers", lambda: host.answers("alice"), 30)
    assert host.condition("alice", "Php")["since"] == since


def test_the_longest_name_is_served(served):  # C1: 253 characters are allowed
    host = served
    name = ".".join(["a" * 61] * 4) + ".ex.te"
    name = name[-253:].lstrip(".")
    host.add("long", text=f'sites = ({{ names = ["{name}", "short.example.test"]; }});', index=PAGE)
    assert host.wait_answers("long", host=name).text == "good"
    assert host.wait_answers("long", host="short.example.test", https=True).text == "good"
