"""Debian roots with a real systemd in them, built once and booted for tests.

They lie below build/ and need a mirror only to be made; each boot gets an overlay of its
own, so nothing a test does stays. systemd-sysctl is masked: it would change the settings
of the host.

PLAIN is a Debian as its installer leaves it (no more of it than matters); its only
repository is a folder of its own, with all that our package depends on: there `apt install ./webspaces_*.deb` works without a network.
BASE is the same with those dependencies installed.
"""

import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
PLAIN = TOP / "build" / "debian-root"
BASE = TOP / "build" / "systemd-root"
RECIPE = TOP / "build" / "systemd-root.recipe"
INSTALLED = "apt,systemd,systemd-sysv,dbus,iproute2,procps,tzdata,ca-certificates,ucf"
LIBRARIES = (
    "libacl1 libc-ares2 libconfig9 libcurl4 libidn2-0 libinotifytools0 libjansson4 libpsl5 libseccomp2 libssl3 libsystemd0"
)
REPOSITORY = [
    'chroot "$1" apt-get install -y -q --download-only --no-install-recommends {packages}',
    'mkdir "$1/srv/debian" && mv "$1"/var/cache/apt/archives/*.deb "$1/srv/debian"',
    'cd "$1/srv/debian" && dpkg-scanpackages -m . > Packages',
    'rm -f "$1"/etc/apt/sources.list.d/* && echo "deb [trusted=yes] file:/srv/debian ./" > "$1/etc/apt/sources.list"',
    'rm -rf "$1"/var/lib/apt/lists/* && chroot "$1" apt-get update -q',
]
# No daemon is started while there is no systemd.
INSTALL = """set -e
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {packages}
rm /usr/sbin/policy-rc.d
"""


def build():
    """Why they could not be built, or None."""
    for tool in ["mmdebstrap", "systemd-nspawn", "dpkg-scanpackages"]:
        if not shutil.which(tool):
            return f"{tool} is not installed"
    packages = " ".join(dependencies())
    recipe = "\n".join([INSTALLED, *REPOSITORY, INSTALL, packages])
    if why_not() is None and RECIPE.exists() and RECIPE.read_text() == recipe:
        return None
    for old in [PLAIN, BASE]:
        shutil.rmtree(old, ignore_errors=True)
    problem = make_plain(packages) or make_base(packages)
    if problem is None:
        RECIPE.write_text(recipe)
    return problem


def dependencies():
    """All that our package depends on: the first choices of its control file, and libraries."""
    control = (TOP / "packaging/debian/control").read_text()
    named = re.search(r"^Depends:\n((?: .*\n)+)", control, re.M).group(1)
    return re.findall(r"^ ([a-z][^ ,]*)", named, re.M) + LIBRARIES.split()


def make_plain(packages):
    hooks = ["--customize-hook=" + hook.format(packages=packages) for hook in REPOSITORY]
    return failed("mmdebstrap", "--variant=minbase", f"--include={INSTALLED}", "--skip=cleanup/apt/lists",
                  "--dpkgopt=force-unsafe-io", *hooks, "bookworm", str(PLAIN))


def make_base(packages):
    making = BASE.with_name("systemd-root.new")
    shutil.rmtree(making, ignore_errors=True)
    problem = failed("cp", "-a", str(PLAIN), str(making)) or failed(
        "systemd-nspawn", "-q", "-D", str(making), "--register=no", "--keep-unit", "--private-network", "--as-pid2", "--pipe",
        "sh", "-c", INSTALL.format(packages=packages))
    if problem is None:
        making.rename(BASE)
    return problem


def failed(*argv):
    r = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return f"{argv[0]} failed: {(r.stderr or r.stdout).strip()[-500:] or r.returncode}" if r.returncode else None


def why_not():
    """Why there are no such roots; None: there are."""
    there = all((root / "usr/lib/systemd/systemd").exists() for root in [PLAIN, BASE])
    return None if there else "there is no build/systemd-root: make system builds it"


class Container:
    """A booted systemd; enter() runs commands inside."""

    masked = ["systemd-sysctl", "nginx", "php8.2-fpm"]
    prefix = []  # what starts nspawn somewhere else

    def __init__(self, place, base=BASE):
        self.layers = pathlib.Path(place)
        for name in ["upper", "work", "root"]:
            (self.layers / name).mkdir(parents=True)
        self.root = self.layers / "root"
        subprocess.run(
            ["mount", "-t", "overlay", "-o",
             f"lowerdir={base},upperdir={self.layers}/upper,workdir={self.layers}/work", "overlay", str(self.root)],
            check=True,
        )
        for unit in self.masked:
            link = self.root / f"etc/systemd/system/{unit}.service"
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        self.leader = None

    def boot(self):
        self.log = open(self.layers / "boot.log", "w")
        self.nspawn = subprocess.Popen(
            [*self.prefix, "systemd-nspawn", "-q", "-D", str(self.root), "--boot", "--register=no", "--keep-unit", "--private-network"],
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
            self.kill_leader()
        subprocess.run(["umount", "-l", str(self.root)], check=False)

    def kill_leader(self):
        """It outlives a killed nspawn, and with it all that runs inside."""
        try:
            pidfd = os.pidfd_open(int(self.leader))
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], 30)
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)


if __name__ == "__main__":
    problem = build()
    if problem:
        print(f"no tests with a real systemd: {problem}")
