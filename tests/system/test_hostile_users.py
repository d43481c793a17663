"""Users who replace what they can reach, while root's daemons and the agent work beside them."""

import base64
import json
import os
import pwd
import re
import signal
import stat
import subprocess
import time
from urllib.parse import quote

from attacker import Victims, as_user, differences, prints_of, start_as_user
from host import acl, wait_for
from snippets import values

MANAGED = ("chroot", "chroot/data", "chroot/log", "chroot/tmp", "chroot/tmp/misc", "chroot/tmp/upload", "chroot/tmp/wsdl",
           "chroot/tmp/session", "logs", "chroot/.base", "chroot/etc", "logs/access.log", "logs/php-slow.log", ".")  # fmt: skip


def look_again(host, name="alice"):
    """A whole pass of the agent, and new masters of both daemons that the user is in."""
    host.agent.send_signal(signal.SIGHUP)
    number = look_again.number = getattr(look_again, "number", 0) + 1
    host.drop(name, f'php = {{ memory_limit = "{32 + number % 7}M"; }};')
    wait_for("the change in force", lambda: values(host, name, "return ini_get('memory_limit');") == f"{32 + number % 7}M", 30, 0.1)


# Links ------------------------------------------------------------------------

PLANT = """
home, victims = sys.argv[1], sys.argv[2:]
places = ["data/index.html", "data/x", "data/.user.ini", "log/php-error.log", "log/access.log", "tmp/session/sess_" + "a" * 26,
          "tmp/session/link", "tmp/misc/x", "tmp/upload/phpAAAAAA", "tmp/wsdl/wsdl-alice", "tmp/wsdl/x"]
for place, victim in zip(places, victims):
    os.symlink(victim, f"{home}/chroot/{place}")
os.symlink("/etc/shadow", f"{home}/chroot/data/shadow")
os.symlink("/etc", f"{home}/chroot/data/etc")
os.symlink("/", f"{home}/chroot/data/root")
for directory in ("data", "log", "tmp/misc", "tmp/session", "tmp/upload", "tmp/wsdl"):
    os.mkfifo(f"{home}/chroot/{directory}/fifo")
    import socket
    os.chdir(f"{home}/chroot/{directory}")
    socket.socket(socket.AF_UNIX).bind("socket")
"""


def test_links_in_place_of_what_daemons_write_lead_nobody_to_their_target(host):  # A2 A3 B3
    host.add("alice", "bob")
    victims = Victims(os.path.join(host.root, "victims"))
    others = prints_of("/etc", host.home("bob"), host.log_root, without=(host.log_root + "/",))
    as_user("alice", PLANT, host.home("alice"), *victims.files)
    values(host, "alice", "error_log('into the log'); trigger_error('also'); return 1;")
    values(host, "alice", "session_id(str_repeat('a', 26)); return @session_start();")
    for path in ("/", "/x", "/shadow", "/etc/passwd", "/etc/shadow", "/root/etc/passwd", "/fifo", "/socket"):
        answer = host.get_quietly("alice", path, https=True, timeout=5)
        assert answer is None or answer.status in (200, 403, 404) and "root:" not in answer.text, path
    assert host.get("alice", "/x", https=True).status in (403, 404)
    look_again(host)
    os.kill(list(host.masters().values())[0], signal.SIGKILL)  # a master starts again beside all this
    host.wait_answers("alice", "/index.php", https=True)
    assert host.command("mounts").returncode == 0
    host.command("plan")
    host.command("access", "alice")
    victims.check()
    after = prints_of("/etc", host.home("bob"), host.log_root, without=(host.log_root + "/",))
    assert differences(others, after).keys() <= {host.home("bob", "logs"), host.home("bob", "chroot/.base")} | {
        path for path in after if path.startswith(host.home("bob", "logs"))}  # fmt: skip


def test_victims_would_notice():
    """The instrument of the test above sees a look and a touch."""
    victims = Victims("/mnt/instrument")
    victims.check()
    with open(victims.files[0], encoding="ascii"):
        pass
    assert victims.touched()
    os.chmod(victims.files[1], 0o644)
    assert victims.touched() and differences(victims.before, prints_of(victims.top))


