"""The whole path: a file is dropped, and a CA's certificate is served."""

import time

from host import wait_for


def test_a_dropped_file_is_served_with_the_certificate_of_the_ca_within_three_seconds(make_host, dns, pebble):
    host = make_host(
        ports=(80, 443), addresses=("127.0.0.1", "::1"), trust=pebble.root_file, acme=pebble.settings()
    ).start()
    began = time.monotonic()
    host.drop("alice")
    wait_for("https by the CA's certificate", lambda: host.get_quietly("alice", https=True), 10)
    assert time.monotonic() - began < 3, host.journal()
    host.wait_ready("alice")
