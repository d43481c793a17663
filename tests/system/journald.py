"""The real journald and journalctl, in the private mounts of a test: with a catalog that journalctl made of ours."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile

from host import REPOSITORY, Host, wait_for

CATALOG = os.path.join(REPOSITORY, "packaging/journal.catalog")
IDS = os.path.join(REPOSITORY, "agent/base/ids.h")
PLACES = ("/run/systemd", "/run/log", "/var/log/journal", "/var/lib/systemd/catalog")
STREAM = "/run/systemd/journal/stdout"


def ids():
    """ID_NAME → MESSAGE_ID of agent/base/ids.h."""
    with open(IDS, encoding="utf-8") as file:
        return dict(re.findall(r'#define (ID_\w+)\s+(?:\\\n\s*)?"([0-9a-f]{32})"', file.read()))


def catalog():
    """MESSAGE_ID → (subject, text) of packaging/journal.catalog."""
    with open(CATALOG, encoding="utf-8") as file:
        parts = re.split(r"^-- ([0-9a-f]{32})\n", file.read(), flags=re.M)[1:]
    found = {}
    for number, body in zip(parts[::2], parts[1::2]):
        head, text = body.split("\n\n", 1)
        assert number not in found, f"{number} is explained twice"
        found[number] = (re.search(r"^Subject: (.+)$", head, re.M)[1], text)
    return found


class Journal:
    def __init__(self):
        for place in PLACES:
            os.makedirs(place, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
        self.catalogs = tempfile.mkdtemp(dir="/mnt")
        shutil.copy(CATALOG, os.path.join(self.catalogs, "webspaces.catalog"))
        subprocess.run(["mount", "--bind", self.catalogs, "/usr/lib/systemd/catalog"], check=True)
        if not os.path.exists("/etc/machine-id"):
            subprocess.run(["systemd-machine-id-setup"], check=True, capture_output=True)
        with open("/etc/systemd/journald.conf", "w", encoding="ascii") as file:
            file.write("[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n")
        update = subprocess.run(["journalctl", "--update-catalog"], capture_output=True, text=True, check=False)
        assert (update.returncode, update.stdout + update.stderr) == (0, ""), update
        self.daemon = subprocess.Popen(
            ["/lib/systemd/systemd-journald"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for("journald's sockets", lambda: os.path.exists(STREAM))

    def stream(self):
        """What systemd makes the stderr of a service."""
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.connect(STREAM)
        stream.sendall(b"webspaces\n\n6\n0\n0\n0\n0\n")
        return stream

    def read(self, *words):
        subprocess.run(["journalctl", "--sync"], capture_output=True, timeout=30, check=False)
        out = subprocess.run(["journalctl", "-q", "--no-pager", *words], capture_output=True, text=True, check=True)
        return out.stdout

    def entries(self, *match):
        """As objects; of a field that an entry has more than once, a list."""
        return [json.loads(line) for line in self.read("-o", "json", "SYSLOG_IDENTIFIER=webspaces", *match).splitlines()]

    def messages(self, *match):
        return [entry["MESSAGE"] for entry in self.entries(*match)]

    def close(self):
        self.daemon.terminate()
        self.daemon.wait()
        for place in (*PLACES, "/usr/lib/systemd/catalog"):
            subprocess.run(["umount", "-l", place], check=False)


class JournaledHost(Host):
    """A host whose agent's stderr is the journal's, as under systemd."""

    journald = None

    def launch(self, *words, prefix=()):
        stream = self.journald.stream()
        inode = os.fstat(stream.fileno())
        self.agent = subprocess.Popen(
            [*prefix, self.webspaces, "--config", self.config, "run", *words],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            env={**os.environ, "JOURNAL_STREAM": f"{inode.st_dev}:{inode.st_ino}"},
        )  # fmt: skip
        stream.close()

    def journal(self):
        return "\n".join(self.journald.messages())
