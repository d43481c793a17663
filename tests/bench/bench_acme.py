"""What certificates cost: our client beside uacme and lego, against Pebble, in one run.

    make bench-acme

The client alone, as the agent has it (tests/bench/acme.c), with its worker; nginx answers http-01 for
all. stdout: name, value, unit, against, ratio, with tabs between; progress goes to stderr.

  acme_seconds_100          100 certificates of one name each, the account known; against: uacme's
  acme_requests_100         … requests to the CA; against: 7 for each, the directory, a nonce for each
                            order in flight
  acme_connections_100      … connections that had to be made for them
  acme_user_cpu_100         … user CPU of client and worker; against: uacme's
  acme_bare_seconds_100     … in seconds; against: the least that a client can do (tests/bench/acme_bare.c)
  acme_bare_user_cpu_100    … in user CPU; against: the same
  acme_seconds_100_rtt50    … over a line of 50 ms round trips; against: uacme's, from 4 certificates
  acme_requests_1           one more, the account known
  acme_worker_rss_mb        the worker's, at most
  lego_seconds_each         lego's seconds for one certificate, from 2; against: ours
"""

import glob
import os
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

from certificates import write  # noqa: E402
from neighbourhood import trust  # noqa: E402
from peers import Delay, Pebble  # noqa: E402
from resolver import point_resolver  # noqa: E402

BENCH, BARE = os.environ["BENCH"], os.environ["BARE"]
ROOT = "/mnt/bench"
N = 100
IN_FLIGHT = 16
ROUNDS = 5
PATIENCE = 60  # seconds
BEGIN = time.monotonic()

NGINX = """
user www-data; worker_processes 1; pid {root}/nginx.pid; error_log {root}/nginx.log;
events {{ }}
http {{
	access_log off;
	map $uri $token {{ default ""; "~^/\\.well-known/acme-challenge/(?<t>[-_A-Za-z0-9]{{16,128}})$" $t; }}
	server {{
		listen 127.0.0.1:80 default_server; root {root}/web; default_type text/plain;
		location / {{ try_files $uri @acme; }}
		location @acme {{ if ($token = "") {{ return 404; }} return 200 "$token.{thumbprint}"; }}
	}}
}}
"""
HOOK = """#!/bin/sh
[ "$1" = begin ] && [ "$2" != http-01 ] && exit 1
case $1 in begin) printf %s "$5" > {root}/web/.well-known/acme-challenge/"$4" ;; *) rm -f {root}/web/.well-known/acme-challenge/"$4" ;; esac
"""


def say(text):
    print(f"{time.monotonic() - BEGIN:7.1f}  {text}", file=sys.stderr, flush=True)


def row(name, value, unit, against=None):
    ratio = f"{value / against:.3g}" if against else "-"
    print(f"{name}\t{value:.4g}\t{unit}\t{f'{against:.4g}' if against else '-'}\t{ratio}", flush=True)


class Figures:
    """What the client printed of itself."""

    def __init__(self, line):
        words = line.split()
        self.issued, self.requests, self.connections, self.rss_kb = (int(words[i]) for i in (0, 2, 3, 5))
        self.seconds, self.user = float(words[1]), float(words[4])


class Ours:
    def __init__(self, ca):
        self.ca, self.state, self.next = ca, f"{ROOT}/state{ca.port}", 0

    def thumbprint(self, url):
        out = subprocess.run([BENCH, "thumbprint", self.state, url], capture_output=True, text=True, check=True)
        return out.stdout.strip()

    def issue(self, n, url):
        words = [BENCH, "issue", self.state, url, self.ca.ca_file, f"{ROOT}/run", "127.0.0.1:80"]
        return self.run(words, n)

    def issue_barely(self, n, url):
        """With the same account, without all that makes a client."""
        (account,) = glob.glob(f"{self.state}/acme/*")
        return self.run([BARE, url, self.ca.ca_file, account], n)

    def run(self, words, n):
        self.next += n
        words = [*words, str(n), str(self.next - n)]
        return Figures(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout)

    def with_account(self, issue, n, url):
        """From a CA that has just been started: two new orders at once may deadlock a Pebble. Then once more."""
        for is_last in (False, False, True):
            self.ca.restart()
            self.issue(1, url)
            try:
                return issue(n, url)
            except subprocess.TimeoutExpired:
                if is_last:
                    raise
                say("Pebble has deadlocked; once more")


def children_user():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


class Timed:
    """Runs commands and tells their time and user CPU."""

    def __init__(self, commands, environment):
        user, began = children_user(), time.monotonic()
        for words in commands:
            subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        self.seconds, self.user = time.monotonic() - began, children_user() - user


