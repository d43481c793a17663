"""What root runs beside hostile users: enter, access and others, with a terminal and without."""

import json
import os
import pwd
import re
import signal
import subprocess

import pytest

from attacker import as_user, start_as_user
from host import Host, acl, wait_for
from terminal import Terminal

SECRET = "only-root-may-see-this"


@pytest.fixture(scope="module")
def host(accounts_of_the_module):
    host = Host(shards=1).start()
    host.add("alice", "bob")
    yield host
    host.destroy()


@pytest.fixture
def terminal(host):
    """terminal("enter", …): that command of root's on a terminal."""
    made = []

    def open_terminal(*words, program=None, **options):
        made.append(Terminal(*((host.webspaces, "--config", host.config) if program is None else program), *words, **options))
        return made[-1]

    yield open_terminal
    for one in made:
        one.close()


def processes_of(name):
    """pid → command line of all processes that have the user's id, but for PHP's."""
    uid, found = pwd.getpwnam(name).pw_uid, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid == uid:
                with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                    found[int(pid)] = file.read().replace("\0", " ").strip()
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if line and "php-fpm" not in line}


@pytest.fixture(autouse=True)
def nothing_of_hers_runs(host):
    yield
    for pid in processes_of("alice"):
        os.kill(pid, signal.SIGKILL)


# Who takes on a user's ids --------------------------------------------------------

SPY = """
import json, os, sys, time
uid, deadline = os.getuid(), time.monotonic() + float(sys.argv[1])
PIDFD_OPEN, PIDFD_GETFD, PTRACE, VM_READ = 434, 438, 101, 310
class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
room = ctypes.create_string_buffer(4096)
def read_of(path):
    with open(path, "rb") as file:
        return file.read(4096)
def spy(pid):
    fd = libc.syscall(PIDFD_OPEN, pid, 0)
    for number in range(256):
        if fd >= 0 and (got := libc.syscall(PIDFD_GETFD, fd, number, 0)) >= 0:
            yield f"descriptor {number}: " + os.readlink(f"/proc/self/fd/{got}")
            os.close(got)
    if fd >= 0:
        os.close(fd)
    for name in ("environ", "maps", "auxv", "stack"):
        try:
            yield f"{name}: {read_of(f'/proc/{pid}/{name}')[:60]}"
        except OSError:
            pass
    for name in ("fd", "map_files"):
        if attempt(os.listdir, f"/proc/{pid}/{name}"):
            yield name
    try:
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
        yield "memory"
    except OSError:
        pass
    if libc.syscall(PTRACE, 0x4206, pid, 0, 0) == 0:
        yield "traced"
    remote = Iovec(0x400000, 1)
    local = Iovec(ctypes.addressof(room), 1)
    if libc.syscall(VM_READ, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) >= 0 or ctypes.get_errno() == 14:
        yield "read"
print("ready", flush=True)
seen, got = set(), {}
while time.monotonic() < deadline:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = read_of(f"/proc/{pid}/status").decode()
            line = read_of(f"/proc/{pid}/cmdline").replace(b"\\0", b" ").decode()
        except OSError:
            continue
        ids = [row.split()[1:] for row in status.splitlines() if row.startswith("Uid:")]
        if not ids or str(uid) not in ids[0] or " -c " in line or not line or line.startswith("php-fpm"):
            continue
        if " access " in line or " walk " in line or " become " in line or " end-processes " in line:
            seen.add(line)
            taken = list(spy(int(pid)))
            try:  # what it has become by now, or its end, is another matter
                same = read_of(f"/proc/{pid}/cmdline").replace(b"\\0", b" ").decode() == line
            except OSError:
                same = False
            if taken and same:
                got[line] = taken
print(json.dumps([sorted(seen), got]))
"""


def many_files(host, n=3000):
    as_user("alice", "os.chdir(sys.argv[1]); os.mkdir('many'); [os.close(os.open(f'many/{i}', os.O_CREAT, 0o600)) for i in range(int(sys.argv[2]))]",
            host.data("alice"), str(n))  # fmt: skip


@pytest.fixture
def content(host):
    many_files(host)
    yield
    subprocess.run(["rm", "-rf", host.data("alice", "many")], check=True)


