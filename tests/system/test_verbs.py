"""Each command: what it does, what it prints, how it ends."""

import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import time

import pytest
from host import WEBSPACES, wait_for
from test_second_pass import differences, picture

VERBS = "run apply plan check status render certs options mounts enter access confirm rollback doctor completion purge make-key".split()
RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
CONDITIONS = ["Loaded", "Account", "Directories", "Mounts", "Php", "Sites", "Certificate"]


def told(done):
    """Exit code, and that errors are said as they should be."""
    for line in done.stderr.splitlines():
        assert line.startswith("webspaces: "), line
    return done.returncode


def quiet(host, *words, code=0):
    done = host.command(*words)
    assert (done.returncode, done.stderr) == (code, ""), (words, done)
    return done.stdout


# The program itself -------------------------------------------------------


def run(*words, **options):
    return subprocess.run([WEBSPACES, *words], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize("verb", VERBS)
def test_each_command_has_a_page(verb):  # G4
    done = run(verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: webspaces")
    assert re.search(r"^Exit( status)?: ", done.stdout, re.M)
    assert len(done.stdout.splitlines()) > 5
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert (verb in run("--help").stdout) == ("Not for people" not in done.stdout)


def test_the_version(): # G4
    assert re.fullmatch(r"webspaces \d+\.\d+\.\d+\n", run("--version").stdout)


USAGE = [
    [],
    ["--nonsense"],
    ["--config"],
    ["nonsense"],
    ["run", "x"],
    ["plan", "--nonsense"],
    ["apply", "--nonsense"],
    ["check", "--nonsense"],
    ["status", "a", "b"],
    ["status", "--nonsense"],
    ["render"],
    ["render", "a", "apache"],
    ["options", "--nonsense"],
    ["options", "--man", "--json"],
    ["mounts", "a", "b"],
    ["mounts", "a", "unmount"],
    ["enter"],
    ["enter", "a"],
    ["enter", "--nonsense", "a"],
    ["access"],
    ["access", "--all"],
    ["confirm", "1", "2"],
    ["rollback", "1", "2"],
    ["rollback", "--list", "1"],
    ["rollback", "--release", "--list"],
    ["doctor"],
    ["doctor", "a", "b"],
    ["completion"],
    ["completion", "zsh"],
    ["purge"],
    ["purge", "a", "b"],
    ["make-key"],
    ["make-key", "dsa"],
    ["make-key", "p256", "p256"],
    ["make-key", "--nonsense"],
]


@pytest.mark.parametrize("words", USAGE, ids=" ".join)
def test_wrong_usage_is_64_and_says_so(words):  # G2
    done = run(*words)
    assert done.returncode == 64 and done.stdout == ""
    if words:
        assert told(done) == 64
        assert "--help" in done.stderr


@pytest.mark.parametrize("verb", ["run", "apply", "plan", "check", "status", "mounts", "confirm"])
def test_a_hosts_file_that_is_named_has_to_be_there(verb, tmp_path):  # G2
    done = run("--config", str(tmp_path / "none.conf"), verb)
    assert done.returncode == 1 and "none.conf" in done.stderr


@pytest.mark.parametrize("verb", ["run", "apply", "plan", "check", "status", "mounts", "confirm"])
def test_a_wrong_hosts_file_is_told_with_its_line(verb, tmp_path):  # G2
    file = tmp_path / "webspaces.conf"
    file.write_text('\nmanagr = "direct";\n', encoding="ascii")
    done = run("--config", str(file), verb)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{file}:2: managr: ") and "manager" in done.stderr


# make-key -----------------------------------------------------------------


@pytest.mark.parametrize("word, says", [("p256", "256 bit"), ("rsa2048", "2048 bit"), ("rsa3072", "3072 bit"), ("rsa4096", "4096 bit")])
def test_a_key_is_made_and_nothing_else_said(word, says):
    done = run("make-key", word)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("-----BEGIN PRIVATE KEY-----\n") and done.stdout.count("-----BEGIN") == 1
    openssl = subprocess.run(["openssl", "pkey", "-check", "-noout", "-text"], input=done.stdout, capture_output=True, text=True, check=True)
    assert says in openssl.stdout and "valid" in openssl.stdout
    assert run("make-key", word).stdout != done.stdout


def test_a_key_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([WEBSPACES, "make-key", "p256"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "No space left" in done.stderr


# options ------------------------------------------------------------------


def test_options_come_in_four_forms():  # G4
    text, sample, man = run("options"), run("options", "--sample"), run("options", "--man")
    for done in (text, sample, man):
        assert (done.returncode, done.stderr) == (0, "")
        assert "removal_grace_s" in done.stdout and "hsts" in done.stdout
    assert ".It" in man.stdout


KEYS = """config_dir home_root state_dir run_dir log_root base_domain web_user web_access manager accounts.create
    accounts.uid_min accounts.uid_max nginx.instance nginx.binary nginx.main nginx.include nginx.http nginx.https php.shards base
    reconcile.settle_ms reconcile.full_pass_s reconcile.removal_grace_s acme.issuer acme.directory acme.contact
    acme.agree_tos acme.ca_file acme.eab.kid acme.eab.hmac_key acme.eab.hmac_key_file acme.account_key acme.user
    acme.limits acme.preflight acme.addresses acme.dns_hook acme.dns_hook_timeout acme.dns_wait acme.wildcard defaults
    tls.directory tls.challenge tls.key_type tls.rsa_bits tls.key_lifetime tls.profile tls.preferred_chain tls.scope
    state sites names type root redirect_https tls.issuer tls.hsts php.enabled php.version php.chroot php.pm
    php.max_children php.memory_limit php.master php.values binds hosts""".split()


def test_every_promised_key_is_an_option_with_a_meaning():  # G4
    rows = json.loads(run("options", "--json").stdout)
    found = {row["key"]: row for row in rows}
    assert not [key for key in KEYS if key not in found]
    assert all(row["meaning"].endswith(".") and row["scope"] in ("host", "webspace", "site") for row in rows)


def test_the_sample_is_a_right_file(tmp_path):  # G4
    """What is commented out as an example is well-formed, too: at least the presets are."""
    sample = run("options", "--sample").stdout
    file = tmp_path / "webspaces.conf"
    file.write_text(sample, encoding="utf-8")
    (tmp_path / "d").mkdir()
    done = run("--config", str(file), "check", str(tmp_path / "d"))
    assert (done.returncode, done.stderr) == (0, "")


# apply, run ---------------------------------------------------------------


def test_apply_makes_everything_and_ends(make_host):  # A2 G1
    host = make_host()
    host.drop("alice")
    host.drop("bob", 'sites = ( { tls = { issuer = "off"; }; redirect_https = false; } );')
    done = host.command("apply")
    assert told(done) == 0
    host.write("alice", "index.php", "<?php echo 'alice';")
    assert host.wait_answers("alice", https=True).text == "alice"
    assert host.command("status").returncode == 3


def test_apply_tells_what_is_not_right(make_host):  # G2 G5
    host = make_host()
    host.drop("alice", 'binds = ["/nonexistent"];')
    host.drop("bob")
    done = host.command("apply")
    assert told(done) == 1 and "alice" in done.stderr and "/nonexistent" in done.stderr
    assert host.command("apply", "bob").returncode == 0
    assert host.command("apply", "alice").returncode == 1
    host.drop("carol", "php = 1;")
    done = host.command("apply", "carol")
    assert done.returncode == 1 and "carol.conf:1" in done.stderr


def test_beside_an_agent_the_others_refuse(host):  # G1
    host.add("alice")
    for words in (["run"], ["apply"], ["mounts", "bind"], ["mounts", "alice", "unbind"], ["mounts", "clean", "--do"]):
        done = host.command(*words)
        assert told(done) == 75, words
        assert "an agent runs" in done.stderr
    assert host.wait_answers("alice", https=True)


# plan ---------------------------------------------------------------------


def test_plan_says_what_would_be_and_touches_nothing(make_host):  # G2
    host = make_host()
    host.drop("alice")
    host.drop("bob", 'binds = ["/usr/share/doc"];')
    before, accounts = picture(host), pwd.getpwall()
    lines = quiet(host, "plan", code=2).splitlines()
    assert differences(before, picture(host)) == [] and pwd.getpwall() == accounts
    for line in ("+ alice account", "+ alice directory chroot/tmp/session", "+ bob mount usr/share/doc", "+ alice nginx: its part"):
        assert line in lines, lines
    assert all(line[:2] in ("+ ", "~ ", "- ") for line in lines)
    only = quiet(host, "plan", "bob", code=2).splitlines()
    assert only and all(line.split()[1] == "bob" for line in only)
    done = host.command("plan", "nobody")
    assert told(done) == 1 and "nobody" in done.stderr


def test_plan_beside_an_agent_sees_nothing_to_do(host):  # G2
    host.add("alice", "bob")
    host.wait_answers("alice", https=True)
    wait_for("nothing to do", lambda: host.command("plan").returncode == 0, 5, 0.2)


def test_plan_shows_drift_and_texts(make_host):  # G1 G2
    host = make_host()
    host.drop("alice")
    host.drop("bob")
    assert host.command("apply").returncode == 0
    os.chmod(host.data("alice"), 0o777)
    host.drop("bob", 'php = { memory_limit = "77M"; };')
    before = picture(host)
    out = quiet(host, "plan", "--diff", code=2)
    assert differences(before, picture(host)) == []
    assert re.search(r"^~ alice directory chroot/data (mode|acl): .+ → .+$", out, re.M)
    assert re.search(r"^\+php_admin_value\[memory_limit\] ?= ?77M$", out, re.M)
    assert re.search(r"^-php_admin_value\[memory_limit\] ?= ?32M$", out, re.M)
    assert out.count("77M") == 1
    mine = quiet(host, "plan", "bob", "--diff", code=2)
    assert "77M" in mine and "alice" not in mine
    assert host.command("apply").returncode == 0
    assert quiet(host, "plan") == ""


def test_plan_tells_files_that_do_not_load(make_host):  # G2 G5
    host = make_host()
    host.drop("alice", "php = 1;")
    done = host.command("plan")
    assert told(done) == 1 and "alice.conf:1" in done.stderr


# status -------------------------------------------------------------------


def test_status_in_all_its_forms(host):  # G2
    host.add("alice")
    host.drop("bob", 'binds = ["/nonexistent"];')
    wait_for("bob's failure", lambda: (host.condition("bob", "Mounts") or {}).get("status") == "False", 10)
    out = quiet(host, "status", code=1)
    assert re.search(r"^alice +enabled +ready$", out, re.M)
    assert re.search(r"^bob +enabled +not ready: Mounts .*/nonexistent", out, re.M)
    listed = quiet(host, "status", code=1).splitlines()
    assert [line.split()[0] for line in listed[1:3]] == ["bob", "alice"] and listed[3] == "2 webspaces, 1 not ready, 1 ready"
    assert "bob" not in quiet(host, "status", "alice") and "\033" not in out
    assert all(kind in quiet(host, "status", "bob", code=1) for kind in CONDITIONS)
    done = host.command("status", "nobody")
    assert told(done) == 1 and "nobody" in done.stderr

    whole = json.loads(quiet(host, "status", "--json", code=1))
    assert isinstance(whole["generation"], int) and whole["generation"] > 0 and whole["revision"] is None
    assert [w["name"] for w in whole["webspaces"]] == ["alice", "bob"]
    for webspace in whole["webspaces"]:
        assert webspace["state"] == "enabled" and webspace["ready"] is (webspace["name"] == "alice")
        assert [c["type"] for c in webspace["conditions"]] == CONDITIONS
        for c in webspace["conditions"]:
            assert c.keys() >= {"type", "status", "reason", "message", "since"}
            assert c["status"] in ("True", "False", "Unknown") and re.fullmatch(r"([A-Z][a-zA-Z0-9]+)", c["reason"])
            assert RFC3339.match(c["since"]) and c["since"] > "2020"
    host.end()
    assert host.command("status").returncode == 3
    assert json.loads(host.command("status", "alice", "--json").stdout)["webspaces"][0]["ready"] is True


def test_since_stays_over_a_restart(host):  # G2
    host.add("alice")
    before = host.status("alice")
    time.sleep(1.2)
    host.end()
    host.start()
    host.settle()
    assert host.status("alice") == before


def test_status_before_any_agent_ran(make_host):  # G2
    done = make_host().command("status")
    assert told(done) == 3 and "no agent" in done.stderr


def test_nobody_in_particular_may_ask(host, tmp_path):  # G2 G5
    host.add("alice")
    program = f"{host.root}/webspaces"
    shutil.copy(WEBSPACES, program)
    who = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "--config", host.config]
    for words, code in ((["check"], 0), (["options"], 0), (["apply"], 1), (["plan"], 1), (["mounts", "bind"], 1), (["status", "alice"], None)):
        done = subprocess.run([*who, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode >= 0, (words, done)
        assert told(done) == code or code is None, (words, done)


# render -------------------------------------------------------------------


def test_render_shows_what_stands_alone_and_nginx_takes_it(host, tmp_path):  # G2 C2
    host.add("alice", text='sites = ( { names = ["a.test", "*.b.test"]; tls = { hsts = "1y"; }; }, { names = ["c.test"]; type = "static"; root = "c"; tls = { issuer = "off"; }; } );')
    nginx, php, both = (quiet(host, "render", "alice", *w) for w in (["nginx"], ["php"], []))
    assert both == nginx + php
    assert not re.search(r"\$ws_(site|user|subdir|hsts|tls)\b", nginx) and "*.b.test" in nginx and "max-age=31536000" in nginx
    assert re.search(r"^\[alice\]$", php, re.M) and "server {" not in php
    file = tmp_path / "nginx.conf"
    file.write_text(f"pid {tmp_path}/pid; error_log stderr; events {{ }}\nhttp {{\n{nginx}\n}}\n", encoding="utf-8")
    done = subprocess.run(["/usr/sbin/nginx", "-t", "-c", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for words in (["nobody"], ["nobody", "php"]):
        assert told(host.command("render", *words)) == 1


# mounts -------------------------------------------------------------------


def mounted(host, name):
    out = host.enter("cat", "/proc/self/mountinfo").stdout
    return sorted(line.split()[4].removeprefix(host.home(name) + "/") for line in out.splitlines() if f" {host.home(name)}/" in line)


def test_mounts_by_hand(make_host):  # D3
    host = make_host()
    host.drop("alice", 'binds = ["/usr/share/doc:/srv/doc"];')
    host.drop("bob")
    assert host.command("apply").returncode == 0
    assert quiet(host, "mounts") == "alice\n\t+ .base\n\t+ srv/doc\nbob\n\t+ .base\n"
    assert mounted(host, "alice") == ["chroot/.base", "chroot/srv/doc"]

    assert "- .base: not mounted" in quiet(host, "mounts", "alice", "unbind")
    assert mounted(host, "alice") == [] and mounted(host, "bob") == ["chroot/.base"]
    assert quiet(host, "mounts", "alice", code=1) == "alice\n\t- .base: not mounted\n\t- srv/doc: not mounted\n"
    assert quiet(host, "mounts", "bind") == "alice\n\t+ .base\n\t+ srv/doc\nbob\n\t+ .base\n"
    assert mounted(host, "alice") == ["chroot/.base", "chroot/srv/doc"]

    assert json.loads(quiet(host, "mounts", "alice", "--json")) == [
        {"name": "alice", "mounts": [{"path": path, "mounted": True, "problem": None} for path in (".base", "srv/doc")]}
    ]

    host.enter("mount", "-o", "remount,bind,rw", host.home("alice", "chroot/srv/doc"))
    assert re.search(r"- srv/doc: \S+ is .*, not ", quiet(host, "mounts", "alice", code=1))
    assert told(host.command("mounts", "nobody")) == 1


def test_clean_shows_first_and_takes_only_what_we_made(make_host):  # D3
    host = make_host(settings="reconcile = { removal_grace_s = 0; };")
    for name in ("alice", "bob"):
        host.drop(name, 'binds = ["/usr/share/doc:/srv/doc"];')
    assert host.command("apply").returncode == 0
    own = host.home("alice", "chroot/srv/own")
    host.enter("mkdir", own)
    host.enter("mount", "-t", "tmpfs", "tmpfs", own)
    assert quiet(host, "mounts", "clean") == ""
    host.remove("alice")
    assert quiet(host, "mounts", "clean") == ""  # its last good state is still in force
    os.unlink(os.path.join(host.state_dir, "good/alice.conf"))
    assert quiet(host, "mounts", "clean") == "would remove alice\n"
    assert json.loads(quiet(host, "mounts", "clean", "--json")) == [{"name": "alice", "mounts": [], "removed": False}]
    assert mounted(host, "alice") == ["chroot/.base", "chroot/srv/doc", "chroot/srv/own"]
    assert "removed alice" in host.command("mounts", "clean", "--do").stdout
    assert mounted(host, "alice") == ["chroot/srv/own"]
    assert mounted(host, "bob") == ["chroot/.base", "chroot/srv/doc"]
    assert os.path.isdir(host.data("alice"))


# enter, access ------------------------------------------------------------


def test_enter_runs_as_the_user_in_the_namespace(host):  # B11 D3
    host.add("alice")
    uid = pwd.getpwnam("alice").pw_uid
    out = quiet(host, "enter", "alice", "sh", "-c", "id -u; id -G; pwd; echo $HOME $USER; ls ../.base; grep NoNewPrivs /proc/self/status")
    lines = out.splitlines()
    assert lines[:4] == [str(uid), str(uid), host.data("alice"), f"{host.data('alice')} alice"]
    assert "etc" in lines and "NoNewPrivs:\t1" in lines
    assert host.command("enter", "alice", "sh", "-c", "exit 7").returncode == 7
    assert told(host.command("enter", "alice", "nonexistent")) == 126
    without = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}  # that needs /proc
    assert told(host.command("enter", "alice", "--jail", "/bin/sh", env=without)) == 126
    for name in ("root", "nobody", "www-data", "daemon", "../alice", "unknown"):
        assert told(host.command("enter", name, "id")) == 126, name


def test_access_opens_what_came_without_it(host):  # A4
    host.add("alice", text='sites = ( { type = "static"; } );', index="")
    user = pwd.getpwnam("alice")
    os.unlink(host.data("alice", "index.php"))
    host.write("alice", "closed.html", "closed", mode=0o600)
    os.mkdir(host.data("alice", "in"), 0o700)
    os.chown(host.data("alice", "in"), user.pw_uid, user.pw_gid)
    host.write("alice", "in/deep.html", "deep", mode=0o600)
    os.symlink("/etc/shadow", host.data("alice", "link"))
    shadow = os.stat("/etc/shadow").st_mode
    for path in ("/closed.html", "/in/deep.html"):
        host.wait_answers("alice", path, status=403, https=True)
    assert "3 opened" in quiet(host, "access", "alice")
    for path in ("/closed.html", "/in/deep.html"):
        host.wait_answers("alice", path, https=True)
    assert "0 opened" in quiet(host, "access", "alice")
    assert os.stat("/etc/shadow").st_mode == shadow and not os.listxattr("/etc/shadow")
    assert stat.S_IMODE(os.lstat(host.data("alice", "closed.html")).st_mode) & 0o007 == 0


# confirm, purge -----------------------------------------------------------


def test_confirm_lets_a_held_removal_go(make_host):  # G5
    host = make_host(settings="reconcile = { removal_grace_s = 1; };").start()
    assert quiet(host, "confirm") == "no removal is held\n"
    host.add("alice", "bob")
    host.remove("alice")
    host.remove("bob")
    wait_for("held", lambda: "held" in host.command("status").stdout, 15)
    assert host.wait_answers("alice", https=True)
    assert told(host.command("confirm", "999")) == 1
    assert "2 removals" in quiet(host, "confirm")
    wait_for("gone", lambda: not host.status()["webspaces"], 20)
    assert os.path.exists(host.data("alice", "index.php")) and pwd.getpwnam("alice")


def test_purge_takes_data_and_account_after_the_webspace_has_gone(make_host):  # A5 G1
    host = make_host(settings="reconcile = { removal_grace_s = 1; };").start()
    host.add("alice", "bob")
    done = host.command("purge", "alice", "--yes")
    assert told(done) == 1 and os.path.isdir(host.home("alice"))
    host.remove("alice")
    assert told(host.command("purge", "alice", "--yes")) == 1
    wait_for("out of service", lambda: not host.status("alice"), 20)
    done = host.command("purge", "alice", input="no\n")
    assert done.returncode == 1 and os.path.isdir(host.home("alice"))
    done = host.command("purge", "alice", input="alice\n")
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(host.home("alice"))
    with pytest.raises(KeyError):
        pwd.getpwnam("alice")
    assert host.wait_answers("bob", https=True)
    for name in ("root", "../bob", "bob/chroot", ""):
        assert told(host.command("purge", name, "--yes")) == 1, name
