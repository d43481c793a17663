"""kill -9 of the agent, of nginx and of PHP masters at random moments, in the middle of changes.

The seed is printed; SEED=… repeats a run. Afterwards, with an agent running again, the machine is
what the files say: every webspace answers with its own content, whoever left does not, nothing is
left over, and another look writes nothing.
"""

import os
import pwd
import random
import signal
import time

from crowd import Crowd
from host import wait_for

# What a kill cut short may wait for the next look at everything.
SETTINGS = "reconcile = { removal_grace_s = 0; full_pass_s = 10; }; defaults = { site = { redirect_https = false; }; };"
PAGE = "<?php echo ini_get('memory_limit'), ' ', __FILE__, ' ', $_SERVER['USER'];"
NAMES = [f"w{n}" for n in range(12)]


def random_file(chance):
    """A webspace's text, and what its page then says of memory_limit."""
    limit = chance.randrange(33, 99)
    extra = chance.choice(["", "", 'master = "dedicated"; ', 'pm = "dynamic"; ', "chroot = false; "])
    return f'php = {{ {extra}memory_limit = "{limit}M"; }};', f"{limit}M"


class Storm:
    """Files come, change and go, daemons and the agent are killed; wanted is what should be in the end."""

    def __init__(self, host, chance):
        self.host, self.chance = host, chance
        self.wanted = {}
        self.kills = {"agent": 0, "nginx": 0, "php": 0}
        self.groups = 0

    def change(self):
        name = self.chance.choice(NAMES)
        if name in self.wanted and self.chance.random() < 0.3 and len(self.wanted) > 3:
            self.host.remove(name)
            del self.wanted[name]
        else:
            text, limit = random_file(self.chance)
            self.host.drop(name, text)
            self.wanted[name] = limit

    def kill_daemon(self):
        masters = [("php", pid) for pid in self.host.masters().values()] + [("nginx", self.host.nginx_pid())] * 2
        kind, pid = self.chance.choice(masters)
        if pid is None:
            return
        whole = self.chance.random() < 0.5
        self.groups += whole
        try:
            if whole:
                os.killpg(os.getpgid(pid), signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)  # its workers are left alone
            self.kills[kind] += 1
        except ProcessLookupError:
            pass

    def kill_agent(self):
        self.host.kill()
        self.kills["agent"] += 1
        if self.chance.random() < 0.4:
            self.change()
        if self.chance.random() < 0.3:
            self.kill_daemon()
        self.host.launch()

    def round(self):
        for _ in range(self.chance.randrange(1, 4)):
            self.change()
            time.sleep(self.chance.random() * 0.15)
        if self.chance.random() < 0.4:
            self.kill_daemon()
        time.sleep(self.chance.random() ** 2 * 0.8)
        self.kill_agent()


def page_of(host, name):
    """What name's page says, or None. Its content is put there as its user would."""
    if not os.path.exists(host.data(name, "index.php")):
        try:
            host.write(name, "index.php", PAGE)
        except (OSError, KeyError):
            return None
    response = host.answers(name)
    return response and response.text


def is_as_wanted(host, wanted):
    for name in NAMES:
        if name not in wanted:
            if host.get_quietly(name) is not None or host.status(name):
                return False
            continue
        text = page_of(host, name)
        if not text or not text.startswith(f"{wanted[name]} ") or not text.endswith(f" {name}"):
            return False
    return all(host.ready(name) for name in wanted)


def listing(host):
    """Every file that we write, with inode and times: what a write would change."""
    found = {}
    for top in (host.state_dir, host.run_dir, host.home_root):
        for directory, folders, files in os.walk(top):
            for name in [*folders, *files]:
                path = os.path.join(directory, name)
                if path.endswith((".log", "/agent.sock")) or "/nginx-temp" in path or "/chroot/" in path:
                    continue
                st = os.lstat(path)
                found[path] = (st.st_ino, st.st_mtime_ns, st.st_size, st.st_mode, st.st_uid)
    return found


def mounted(host):
    """Webspaces with a jail mounted."""
    out = host.enter("cat", "/proc/self/mountinfo").stdout
    at = [line.split()[4] for line in out.splitlines()]
    return sorted(path for path in at if path.startswith(f"{host.home_root}/"))


def leftovers(host, wanted):
    """What should not be there; empty: all is tidy."""
    bad = []
    jails = {os.path.relpath(path, host.home_root).split("/")[0] for path in mounted(host)}
    bad += [f"mounted: {name}" for name in jails - set(wanted)] + [f"not mounted: {name}" for name in set(wanted) - jails]
    if len(mounted(host)) != len(wanted):
        bad.append(f"{len(mounted(host))} mounts for {len(wanted)} jails: {mounted(host)}")
    sockets = {name[: -len(".sock")] for name in os.listdir(f"{host.run_dir}/php") if name.endswith(".sock")}
    bad += [f"socket: {name}" for name in sockets ^ set(wanted)]
    lines = {os.path.basename(os.readlink(f"{host.run_dir}/php/line/{line}")) for line in os.listdir(f"{host.run_dir}/php/line")}
    bad += [f"master's directory: {name}" for name in set(os.listdir(f"{host.run_dir}/php/masters")) - lines]
    for unit in ["nginx", *[f"php/{line}" for line in os.listdir(f"{host.state_dir}/php")]]:
        generations = os.listdir(f"{host.state_dir}/{unit}")
        numbers = [name for name in generations if name.isdigit()]
        if len(numbers) > 5 or any(not name.isdigit() and name != "current" for name in generations):
            bad.append(f"{unit}: {generations}")
    return bad + extra_masters(host)


