"""A second look at a machine that is right: no write, no reload, no log line, and no waking up."""

import os
import re
import signal
import subprocess
import time

import pytest
from host import wait_for

# Five webspaces that differ in what they have.
VARIED = {
    "alice": "",
    "bob": 'binds = ["/usr/share/doc:/srv/doc", "/etc/hostname"]; php = { master = "dedicated"; };',
    "carol": 'php = { enabled = false; }; sites = ({ type = "static"; names = ["carol.example.org"]; });',
    "dora": 'state = "suspended";',
    "eric": 'php = { chroot = false; pm = "static"; max_children = 2; };'
    'sites = ({ tls = { hsts = "1y"; }; }, { names = ["*.eric.example.org"]; tls = { issuer = "off"; }; });',
}

# Calls that look. Those with a descriptor of a file that they could write are looked at one by one below.
LOOKS = set(
    """access brk clock_gettime clock_nanosleep close connect dup epoll_ctl epoll_pwait epoll_pwait2 epoll_wait
    faccessat faccessat2 fcntl fgetxattr flistxattr fstat fstatfs futex getdents64 geteuid getpid getppid
    getrandom getsockopt gettid gettimeofday getuid getxattr gettimeofday inotify_add_watch ioctl lgetxattr
    listxattr lseek lstat madvise mmap mprotect mremap munmap newfstatat open openat openat2 poll ppoll pread64
    prlimit64 pselect6 read readlink readlinkat readv recvfrom recvmsg restart_syscall rt_sigaction rt_sigprocmask
    rt_sigreturn select shutdown socket stat statfs statx sysinfo timerfd_settime umask uname wait4
    waitid""".split()
)
WRITABLE = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)")
QUESTIONS = ("GET / HTTP/1.0\\r\\nHost: verify",)  # asked of our own nginx: which generation is it?


class Trace:
    """strace -f over the agent, from here to end()."""

    def __init__(self, host, *options):
        self.file = f"/mnt/trace.{os.path.basename(host.root)}"  # not where the agent looks
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-s", "200", "-o", self.file, *options, "-p", str(host.agent.pid)],
            stderr=subprocess.DEVNULL,
        )
        status = f"/proc/{host.agent.pid}/status"
        wait_for("strace to attach", lambda: "TracerPid:\t0\n" not in open(status, encoding="ascii").read())

    def count(self, call):
        with open(self.file, encoding="utf-8", errors="replace") as file:
            return sum(f" {call}(" in line for line in file)

    def end(self):
        """The calls as (name, line)."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        with open(self.file, encoding="utf-8", errors="replace") as file:
            lines = [line.split(maxsplit=1)[1].rstrip() for line in file]
        return [(line.split("(")[0], line) for line in lines if re.match(r"[a-z_0-9]+\(", line)]


def that_change(calls):
    """The calls that write or change state."""
    found = []
    for name, line in calls:
        if name in ("sendto", "write", "sendmsg"):
            if not any(question in line for question in QUESTIONS):
                found.append(line)
        elif name not in LOOKS or (name.startswith("open") and WRITABLE.search(line)):
            found.append(line)
    return found


def converged(make_host, **options):
    host = make_host(**options)
    for name, text in VARIED.items():
        host.drop(name, text)
    host.start()
    host.wait_ready(*[name for name in VARIED if name != "dora"])
    wait_for("dora", lambda: host.status("dora"))
    host.settle()
    return host


def picture(host):
    """All files of the host with what any change to them would change."""
    found = {}
    for directory, names, files in os.walk(host.root):
        for name in names + files:
            path = os.path.join(directory, name)
            try:
                st = os.lstat(path)
            except FileNotFoundError:
                continue
            found[path] = (st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    for name in ("agent.log", "run/agent.sock", "run", "run/agent.lock"):
        found.pop(os.path.join(host.root, name), None)
    return found


def differences(before, after):
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def daemons(host):
    """nginx with its workers and the masters: a reload or a swap shows in the pids."""
    nginx = host.nginx_pid()
    with open(f"/proc/{nginx}/task/{nginx}/children", encoding="ascii") as file:
        return nginx, file.read().split(), host.masters()


def test_a_forced_look_at_everything_writes_nothing(make_host):  # A2 D3 G1
    host = converged(make_host, settings="reconcile = { full_pass_s = 3600; };")
    before, running, log = picture(host), daemons(host), host.journal()
    trace = Trace(host)
    for _ in range(2):
        looked = trace.count("openat2")
        host.agent.send_signal(signal.SIGHUP)
        wait_for("a look", lambda at=looked: trace.count("openat2") > at + 30)
        time.sleep(1)
    calls = trace.end()
    assert len(calls) > 500
    assert that_change(calls) == []
    assert differences(before, picture(host)) == []
    assert daemons(host) == running
    assert host.journal() == log


def test_a_look_that_is_due_writes_nothing(make_host):  # A2 D3 G1
    host = converged(make_host, settings="reconcile = { full_pass_s = 1; };")
    before, running, log = picture(host), daemons(host), host.journal()
    trace = Trace(host)
    wait_for("looks", lambda: trace.count("openat2") > 300)
    time.sleep(2)
    calls = trace.end()
    assert that_change(calls) == []
    assert differences(before, picture(host)) == []
    assert daemons(host) == running
    assert host.journal() == log


def calls_in(host, seconds):
    trace = Trace(host)
    time.sleep(seconds)
    return trace.end()


def test_an_agent_with_nothing_to_do_sleeps(make_host):  # G1
    """Once what follows from its start is over, of which a slow machine may see something yet."""
    host = converged(make_host, settings="reconcile = { full_pass_s = 3600; };")
    for calls in (calls_in(host, 10) for _ in range(3)):
        print(f"{len(calls)} system calls in 10 s without work")
        if sum(name.startswith("epoll") for name, _ in calls) <= 3 and len(calls) <= 25:
            return
    pytest.fail(f"it does not sleep: {calls}")


def test_the_second_apply_changes_nothing(make_host):  # G1 G2
    host = make_host()
    for name, text in VARIED.items():
        host.drop(name, text)
    first = host.command("apply")
    assert first.returncode == 0, first.stderr
    host.wait_answers("alice", "/nothing", status=404, https=True)
    log = host.home("alice", "logs/access.log")
    wait_for("the request to be logged", lambda: os.path.getsize(log) > 0)
    before, running = picture(host), daemons(host)
    again = host.command("apply")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert differences(before, picture(host)) == []
    assert daemons(host) == running
    planned = host.command("plan")
    assert (planned.returncode, planned.stdout, planned.stderr) == (0, "", "")


@pytest.mark.parametrize("how", ["end", "kill"])
def test_a_new_agent_finds_everything_right(make_host, how):  # D4 G1
    host = converged(make_host)
    before, running, log = picture(host), daemons(host), host.journal()
    getattr(host, how)()
    host.start()
    host.wait_ready("alice", "bob", "carol", "eric")
    host.settle()
    assert differences(before, picture(host)) == []
    assert daemons(host) == running
    assert host.journal() == log
