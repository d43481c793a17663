"""The whole path: a file is dropped, and a CA's certificate is served."""

import os
import shutil
import time

from host import WEBSPACES, WORKER, wait_for


def install(directory):
    """Both programs where a package has them; webspaces' path."""
    for program, place in ((WEBSPACES, "bin"), (WORKER, "lib/webspaces")):
        os.makedirs(directory / place)
        shutil.copy(program, directory / place)
    return str(directory / "bin/webspaces")


def test_a_dropped_file_is_served_with_the_certificate_of_the_ca_within_three_seconds(make_host, dns, pebble, tmp_path):
    host = make_host(
        webspaces=install(tmp_path), ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=pebble.root_file, acme=pebble.settings()
    ).start()
    began = time.monotonic()
    host.drop("alice")
    wait_for("https by the CA's certificate", lambda: host.get_quietly("alice", https=True), 10)
    assert time.monotonic() - began < 3, host.journal()
    host.wait_ready("alice")
