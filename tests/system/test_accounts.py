"""Whose account a webspace is: made apart from everything that is somebody else's, and its own for ever."""

import os
import pwd
import grp
import shutil
import subprocess

import pytest
from host import Host, wait_for

SETTINGS = "reconcile = { full_pass_s = 3600; removal_grace_s = 1; };"


@pytest.fixture(scope="module")
def accounts():
    """Those of the one host of this module stay: it is in a namespace of its own."""
    yield


@pytest.fixture(scope="module")
def host():
    made = Host(root="/mnt/accounts", settings=f'web_access = "group"; {SETTINGS}')
    made.drop("first", "")
    made.start()
    made.wait_ready("first")
    yield made
    made.destroy()


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout


def user(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def group(name):
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def account(host, name):
    """What status says of it."""
    return host.condition(name, "Account") or {}


def wait_refused(host, name, reason):
    return wait_for(
        f"{name} refused", lambda: account(host, name).get("reason") == reason and account(host, name)["message"], 20
    )


@pytest.mark.parametrize("gid,members", [(950, ""), (950, "first"), (1950, ""), (29999, "")])
def test_f2_an_account_is_never_made_inside_a_group_of_its_name(host, gid, members):
    """F2: whoever is in `docker` is root; the webspace docker must not be."""
    name = f"docker{gid}{len(members)}"
    run("groupadd", "-g", str(gid), "-o", name)
    if members:
        run("usermod", "-a", "-G", name, members)
    before = group(name)
    host.drop(name, "")
    message = wait_refused(host, name, "GroupExists")
    assert f"groupdel {name}" in message and str(gid) in message
    assert group(name) == before and not user(name)
    assert not os.path.exists(host.home(name))
    # What the message says helps.
    if members:
        run("gpasswd", "-d", members, name)
    run("groupdel", name)
    host.wait_ready(name)
    assert user(name).pw_gid == group(name).gr_gid >= 1000


def test_f2_a_file_names_no_group_of_others(host):
    """F2: account.gid is as good a way into a group as its name."""
    run("groupadd", "-g", "1960", "crew")
    host.drop("sailor", "account = { gid = 1960; };")
    assert "the group crew" in wait_refused(host, "sailor", "IdTaken")
    host.drop("sailor", "account = { uid = 1961; gid = 1960; };")
    assert "the group crew" in wait_refused(host, "sailor", "IdTaken")
    assert not user("sailor") and not group("sailor")
    host.drop("sailor", "account = { gid = 1961; };")
    host.wait_ready("sailor")
    assert user("sailor").pw_gid == group("sailor").gr_gid == 1961


def lose(host, *names):
    """As a careless userdel, or an older /etc/passwd, does."""
    with open("/etc/passwd", encoding="utf-8") as file:
        kept = [line for line in file if line.split(":")[0] not in names]
    with open("/etc/passwd.new", "w", encoding="utf-8") as file:
        file.writelines(kept)
    os.rename("/etc/passwd.new", "/etc/passwd")


def test_f6_a_lost_account_comes_back_with_its_ids(host):
    """F6: her group has the web server in it and stays, so the next free id was another."""
    host.drop("anna", "")
    host.wait_ready("anna")
    host.write("anna", "secret.php", "<?php echo 'mine';", mode=0o600)
    had = user("anna")
    run("userdel", "anna")
    assert group("anna"), "the case is that the group stays"
    wait_for("her account", lambda: user("anna"), 20)
    assert (user("anna").pw_uid, user("anna").pw_gid) == (had.pw_uid, had.pw_gid)
    host.wait_ready("anna")
    wait_for("her own file", lambda: host.get("anna", "/secret.php", https=True).text == "mine", 20)


def test_f6_an_id_that_others_have_by_now_is_not_replaced(host):
    """F6: her files would be closed to her, and hers would be the other's: a person has to say."""
    host.drop("berta", "")
    host.wait_ready("berta")
    had = user("berta")
    host.end()
    run("userdel", "-f", "berta")
    run("useradd", "-o", "-u", str(had.pw_uid), "-M", "thief")
    host.start()
    message = wait_refused(host, "berta", "IdTaken")
    assert "the user thief" in message and f"uid {had.pw_uid}" in message
    assert not user("berta")
    run("userdel", "thief")
    host.wait_ready("berta")
    assert (user("berta").pw_uid, user("berta").pw_gid) == (had.pw_uid, had.pw_gid)
    # … and the file cannot have it otherwise.
    host.end()
    run("userdel", "-f", "berta")
    host.drop("berta", "account = { uid = 34567; };")
    host.start()
    assert str(had.pw_uid) in wait_refused(host, "berta", "WrongId")
    host.drop("berta", "")
    host.wait_ready("berta")
    assert user("berta").pw_uid == had.pw_uid


def test_f6_purge_leaves_no_group_behind(host):
    host.drop("carla", "")
    host.wait_ready("carla")
    host.remove("carla")
    wait_for("out of service", lambda: not host.condition("carla", "Account"), 20)
    done = host.command("purge", "--yes", "carla")
    assert done.returncode == 0, done.stderr
    assert not user("carla") and not group("carla")


def test_f6_a_mass_loss_of_accounts_is_held(host):
    """F6: an older /etc/passwd is put back. All go on being served, and nothing is made on its own."""
    names = [f"mass{i}" for i in range(8)]
    for name in names:
        host.drop(name, "")
    host.wait_ready(*names)
    for name in names:
        host.write(name, "index.php", "<?php echo posix_getuid();")
    had = {name: user(name).pw_uid for name in names}
    shutil.copy("/etc/passwd", "/etc/passwd.whole")
    lose(host, *names)
    for name in names:
        assert "webspaces confirm" in wait_refused(host, name, "Held")
    assert host.status()["held"] == host.status()["held_accounts"] == len(names)
    assert "accounts are gone at once" in host.command("status").stdout
    assert not any(user(name) for name in names)
    for name in names:
        assert host.get(name, "/", https=True).text == str(had[name])
    # Some come back, and the agent starts anew: the others wait all the same.
    with open("/etc/passwd", "a", encoding="utf-8") as file:
        file.write("".join(line for line in open("/etc/passwd.whole", encoding="utf-8") if line.startswith("mass7:")))
    host.wait_ready("mass7")
    host.end()
    host.start()
    wait_refused(host, "mass0", "Held")
    assert host.get("mass0", "/", https=True).text == str(had["mass0"])
    said = host.command("confirm").stdout
    assert f"{len(names) - 1} accounts are made again" in said
    host.wait_ready(*names)
    assert {name: user(name).pw_uid for name in names} == had
    assert host.status()["held"] == 0


def test_f6_those_that_come_back_by_themselves_are_as_before(host):
    names = [f"back{i}" for i in range(7)]
    for name in names:
        host.drop(name, "")
    host.wait_ready(*names)
    shutil.copy("/etc/passwd", "/etc/passwd.whole")
    lose(host, *names)
    wait_refused(host, "back0", "Held")
    os.rename("/etc/passwd.whole", "/etc/passwd")
    host.wait_ready(*names)
    wait_for("nothing held", lambda: host.status()["held"] == 0, 20)


def test_f6_a_single_loss_is_mended_at_once(host):
    had = user("first").pw_uid
    lose(host, "first")
    wait_for("its account", lambda: user("first"), 20)
    assert user("first").pw_uid == had


def test_f2_the_longest_name_that_check_takes_gets_an_account(host):
    """systemd-sysusers makes no user of 32 characters; check takes the name, so it is made."""
    name = "a" * 32
    host.drop(name, "")
    assert host.command("check").returncode == 0
    host.wait_ready(name)
    assert user(name).pw_gid == group(name).gr_gid