def test_managed_directories_are_not_the_users_to_move(host):  # A2
    host.add("alice")
    host.write("alice", "mine/file", "")
    before = prints_of(host.home("alice"), without=(host.data("alice") + "/", host.home("alice", "chroot/.base") + "/"))
    code = """
home, managed = sys.argv[1], sys.argv[2:]
for place in managed:
    path = os.path.normpath(f"{home}/{place}")
    beside = [] if "/tmp/" in place else [lambda: os.symlink("/etc", path + ".link")]
    for f in (lambda: os.rename(path, path + ".old"), lambda: os.rename(path, f"{home}/chroot/data/taken"), lambda: os.rmdir(path),
              lambda: os.chmod(path, 0o777), lambda: os.chown(path, os.getuid(), -1), lambda: os.unlink(path),
              lambda: os.removexattr(path, "system.posix_acl_access"), lambda: os.setxattr(path, "system.posix_acl_access", b""),
              *beside):
        if attempt(f):
            print(place)
    mine = f"{home}/chroot/data/mine"
    if exchange(path, mine):
        print("exchanged", place)
"""
    assert as_user("alice", code, host.home("alice"), *MANAGED) == ""
    after = prints_of(host.home("alice"), without=(host.data("alice") + "/", host.home("alice", "chroot/.base") + "/"))
    assert differences(before, after) == {}


def test_nginx_serves_no_link_and_nobody_elses_file(host):  # C3 B10
    host.add("alice", "bob")
    host.write("bob", "secret.txt", "of bob")
    host.write("alice", "own.txt", "of alice")
    public = os.path.join(host.root, "public")
    os.makedirs(public)
    with open(os.path.join(public, "in"), "w", encoding="ascii") as file:
        file.write("of root")
    code = """
data, bob, public = sys.argv[1:]
os.chdir(data)
for name, target in (("passwd", "/etc/passwd"), ("bob", bob + "/secret.txt"), ("dir", bob), ("up", "../../../bob/chroot/data"),
                     ("public", public), ("file", public + "/in"), ("self", "own.txt"), ("loop", "loop")):
    os.symlink(target, name)
print(json.dumps([attempt(os.link, source, f"hard{i}") for i, source in
                  enumerate((bob + "/secret.txt", public + "/in", "/etc/passwd", data + "/../../logs/access.log"))]))
"""
    done = as_user("alice", "import json" + code, host.data("alice"), host.data("bob"), public)
    assert done.strip() == "[false, false, false, false]", "hard links to what is not one's own (fs.protected_hardlinks)"
    assert host.get("alice", "/own.txt", https=True).text == "of alice"
    for path in ("/passwd", "/bob", "/dir/secret.txt", "/up/secret.txt", "/public/in", "/public/", "/file", "/self", "/loop"):
        assert host.get("alice", path, https=True).status in (403, 404, 500), path
    allowed = 'sites = ({ disable_symlinks = false; });'
    if host.command("check", "--help").returncode == 0 and "disable_symlinks" in host.command("options").stdout:
        host.drop("alice", allowed)
        wait_for("links allowed by the admin", lambda: host.answers("alice", "/self", https=True), 20, 0.1)


SWAP = """
data, target, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
os.chdir(data)
os.mkdir("d")
open("d/in", "w").write("mine")
os.symlink(target, "e")
n, end = 0, time.monotonic() + seconds
print("ready", flush=True)
while time.monotonic() < end:
    n += exchange("d", "e")
print(n)
"""


def test_a_directory_that_turns_into_a_link_is_never_followed(host):  # C3
    host.add("alice")
    victims = Victims(os.path.join(host.root, "victims"))
    swapper = start_as_user("alice", SWAP, host.data("alice"), victims.directory, "4")
    swapper.stdout.readline()
    seen = []
    while swapper.poll() is None:
        answer = host.get("alice", "/d/in", https=True)
        seen.append(answer.text if answer.status == 200 else answer.status)
    swaps = int(swapper.stdout.read())
    assert swaps > 1000 and len(seen) > 100
    assert set(seen) <= {"mine", 403, 404, 500}, set(seen)
    assert seen.count("mine") > 10 and any(status in seen for status in (403, 404)), "both were met"


# Logs -------------------------------------------------------------------------