def uacme(ca, url, directory, n):
    trust(ca.ca_file, "/etc/ssl/certs/ca-certificates.crt")
    words = ["uacme", "-y", "-c", directory, "-a", url, "-t", "EC"]
    subprocess.run([*words, "new"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return Timed([[*words, "-h", f"{ROOT}/hook", "issue", f"u{i}.bench.test"] for i in range(n)], None)


def lego(ca, n):
    environment = {**os.environ, "LEGO_CA_CERTIFICATES": ca.ca_file}
    words = ["lego", "--accept-tos", "--server", ca.directory_url, "--email", "a@bench.test", "--path", f"{ROOT}/lego"]
    return Timed(
        [[*words, "--http", "--http.webroot", f"{ROOT}/web", "--domains", f"l{i}.bench.test", "run"] for i in range(n)],
        environment,
    )


def start_nginx(thumbprint):
    os.makedirs(f"{ROOT}/web/.well-known/acme-challenge")
    write(f"{ROOT}/nginx.conf", NGINX.format(root=ROOT, thumbprint=thumbprint))
    write(f"{ROOT}/hook", HOOK.format(root=ROOT))
    os.chmod(f"{ROOT}/hook", 0o755)
    return subprocess.Popen(["/usr/sbin/nginx", "-c", f"{ROOT}/nginx.conf", "-g", "daemon off;"])


def start_dns():
    """Everything is at 127.0.0.1, for Pebble and for our look beforehand; it takes less of the machine than one in Python."""
    point_resolver("nameserver 127.0.0.1\n")
    words = ["pebble-challtestsrv", "-defaultIPv6", "", "-dns01", "127.0.0.1:53", "-management", "127.0.0.1:8055"]
    words += ["-http01", "", "-https01", "", "-tlsalpn01", ""]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_user():
    subprocess.run(
        ["useradd", "--system", "--no-create-home", "webspaces-acme"], stderr=subprocess.DEVNULL, check=False
    )


def median(figures, name):
    return statistics.median(getattr(f, name) for f in figures)


def measure(ca):
    ours = Ours(ca)
    nginx = start_nginx(ours.thumbprint(ca.directory_url))
    try:
        runs, bare = [], []
        for _ in range(ROUNDS):
            bare.append(ours.with_account(ours.issue_barely, N, ca.directory_url))
            say(f"bare, {N}: {vars(bare[-1])}")
            runs.append(ours.with_account(ours.issue, N, ca.directory_url))
            say(f"ours, {N}: {vars(runs[-1])}")
        one = ours.issue(1, ca.directory_url)
        say(f"uacme, {N}")
        theirs = uacme(ca, ca.directory_url, f"{ROOT}/uacme", N)
        say("lego, 2")
        legos = lego(ca, 2)
    finally:
        nginx.terminate()
        nginx.wait()
    row("acme_seconds_100", median(runs, "seconds"), "s", theirs.seconds)
    row("acme_requests_100", median(runs, "requests"), "requests", 7 * N + 1 + IN_FLIGHT)
    row("acme_connections_100", median(runs, "connections"), "connections")
    row("acme_user_cpu_100", median(runs, "user"), "s", theirs.user)
    row("acme_bare_seconds_100", median(runs, "seconds"), "s", median(bare, "seconds"))
    row("acme_bare_user_cpu_100", median(runs, "user"), "s", median(bare, "user"))
    row("acme_requests_1", one.requests, "requests", 9)
    row("acme_worker_rss_mb", max(f.rss_kb for f in runs) / 1024, "MB", 20)
    row("lego_seconds_each", legos.seconds / 2, "s", median(runs, "seconds") / N)


def measure_far(ca):
    line = Delay(ca.port, 50)
    url = line.url(ca.directory_url)
    ours = Ours(ca)
    nginx = start_nginx(ours.thumbprint(url))
    try:
        far = [ours.with_account(ours.issue, N, url) for _ in range(2)]
        say(f"ours over 50 ms, {N}: {vars(far[-1])}")
        theirs = uacme(ca, url, f"{ROOT}/uacme", 4)
    finally:
        nginx.terminate()
        nginx.wait()
        line.stop()
    row("acme_seconds_100_rtt50", median(far, "seconds"), "s", theirs.seconds / 4 * N)


def main():
    make_user()
    dns = start_dns()
    for step in (measure, measure_far):
        subprocess.run(["rm", "-rf", ROOT], check=True)
        os.makedirs(f"{ROOT}/run")
        ca = Pebble()
        try:
            step(ca)
        finally:
            ca.stop()
    dns.terminate()
    dns.wait()


main()