def test_who_walks_as_the_user_has_nothing_that_the_user_could_take(host, content):
    """S2: no descriptor, no memory, no environment of whatever has her ids."""
    spy = start_as_user("alice", SPY, "5")
    assert spy.stdout.readline() == "ready\n"
    while spy.poll() is None:
        done = host.command("access", "alice", env={**os.environ, "SECRET": SECRET})
        assert done.returncode == 0, done.stderr
        as_user("alice", "[os.chmod(sys.argv[1] + '/' + n, 0o600) for n in os.listdir(sys.argv[1])]", host.data("alice", "many"))
    seen, got = json.loads(spy.stdout.read())
    assert [line for line in seen if " walk " in line or " access " in line], "she saw it at work"
    assert got == {}


def test_the_way_to_an_entered_command_has_nothing_that_the_user_could_take(host):
    """S2: until the command itself runs, which is hers."""
    spy = start_as_user("alice", SPY, "4")
    assert spy.stdout.readline() == "ready\n"
    while spy.poll() is None:
        assert host.command("enter", "alice", "true", env={**os.environ, "SECRET": SECRET}).returncode == 0
    _, got = json.loads(spy.stdout.read())
    assert got == {}


DISTURB = """
signo, uid = int(sys.argv[1]), os.getuid()
print("ready", flush=True)
while True:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = open(f"/proc/{pid}/cmdline", "rb").read()
            if os.stat(f"/proc/{pid}").st_uid in (0, uid) and b"many" not in line and (b"walk" in line or b"access" in line):
                os.kill(int(pid), signo)
                print("done", flush=True)
        except OSError:
            pass
"""


@pytest.mark.parametrize("signo", [signal.SIGSTOP, signal.SIGKILL])
def test_who_stops_or_ends_the_walk_does_not_hold_root_up(host, content, signo):
    """S2: root's command ends, and says why."""
    disturber = start_as_user("alice", DISTURB, str(int(signo)))
    disturber.stdout.readline()
    try:
        done = host.command("access", "alice", timeout=30)
        assert disturber.stdout.readline() == "done\n", "it reached the walk"
    finally:
        disturber.kill()
        disturber.wait()
    assert done.returncode == 1 and "walk through the files" in done.stderr, done
    assert not [line for line in processes_of("alice").values() if "walk" in line]


# What a command leaves behind -------------------------------------------------------

LINGER = {
    "in a session of its own": "setsid sleep 4711 & exit 3",
    "deaf to signals": "setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 4711; done' & exit 3",
    "twice away": "(setsid sh -c 'setsid sleep 4711 & sleep 4711' &) ; exit 3",
    "stopped": "setsid sh -c 'kill -STOP $$; sleep 4711' & exit 3",
}


def lingering(name="alice"):
    return [line for line in processes_of(name).values() if "4711" in line]


@pytest.mark.parametrize("how", LINGER)
def test_what_a_command_leaves_behind_ends_with_it(host, terminal, how):
    """S7: whatever session it has, and without a terminal too."""
    done = host.command("enter", "alice", "sh", "-c", LINGER[how])
    assert done.returncode == 3 and lingering() == []
    on = terminal("enter", "alice", "sh", "-c", LINGER[how])
    on.rest()
    assert on.end() == 3 and lingering() == []


def test_a_pipe_is_at_its_end_when_the_command_is(host):
    """S7: `webspaces enter … | cat` does not wait for what was left behind."""
    done = subprocess.run(f"{host.webspaces} --config {host.config} enter alice sh -c 'echo said; setsid sleep 4711 &' | cat",
                          shell=True, capture_output=True, text=True, timeout=30, check=True)  # fmt: skip
    assert done.stdout == "said\n"


COMET = """
import os, signal
for signo in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(signo, signal.SIG_IGN)
os.setsid() if os.fork() == 0 else os._exit(5)
while True:
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        pass
"""


def test_a_process_that_forks_away_all_the_time_ends_too(host):
    """S7: nobody outruns the end."""
    done = host.command("enter", "alice", "/usr/bin/python3", "-c", COMET, timeout=60)
    assert done.returncode == 5
    assert [line for line in processes_of("alice").values() if "fork" in line] == []


def test_others_of_the_users_go_on(host):
    """What was not started by the command is not its to end."""
    beside = start_as_user("alice", "print('ready', flush=True); time.sleep(4711)")
    beside.stdout.readline()
    assert host.command("enter", "alice", "sh", "-c", "setsid sleep 4711 & exit 0").returncode == 0
    assert beside.poll() is None
    beside.kill()
    beside.wait()
    assert host.get("alice", "/index.php", https=True).status == 200