PHP_LINE = re.compile(r'^\S+ - \d\d/\w{3}/\d{4}:[\d:]+ [+-]\d{4} "[A-Z]+ [ -~\x80-\xff]*" \d{3} [\d.]+ms \d+kB [\d.]+%$')
NGINX_LINE = re.compile(r'^127\.0\.0\.1 - [ -~]+ \[[^\]]+\] "[ -~]*" \d{3} \d+ "[ -~]*" "[ -~]*" \S+ https? [\d.]+$')
MASTER_LINE = re.compile(r"^(\[\d\d-\w{3}-\d{4} [\d:]+\] (NOTICE|WARNING): .*)?$")
FORGED = "FORGED"


def lines_of(path):
    with open(path, "rb") as file:
        return file.read().decode("latin-1").split("\n")[:-1]


def test_nobody_forges_lines_of_the_logs(make_host):  # B3 F3
    host = make_host(shards=1).start()
    host.add("alice", "bob", text='php = { request_slowlog_timeout = "1s"; };')
    forged = f"127.0.0.1 - - 01/Jan/2026:00:00:00 +0000 {FORGED}"
    names = (f"a\n{FORGED}.php", f"b\r{FORGED}.php", f"c\x1b[2J{FORGED}.php", "d.php\n", "ü \"quoted\" \\x.php", f"e\x7f{FORGED}.php")
    for name in names:
        host.write("alice", name, "<?php usleep(1600000);" if FORGED in name else "<?php echo 'ran';")
    answers = [host.get("alice", "/" + quote(name), https=True).status for name in names]
    assert answers == [404, 404, 404, 404, 200, 404], "a control character is no part of a name that is served"
    host.write("alice", "slow.php", "<?php usleep(1800000);")
    host.get("alice", "/slow.php?" + quote(f"\n{FORGED}"), https=True)
    user = base64.b64encode(f"x\n{forged}:secret".encode()).decode()
    host.get("alice", "/slow.php", https=True, headers={"Authorization": f"Basic {user}", "User-Agent": f'"{FORGED}\t\x1b'})
    host.get("alice", f"/%0A{FORGED}", https=True)
    logs = host.home("alice", "logs")
    wait_for("the slow log", lambda: lines_of(os.path.join(logs, "php-slow.log")), 10)
    for file, pattern in (("php-access.log", PHP_LINE), ("access.log", NGINX_LINE)):
        found = lines_of(os.path.join(logs, file))
        assert len(found) >= 3 and not [line for line in found if not pattern.match(line)], (file, found)
    for name in os.listdir(host.log_root):
        found = lines_of(os.path.join(host.log_root, name))
        if name.startswith("php-"):
            assert any("slow.php" in line for line in found), "a slow request is told"
            assert not [line for line in found if not MASTER_LINE.match(line)], found
        assert not [line for line in found if line.startswith(FORGED)], (name, found)


# Paths that root opens -----------------------------------------------------------


def configured_paths(host, names):
    """Every absolute path in the configuration in force that a process of root's opens, with who asks for it."""
    found = {}
    for file in walk_files(os.path.join(host.state_dir, "nginx/current")):
        found[file] = "nginx"
        for directive, path in re.findall(r'^\s*(\w+)\s+(?:unix:)?"?(?:unix:)?(/[^";]*)', text_of(file), re.MULTILINE):
            if directive not in ("location", "root", "return", "try_files", "fastcgi_pass", "server_name", "default_type"):
                for name in names if "$" in path else [None]:
                    expanded = path.replace("$ws_user", str(name)).replace("$ws_tls", f"{name}/{name}.{host.base_domain}/1")
                    if "$" not in expanded:
                        found[expanded] = f"{file}: {directive}"
    for line in host.masters():
        run = os.path.realpath(os.path.join(host.run_dir, "php/line", line))
        for file in walk_files(os.path.join(host.state_dir, "php", line, "current")):
            found[file] = "php-fpm"
            found.update(opened_paths(text_of(file).replace("${WEBSPACES_RUN}", run), file))
    # Pools say their paths by variables of the master's environment; render puts them in.
    for name in names:
        found.update(opened_paths(host.command("render", name, "php").stdout, f"pool of {name}"))
    return found


def opened_paths(text, who):
    """What php-fpm's master opens or goes to by a configuration's word."""
    keys = r"^(pid|error_log|listen|access\.log|slowlog|chroot|include)\s*=\s*['\"]?(/[^'\"\n]*)"
    return {path.strip(): f"{who}: {key}" for key, path in re.findall(keys, text, re.M)}


