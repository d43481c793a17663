"""A crowd of visitors: each asks at its own pace, and every answer is written down.

It runs in a process of its own, so that what the test does meanwhile does not delay it. A visitor
either comes anew for each request or keeps its connection, as browsers do: one that was closed
while nobody asked is opened again, and a request that met the end of a kept connection, before any
answer, is asked once more (RFC 9112, 9.3.1). The latter are counted: `met_end`.
"""

import hashlib
import http.client
import json
import select
import socket
import ssl
import subprocess
import sys
import threading
import time


class Visits:
    """What one crowd saw: a list of (when, seconds, outcome), times of time.monotonic()."""

    def __init__(self, kind, visits):
        self.kind, self.visits = kind, [tuple(visit) for visit in visits]

    def between(self, since, until):
        return Visits(self.kind, [visit for visit in self.visits if since <= visit[0] < until])

    @property
    def failed(self):
        return [visit for visit in self.visits if visit[2] not in ("ok", "met_end")]

    @property
    def met_end(self):
        return [visit for visit in self.visits if visit[2] == "met_end"]

    @property
    def slowest(self):
        return max((visit[1] for visit in self.visits), default=0.0)

    def slower_than(self, quantile):
        times = sorted(visit[1] for visit in self.visits)
        return times[min(len(times) - 1, int(len(times) * quantile))] if times else 0.0

    def __str__(self):
        return (
            f"{self.kind}: {len(self.visits)} requests, {len(self.failed)} failed, {len(self.met_end)} asked again, "
            f"p99 {self.slower_than(0.99) * 1000:.0f} ms, slowest {self.slowest * 1000:.0f} ms"
        )


class Crowd:
    """
    kind: for people. Requests go to 127.0.0.1:port for hosts in turn; expected is what the body begins with.
    prefix: a command that runs the crowd elsewhere (in another network).
    """

    def __init__(self, kind, port, hosts, path, expected, prefix=(), **options):
        plan = {"port": port, "hosts": hosts, "path": path, "expected": expected, **options}
        self.kind = kind
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-B", __file__, json.dumps(plan)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def end(self):
        text, _ = self.process.communicate(timeout=60)
        return Visits(self.kind, json.loads(text))


def machine(pause=0.05):
    """Nobody's visitors: a little work at that pace. What it takes is how busy the machine is."""
    return Crowd("the machine", 0, ["-"], "", "", pause=pause, machine=True)


class Visitor(threading.Thread):
    def __init__(self, plan, number, over):
        super().__init__(daemon=True)
        self.plan, self.number, self.over = plan, number, over
        self.visits, self.connection = [], None
        self.timeout = plan.get("timeout", 20)
        ca_file = plan.get("ca_file")
        self.context = ssl.create_default_context(cafile=ca_file) if ca_file else None

    def connect(self, host):
        connection = http.client.HTTPConnection(host, timeout=self.timeout)
        sock = socket.create_connection(("127.0.0.1", self.plan["port"]), timeout=self.timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock = self.context.wrap_socket(sock, server_hostname=host) if self.context else sock
        return connection

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def kept(self):
        """Is there a connection from before, and not closed meanwhile?"""
        if not self.connection or not self.connection.sock:
            return False
        return not select.select([self.connection.sock], [], [], 0)[0]

    def ask(self, host):
        keep = self.plan.get("keep", False)
        self.connection.request(
            "GET", self.plan["path"], headers={"Host": host, **({} if keep else {"Connection": "close"})}
        )
        response = self.connection.getresponse()
        body = response.read().decode("utf-8", "replace")
        if response.status != 200:
            return f"{response.status}"
        return "ok" if body.startswith(self.plan["expected"]) else f"another body: {body[:80]}"

    def visit(self, host):
        if self.plan.get("machine"):
            hashlib.pbkdf2_hmac("sha256", b"some", b"work", 1000)
            return "ok"
        old = self.plan.get("keep", False) and self.kept()
        outcome = "ok"
        try:
            if old:
                try:
                    return self.ask(host)
                except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                    outcome = "met_end"
            self.close()
            self.connection = self.connect(host)
            answer = self.ask(host)
            return outcome if answer == "ok" else answer
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return f"{type(error).__name__}: {error}"

    def run(self):
        pause, hosts = self.plan.get("pause", 0.05), self.plan["hosts"]
        turn, due = self.number, time.monotonic() + self.number * pause / 4
        while not self.over.wait(max(0.0, due - time.monotonic())):
            begun = time.monotonic()
            outcome = self.visit(hosts[turn % len(hosts)])
            self.visits.append((begun, time.monotonic() - begun, outcome))
            if not self.plan.get("keep", False):
                self.close()
            turn, due = turn + 1, max(due + pause, time.monotonic())


def main():
    plan, over = json.loads(sys.argv[1]), threading.Event()
    visitors = [Visitor(plan, number, over) for number in range(plan.get("visitors", 4))]
    for visitor in visitors:
        visitor.start()
    sys.stdin.read()
    over.set()
    for visitor in visitors:
        visitor.join()
    json.dump(sorted(visit for visitor in visitors for visit in visitor.visits), sys.stdout)


if __name__ == "__main__":
    main()
