"""A file that is gone takes its webspace out of service: late, never by accident, and without its data."""

import glob
import grp
import os
import pwd
import shutil
import signal
import time

import pytest

from host import wait_for

GRACE = 2
SETTINGS = f"reconcile = {{ removal_grace_s = {GRACE}; }};"


@pytest.fixture
def host(make_host):
    return make_host(settings=SETTINGS)


def served(host, name):
    return bool(host.answers(name, https=True))


def gone(host, name):
    return host.status(name) is None


def held(host):
    return host.status()["held"]


def mounts(host, name):
    return [line for line in host.enter("cat", "/proc/self/mountinfo").stdout.split("\n") if host.home(name) in line]


def sockets(host, name):
    return glob.glob(f"{host.run_dir}/php/**/{name}.sock", recursive=True)


def assert_stays_served(host, *names, seconds=GRACE + 2.5):
    """Longer than the grace and a second look take."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in names:
            assert served(host, name), host.journal()
        time.sleep(0.3)


def published(host):
    return host.journal().count("is in force")


def stay_down(host):
    """Ends the agent; what it left goes on."""
    assert host.end() == 0


def test_one_file_removed_takes_its_site_after_the_grace(host):  # G1 G5 D3
    host.start()
    host.add("alice", "bob")
    host.wait_answers("alice", https=True)
    host.write("alice", "kept.txt", "data")
    assert mounts(host, "alice")
    host.remove("alice")
    begin = time.monotonic()
    while time.monotonic() - begin < GRACE - 0.7:
        assert served(host, "alice")
        time.sleep(0.1)
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)
    assert time.monotonic() - begin >= GRACE - 0.7
    assert not served(host, "alice") and served(host, "bob")
    assert host.get_quietly("alice", https=True) is None, "her name is nobody's"
    assert mounts(host, "alice") == [] and mounts(host, "bob")
    wait_for("no socket of hers", lambda: not sockets(host, "alice"))
    assert "alice: out of service; account and data stay" in host.journal()
    assert pwd.getpwnam("alice").pw_dir == host.home("alice")
    with open(host.data("alice", "kept.txt"), encoding="utf-8") as file:
        assert file.read() == "data"
    assert os.path.exists(host.home("alice", "logs"))
    # The same id, the same data, as if nothing had been.
    uid = pwd.getpwnam("alice").pw_uid
    host.drop("alice")
    assert host.wait_answers("alice", https=True).text.startswith(f"uid={uid} ")
    assert host.wait_answers("alice", "/kept.txt", https=True).text == "data"


def test_a_file_that_returns_in_time_was_never_gone(host):  # G5
    host.start()
    host.add("alice", "bob")
    host.wait_answers("alice", https=True)
    before, masters = published(host), host.masters()
    host.remove("alice")
    time.sleep(1)
    host.drop("alice")
    assert_stays_served(host, "alice")
    assert published(host) == before and host.masters() == masters
    assert ": out of service;" not in host.journal()


def test_a_missing_directory_removes_nothing(host):  # G5
    host.start()
    host.add("alice", "bob")
    os.rename(host.drops, host.drops + ".away")
    wait_for("status says so", lambda: host.status()["problem"])
    assert host.drops in host.status()["problem"]
    assert_stays_served(host, "alice", "bob")
    assert held(host) == 0
    assert "No such file or directory" in host.command("status").stdout
    os.rename(host.drops + ".away", host.drops)
    wait_for("status is content", lambda: not host.status()["problem"])
    assert ": out of service;" not in host.journal() and served(host, "alice")


def test_a_directory_that_others_may_write_removes_nothing_and_adds_nothing(host):  # G5
    host.start()
    host.add("alice", "bob")
    host.remove("alice")
    wait_for("the first look", lambda: glob.glob(f"{host.state_dir}/good/.absent"))
    os.chmod(host.drops, 0o777)
    host.drop("mallory")
    wait_for("status says so", lambda: host.status()["problem"])
    assert_stays_served(host, "alice", "bob")
    assert host.status("mallory") is None
    # A second look into a directory that cannot be read is not tried all the time.
    used = cpu_seconds(host.agent.pid)
    time.sleep(2)
    assert cpu_seconds(host.agent.pid) - used < 0.06  # 0.14 where it is
    os.chmod(host.drops, 0o755)
    host.wait_ready("mallory")
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_only_file_is_held_until_it_is_confirmed(host):  # G5
    host.start()
    host.add("alice")
    host.remove("alice")
    wait_for("held", lambda: held(host) == 1, 10)
    assert_stays_served(host, "alice")
    assert "1 file is gone at once (alice): nothing is removed until 'webspaces confirm'" in host.journal()
    assert "1 removal is held" in host.command("status").stdout
    answer = host.command("confirm")
    assert (answer.returncode, answer.stdout) == (0, "1 removal goes on\n")
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)
    assert held(host) == 0 and not served(host, "alice")
    assert host.command("confirm").stdout == "no removal is held\n"


def many(host, n):
    names = [f"u{i:02}" for i in range(n)]
    for name in names:
        host.drop(name, "php = { enabled = false; };")
    host.wait_ready(*names)
    return names


def test_many_files_gone_at_once_are_held_and_come_back(host):  # G5
    host.start()
    names = many(host, 12)
    for name in names[:6]:
        host.remove(name)
    wait_for("held", lambda: held(host) == 6, 10)
    # One comes back: the five others do not go because they are few now.
    host.drop(names[0], "php = { enabled = false; };")
    wait_for("one less", lambda: held(host) == 5, 10)
    time.sleep(GRACE + 1.5)
    assert held(host) == 5 and host.ready(names[5])
    for name in names[1:6]:
        host.drop(name, "php = { enabled = false; };")
    wait_for("none is held", lambda: held(host) == 0, 10)
    assert ": out of service;" not in host.journal()


def test_five_files_gone_at_once_are_believed(host):  # G5
    host.start()
    names = many(host, 12)
    for name in names[:5]:
        host.remove(name)
    wait_for("all five are out of service", lambda: all(gone(host, name) for name in names[:5]), 10)
    assert host.ready(names[5])


def test_confirming_what_is_no_longer_so_is_refused(host):  # G5
    host.start()
    host.add("alice")
    host.remove("alice")
    wait_for("held", lambda: held(host) == 1, 10)
    generation = host.status()["generation"]
    answer = host.command("confirm", str(generation - 1))
    assert answer.returncode == 1 and answer.stdout == "" and "is outdated" in answer.stderr
    assert held(host) == 1
    assert host.command("confirm", "many").returncode != 0
    assert held(host) == 1
    assert host.command("confirm", str(generation)).returncode == 0
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)


def test_a_held_removal_is_still_held_after_a_crash(host):  # G5
    host.start()
    host.add("alice")
    host.remove("alice")
    wait_for("held", lambda: held(host) == 1, 10)
    host.kill()
    host.start()
    wait_for("held", lambda: held(host) == 1, 10)
    assert_stays_served(host, "alice")
    host.command("confirm")
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)


def test_a_swapped_directory_that_lacks_many_is_held(host):  # G5
    host.start()
    names = many(host, 8)
    other = host.drops + ".other"
    shutil.copytree(host.drops, other)
    for name in names[:6]:
        os.unlink(f"{other}/{name}.conf")
    with open(f"{other}/zoe.conf", "w", encoding="utf-8"):
        pass
    os.rename(host.drops, host.drops + ".old")
    os.rename(other, host.drops)
    host.wait_ready("zoe")
    wait_for("held", lambda: held(host) == 6, 10)
    assert host.ready(names[0])


def test_a_file_meant_for_another_host_is_as_if_absent(make_host):  # G5
    host = make_host(settings=SETTINGS + ' name = "web1";').start()
    host.add("alice", "bob")
    host.drop("carol", 'hosts = ["web2*"];')
    host.drop("alice", 'hosts = ["web2*", "mail"];')
    begin = time.monotonic()
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)
    assert time.monotonic() - begin > GRACE - 1
    assert gone(host, "carol"), "what was never here is not told"
    host.drop("alice", 'hosts = ["web1*"];')
    host.wait_answers("alice", https=True)


def test_a_file_that_broke_while_nobody_looked_keeps_serving(host):  # G5 G1
    host.start()
    host.add("alice", text='php = { memory_limit = "48M"; };', index="<?php echo ini_get('memory_limit');")
    assert host.wait_answers("alice", https=True).text == "48M"
    stay_down(host)
    for pid in host.processes():  # as after a reboot: only what is on disk is left
        os.kill(pid, signal.SIGKILL)
    host.drop("alice", "\nphp = { memory_limt = \"1M\"; };\n")
    host.start()
    host.wait_answers("alice", https=True)
    assert host.get("alice", https=True).text == "48M"
    loaded = host.condition("alice", "Loaded")
    assert loaded["status"] == "False"
    assert f"{host.drops}/alice.conf:2: php.memory_limt: unknown key" in loaded["message"]
    assert host.command("status").returncode == 1
    host.drop("alice", 'php = { memory_limit = "50M"; };')
    wait_for("50M", lambda: host.get("alice", https=True).text == "50M")


def test_a_file_removed_while_nobody_looked_is_removed_by_the_same_rules(host):  # G5
    host.start()
    host.add("alice", "bob")
    stay_down(host)
    host.remove("alice")
    host.start()
    begin = time.monotonic()
    host.wait_answers("alice", https=True)
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)
    assert time.monotonic() - begin > GRACE - 1
    assert mounts(host, "alice") == [] and served(host, "bob")


def test_purge_refuses_what_is_served_and_asks_for_the_name(host):  # G1
    host.start()
    host.add("alice", "bob")
    for words in (("purge", "alice", "--yes"), ("purge", "alice")):
        answer = host.command(*words, input="alice\n")
        assert answer.returncode == 1 and "remove" in answer.stderr
    host.remove("alice")
    answer = host.command("purge", "alice", "--yes")  # in its grace
    assert answer.returncode == 1 and "still in service" in answer.stderr
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)
    for wrong in ("", "\n", "yes\n", "alic\n", "alicee\n"):
        answer = host.command("purge", "alice", input=wrong)
        assert answer.returncode == 1 and "nothing was purged" in answer.stderr
    assert os.path.exists(host.data("alice")) and pwd.getpwnam("alice")
    assert host.command("purge", "alice", input="alice\n").returncode == 0
    assert not os.path.exists(host.home("alice"))


def test_purge_takes_data_account_and_certificates(host):  # A1 A5 E1
    host.start()
    host.add("alice", "bob")
    host.wait_answers("alice", https=True)
    uid = pwd.getpwnam("alice").pw_uid
    host.remove("alice")
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)
    answer = host.command("purge", "alice", "--yes")
    assert answer.returncode == 0, answer.stderr
    assert not os.path.exists(host.home("alice"))
    for lookup in (lambda: pwd.getpwnam("alice"), lambda: grp.getgrnam("alice")):
        with pytest.raises(KeyError):
            lookup()
    left = [path for path in glob.glob(f"{host.state_dir}/**", recursive=True, include_hidden=True)
            if os.path.basename(path).startswith("alice")]
    assert left == []
    assert host.command("purge", "alice", "--yes").returncode == 0, "an interrupted purge can be finished"
    # Nobody else gets her id.
    host.add("carol", "dora")
    ids = {pwd.getpwnam(name).pw_uid for name in ("bob", "carol", "dora")}
    assert uid not in ids and len(ids) == 3
    assert served(host, "bob")


def test_purge_leaves_an_account_that_is_not_ours(host):  # A1
    os.system("groupadd -g 3001 alice && useradd -u 3001 -g 3001 -M alice")
    host.start()
    host.add("alice", "bob")
    host.remove("alice")
    wait_for("alice is out of service", lambda: gone(host, "alice"), 10)
    assert host.command("purge", "alice", "--yes").returncode == 0
    assert not os.path.exists(host.home("alice"))
    assert pwd.getpwnam("alice").pw_uid == 3001


def test_purge_leaves_a_tree_that_never_was_a_webspace(host):  # promise 3
    host.start()
    host.add("bob")
    os.makedirs(host.home("carol", "letters"))
    os.chown(host.home("carol"), 1234, 1234)
    out = host.command("purge", "carol", "--yes")
    assert out.returncode == 1 and "never a webspace" in out.stderr
    assert os.path.isdir(host.home("carol", "letters"))


def test_apply_from_a_timer_removes_at_the_second_apply(host):  # G5
    host.drop("alice")
    host.drop("bob")
    assert host.command("apply").returncode == 0
    host.write("alice", "index.php", "<?php echo 1;")
    host.write("bob", "index.php", "<?php echo 1;")
    assert served(host, "alice") and served(host, "bob")
    host.remove("alice")
    assert host.command("apply").returncode == 0
    assert served(host, "alice")
    time.sleep(GRACE + 0.1)
    answer = host.command("apply")
    assert answer.returncode == 0, answer.stderr
    assert not served(host, "alice") and served(host, "bob")
    assert mounts(host, "alice") == [] and not os.path.exists(f"{host.state_dir}/good/alice.conf")
    wait_for("no socket of hers", lambda: not sockets(host, "alice"))
    assert not os.path.exists(f"{host.run_dir}/status/alice.json")
    assert host.command("purge", "alice", "--yes").returncode == 0
    assert not os.path.exists(host.home("alice")) and served(host, "bob")


def test_what_apply_holds_goes_after_a_confirmation(host):  # G5
    host.drop("alice")
    assert host.command("apply").returncode == 0
    host.write("alice", "index.php", "<?php echo 1;")
    host.remove("alice")
    host.command("apply")
    time.sleep(GRACE + 0.1)
    answer = host.command("apply")
    assert answer.returncode == 1 and "1 removals are held" in answer.stderr
    assert served(host, "alice")
    assert host.command("apply").returncode == 1
    assert host.command("confirm").stdout == "1 removal goes on with the next apply\n"
    assert host.command("apply").returncode == 0
    assert not served(host, "alice") and gone(host, "alice")


def test_the_admin_says_with_which_page_and_status_the_suspended_answer(make_host):  # A7
    host = make_host()
    page = f"{host.root}/etc/gone $away.html"
    with open(page, "w", encoding="utf-8") as file:
        file.write("<h1>back in spring</h1>")
    os.chmod(page, 0o644)
    text = open(host.config, encoding="utf-8").read()
    with open(host.config, "w", encoding="utf-8") as file:
        file.write(text.replace("nginx = {", f'nginx = {{ suspended = "410"; suspended_page = "{page}";'))
    host.start().add("alice", text='state = "suspended";')
    answer = host.wait_answers("alice", "/any/where", https=True, status=410)
    assert answer.text == "<h1>back in spring</h1>" and answer.headers["Content-Type"] == "text/html"
    os.unlink(page)
    assert host.wait_answers("alice", "/", https=True, status=410), "without its page it is suspended all the same"
