"""S4: one webspace's scripts take all the connections that they can, and cost nobody a request.

alice's pool is busy to its last process, each with as many connections to the host's own nginx as it gets, in every
way to hold one. Then bob is visited, over connections of their own.
"""

import os
import threading

import pytest

from host import Host, wait_for

CHILDREN = 5

# What each process holds until it is told to end; what it says is how many it has.
ATTACK = r"""<?php
set_time_limit(0);
[$id, $port, $mode] = [$_GET['id'], (int)$_GET['port'], $_GET['mode']];
$say = [
    'nothing' => '',
    'one byte' => 'G',
    'half a header' => "GET / HTTP/1.1\r\nHost: bob.web.test\r\nCookie: " . str_repeat('x', 20000) . "\r\nX: ",
    'half a hello' => "\x16\x03\x01\x02\x00",
    'half a body' => "POST /index.php HTTP/1.1\r\nHost: bob.web.test\r\nContent-Length: 10000\r\n\r\nx",
    'kept alive' => "GET /page.html HTTP/1.1\r\nHost: bob.web.test\r\n\r\n",
    'an own slow page' => "GET /slow.php HTTP/1.1\r\nHost: alice.web.test\r\n\r\n",
][$mode];
for ($held = []; count($held) < 20000; $held[] = $s) {
    $s = @stream_socket_client("tcp://127.0.0.1:$port", $no, $error, 2);
    if (!$s) break;
    stream_set_blocking($s, false);
    @fwrite($s, $say);
}
array_splice($held, -2); // one is for the file
file_put_contents("/data/held-$id", count($held));
while (!file_exists('/data/stop')) usleep(20000);
"""


@pytest.fixture(scope="module")
def host():
    host = Host(shards=1)
    host.start()
    plain = "sites = ({ redirect_https = false; });"
    host.drop("alice", plain + f'php = {{ max_children = {CHILDREN}; request_terminate_timeout = "120s"; request_slowlog_timeout = "0s"; }};')
    host.drop("bob", plain)
    host.wait_ready("alice", "bob")
    host.write("alice", "attack.php", ATTACK)
    host.write("bob", "index.php", "<?php echo 'bob is served';")
    host.write("bob", "page.html", "bob has a page")
    host.wait_answers("bob")
    yield host
    host.destroy()


class Attack:
    """Runs in all of alice's processes while it is entered."""

    def __init__(self, host, mode, port):
        self.host, self.threads = host, []
        self.query = f"port={port}&mode={mode.replace(' ', '+')}"

    def held(self, number):
        """How many connections that process has, once it has all it gets."""
        try:
            with open(self.host.data("alice", f"held-{number}"), encoding="ascii") as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return 0

    def run(self, number):
        """One at a time: PHP's master overhears a process's worth of requests that come at once."""
        path = f"/attack.php?id={number}&{self.query}"
        self.threads.append(threading.Thread(target=self.host.get_quietly, args=("alice", path), kwargs={"timeout": 100}))
        self.threads[-1].start()
        return wait_for(f"process {number} holds what it gets", lambda: self.held(number), 60, 0.02)

    def __enter__(self):
        try:
            return sum(self.run(number) for number in range(CHILDREN))
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.host.write("alice", "stop", "")
        for thread in self.threads:
            thread.join()
        for entry in os.listdir(self.host.data("alice")):
            if entry.startswith("held-") or entry == "stop":
                os.unlink(self.host.data("alice", entry))


def visit(host, times=60):
    """What bob's visitors get who come anew each time: how often they got it."""
    expected = {"/": "bob is served", "/page.html": "bob has a page"}
    got = {}
    for number in range(times):
        path = list(expected)[number % 2]
        answer = host.get_quietly("bob", path, https=number % 3 == 0, timeout=20)
        told = "right" if answer and answer.text == expected[path] else f"{path}: {answer and (answer.status, answer.text)}"
        got[told] = got.get(told, 0) + 1
    return got


@pytest.mark.parametrize("port", ["http", "https"])
@pytest.mark.parametrize("mode", ["nothing", "one byte", "half a header", "half a hello", "half a body", "kept alive"])
def test_S4_connections_that_one_webspace_holds_cost_another_no_request(host, mode, port):
    with Attack(host, mode, host.http_port if port == "http" else host.https_port) as held:
        assert held > 1000, "or it was no attack"
        assert visit(host) == {"right": 60}, f"{held} connections are held"
