"""What the client of CAs keeps about a certificate, read and changed as its file; and the time that an agent believes in."""

import datetime
import functools
import json
import os
import subprocess
import time

from certificates import openssl, peer_directory, read, serial_of, split, write

DAY = 86400


class Certificate:
    """The certificate of a webspace's (first) site, on disk."""

    def __init__(self, host, name, site=None):
        self.host, self.name = host, name
        self.place = f"{host.state_dir}/certs/{name}/{site or host.host_name(name)}"

    @property
    def chain(self):
        """None: there is none."""
        path = f"{self.place}/current/chain.pem"
        return read(path) if os.path.exists(path) else None

    @property
    def leaf(self):
        return split(self.chain)[0]

    @property
    def serial(self):
        return serial_of(self.chain)

    @property
    def key(self):
        return read(f"{self.place}/current/key.pem")

    @property
    def names(self):
        text = openssl("x509", "-noout", "-ext", "subjectAltName", text=self.chain)
        return sorted(part.strip().removeprefix("DNS:") for part in text.splitlines()[1].split(","))

    @property
    def generation(self):
        return os.readlink(f"{self.place}/current")

    @property
    def has_order(self):
        return os.path.exists(f"{self.place}/order.json")

    @property
    def record(self):
        """state.json; of times that are 0, of texts that are none there is no word."""
        path = f"{self.place}/state.json"
        return json.loads(read(path)) if os.path.exists(path) else {}

    @property
    def is_of_ca(self):
        return bool(self.record.get("ca"))

    def held(self, name):
        return next((row for row in self.record.get("held", []) if row["name"] == name), None)

    def rewrite(self, **fields):
        """While no agent runs. None takes a field out; times are seconds since 1970."""
        record = {**self.record, **fields}
        record = {key: value for key, value in record.items() if value is not None}
        write(f"{self.place}/state.json", json.dumps(record), 0o600)

    def release(self, seconds=-1):
        """While no agent runs: what is held back may be tried so many seconds from now."""
        at = int(time.time() + seconds)
        self.rewrite(held=[{**row, "until": at} for row in self.record.get("held", [])], next_try=None)


def seconds_of(text):
    """Of a moment as certificates and records in the journal have it: RFC 3339."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()


@functools.cache
def preload():
    """preload/wall_clock.c as a library."""
    here = os.path.dirname(os.path.abspath(__file__))
    library = f"{peer_directory('preload')}/wall_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, f"{here}/preload/wall_clock.c"], check=True)
    return library


class Clock:
    """The wall clock of an agent alone (its worker, nginx and PHP have the real one): host.start(prefix=clock.prefix)."""

    def __init__(self, directory, seconds=0):
        self.file = f"{directory}/clock"
        self.set(seconds)

    @property
    def prefix(self):
        return ["env", f"LD_PRELOAD={preload()}", f"WALL_CLOCK={self.file}"]

    def set(self, seconds):
        """So far ahead of the real one, from now on."""
        write(f"{self.file}.new", f"{int(seconds)}\n")
        os.rename(f"{self.file}.new", self.file)
