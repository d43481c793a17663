"""Control groups for a booted container, so that limits hold in it as on a real machine.

systemd-nspawn gives a container the controllers (memory, pids, cpu) to look at, not to use. Here the
container is started in a group of its own of each, and its systemd gets them: on a machine with
version 1 of control groups by remounting, with version 2 by what its group may hand on.
"""

import os
import pathlib

from host import wait_for

ROOT = pathlib.Path("/sys/fs/cgroup")
NEEDED = ["memory", "pids", "cpu"]
MOUNTS = ["memory", "pids", "cpu", "cpuacct", "cpu,cpuacct"]

# As the process that becomes nspawn, so that all of the container comes after.
MOVE = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'


class ControlGroups:
    def __init__(self, name):
        self.name, self.groups = name, []
        self.unified = (ROOT / "cgroup.controllers").exists()

    def make(self):
        """Why they cannot be made here, or None."""
        try:
            for parent in self.parents():
                if self.unified:
                    (parent / "cgroup.subtree_control").write_text(" ".join("+" + name for name in NEEDED))
                (parent / self.name).mkdir()
                self.groups.append(parent / self.name)
        except OSError as error:
            return f"no control group can be made here: {error}"
        return None

    def parents(self):
        """Where this process is, in each hierarchy of a controller that is needed."""
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if self.unified:
                yield ROOT / path.lstrip("/")
            elif set(controllers.split(",")) & {*NEEDED, "cpuacct"}:
                yield ROOT / controllers / path.lstrip("/")

    def prefix(self):
        """Puts before a command what starts it in these groups."""
        return ["/bin/sh", "-c", MOVE, "-", *map(str, self.groups), "--"]

    def hand_over(self, container):
        """To a systemd that has booted with prefix(); again after each boot."""
        if self.unified:
            return
        container.run(["mount", "-o", "remount,bind,rw", "/sys/fs/cgroup"])
        for name in MOUNTS:
            container.run(["mount", "-o", "remount,bind,rw", f"/sys/fs/cgroup/{name}"], check=False)
        container.run(["systemctl", "daemon-reexec"])

    def hold(self, container):
        """Does its systemd count what a unit uses?"""
        container.run(["systemd-run", "-q", "--unit=counted", "sleep", "60"])
        counted = container.run(["systemctl", "show", "-P", "MemoryCurrent", "-P", "TasksCurrent", "counted"]).split()
        container.run(["systemctl", "stop", "counted"])
        return all(figure.isdigit() for figure in counted)

    def remove(self):
        """When the container has ended."""
        for group in self.groups:
            wait_for(f"{group} goes", lambda: remove_tree(group), 20, 0.1)


def remove_tree(group):
    try:
        for directory, _, _ in os.walk(group, topdown=False):
            os.rmdir(directory)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True