def walk_files(top):
    return [os.path.join(directory, name) for directory, _, names in os.walk(os.path.realpath(top)) for name in names]


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def opened_by_root(host):
    """Files that daemons and agent, as root, have open now."""
    found = {}
    for pid in host.processes():
        try:
            if os.stat(f"/proc/{pid}").st_uid == 0 and pid != os.getpid():
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    path = os.readlink(f"/proc/{pid}/fd/{fd}")
                    if path.startswith("/") and not path.endswith("(deleted)"):
                        found[path] = f"descriptor {fd} of {pid}"
        except OSError:
            continue
    return found


WRITABLE = """
import json
for path in json.load(sys.stdin):
    while path != "/":
        path = os.path.dirname(path)
        if os.access(path, os.W_OK):
            print(path)
"""


def test_root_opens_nothing_where_a_user_can_write(make_host):  # A2 B3
    host = make_host(shards=1).start()
    host.add("alice", "bob")
    host.add("carol", text='php = { master = "dedicated"; };')
    host.add("dave", text="php = { chroot = false; };")
    for name in ("alice", "carol", "dave"):
        host.wait_answers(name, https=True)
    paths = {**configured_paths(host, ("alice", "bob", "carol", "dave")), **opened_by_root(host)}
    wanted = ("logs/php-access.log", "logs/php-slow.log", "logs/access.log", "alice/chroot", "nginx.pid", "master.pid", "nginx-error.log",
              "nginx-temp/body", "key.pem", "maps.conf", "verify.sock", "/alice.sock", "php-fpm.conf", "agent.lock")  # fmt: skip
    for end in wanted:
        assert any(path.endswith(end) for path in paths), f"the list of paths lacks {end}: {sorted(paths)}"
    for name in ("alice", "bob", "carol", "dave", "www-data"):
        assert writable(name, sorted(paths)) == set(), name
    sticky = os.path.join(host.root, "sticky")
    os.mkdir(sticky)
    os.chmod(sticky, 0o1777)
    assert writable("alice", [os.path.join(sticky, "x/y")]) == {sticky}, "the instrument sees one that is"


def writable(name, paths):
    return set(as_user(name, WRITABLE, input=json.dumps(paths)).split("\n")) - {""}


# The renaming attacker -----------------------------------------------------------

ATTACK = """
import random, socket
home, victims, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
random.seed(1)
managed = ["chroot", "chroot/data", "chroot/log", "chroot/tmp", "chroot/tmp/misc", "chroot/tmp/upload", "chroot/tmp/wsdl",
           "chroot/tmp/session", "logs", "logs/access.log", "logs/php-slow.log", "chroot/.base", "chroot/etc", "chroot/etc/x"]
own = ["chroot/data", "chroot/log", "chroot/tmp/misc", "chroot/tmp/upload", "chroot/tmp/wsdl", "chroot/tmp/session"]
files = [f"{victims}/victim{i}" for i in range(12)]
near = ["../" * n + "victims/victims.d" for n in (1, 2, 3)]  # without leaving the mount
def link(at):
    os.symlink(random.choice(files + [f"{victims}/victims.d"] * 5 + near * 7 + ["/etc", "/etc/shadow", "/", home + "/../bob", "../../../../bob/logs"]), at)
def make(at):
    kind = random.randrange(5)
    if kind == 0: os.mkdir(at, 0o777)
    elif kind == 1: os.mkfifo(at)
    elif kind == 2: os.close(os.open(at, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    elif kind == 3: os.link(random.choice(files), at)
    else: link(at)
counts = {"moved a managed one": 0, "made": 0, "exchanged": 0, "hard links": 0}
n, end = 0, time.monotonic() + seconds
print("ready", flush=True)
while time.monotonic() < end:
    n += 1
    inside = f"{home}/{random.choice(own)}/{random.choice(('a', 'b', 'c', 'php-error.log', 'index.html'))}"
    other = f"{home}/{random.choice(own)}/{random.choice(('a', 'b', 'c'))}"
    place = f"{home}/{random.choice(managed)}"
    counts["made"] += attempt(make, inside)
    counts["exchanged"] += exchange(inside, other)
    attempt(os.rename, inside, other)
    if exchange(place, inside) or attempt(os.rename, place, inside) or attempt(os.rename, place, place + ".taken"):
        counts["moved a managed one"] += 1
        attempt(link, place)
    attempt(os.rename, inside, place)
    attempt(make, place)
    for f in (os.unlink, os.rmdir):
        if random.random() < 0.2: attempt(f, inside)
        if random.random() < 0.2: attempt(f, other)
    if random.random() < 0.1: attempt(os.chmod, inside, 0o7777)
print(n, counts)
"""

