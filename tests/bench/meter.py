"""Looking at processes: their CPU, memory and system calls, and the agent's word that it is idle."""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import threading
import time

from host import wait_for


def cpu_seconds(pid):
    """CPU of a living process without its children, to the nanosecond (schedstat of its threads)."""
    nanoseconds = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            nanoseconds += int(file.read().split()[0])
    return nanoseconds / 1e9


def children_cpu_seconds(pid):
    """CPU of the children that it has waited for, in clock ticks."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def is_alive(pid):
    return os.path.exists(f"/proc/{pid}")


class Notices:
    """The socket that sd_notify(3) writes to. The agent tells STATUS= whenever it has become idle.

    Always read, by a thread: the agent would have to wait for us otherwise.
    """

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.idle = queue.SimpleQueue()
        os.environ["NOTIFY_SOCKET"] = path
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            if b"STATUS=" in self.socket.recv(4096):
                self.idle.put(time.monotonic())

    def drain(self):
        with contextlib.suppress(queue.Empty):
            while True:
                self.idle.get_nowait()

    def wait_idle(self, seconds):
        """Until the agent says that nothing is left to do; the time of that."""
        try:
            return self.idle.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"the agent is not idle after {seconds} s") from None

    def settle(self, pid, quiet=0.4, seconds=60):
        """Until the agent has done nothing for a while; forgets what it said before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            before = cpu_seconds(pid)
            time.sleep(quiet)
            if cpu_seconds(pid) - before < 0.001:
                break
        self.drain()


@contextlib.contextmanager
def strace(pid, path):
    """Every system call of the process itself, from here to the end of the block."""
    with open(path + ".err", "wb") as errors:
        tracer = subprocess.Popen(
            ["strace", "-X", "raw", "-s", "4096", "-o", path, "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=errors
        )
    try:
        wait_for("strace to attach", lambda: traced_by(pid) == tracer.pid, 10)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=20)


def traced_by(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
    return 0


def run_cpu_seconds(argv):
    """User and system time of a command, and its exit status."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, process.returncode
