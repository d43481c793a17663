"""The figures that the README claims, taken from the real agent with its nginx and PHP.

    make bench N=10000

A host of N webspaces (empty files: everything preset) and, before it, one of 100, to tell what
grows with the host from what does not. stdout: name, value, unit, against, ratio, with tabs between,
"-" where there is nothing to compare with. Progress goes to stderr.

  add_one_*           a file is renamed into place, its tree with an index.php being there: until
                      the first 200 over HTTPS; CPU of the agent (not of the daemons) until it is
                      idle again; its system calls, against those on the small host. Medians of five.
  nginx_reload_*      HUP until the last old worker has gone; resident size of a new worker.
  php_reload_*        memory_limit of one webspace changes: file closed until PHP shows it, so with
                      settling, validation and a new master for all pools of its shard.
  full_pass_*         SIGHUP with nothing to do: CPU of the agent, against a loop of the very system
                      calls (bare.c) and systemd-tmpfiles told to keep the same directories.
  php_lines           PHP masters of the large host: 8 by preset, more where webspaces are many.
  first_convergence_  from the start over N files and nothing else to idle.
  start_              a restart with all in place to idle.
  drift_*             chmod of a managed directory of any webspace until it is back, 200 times.
  php_page_*          WordPress' front page with a real MariaDB in a jail, against nginx and php-fpm
                      written by hand for the same files: system calls of PHP; CPU of PHP and nginx.
"""

import os
import random
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import meter  # noqa: E402
import replay  # noqa: E402
import wordpress  # noqa: E402
from host import Host, acl, rights, wait_for  # noqa: E402

SMALL = 100
ROUNDS = 5
DRIFTS = 200
DRIFTING = ("chroot", "logs", "chroot/data", "chroot/tmp", "chroot/log", "chroot/tmp/misc", "chroot/tmp/upload")
INDEX = "<?php echo ini_get('memory_limit');"
BARE = os.path.join(os.path.dirname(os.environ["WEBSPACES"]), "bare")
# Nothing by the clock may happen in the middle of a measurement.
SETTINGS = "reconcile = { full_pass_s = 3600; };"


def say(text):
    print(f"{time.monotonic() - BEGIN:7.1f}  {text}", file=sys.stderr, flush=True)


def row(name, value, unit, against=None, ratio=None):
    number = lambda v, digits: "-" if v is None else f"{v:.{digits}f}"
    against = number(against, 4) if isinstance(against, float) else against
    print(f"{name}\t{value:.4g}\t{unit}\t{'-' if against is None else against}\t{number(ratio, 2)}", flush=True)