# The terminal ------------------------------------------------------------------------

KEEP = """
import os, sys, time
r, w = os.pipe()
if os.fork():
    os.read(r, 1)
    os._exit(0)
os.setsid()
out = open(sys.argv[1], "a", buffering=1)
out.write("begun\\n")
os.write(w, b"1")
while True:
    for fd in (0, 1, 2):
        try:
            out.write(repr(os.read(fd, 100)) + "\\n")
        except OSError as e:
            out.write(e.strerror + "\\n")
        try:
            os.write(1, b"FORGED")
        except OSError:
            pass
    time.sleep(0.01)
"""

TAKE = """
import json, os, select, sys, time
PIDFD_OPEN, PIDFD_GETFD = 434, 438
kept, heard, deadline = [], [], time.monotonic() + 60
while not kept and time.monotonic() < deadline:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open(f"/proc/{pid}/cmdline", "rb").read().startswith(b"sleep") and os.stat(f"/proc/{pid}").st_uid == os.getuid():
                fd = libc.syscall(PIDFD_OPEN, int(pid), 0)
                kept += [got for n in range(3) if (got := libc.syscall(PIDFD_GETFD, fd, n, 0)) >= 0]
        except OSError:
            pass
print(len(kept), flush=True)
sys.stdin.readline()
for fd in kept:
    os.set_blocking(fd, False)
    for what in (lambda: os.write(fd, b"FORGED"), lambda: heard.append(os.read(fd, 100).decode())):
        attempt(what)
print(json.dumps(heard), flush=True)
"""


def test_nothing_of_a_command_keeps_roots_terminal(host, terminal):
    """S7: neither a child with a session of its own, nor who took its descriptors while it ran."""
    taker = start_as_user("alice", TAKE, stdin=subprocess.PIPE)
    script, log = "/mnt/keep.py", "/mnt/kept.log"
    for path, text in ((script, KEEP), (log, "")):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o666)
    shell = terminal("bash", "--norc", "--noediting", "-i", program=())
    shell.wait("ready> ")
    shell.type(f"{host.webspaces} --config {host.config} enter alice sh -c 'sleep 4711 & read x'\n")
    assert int(taker.stdout.readline()) >= 3, "while it runs she has the three descriptors of her command"
    shell.type("go on\n")
    shell.wait("go on\r\n.*ready> ")
    shell.type(f"{host.webspaces} --config {host.config} enter alice /usr/bin/python3 {script} {log}\n")
    shell.wait("kept.log.*ready> ")
    assert os.path.getsize(log) > 0, "the child was at work"
    shell.type(f"# {SECRET}\n")
    shell.wait(f"{SECRET}\r\n.*ready> ")
    taker.stdin.write("\n")
    taker.stdin.flush()
    heard = json.loads(taker.stdout.readline())
    taker.wait()
    shell.type("echo ov''er\n")
    shown = shell.wait("over\r\n.*ready> ")
    assert "".join(heard) == "" and "FORGED" not in shown
    with open(log, encoding="ascii") as file:
        assert SECRET not in file.read()


def test_the_commands_terminal_is_like_roots(host, terminal):
    """Size, its changes, line editing, Ctrl-C and Ctrl-D, the exit code."""
    on = terminal("enter", "alice", "sh", "-c", "tty -s && stty size; read x; echo got $x; stty size; cat; echo end; exit 9", size=(33, 101))
    on.wait("33 101\r\n")
    on.resize(44, 55)
    os.kill(on.pid, signal.SIGWINCH)
    on.type("some\x7fthing\n")
    on.wait("got somthing\r\n44 55\r\n")
    on.type("line\n")
    on.wait("line\r\nline\r\n")
    on.type("\x04")
    on.wait("end\r\n")
    on.rest()
    assert on.end() == 9
    on = terminal("enter", "alice", "sh", "-c", "echo up; exec sleep 4711")
    on.wait("up")
    on.type("\x03")
    on.rest(20)
    assert on.end() in (130, -signal.SIGINT)


def test_all_output_arrives_before_the_end(host, terminal):
    on = terminal("enter", "alice", "sh", "-c", "seq 100000; echo last")
    text = on.rest()
    assert text.splitlines() == [str(i) for i in range(1, 100001)] + ["last"]


