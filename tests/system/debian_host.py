"""A Debian on which webspaces is installed and runs as its package does it: what tests of the booted host share."""

import json
import os
import pathlib
import re
import signal
import subprocess

import debian
import systemd_root
from crowd import Crowd
from host import INDEX_PHP, Timeout, wait_for

DOMAIN = "web.test"
CONFIG = f"""base_domain = "{DOMAIN}";
acme = {{ issuer = "internal"; }};
php = {{ shards = 2; }};
reconcile = {{ removal_grace_s = 1; }};
"""
CA_FILE = "var/lib/webspaces/ca/ca.pem"


class DebianHost(debian.Debian):
    def __init__(self, place, base=systemd_root.BASE):
        super().__init__(place, base)
        (self.root / "etc/webspaces").mkdir()
        (self.root / "etc/webspaces/webspaces.conf").write_text(CONFIG)

    def install(self, deb):
        """As apt does; the admin's file, which is there already, stays."""
        name = os.path.basename(deb)
        self.path(f"/root/{name}").write_bytes(pathlib.Path(deb).read_bytes())
        return self.apt("-o", "Dpkg::Options::=--force-confold", "install", f"/root/{name}")

    # Webspaces ------------------------------------------------------------

    def not_ready(self, names):
        return [name for name in names if not (self.status(name) or {}).get("ready")]

    def add(self, *names, text="", index=INDEX_PHP):
        for name in names:
            self.drop(name, text)
        try:
            wait_for(f"{len(names)} webspaces ready", lambda: not self.not_ready(names), 90, 0.1)
        except Timeout as timeout:
            raise Timeout(f"{timeout}: not {self.not_ready(names)}\n{self.log()}") from None
        for name in names:
            self.content(name, "index.php", index)

    def content(self, name, path, text):
        """A file of the user's own in data."""
        file = self.path(f"/home/www/{name}/chroot/data/{path}")
        file.write_text(text)
        os.chown(file, self.uid(name), self.uid(name))

    def uid(self, name):
        return int(re.search(rf"^{name}:[^:]*:(\d+):", self.read("/etc/passwd"), re.M).group(1))

    def is_served(self, name):
        answer = self.answers(f"{name}.{DOMAIN}", https=True, timeout=20)
        return answer and answer.text.startswith("uid=")

    def wait_served(self, *names, seconds=90):
        for name in names:
            try:
                wait_for(f"{name} served", lambda: self.is_served(name), seconds, 0.1)
            except Timeout as timeout:
                raise Timeout(f"{timeout}\n{self.log()}") from None

    def crowd(self, *names, **options):
        """Visitors over HTTPS, each on a connection of its own, who believe this host's CA alone."""
        hosts = [f"{name}.{DOMAIN}" for name in names]
        prefix = ["nsenter", "-t", self.leader, "-n", "--"]
        return Crowd("visitors", 443, hosts, "/", "uid=", ca_file=str(self.path(CA_FILE)), prefix=prefix, **options)

    def n_ready(self):
        out = self.webspaces("status", "--json").stdout
        return sum(webspace["ready"] for webspace in json.loads(out)["webspaces"]) if out.startswith("{") else 0

    def wrk(self, name):
        """Many visitors over HTTP and kept connections, until wrk_end."""
        return subprocess.Popen(
            ["nsenter", "-t", self.leader, "-n", "--", "wrk", "-t1", "-c4", "-d600s", "--timeout", "20s",
             "-H", f"Host: {name}.{DOMAIN}", "http://127.0.0.1/"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def wrk_end(self, wrk):
        wrk.send_signal(signal.SIGINT)
        text, _ = wrk.communicate(timeout=60)
        requests = re.search(r"(\d+) requests in", text)
        failed = [int(n) for line in re.findall(r"(?:Socket errors|Non-2xx).*", text) for n in re.findall(r"\d+", line.replace("2xx", "").replace("3xx", ""))]
        return {"requests": int(requests.group(1)) if requests else 0, "failed": sum(failed), "text": text}

    # Units ----------------------------------------------------------------

    def main_pid(self, unit):
        return int(self.property(unit, "MainPID") or 0)

    def masters(self):
        """The PHP masters that lines name: line → unit."""
        lines = self.path("/run/webspaces/php/line")
        named = {line: os.readlink(lines / line).rsplit("/", 1)[1] for line in sorted(os.listdir(lines))}
        return {line: f"webspaces-php@{master}.service" for line, master in named.items()}

    def log(self):
        """The end of the journal, for messages."""
        return self.journal("-b", "-n", "60")

    # Boots ----------------------------------------------------------------

    def reboot(self):
        """Down in good order, and up again: /run is empty then."""
        self.result("systemctl", "poweroff")
        self.nspawn.wait(timeout=120)
        self.boot()

    def lose_power(self):
        """Down at once, and up again."""
        self.kill_leader()
        self.nspawn.wait(timeout=60)
        self.boot()

    def seconds(self, *argv):
        """How long a command inside takes."""
        out = subprocess.run(
            self.enter(["/bin/bash", "-c", 'TIMEFORMAT=%R; time "$@" >&2', "-", *argv]),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return float(out.stderr.strip().splitlines()[-1])
