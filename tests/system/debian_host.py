"""A Debian host that systemd has booted, with webspaces installed as its admin would.

Everything is where a fresh installation has it: /etc/webspaces.d, /home/www, the units. What the
tests ask with (curl, crowds) comes from outside, into the host's network.
"""

import json
import os
import pathlib
import shutil
import subprocess

import systemd_root
from crowd import Crowd
from host import INDEX_PHP, Timeout, wait_for

DOMAIN = "web.test"
CONFIG = f"""base_domain = "{DOMAIN}";
acme = {{ issuer = "internal"; }};
php = {{ shards = 2; }};
"""


class DebianHost(systemd_root.Container):
    def install(self, destination):
        """What `make install DESTDIR=` has put there."""
        shutil.copytree(destination, self.root, dirs_exist_ok=True, symlinks=True)
        (self.root / "etc/webspaces/webspaces.conf").write_text(CONFIG)
        self.enable("webspaces.service")

    def enable(self, unit):
        wanted = self.root / "etc/systemd/system/multi-user.target.wants" / unit
        wanted.parent.mkdir(exist_ok=True)
        wanted.symlink_to(f"/usr/lib/systemd/system/{unit}")

    # Commands --------------------------------------------------------------

    def ask(self, *argv):
        """What it printed, whatever became of it."""
        return self.run(list(argv), check=False).strip()

    def webspaces(self, *words):
        return subprocess.run(self.enter(["webspaces", *words]), capture_output=True, text=True, check=False)

    def show(self, unit, name):
        return self.ask("systemctl", "show", "-P", name, unit)

    def main_pid(self, unit):
        return int(self.show(unit, "MainPID") or 0)

    def is_active(self, unit):
        return self.show(unit, "ActiveState") == "active"

    def units(self, pattern):
        listed = self.ask("systemctl", "list-units", "--plain", "--no-legend", "--state=active", pattern)
        return sorted(line.split()[0] for line in listed.splitlines())

    def journal(self, *matches):
        """Entries as journald has them: a list of objects."""
        lines = self.ask("journalctl", "--no-pager", "-o", "json", *matches).splitlines()
        return [json.loads(line) for line in lines]

    def log(self):
        return self.ask("journalctl", "--no-pager", "-b", "-n", "80")

    # Webspaces ----------------------------------------------------------------

    def drop(self, name, text=""):
        place = self.path("etc/webspaces.d")
        (place / f".{name}.new").write_text(text)
        (place / f".{name}.new").rename(place / f"{name}.conf")

    def remove(self, name):
        (self.path("etc/webspaces.d") / f"{name}.conf").unlink()

    def write(self, name, path, text):
        """A file of the user's own in data."""
        file = self.path(f"home/www/{name}/chroot/data/{path}")
        file.write_text(text)
        owner = file.parent.stat()
        os.chown(file, owner.st_uid, owner.st_gid)

    def status(self, name=None):
        out = self.webspaces("status", *([name] if name else []), "--json").stdout
        return json.loads(out) if out.startswith("{") else {"webspaces": []}

    def not_ready(self, names):
        ready = {webspace["name"] for webspace in self.status()["webspaces"] if webspace["ready"]}
        return [name for name in names if name not in ready]

    def wait_ready(self, *names, seconds=90):
        try:
            wait_for(f"{len(names)} webspaces ready", lambda: not self.not_ready(names), seconds, 0.1)
        except Timeout as timeout:
            raise Timeout(f"{timeout}: not {self.not_ready(names)}\n{self.log()}") from None

    def add(self, *names, text="", index=INDEX_PHP):
        for name in names:
            self.drop(name, text)
        self.wait_ready(*names)
        for name in names:
            self.write(name, "index.php", index)

    # Requests -----------------------------------------------------------------

    def outside(self, argv):
        """A program of the machine that runs the tests, in the network of this host."""
        return ["nsenter", "-t", self.leader, "-n", "--", *argv]

    def get(self, name, path="/", https=True):
        """(status, body); (0, what went wrong) where nothing answers."""
        host, port = f"{name}.{DOMAIN}", 443 if https else 80
        r = subprocess.run(
            self.outside([
                "curl", "-sS", "-m", "20", "-w", "\n%{http_code}", "--resolve", f"{host}:{port}:127.0.0.1",
                "--cacert", str(self.path("var/lib/webspaces/ca/ca.pem")), f"{'https' if https else 'http'}://{host}{path}",
            ]),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if r.returncode != 0:
            return 0, r.stderr.strip()
        body, status = r.stdout.rsplit("\n", 1)
        return int(status), body

    def is_served(self, name):
        status, body = self.get(name)
        return status == 200 and body.startswith("uid=")

    def wait_served(self, *names, seconds=60):
        for name in names:
            try:
                wait_for(f"{name} served", lambda: self.is_served(name), seconds, 0.1)
            except Timeout as timeout:
                raise Timeout(f"{timeout}: {self.get(name)}\n{self.log()}") from None

    def crowd(self, *names, **options):
        """Visitors over HTTPS, each on a connection of its own."""
        hosts = [f"{name}.{DOMAIN}" for name in names]
        ca_file = str(self.path("var/lib/webspaces/ca/ca.pem"))
        return Crowd("visitors", 443, hosts, "/", "uid=", ca_file=ca_file, prefix=self.outside([]), **options)

    # PHP --------------------------------------------------------------------------

    def masters(self):
        """The PHP masters that lines name: line → id."""
        lines = self.path("run/webspaces/php/line")
        return {line: os.readlink(lines / line).rsplit("/", 1)[1] for line in sorted(os.listdir(lines))}

    # Boots ------------------------------------------------------------------------

    def reboot(self):
        """As `reboot` does; nspawn boots it again, with another leader."""
        before = self.leader
        subprocess.run(self.enter(["systemctl", "reboot"]), check=False, capture_output=True)
        wait_for("the host goes down", lambda: not pathlib.Path(f"/proc/{before}").exists(), 90, 0.1)
        self.wait_booted(90)