def test_roots_terminal_is_as_it_was(host, terminal):
    shell = terminal("bash", "--norc", "--noediting", "-i", program=())
    shell.wait("ready> ")
    before = shell.settings()
    for command in ("sh -c 'stty raw -echo; exit 1'", "sh -c 'kill -9 $$'", "nonexistent"):
        shell.type(f"{host.webspaces} --config {host.config} enter alice {command}\n")
        shell.wait("\n.*ready> ")
        assert shell.settings() == before, command


def test_ctrl_z_gives_the_shell_back_and_fg_goes_on(host, terminal):
    shell = terminal("bash", "--norc", "--noediting", "-i", program=())
    shell.wait("ready> ")
    before = shell.settings()
    shell.type(f"{host.webspaces} --config {host.config} enter alice sh -c 'echo be''gun; cat; echo is over'\n")
    shell.wait("begun\r\n")
    shell.type("here\n")  # dash starts cat by vfork(2), which a stop before the exec would hang
    shell.wait("here\r\nhere\r\n")
    shell.type("\x1a")
    shell.wait("Stopped.*ready> ")
    assert shell.settings() == before
    shell.type("fg\n")
    shell.wait("fg\r\n.*enter alice")
    shell.type("still here\n")
    shell.wait("still here\r\nstill here\r\n")
    shell.type("\x04")
    shell.wait("is over\r\n.*ready> ")


def test_in_a_pipeline_the_keyboard_stays_with_the_others(host, terminal):
    """webspaces enter … | less: less has the keys; a command that asks for them gets them."""
    shell = terminal("bash", "--norc", "--noediting", "-i", program=())
    shell.wait("ready> ")
    shell.type(f"{host.webspaces} --config {host.config} enter alice echo listed | (cat; read x < /dev/tty; echo key $x)\n")
    shell.wait("listed\r\n")
    shell.type("pressed\n")
    shell.wait("key pressed\r\n.*ready> ")
    shell.type(f"{host.webspaces} --config {host.config} enter alice sh -c 'read x; echo asked $x' | cat\n")
    shell.wait("\n")
    shell.type("answered\n")
    shell.wait("asked answered\r\n.*ready> ")


def test_a_command_behind_is_stopped_when_it_reads_and_runs_when_it_does_not(host, terminal):
    shell = terminal("bash", "--norc", "--noediting", "-i", program=())
    shell.wait("ready> ")
    shell.type(f"{host.webspaces} --config {host.config} enter alice sh -c 'echo be''hind' &\n")
    shell.wait("behind\r\n")
    shell.type(f"\n{host.webspaces} --config {host.config} enter alice cat &\n")
    shell.wait(r"\[\d\] \d+")
    shell.type("\n")
    wait_for("it is stopped", lambda: shell.type("jobs\n") or "Stopped" in shell.wait("ready> "), 10, 0.1)
    shell.type("fg\n")
    shell.wait("enter alice cat")
    shell.type("in front\n")
    shell.wait("in front\r\nin front\r\n")
    shell.type("\x04")
    shell.wait("ready> ")