SECONDS = 20


def outside_of(host, name):
    """All that must stay as it is: other webspaces, /etc, root's files (what grows by itself apart)."""
    skip = (host.home(name), os.path.join(host.home_root, "victims"), host.home("bob", "logs"), host.home("bob", "chroot/.base"), "/mnt/.etc",
            host.log_root, host.run_dir, os.path.join(host.state_dir, "nginx"), os.path.join(host.state_dir, "php"),
            os.path.join(host.state_dir, "good"), os.path.join(host.state_dir, "made"), os.path.join(host.state_dir, "generation"),
            os.path.join(host.state_dir, "certs", name), host.drops, host.log)  # fmt: skip
    return {path: seen for path, seen in prints_of("/etc", host.root, without=skip).items()
            if path not in (host.root, host.home_root, host.state_dir)}  # fmt: skip


def mount_points(host, name):
    with open(f"/proc/{host.agent.pid}/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    return sorted(point for point in points if not point.startswith(host.home(name) + "/"))


def careless_chmod(path, mode):
    """chmod and setfacl -b by root, but of a directory and through no link: the harm done must be the agent's, not ours."""
    at = os.open("/", os.O_PATH)
    try:
        for part in path.strip("/").split("/"):
            above, at = at, os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=at)
            os.close(above)
        if stat.S_ISDIR(os.fstat(at).st_mode):
            if "system.posix_acl_access" in os.listxattr(f"/proc/self/fd/{at}"):
                os.removexattr(f"/proc/self/fd/{at}", "system.posix_acl_access")
            os.chmod(f"/proc/self/fd/{at}", mode)
    except OSError:
        pass
    finally:
        os.close(at)


def provoke(host, place, mode, number):
    """Drift by a careless root, a changed file, a look at everything."""
    careless_chmod(os.path.normpath(host.home("alice", place)), mode)
    if number % 10 == 0:
        host.agent.send_signal(signal.SIGHUP)
    if number % 25 == 0:
        host.drop("alice", 'binds = ["/etc/hostname:etc/x"];' if number % 50 else "")


def test_an_attacker_who_renames_all_the_time_gains_nothing(make_host):  # A2 A3 D2 D3
    host = make_host(shards=1).start()
    host.add("alice", "bob")
    victims = Victims(os.path.join(host.home_root, "victims"))  # on the very mount that the agent works in
    before, mounts = outside_of(host, "alice"), mount_points(host, "alice")
    attack = start_as_user("alice", ATTACK, host.home("alice"), victims.top, str(SECONDS))
    attack.stdout.readline()
    number = 0
    # Others' rights in directories of root's: not what an admin should do, and what lets her move them.
    modes = (0o755, 0o777, 0o770, 0o700, 0o000, 0o1777, 0o2770)
    while attack.poll() is None:
        number += 1
        provoke(host, MANAGED[number % 8], modes[number % len(modes)], number)
        time.sleep(0.005)
        assert host.agent.poll() is None, host.journal()[-2000:]
    told = attack.stdout.read()
    moved = int(re.search(r"moved a managed one': (\d+)", told)[1])
    print(told, number, "provocations")
    assert moved > 0, f"the attacker had no chance: {told}"
    victims.check()
    assert differences(before, outside_of(host, "alice")) == {}
    assert mount_points(host, "alice") == mounts
    host.wait_answers("bob", "/index.php", https=True)
    heal(host)


def heal(host):
    """What the user put in place of managed directories goes by an admin's hand; the rest is the agent's."""
    host.enter("umount", "-l", host.home("alice", "chroot/.base"))
    subprocess.run(["rm", "-rf", "--one-file-system", host.home("alice")], check=False)
    host.drop("alice", 'php = { memory_limit = "48M"; };')
    wait_for("alice as new", lambda: os.path.isdir(host.data("alice")) and host.ready("alice"), 60, 0.2)
    host.write("alice", "index.php", "<?php echo 'as new';")
    wait_for("alice served", lambda: (host.answers("alice", "/", https=True) or host).__dict__.get("text") == "as new", 30, 0.2)