def extra_masters(host):
    """PHP masters and nginxes that nobody names."""
    known = {*host.masters().values(), host.nginx_pid()}
    found = []
    for pid in host.processes():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                title = file.read().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if "master process" in title and pid not in known:
            found.append(f"master: {pid} {title}")
        if "worker process" in title and os_parent(pid) not in known:
            found.append(f"worker of nobody: {pid} {title}")
    return found


def os_parent(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def assert_converged(host, wanted):
    try:
        wait_for("the machine is what the files say", lambda: is_as_wanted(host, wanted), 60, 0.2)
        wait_for("nothing is left over", lambda: not leftovers(host, wanted), 60, 0.2)
    except AssertionError as error:
        pages = {name: page_of(host, name) for name in NAMES}
        standing = [host.status(name) for name in NAMES if not host.ready(name) and (name in wanted or host.status(name))]
        raise AssertionError(f"{error}\nwanted {wanted}\npages {pages}\n{leftovers(host, wanted)}\n{standing}\n{host.journal()[-4000:]}") from None


def assert_quiet(host):
    """The second of two looks at everything writes nothing and says nothing, once the last that was in
    flight has ended: a master that still finishes its requests keeps what it reads until then."""
    host.agent.send_signal(signal.SIGHUP)
    wait_for("nothing in flight", lambda: stays_the_same(host, 1.5), 30)
    before, said = listing(host), host.journal()
    host.agent.send_signal(signal.SIGHUP)
    time.sleep(2)
    after = listing(host)
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == set()
    assert host.journal() == said


def stays_the_same(host, seconds):
    before = listing(host), host.journal()
    time.sleep(seconds)
    return before == (listing(host), host.journal())


def test_fifty_kills_in_a_storm_leave_what_the_files_say(make_host):  # promise 3, A3 B1 D3 D4 G1 G5
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"\n  SEED={seed}")
    host = make_host(shards=2, settings=SETTINGS)
    storm = Storm(host, random.Random(seed))
    host.start()
    for name in NAMES[:6]:
        host.drop(name)
        storm.wanted[name] = "32M"
    while storm.kills["agent"] < int(os.environ.get("KILLS", 50)):
        storm.round()
    wait_for("the agent's door", host.alive, 30)
    time.sleep(0.5)
    host.command("confirm")  # so many removals may be held
    began = time.monotonic()
    assert_converged(host, storm.wanted)
    print(f"  killed {storm.kills} ({storm.groups} with their workers); all right after {time.monotonic() - began:.1f} s")
    assert_quiet(host)
    for name in storm.wanted:
        assert pwd.getpwnam(name).pw_uid == os.lstat(host.data(name, "index.php")).st_uid


def visited(host, *names):
    return [
        Crowd("PHP, anew", host.http_port, [host.host_name(name) for name in names], "/", "32M", pause=0.02),
        Crowd("PHP, kept", host.http_port, [host.host_name(name) for name in names], "/", "32M", pause=0.02, keep=True),
    ]


def test_the_agent_comes_and_goes_and_costs_no_request(make_host):  # promise 3, G1: SIGTERM, kill -9, start
    host = make_host(settings=SETTINGS).start()
    host.add("alice", "bob", index=PAGE)
    host.wait_answers("bob")
    crowds, pids = visited(host, "alice", "bob"), (host.nginx_pid(), host.masters())
    for n in range(8):
        if n % 2:
            host.kill()
        else:
            assert host.end() == 0
        time.sleep(0.3)
        assert host.answers("alice") and host.answers("bob")
        host.start()
    time.sleep(1)
    for visits in [crowd.end() for crowd in crowds]:
        print(f"\n  {visits}")
        assert len(visits.visits) > 100 and not visits.failed and not visits.met_end, visits.failed[:5]
    assert (host.nginx_pid(), host.masters()) == pids, "a daemon was replaced"
    assert_quiet(host)


def test_of_two_agents_the_second_ends(make_host):  # promise 3: exit 75
    host = make_host(settings=SETTINGS).start()
    host.add("alice", index=PAGE)
    for words in (["run"], ["apply"]):
        out = host.command(*words)
        assert out.returncode == 75, (words, out)
        assert "agent" in out.stderr, out.stderr
    assert host.answers("alice")
    host.kill()
    host.start()
    assert host.answers("alice")
