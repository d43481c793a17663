"""A Debian root with a real systemd in it, built once and booted for a test.

mmdebstrap makes it below build/ (half a minute, 290 MB, needs a mirror); each boot
gets an overlay of its own, so nothing a test does stays. systemd-sysctl is masked:
it would change the settings of the host.
"""

import os
import pathlib
import shutil
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BASE = TOP / "build" / "systemd-root"
PACKAGES = (
    "systemd,systemd-sysv,dbus,nginx-light,php8.2-fpm,libinotifytools0,libconfig9,libjansson4,libcurl4,"
    "libacl1,libidn2-0,libssl3"
)


def build():
    """Why it could not be built, or None."""
    if why_not() is None:
        return None
    for tool in ["mmdebstrap", "systemd-nspawn"]:
        if not shutil.which(tool):
            return f"{tool} is not installed"
    making = BASE.with_name("systemd-root.new")
    shutil.rmtree(making, ignore_errors=True)
    r = subprocess.run(
        ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(making)],
        capture_output=True, text=True,
    )
    if r.returncode != 0:
        return f"mmdebstrap failed: {r.stderr.strip().splitlines()[-1] if r.stderr else r.returncode}"
    making.rename(BASE)
    return None


def why_not():
    """Why there is no such root; None: there is."""
    return None if (BASE / "usr/lib/systemd/systemd").exists() else "there is no build/systemd-root: make system builds it"


class Container:
    """A booted systemd; enter() runs commands inside."""

    def __init__(self, place):
        self.layers = pathlib.Path(place)
        for name in ["upper", "work", "root"]:
            (self.layers / name).mkdir(parents=True)
        self.root = self.layers / "root"
        subprocess.run(
            ["mount", "-t", "overlay", "-o",
             f"lowerdir={BASE},upperdir={self.layers}/upper,workdir={self.layers}/work", "overlay", str(self.root)],
            check=True,
        )
        for unit in ["systemd-sysctl", "nginx", "php8.2-fpm"]:
            link = self.root / f"etc/systemd/system/{unit}.service"
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        self.leader = None

    def boot(self):
        self.log = open(self.layers / "boot.log", "w")
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", str(self.root), "--boot", "--register=no", "--keep-unit", "--private-network"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
        )
        return self.wait_booted(60)

    def wait_booted(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.nspawn.poll() is None, (self.layers / "boot.log").read_text()
            children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
            self.leader = children[0] if children else None
            if self.leader and os.path.exists(f"/proc/{self.leader}/root/run/systemd/private"):
                if self.run(["systemctl", "is-system-running"], check=False).strip() in ("running", "degraded"):
                    return self
            time.sleep(0.2)
        raise AssertionError("it did not boot: " + (self.layers / "boot.log").read_text()[-2000:])

    def enter(self, argv):
        return ["nsenter", "-t", self.leader, "-a", "--", *argv]

    def run(self, argv, check=True):
        r = subprocess.run(self.enter(argv), capture_output=True, text=True)
        assert not check or r.returncode == 0, r.stderr + r.stdout
        return r.stdout

    def start(self, argv, **kw):
        return subprocess.Popen(self.enter(argv), **kw)

    def path(self, relative):
        """Inside of it, as it sees it."""
        return pathlib.Path(f"/proc/{self.leader}/root") / relative

    def close(self):
        if self.leader:
            self.nspawn.kill()
            self.nspawn.wait()
        subprocess.run(["umount", "-l", str(self.root)], check=False)


if __name__ == "__main__":
    problem = build()
    if problem:
        print(f"no tests with a real systemd: {problem}")