def test_signals_reach_the_command_and_its_end_is_told(host):
    """With pipes, as a script runs it."""
    code = "trap 'echo told; exit 12' TERM; echo up; while :; do sleep 0.05; done"
    running = subprocess.Popen([host.webspaces, "--config", host.config, "enter", "alice", "sh", "-c", code], stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "up\n"
    running.send_signal(signal.SIGTERM)
    assert running.stdout.read() == "told\n" and running.wait() == 12
    for signo in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
        assert host.command("enter", "alice", "sh", "-c", f"kill -{int(signo)} $$").returncode == -signo


def test_a_command_ends_with_who_started_it(host):
    running = subprocess.Popen([host.webspaces, "--config", host.config, "enter", "alice", "sh", "-c", "echo up; exec sleep 4711"],
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    running.stdout.readline()
    running.kill()
    running.wait()
    wait_for("the command has ended", lambda: not lingering())


# access -----------------------------------------------------------------------------------

DOKUWIKI = """
os.chdir(sys.argv[1])
os.mkdir("wiki")
os.chdir("wiki")
for name in ("data", "conf", "lib"):
    os.mkdir(name)
open("data/.htaccess", "w").write('<IfModule mod_authz_core.c>\\n    Require all denied\\n</IfModule>\\n')
open("conf/.htaccess", "w").write('order allow,deny\\nDeny from ALL\\n')
open("lib/.htaccess", "w").write('<Files *.inc>\\n Require all denied\\n</Files>\\n')
for name in ("data/page.txt", "conf/users.auth.txt", "lib/style.css", "local.php", ".env", "notes.txt"):
    open(name, "w").write("content")
    os.chmod(name, 0o600)
for name in ("data", "conf", "lib"):
    os.chmod(name, 0o700)
"""
KEPT = ("data/page.txt", "conf/users.auth.txt")


@pytest.fixture
def wiki(host):
    as_user("alice", DOKUWIKI, host.data("alice"))
    yield lambda *below: host.data("alice", os.path.join("wiki", *below))
    subprocess.run(["rm", "-rf", host.data("alice", "wiki")], check=True)


def is_open(path):
    """For the web server, by its entry and the mask."""
    entries = dict(line.rsplit(":", 1) for line in acl(path))
    found, mask = entries.get("user:33"), entries.get("mask:")
    return bool(found and "r" in found.split()[0] and "r" in mask)


def test_access_leaves_closed_what_an_application_closed(host, wiki):
    """X8: also where a script calls it."""
    done = host.command("access", "alice")
    assert done.returncode == 0, done.stderr
    assert [is_open(wiki(path)) for path in ("lib", "lib/style.css", "notes.txt")] == [True] * 3
    assert [path for path in ("data", "conf", *KEPT, "local.php", ".env") if is_open(wiki(path))] == []
    for line in ("wiki/data: its .htaccess denies everybody", "wiki/conf: its .htaccess", "wiki/local.php: PHP reads", "wiki/.env: "):
        assert line in done.stdout


def test_access_to_a_path_opens_that_alone(host, wiki):
    """X8"""
    assert host.command("access", "alice", "wiki/data").stdout.startswith("2 opened"), "and not its .htaccess, which has been open"
    assert is_open(wiki("data/page.txt")) and not is_open(wiki("conf/users.auth.txt")) and not is_open(wiki("notes.txt"))
    assert host.command("access", "alice", host.data("alice", "wiki/notes.txt")).returncode == 0
    assert is_open(wiki("notes.txt"))
    os.symlink(host.data("bob"), wiki("bob"))
    for path in ("../log", "/etc", "wiki/absent", "wiki/bob", "wiki/bob/index.php", "/"):
        done = host.command("access", "alice", path)
        assert done.returncode == 1 and done.stderr.startswith("webspaces: "), (path, done)


def test_access_shows_first_and_asks_a_person(host, wiki, terminal):
    """X8"""
    shown = host.command("access", "alice", "--list")
    assert "would open: wiki/notes.txt\n" in shown.stdout and "stays closed: wiki/data: " in shown.stdout
    for answer in ("\n", "n\n", "\x04"):
        on = terminal("access", "alice")
        assert "would open: wiki/notes.txt" in on.wait(r"\[y/N\] ")
        on.type(answer)
        assert "nothing was opened" in on.rest() and on.end() == 1
    assert not is_open(wiki("notes.txt"))
    on = terminal("access", "alice")
    on.wait(r"\[y/N\] ")
    on.type("y\n")
    assert "3 opened to the web server" in on.rest() and on.end() == 0
    assert is_open(wiki("notes.txt"))
    assert "0 would be opened" in terminal("access", "alice").rest(), "nothing is asked where there is nothing"
    assert terminal("access", "alice", "--do").rest().startswith("stays closed")


# What is shown -----------------------------------------------------------------------------

ORDERS = "\x1b[2J\x07\x7f\u0085\u009b31m\u202e\u2066\u200b\ufeff"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def assert_only_seen(*texts):
    for text in texts:
        decoded = text.decode("utf-8")  # all of it is UTF-8
        assert not (found := OBEYED.search(decoded)), (found, decoded)


def test_nothing_that_a_terminal_obeys_is_printed_or_logged(host):
    """S8: not of a file's values, of its name, of names in a user's tree, of the words of the command itself."""
    def output(*words):
        done = subprocess.run([host.webspaces, "--config", host.config, *words], capture_output=True, check=False, timeout=60)
        return done.stdout + done.stderr

    files = {
        "carol": f'sites = ({{ names = ["{ORDERS}.web.test"]; }});',
        "dora": f'php = {{ memory_limit = "{ORDERS}"; }};',
        "erin": f'binds = ["/tmp/{ORDERS}"];',
        "fred": f'php = {{ values = {{ display_errors = "{ORDERS[5:]}"; }}; }};',
    }
    raw = host.drops.encode() + b"/gina\x9b31m\n.conf"
    try:
        for name, text in files.items():
            for character in (*ORDERS, ORDERS):
                host.drop(name, text.replace(ORDERS, character).replace(ORDERS[5:], character))
                assert_only_seen(output("check", f"{host.drops}/{name}.conf"))
        with open(raw, "w", encoding="ascii"):
            pass
        wait_for("all were read", lambda: host.status("fred") or "fred" in host.journal())
        host.command("settle")
        for words in (["check"], ["plan"], ["plan", "--diff", "fred"], ["status"], ["status", "--json"], ["mounts"], ["mounts", "--json"],
                      ["certs"], ["certs", "--json"], ["doctor", "carol"], ["doctor", "fred", "--json"], ["render", "fred"], ["completion", "names"],
                      [ORDERS], ["status", ORDERS], ["access", ORDERS], ["purge", ORDERS], ["status", "--" + ORDERS], ["enter", ORDERS, "id"],
                      ["enter", "alice", ORDERS], ["check", f"/{ORDERS}"], ["rollback", ORDERS], ["confirm", ORDERS]):  # fmt: skip
            assert_only_seen(output(*words))
        with open(host.log, "rb") as file:
            assert_only_seen(file.read())
    finally:
        os.unlink(raw)
        for name in files:
            host.remove(name)


def test_names_in_a_users_tree_are_only_seen(host):
    """S8: access"""
    as_user("alice", "os.chdir(sys.argv[1]); os.mkdir('odd'); [os.mkdir(b'odd/' + n.encode('utf-8', 'surrogateescape'), 0o700) for n in sys.argv[2:]]",
            host.data("alice"), ORDERS, "c1\udc9b", "new\nline", "back\\012")  # fmt: skip
    done = subprocess.run([host.webspaces, "--config", host.config, "access", "alice", "--list"], capture_output=True, check=False)
    assert_only_seen(done.stdout)
    lines = done.stdout.decode().splitlines()
    assert "would open: odd/new\\012line" in lines and "would open: odd/back\\\\012" in lines and "would open: odd/c1\\233" in lines
    subprocess.run(["rm", "-rf", host.data("alice", "odd")], check=True)


# A hostile tree -----------------------------------------------------------------------------

TREE = """
os.chdir(sys.argv[1])
os.mkdir("tree")
os.chdir("tree")
for kind in ("index.php", "fifo\\nname", ".htaccess"):
    os.mkfifo(kind)
os.mkdir("wide")
for i in range(20000):
    os.close(os.open(f"wide/{i}", os.O_CREAT, 0o600))
os.mkdir("deep")
at = os.open("deep", os.O_RDONLY)
for i in range(3000):
    os.mkdir("d", dir_fd=at)
    at, old = os.open("d", os.O_RDONLY, dir_fd=at), at
    os.close(old)
"""
CHURN = """
os.chdir(sys.argv[1] + "/tree")
os.symlink("/etc", "link")
os.mkdir("moved")
print("ready", flush=True)
n = 0
while True:
    n += 1
    exchange("link", "moved")
    attempt(os.rename, "wide", "wide2")
    attempt(os.rename, "wide2", "wide")
"""


def test_no_command_of_roots_waits_for_or_is_led_by_a_users_tree(host):
    """FIFOs, 20,000 files, 3,000 levels, names that move while they are looked at."""
    as_user("alice", TREE, host.data("alice"))
    before = os.stat("/etc"), os.listxattr("/etc")
    churn = start_as_user("alice", CHURN, host.data("alice"))
    churn.stdout.readline()
    try:
        for words in (["doctor", "alice"], ["mounts", "alice"], ["status", "alice"], ["plan", "alice"], ["access", "alice", "--list"],
                      ["access", "alice"], ["enter", "alice", "true"], ["enter", "alice", "--jail", "/bin/true"]):  # fmt: skip
            done = host.command(*words, timeout=60)
            assert done.returncode in (0, 1, 2, 126), (words, done)
            assert all(line.startswith("webspaces: ") for line in done.stderr.splitlines()), done.stderr
        assert host.get("alice", "/index.php", https=True).status == 200
    finally:
        churn.kill()
        churn.wait()
        subprocess.run(["rm", "-rf", host.data("alice", "tree")], check=True)
    after = os.stat("/etc"), os.listxattr("/etc")
    assert (before[0].st_mode, before[0].st_mtime, before[1]) == (after[0].st_mode, after[0].st_mtime, after[1])