BECOME_LINK = """
place, target = sys.argv[1:]
os.rename(place, place + ".taken")
os.symlink(target, place)
"""


def test_a_managed_directory_that_became_a_link_is_told_and_not_followed(host):  # A3
    """The same without chance: the agent is stopped while root's carelessness is used, and then has to look."""
    host.add("alice")
    victims = Victims(os.path.join(host.home_root, "victims"))
    for number, place in enumerate(("chroot/data", "chroot/log", "chroot/tmp/misc", "chroot/tmp", "logs", "chroot")):
        path, above = host.home("alice", place), os.path.dirname(host.home("alice", place))
        host.agent.send_signal(signal.SIGSTOP)
        careless_chmod(above, 0o777)
        as_user("alice", BECOME_LINK, path, "../" * (place.count("/") + 1) + "victims/victims.d")
        assert os.path.samefile(path, victims.directory)
        host.agent.send_signal(signal.SIGCONT)
        host.drop("alice", f'php = {{ memory_limit = "{40 + number}M"; }};')
        wait_for(f"{place} told", lambda: host.condition("alice", "Directories")["reason"] == "WrongType", 20, 0.05)
        victims.check()
        host.agent.send_signal(signal.SIGSTOP)
        os.unlink(path)
        os.rename(path + ".taken", path)
        host.agent.send_signal(signal.SIGCONT)
        host.drop("alice", f'php = {{ memory_limit = "{50 + number}M"; }};')
        wait_for("alice as before", lambda: host.ready("alice"), 30, 0.05)


BUSY = """
import random
home, victims, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
data = os.open(home + "/chroot/data", os.O_RDONLY)
os.fchdir(data)
print("ready", flush=True)
n, end = 0, time.monotonic() + seconds
while time.monotonic() < end:
    n += 1
    for name in ("a", "b", "c"):
        attempt(os.mkdir, name)
        attempt(os.mkdir, name + "/deep")
        attempt(os.symlink, victims + "/victims.d", name + "/deep/link")
        attempt(os.symlink, victims, f"link{n}")
        exchange(name, f"link{n}")
        exchange(name + "/deep", f"link{n}")
        attempt(os.rename, name + "/deep", f"moved{n % 7}")
    os.chdir("/")
    os.fchdir(data)
print(n)
"""


def test_purge_beside_a_process_of_the_users_removes_nothing_else(make_host):  # F2 A5
    # Of an account that we have not made purge ends no processes.
    subprocess.run("groupadd -g 3001 alice && useradd -u 3001 -g 3001 -M alice", shell=True, check=True)
    host = make_host(shards=1, settings="reconcile = { removal_grace_s = 0; };").start()
    host.add("alice", "bob")
    host.write("bob", "kept.txt", "of bob")
    victims = Victims(os.path.join(host.root, "victims"))
    before = prints_of(host.home("bob"), without=(host.home("bob", "logs"), host.home("bob", "chroot/.base")))
    host.remove("alice")
    host.command("confirm")
    wait_for("alice out of service", lambda: host.command("confirm") and not host.status("alice"), 30, 0.2)
    busy = start_as_user("alice", BUSY, host.home("alice"), victims.top, "4")
    busy.stdout.readline()
    while busy.poll() is None:
        host.command("purge", "alice", "--yes")
    assert int(busy.stdout.read()) > 100
    wait_for("the purge done", lambda: host.command("purge", "alice", "--yes").returncode == 0, 20, 0.2)
    assert not os.path.lexists(host.home("alice"))
    victims.check()
    after = prints_of(host.home("bob"), without=(host.home("bob", "logs"), host.home("bob", "chroot/.base")))
    assert differences(before, after) == {}


# enter ------------------------------------------------------------------------


def entered(host, name, *command, **options):
    return host.command("enter", name, *command, **options)