class Bench:
    """One host and what is measured on it."""

    def __init__(self, n, prefix, user_range):
        self.n, self.prefix = n, prefix
        self.host = Host(shards=8, settings=SETTINGS, user_range=user_range)
        self.notices = meter.Notices(os.path.join(self.host.root, "notify"))
        self.patience = 60 + n / 20
        self.names = [f"{prefix}{i:05d}" for i in range(n)]
        self.added = 0

    @property
    def pid(self):
        return self.host.agent.pid

    def end(self):
        self.host.end()
        self.host.destroy()

    def settle(self):
        self.notices.settle(self.pid)

    # Starting -------------------------------------------------------------

    def start(self):
        """Seconds until the agent is idle for the first time."""
        self.notices.drain()
        begin = time.monotonic()
        self.host.launch()
        return self.notices.wait_idle(self.patience) - begin

    def converge(self):
        for name in self.names:
            self.host.drop(name)
        seconds = self.start()
        self.host.wait_ready(self.names[0], self.names[-1], seconds=self.patience)
        unready = self.host.command("status").returncode
        if unready:
            say(f"not all webspaces are ready: status says {unready}\n{self.host.journal()[-2000:]}")
        return seconds

    # One more -------------------------------------------------------------

    def prepare(self):
        name = f"{self.prefix}add{self.added}"
        self.added += 1
        os.makedirs(self.host.data(name))
        with open(self.host.data(name, "index.php"), "w", encoding="ascii") as file:
            file.write(INDEX)
        self.settle()
        return name

    def add_one(self):
        """(seconds to the first 200, CPU of the agent in ms, CPU of the programs it ran in ms)"""
        name = self.prepare()
        cpu, programs = meter.cpu_seconds(self.pid), meter.children_cpu_seconds(self.pid)
        begin = time.monotonic()
        self.host.drop(name)
        self.host.wait_answers(name, "/index.php", seconds=30, https=True)
        seconds = time.monotonic() - begin
        self.settle()
        cpu = meter.cpu_seconds(self.pid) - cpu
        return seconds, 1000 * cpu, 1000 * (meter.children_cpu_seconds(self.pid) - programs)

    def add_one_traced(self):
        """System calls of the agent, by name."""
        name = self.prepare()
        trace = os.path.join(self.host.root, "add.trace")
        with meter.strace(self.pid, trace):
            self.host.drop(name)
            self.host.wait_answers(name, "/index.php", seconds=30, https=True)
            self.settle()
        return replay.count(trace)

    # A full pass ----------------------------------------------------------

    def rest(self):
        """What has just been made is looked at more closely, until it is some seconds old."""
        time.sleep(3)
        self.full_pass()
        self.settle()

    def full_pass(self):
        self.settle()
        before = meter.cpu_seconds(self.pid)
        os.kill(self.pid, signal.SIGHUP)
        self.notices.wait_idle(self.patience)
        self.settle()
        return meter.cpu_seconds(self.pid) - before

    def full_pass_traced(self):
        """One webspace's part of a pass."""
        self.rest()
        path = os.path.join(self.host.root, "pass.trace")
        with meter.strace(self.pid, path):
            os.kill(self.pid, signal.SIGHUP)
            self.notices.wait_idle(self.patience)
        trace = replay.Trace(self.names[self.n // 2], self.pid, self.host.root).read(path)
        total = sum(replay.count(path).values())
        say(f"a pass: {len(trace.lines)} system calls a webspace, {total / self.n:.1f} with what belongs to none")
        if trace.unknown:
            say(f"left out of the bare loop: {', '.join(sorted(trace.unknown))}")
        return trace

    def bare(self, trace):
        """CPU seconds of the same system calls alone."""
        calls = trace.text(self.names, self.host.root)
        out = subprocess.run(
            ["nsenter", f"--mount={self.host.run_dir}/ns/mnt", BARE],
            input=calls, capture_output=True, text=True, check=False,
        )
        if out.returncode:
            say(f"the bare loop failed: {out.stderr.strip()}")
            return None
        return float(out.stdout.split()[0])

    def tmpfiles(self):
        """CPU seconds of systemd-tmpfiles for the same directories, already right."""
        lines = []
        patterns = tmpfiles_patterns(self.host, self.names[0])
        for name in self.names:
            _, gid, _ = rights(self.host.home(name))
            lines += [pattern.format(home=self.host.home(name), gid=gid) for pattern in patterns]
        path = os.path.join(self.host.root, "tmpfiles.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        meter.run_cpu_seconds(["systemd-tmpfiles", "--create", path])  # the first puts all right for sure
        seconds, status = meter.run_cpu_seconds(["systemd-tmpfiles", "--create", path])
        say(f"systemd-tmpfiles: {len(lines)} lines, exit {status}")
        return seconds

    # The daemons ----------------------------------------------------------

    def nginx_reload(self):
        """(seconds until the old workers have gone, resident MB of the largest new one)"""
        self.settle()
        master = self.host.nginx_pid()
        old = meter.children(master)
        begin = time.monotonic()
        os.kill(master, signal.SIGHUP)
        wait_for("the old workers to go", lambda: not any(map(meter.is_alive, old)), 60, 0.002)
        seconds = time.monotonic() - begin
        return seconds, max(meter.memory_mb(pid) for pid in meter.children(master))

    def php_reload(self, megabytes):
        self.settle()
        name = f"{self.prefix}add0"
        begin = time.monotonic()
        self.host.drop(name, f'php = {{ memory_limit = "{megabytes}M"; }};\n')
        wait_for(
            "the new limit", lambda: self.host.get(name, "/index.php", https=True).text == f"{megabytes}M", 60, 0.005
        )
        return time.monotonic() - begin

    # Drift ----------------------------------------------------------------

    def drift(self):
        """Milliseconds of each."""
        self.settle()
        pairs = [(name, below) for name in self.names for below in DRIFTING]
        random.seed(1)
        out = []
        for name, below in random.sample(pairs, min(DRIFTS, len(pairs))):
            path = self.host.home(name, below)
            mode = rights(path)[2]
            begin = time.monotonic()
            os.chmod(path, mode ^ 0o004)
            wait_for(f"{path} to be put back", lambda: rights(path)[2] == mode, 10, 0.0002)
            out.append(1000 * (time.monotonic() - begin))
        return out


def tmpfiles_patterns(host, name):
    """The directories of one webspace as lines for systemd-tmpfiles, {home} and {gid} to be filled in."""
    own_gid = rights(host.home(name))[1]
    lines = []
    for directory in sorted(managed_directories(host.home(name))):
        place = "{home}" + directory[len(host.home(name)):]
        uid, gid, mode = rights(directory)
        group = "{gid}" if gid == own_gid else str(gid)
        lines.append(f"d {place} {mode:04o} {uid} {group} - -")
        named = [entry for entry in acl(directory) if "::" not in entry or entry.startswith("default:")]
        if named:
            lines.append(f"a+ {place} - - - - {','.join(named)}")
    return lines


def managed_directories(home):
    """What the agent keeps: directories, not what is mounted in them or the user's own."""
    found = [home]
    for entry in os.scandir(home):
        if entry.is_dir(follow_symlinks=False) and entry.name != ".base":
            found += managed_directories(entry.path)
    return found


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def calls_differ(small, large):
    """Says which system calls make the difference."""
    for name in sorted(set(small) | set(large)):
        if small.get(name, 0) != large.get(name, 0):
            say(f"  {name}: {small.get(name, 0)} on the small host, {large.get(name, 0)} on the large one")


def measure_small(n):
    """(system calls of one added, what a pass does for one webspace)"""
    bench = Bench(n, "s", (20000, 20999))
    try:
        say(f"small host: {n} webspaces")
        bench.converge()
        for _ in range(ROUNDS):  # as many as on the large host: each leaves a PHP child behind for a while
            bench.add_one()
        calls = bench.add_one_traced()
        trace = bench.full_pass_traced()
    finally:
        bench.end()
    return calls, trace


def measure_start(bench):
    row("first_convergence_seconds", bench.converge(), "s")
    bench.settle()
    bench.host.end()
    row("start_seconds", bench.start(), "s")


def measure_add(bench, small_calls):
    say("adding one")
    added = [bench.add_one() for _ in range(ROUNDS)]
    row("add_one_seconds", statistics.median(a[0] for a in added), "s")
    row("add_one_agent_cpu_ms", statistics.median(a[1] for a in added), "ms")
    row("add_one_programs_cpu_ms", statistics.median(a[2] for a in added), "ms")
    calls = bench.add_one_traced()
    here, there = sum(calls.values()), sum(small_calls.values())
    row("add_one_syscalls", here, "calls", there, here / there)
    calls_differ(small_calls, calls)


def measure_pass(bench, trace):
    say("full pass")
    bench.rest()
    seconds = statistics.median(bench.full_pass() for _ in range(ROUNDS))
    bare = bench.bare(trace)
    tmpfiles = bench.tmpfiles()
    row("full_pass_cpu_seconds", seconds, "s")
    if bare:
        row("full_pass_over_bare", seconds / bare, "ratio", bare, seconds / bare)
    row("full_pass_over_tmpfiles", seconds / tmpfiles, "ratio", tmpfiles, seconds / tmpfiles)


def measure_daemons(bench):
    say("reloads")
    reloads = [bench.nginx_reload() for _ in range(3)]
    row("nginx_reload_seconds", statistics.median(r[0] for r in reloads), "s")
    row("nginx_worker_rss_mb", max(r[1] for r in reloads), "MB")
    row("php_reload_seconds", statistics.median(bench.php_reload(m) for m in (41, 42, 43)), "s")


def measure_drift(bench):
    say("drift")
    milliseconds = bench.drift()
    row("drift_p50_ms", percentile(milliseconds, 0.5), "ms")
    row("drift_p99_ms", percentile(milliseconds, 0.99), "ms")


def measure_page():
    say("a page of WordPress, in a jail and without")
    sides = wordpress.measure()
    for name, unit in (("syscalls", "calls"), ("cpu", "ms")):
        jail, plain = sides[name]
        row(f"php_page_{name}", jail, unit, float(plain), jail / plain)


def main():
    n = int(sys.argv[1])
    measure_page()
    small_calls, trace = measure_small(min(SMALL, n))
    bench = Bench(n, "w", (21000, 59999))
    try:
        say(f"large host: {n} webspaces")
        measure_start(bench)
        row("php_lines", len(bench.host.masters()), "masters")
        measure_pass(bench, trace)
        measure_add(bench, small_calls)
        measure_daemons(bench)
        measure_drift(bench)
        row("agent_rss_mb", meter.memory_mb(bench.pid), "MB")
        row("agent_rss_peak_mb", meter.memory_mb(bench.pid, "VmHWM"), "MB")
    finally:
        bench.end()
    say("done")


BEGIN = time.monotonic()
main()
