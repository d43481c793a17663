"""A terminal with a program in it: what a person types and sees."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from host import Timeout


class Terminal:
    def __init__(self, *argv, size=(24, 80), env=None):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, {**os.environ, "TERM": "dumb", "PS1": "ready> ", **(env or {})})
        self.resize(*size)
        self.seen, self.status = b"", None

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self):
        return termios.tcgetattr(self.master)

    def type(self, text):
        os.write(self.master, text.encode())

    def _read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            part = os.read(self.master, 65536)
        except OSError:
            part = b""
        self.seen += part
        return bool(part)

    def wait(self, pattern, seconds=20):
        """Until the pattern is seen; what was seen up to its end is not looked at again."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern.encode(), self.seen, re.S)):
            if time.monotonic() > deadline or not self._read(deadline - time.monotonic()):
                raise Timeout(f"not seen: {pattern!r} in {self.seen[-2000:]!r}")
        text, self.seen = self.seen[: found.end()], self.seen[found.end():]
        return text.decode("utf-8", "replace")

    def rest(self, seconds=60):
        """All that is shown until the program has ended."""
        deadline = time.monotonic() + seconds
        while self._read(max(0, deadline - time.monotonic())):
            pass
        if time.monotonic() > deadline:
            raise Timeout(f"it does not end: {self.seen[-2000:]!r}")
        self.end()
        return self.seen.decode("utf-8", "replace")

    def end(self):
        """Its wait status, as a shell would give it."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def close(self):
        os.close(self.master)
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