def test_enter_leaves_no_right_of_roots(host):  # A5 F5
    host.add("alice", "bob")
    secret = host.write("bob", "secret.txt", "of bob", 0o644)
    user = pwd.getpwnam("alice")
    told = entered(host, "alice", "cat", "/proc/self/status", extra_groups=[0, 42]).stdout
    status = dict(line.split(":", 1) for line in told.splitlines())
    assert status["Uid"].split() == [str(user.pw_uid)] * 4 and status["Gid"].split() == [str(user.pw_gid)] * 4
    assert status["Groups"].split() in ([], [str(user.pw_gid)])
    assert status["NoNewPrivs"].strip() == "1"
    for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    for path in (secret, "/etc/shadow", os.path.join(host.state_dir, "ca/ca.key"), os.path.join(host.run_dir, "php/masters/x")):
        assert entered(host, "alice", "cat", path).returncode != 0
    assert entered(host, "alice", "pwd").stdout.strip() == host.data("alice")
    assert sorted(entered(host, "alice", "env").stdout.split("\n"))[1:] == [
        f"HOME={host.data('alice')}", "LANG=C.UTF-8", "LOGNAME=alice", "PATH=/usr/local/bin:/usr/bin:/bin", "USER=alice"]  # fmt: skip
    assert entered(host, "alice", "sh", "-c", "mount -t tmpfs x . || su root -c id || nsenter -t 1 -m id").returncode != 0
    for name in ("root", "www-data", "nobody", "../bob", ""):
        assert entered(host, name, "id").returncode != 0, name


def test_enter_hands_no_descriptor_on(host):  # A5
    host.add("alice")
    with open("/etc/shadow", encoding="utf-8") as file:
        told = entered(host, "alice", "ls", "-l", "/proc/self/fd", pass_fds=[file.fileno()])
    assert "shadow" not in told.stdout and told.returncode == 0
    assert {line.split()[8] for line in told.stdout.splitlines()[1:]} <= {"0", "1", "2", "3"}


def test_enter_into_the_jail_has_its_root(host):  # B4 F5
    has_busybox = os.path.exists("/bin/busybox")
    host.add("alice", "bob", text='binds = ["/bin/busybox:/busybox:exec"];' if has_busybox else "")
    if has_busybox:
        told = entered(host, "alice", "--jail", "/busybox", "true")
        assert told.returncode == 0, told.stderr
        assert entered(host, "alice", "--jail", "/busybox", "cat", "/etc/passwd").returncode != 0
        subprocess.run(["cp", "/bin/busybox", host.data("alice", "busybox")], check=True)
        assert entered(host, "alice", "--jail", "/data/busybox", "true").returncode == 126, "nothing in a home is run"
    assert entered(host, "alice", "--jail", "/bin/sh", "-c", "id").returncode == 126


TYPE = """
import errno, fcntl, os, pty, sys, termios, time
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
out = b""
try:
    while part := os.read(master, 4096):
        out += part
except OSError:
    pass
os.waitpid(pid, 0)
sys.stdout.buffer.write(out)
"""
INJECT = "import errno,fcntl,termios\ntry:\n fcntl.ioctl(0,termios.TIOCSTI,b'x');print('typed')\nexcept OSError as e: print(e.strerror)"


