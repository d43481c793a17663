"""A Debian 12 with a real systemd, on which our package is installed by apt, without a network.

What the package depends on is there already (nginx serves its default site), which spares
most of the time; systemd_root.PLAIN has nothing.

    machine = Debian(place).boot()
    machine.install(package())
    machine.drop("alice", 'sites = ({ names = ["alice.test"]; });')
    machine.wait_ready("alice")
    assert machine.get("alice.test").status == 200
"""

import ctypes
import glob
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

import pytest
import systemd_root
from host import wait_for


def package():
    """The package that `make deb` built."""
    found = glob.glob(str(systemd_root.TOP / "build/webspaces_*.deb"))
    assert len(found) == 1, f"make deb builds it: {found}"
    return found[0]


def newer(place, change="+1", edit=None):
    """The same package as a later version; edit(folder) may change what is in it."""
    folder = tempfile.mkdtemp(dir=place)
    subprocess.run(["dpkg-deb", "-R", package(), folder], check=True)
    control = os.path.join(folder, "DEBIAN/control")
    with open(control, encoding="utf-8") as file:
        lines = file.read().split("\n")
    with open(control, "w", encoding="utf-8") as file:
        file.write("\n".join(line + change if line.startswith("Version:") else line for line in lines))
    if edit:
        edit(folder)
    made = f"{folder}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", folder, made], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder)
    return made


class Debian(systemd_root.Container):
    """A booted machine; all names of sites lead to its loopback."""

    # What timers may start at any moment would hold dpkg's lock, or leave files of its own.
    masked = ["systemd-sysctl", "apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "systemd-tmpfiles-clean"]

    def __init__(self, place, base=systemd_root.BASE):
        super().__init__(place, base)

    # Programs -------------------------------------------------------------

    def result(self, *argv, **options):
        return subprocess.run(self.enter(argv), capture_output=True, text=True, check=False, **options)

    def apt(self, *words):
        """apt-get as a person would call it; all that it said."""
        r = self.result("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-y", "-q", *words)
        assert r.returncode == 0, f"apt-get {' '.join(words)}: {r.stdout[-3000:]}{r.stderr[-3000:]}"
        return r.stdout + r.stderr

    def install(self, deb):
        """apt install ./webspaces_VERSION_ARCH.deb"""
        name = os.path.basename(deb)
        shutil.copy(deb, self.path("/root") / name)
        return self.apt("install", f"/root/{name}")

    def systemctl(self, *words):
        return self.result("systemctl", *words).stdout.strip()

    def is_active(self, unit):
        return self.systemctl("is-active", unit) == "active"

    def property(self, unit, name):
        return self.systemctl("show", "-P", name, unit)

    def journal(self, *words):
        return self.result("journalctl", "--no-pager", "-q", *words).stdout

    def webspaces(self, *words):
        return self.result("webspaces", *words)

    # Files ----------------------------------------------------------------

    def path(self, relative):
        return super().path(relative.lstrip("/"))

    def write(self, path, text, mode=0o644):
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def read(self, path):
        return self.path(path).read_text()

    def drop(self, name, text=""):
        """As an editor would: whole."""
        self.write(f"/etc/webspaces.d/.{name}.new", text)
        os.rename(self.path(f"/etc/webspaces.d/.{name}.new"), self.path(f"/etc/webspaces.d/{name}.conf"))

    # Webspaces ------------------------------------------------------------

    def status(self, name):
        """What the agent says of a webspace, or None."""
        try:
            told = json.loads(self.webspaces("status", "--json").stdout)
        except ValueError:
            return None
        return next((w for w in told["webspaces"] if w["name"] == name), None)

    def condition(self, name, kind):
        return next((c for c in (self.status(name) or {"conditions": []})["conditions"] if c["type"] == kind), None)

    def wait_ready(self, *names, seconds=60):
        for name in names:
            wait_for(f"{name} ready", lambda: (self.status(name) or {}).get("ready"), seconds, 0.1)

    def get(self, name, path="/", port=None, https=False, timeout=10):
        """A request to the machine from inside of its network."""
        with self.connection(port or (443 if https else 80), timeout) as plain:
            line = plain
            if https:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                line = context.wrap_socket(plain, server_hostname=name)
            asked = http.client.HTTPConnection(name, timeout=timeout)
            asked.sock = line
            asked.request("GET", path, headers={"Host": name, "Connection": "close"})
            answer = asked.getresponse()
            answer.text = answer.read().decode(errors="replace")
            return answer

    def answers(self, name, path="/", status=200, **options):
        try:
            answer = self.get(name, path, **options)
        except (OSError, http.client.HTTPException):
            return None
        return answer if answer.status == status else None

    def wait_answers(self, name, path="/", seconds=30, **options):
        return wait_for(f"{name}{path} answers", lambda: self.answers(name, path, **options), seconds, 0.1)

    def connection(self, port, timeout):
        """A socket that was made in the network of the machine."""
        with open("/proc/self/ns/net", "rb") as ours, open(f"/proc/{self.leader}/ns/net", "rb") as theirs:
            enter_network(theirs)
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=timeout)
            finally:
                enter_network(ours)


def enter_network(file):
    """setns(2), which this Python does not have."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file.fileno(), 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def machine(base=systemd_root.BASE):
    """For fixtures: yields a booted machine and takes it away again."""
    if systemd_root.why_not() or os.geteuid() != 0:
        pytest.skip(systemd_root.why_not() or "needs root")
    made = Debian(tempfile.mkdtemp(dir="/mnt"), base)
    try:
        yield made.boot()
    finally:
        made.close()