def on_a_terminal(*argv):
    done = subprocess.run(["/usr/bin/python3", "-c", TYPE, *argv], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def test_an_entered_command_cannot_type_into_roots_terminal(host):  # A5
    host.add("alice")
    uid = str(pwd.getpwnam("alice").pw_uid)
    python = ("/usr/bin/python3", "-c", INJECT)
    command = (host.webspaces, "--config", host.config, "enter", "alice")
    control = on_a_terminal("setpriv", f"--reuid={uid}", "--clear-groups", *python)
    assert "Operation not permitted" in on_a_terminal(*command, *python)
    wide = INJECT.replace("termios.TIOCSTI", "0x100005412 & 0xffffffff")
    assert "typed" not in on_a_terminal(*command, "/usr/bin/python3", "-c", wide)
    assert "typed" in control or "Input/output error" in control, f"without enter this kernel lets it: {control}"


# access -----------------------------------------------------------------------

IMPORT = """
data, victim = sys.argv[1:]
os.chdir(data)
os.mkdir("import")
os.chmod("import", 0o700)
os.chdir("import")
for name in ("plain", "new\\nline", "esc\\x1b[2J", "twin", "-rf"):
    open(name, "w").write("of alice")
    os.chmod(name, 0o600)
os.link("twin", "twin2")
os.symlink(victim, "file")
os.symlink(os.path.dirname(victim) + "/victims.d", "dir")
os.symlink("/etc", "etc")
os.mkfifo("fifo")
at = os.open(".", os.O_RDONLY)
for i in range(1100):
    os.mkdir("deep", dir_fd=at)
    at, old = os.open("deep", os.O_RDONLY, dir_fd=at), at
    os.close(old)
os.mkdir("zz")
open("zz/last", "w").write("of alice")
os.chmod("zz/last", 0o600)
os.chmod("zz", 0o700)
"""


def test_access_opens_what_is_the_users_and_nothing_else(host):  # A4
    host.add("alice", "bob")
    victims = Victims(os.path.join(host.root, "victims"))
    etc = prints_of("/etc")
    as_user("alice", IMPORT, host.data("alice"), victims.files[0])
    foreign = host.data("alice", "import/foreign")
    with open(foreign, "w", encoding="ascii") as file:
        file.write("of root")
    os.chmod(foreign, 0o600)
    bobs = host.data("alice", "import/of-bob")
    with open(bobs, "w", encoding="ascii") as file:
        file.write("of bob")
    os.chown(bobs, pwd.getpwnam("bob").pw_uid, -1)
    os.chmod(bobs, 0o600)
    twin, theirs = prints_of(host.data("alice", "import/twin")), prints_of(foreign, bobs)
    assert host.get("alice", "/import/plain", https=True).status in (403, 404)
    told = host.command("access", "alice")
    after = [host.get("alice", f"/import/{path}", https=True).text for path in ("plain", "zz/last")]
    subprocess.run(["rm", "-rf", host.data("alice", "import/deep")], check=True)
    assert told.returncode == 1, told
    assert after == ["of alice"] * 2, "a tree too deep does not keep the rest closed"
    assert host.get("alice", "/import/foreign", https=True).status in (403, 404)
    victims.check()
    assert differences(etc, prints_of("/etc")) == {}
    assert differences(twin, prints_of(host.data("alice", "import/twin"))) == {}, "may be somebody else's"
    assert differences(theirs, prints_of(foreign, bobs)) == {}
    for name in ("import/foreign", "import/of-bob", "import/twin", "import/twin2"):
        assert [line for line in told.stderr.splitlines() if f"{name}: " in line], told.stderr
    assert all(line.startswith("webspaces: ") for line in told.stderr.splitlines())
    entry = f"user:{pwd.getpwnam('www-data').pw_uid}:r"
    assert [line for line in acl(host.data("alice", "import/new\nline")) if line.startswith(entry)]


def test_access_tells_names_without_their_control_characters(host):  # A4
    host.add("alice")
    as_user("alice", "os.chdir(sys.argv[1]); os.mkdir('i')", host.data("alice"))
    for name in ("a\nwebspaces: all is well", "b\x1b[2J", "c\x9b"):
        with open(os.fsencode(host.data("alice", "i/")) + name.encode("latin-1"), "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
    told = host.command("access", "alice")
    assert told.returncode == 1 and len(told.stderr.splitlines()) == 3
    assert "a\\012webspaces" in told.stderr and "\x1b" not in told.stderr


# Keys -------------------------------------------------------------------------

READ = """
for path in sys.argv[1:]:
    try:
        print(path, bool(open(path, "rb").read()))
    except PermissionError:
        pass
"""


def test_keys_are_read_by_who_needs_them(host):  # E1
    host.add("alice")
    host.add("bob", text='php = { chroot = false; open_basedir = "none"; };')
    for name in ("alice", "bob"):
        host.wait_answers(name, https=True)
    keys = [path for path in walk_files(host.state_dir) if open(path, "rb").read(30).startswith(b"-----BEGIN") and path.endswith("key.pem")]
    authority = os.path.join(host.state_dir, "ca/ca.key")
    assert len(keys) == 2 and os.path.exists(authority)
    for name in ("alice", "bob", "nobody"):
        assert as_user(name, READ, authority, *keys) == "", name
    assert as_user("www-data", READ, authority, *keys).split() == [word for key in keys for word in (key, "True")]
    for name in ("alice", "bob"):
        paths = ",".join(f"'{path}'" for path in [authority, *keys])
        seen = values(host, name, f"return array_filter(array_map(fn($p) => @file_get_contents($p), [{paths}]));")
        assert seen == [], name
    assert os.stat(authority).st_mode & 0o777 == 0o400
    assert {os.stat(key).st_mode & 0o777 for key in keys} == {0o640}
