"""The worker as the agent meets it: real sockets, real TLS, real DNS packets, and servers that misbehave.

worker_driver.c is the agent's end of the line; the worker is the real program in
its sandbox, as user nobody. Servers of Python say what no proper CA would;
Pebble is the proper one.
"""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import warnings

import pytest

from conftest import is_sanitized
from host import WORKER

TOP = pathlib.Path(__file__).resolve().parents[2]
DRIVER = TOP / "build" / "system" / "worker_driver"
BUNDLE = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")

(DIRECTORY, NONCE, ACCOUNT, ORDER, AUTHORIZATION, CHALLENGE, CHAIN, RENEWAL_INFO, PLAIN, LISTENER, HANDSHAKE, ADDRESSES, CAA, TXT) = range(14)
OK, UNREACHABLE, BROKEN, ODD = range(4)

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not DRIVER.exists(), reason="needs root and the driver")


# --- certificates -----------------------------------------------------------


def openssl(*words, **kw):
    subprocess.run(["openssl", *words], check=True, capture_output=True, **kw)


class Certificates:
    """A small CA and what it has issued."""

    def __init__(self, path):
        self.path = path
        self.ca = path / "ca.pem"
        self.make_ca("ca")
        self.make_ca("stranger")
        self.issue("ec", "ca", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        self.issue("rsa", "ca", ["rsa:2048"])
        self.issue("unknown", "stranger", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        (path / "bundle.pem").write_bytes(BUNDLE.read_bytes() + self.ca.read_bytes())

    def make_ca(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.path / f"{name}.key",
                "-out", self.path / f"{name}.pem", "-days", "30", "-subj", f"/CN={name}")

    def issue(self, name, ca, key):
        (self.path / "names").write_text("subjectAltName=DNS:ca.test,DNS:localhost\n")
        openssl("req", "-newkey", *key, "-nodes", "-keyout", self.path / f"{name}.key", "-out", self.path / "csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", self.path / "csr", "-CA", self.path / f"{ca}.pem", "-CAkey", self.path / f"{ca}.key",
                "-days", "30", "-out", self.path / f"{name}.pem", "-extfile", self.path / "names")

    def context(self, *names):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for name in names:
            context.load_cert_chain(self.path / f"{name}.pem", self.path / f"{name}.key")
        return context


# --- servers ----------------------------------------------------------------


def answer(body=b"", status=200, *headers):
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """HTTP/1.1 with kept connections: for each path a function of the connection and the request."""

    def __init__(self, context=None, address="127.0.0.1"):
        self.context, self.seen, self.paths, self.accepted = context, [], {}, 0
        self.socket = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port = self.socket.getsockname()[1]
        self.ended = False
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, path):
        return f"https://ca.test:{self.port}{path}"

    def accept(self):
        while not self.ended:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while self.one(connection, stream):
                    pass
        except (OSError, ValueError):
            pass

    def one(self, connection, stream):
        line = stream.readline().split()
        if len(line) < 2:
            return False
        headers = {}
        while (text := stream.readline().strip()):
            name, _, value = text.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        path = line[1].decode()
        self.seen.append((line[0].decode(), path, headers, body))
        what = self.paths.get(path, answer("nothing here", 404))
        if callable(what):
            return what(connection)
        connection.sendall(what if line[0] != b"HEAD" else what.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        return b"Connection: close" not in what

    def count(self, path):
        return sum(1 for seen in self.seen if seen[1] == path)

    def close(self):
        self.ended = True
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.socket.close()


class Names:
    """A DNS server: (name, type) → (rcode, [rdata]) or "silent"; large answers go by TCP."""

    TYPES = {"A": 1, "CNAME": 5, "TXT": 16, "AAAA": 28, "CAA": 257}

    def __init__(self):
        self.table, self.asked = {}, []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 53))
        self.tcp = socket.create_server(("127.0.0.1", 53))
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def set(self, name, kind, *values, rcode=0):
        self.table[name, self.TYPES[kind]] = (rcode, [self.rdata(kind, value) for value in values])

    @staticmethod
    def name(text):
        return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"

    def rdata(self, kind, value):
        if kind == "A":
            return socket.inet_aton(value)
        if kind == "AAAA":
            return socket.inet_pton(socket.AF_INET6, value)
        if kind == "CNAME":
            return self.name(value)
        if kind == "CAA":
            flags, tag, text = value
            return bytes([flags, len(tag)]) + tag.encode() + text.encode()
        return b"".join(bytes([len(part)]) + part for part in ([value] if isinstance(value, bytes) else value))

    def reply(self, packet, by_tcp):
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode().lower())
            at += 1 + packet[at]
        name, kind = ".".join(labels), struct.unpack("!H", packet[at + 1 : at + 3])[0]
        question = packet[12 : at + 5]
        self.asked.append((name, kind, by_tcp))
        records = []
        owner = name
        while (owner, 5) in self.table and kind != 5:
            target = self.table[owner, 5][1][0]
            records.append((owner, 5, target))
            owner = self.text(target)
        entry = self.table.get((owner, kind))
        if entry == "silent":
            return None
        known = any(key[0] == owner or key[0].endswith("." + owner) for key in self.table)
        rcode, values = entry or (0 if known else 3, [])
        records += [(owner, kind, value) for value in values]
        body = b"".join(self.name(o) + struct.pack("!HHIH", k, 1, 60, len(v)) + v for o, k, v in records)
        cut = not by_tcp and len(body) > 1000
        head = packet[:2] + struct.pack("!HHHHH", 0x8180 | (0x200 if cut else 0) | rcode, 1, 0 if cut else len(records), 0, 0)
        return head + question + (b"" if cut else body)

    @staticmethod
    def text(wire):
        labels, at = [], 0
        while wire[at]:
            labels.append(wire[at + 1 : at + 1 + wire[at]].decode())
            at += 1 + wire[at]
        return ".".join(labels)

    def serve_udp(self):
        while True:
            try:
                packet, sender = self.udp.recvfrom(4096)
                reply = self.reply(packet, False)
                if reply:
                    self.udp.sendto(reply, sender)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection:
                length = struct.unpack("!H", connection.recv(2))[0]
                reply = self.reply(connection.recv(length), True)
                connection.sendall(struct.pack("!H", len(reply)) + reply)

    def close(self):
        for one in [self.udp, self.tcp]:
            one.shutdown(socket.SHUT_RDWR) if one is self.tcp else None
            one.close()


def wait_for_port(port):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on port {port}")


# --- the line ---------------------------------------------------------------


class Line:
    def __init__(self, ca_file):
        self.process = subprocess.Popen([str(DRIVER), WORKER, "nobody", str(ca_file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rest, self.replies, self.others, self.arrived = b"", {}, [], {}

    def write(self, line):
        self.process.stdin.write((line + "\n").encode())
        self.process.stdin.flush()

    def read(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        assert data, "the driver ended"
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in map(json.loads, whole):
            if "id" in line:
                self.replies[line["id"]] = line
                self.arrived[line["id"]] = time.monotonic()
            else:
                self.others.append(line)

    def until(self, there, seconds):
        until = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < until, "no answer in time"
            self.read(max(0, until - time.monotonic()))

    def other(self):
        self.until(lambda: self.others, 5)
        return self.others.pop(0)

    def ask(self, kind, **what):
        self.write(json.dumps({"kind": kind, **what}))
        return self.other()["asked"]

    def get(self, number, seconds=10):
        self.until(lambda: number in self.replies, seconds)
        return self.replies.pop(number)

    def __call__(self, kind, seconds=10, **what):
        return self.get(self.ask(kind, **what), seconds)

    def figures(self):
        self.write("figures")
        return self.other()

    def worker(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return pathlib.Path("/proc") / children[0] if children else None

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


@pytest.fixture(scope="module")
def certificates():
    path = pathlib.Path(tempfile.mkdtemp(dir="/mnt"))
    path.chmod(0o755)  # the worker is nobody
    yield Certificates(path)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def names():
    resolver = pathlib.Path("/etc/resolv.conf")
    before = resolver.read_bytes()
    resolver.write_text("nameserver 127.0.0.1\n")
    served = Names()
    served.set("ca.test", "A", "127.0.0.1")
    served.set("ca.test", "AAAA")
    yield served
    served.close()
    resolver.write_bytes(before)


@pytest.fixture(scope="module")
def line(certificates, names):
    one = Line(certificates.ca)
    yield one
    one.close()


@pytest.fixture
def ca(certificates):
    server = Server(certificates.context("ec"))
    yield server
    server.close()


def slow_loris(connection):
    connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
    while True:
        time.sleep(1)
        connection.sendall(b" ")


@pytest.fixture(scope="module", autouse=True)
def slow_ones(line, names, certificates):
    """Asked before all else, so that every test here proves that they hold nobody up; what becomes of them is the last."""
    server = Server(certificates.context("ec"))
    server.paths = {"/loris": slow_loris, "/stall": lambda connection: time.sleep(100)}
    mute = socket.create_server(("127.0.0.1", 0))  # takes connections, says nothing
    names.table["silent.test", 257] = "silent"
    begin = time.monotonic()
    asked = {
        "loris": line.ask(ORDER, url=server.url("/loris"), body=POSTED),
        "stall": line.ask(ORDER, url=server.url("/stall"), body=POSTED),
        "mute": line.ask(DIRECTORY, url=f"https://ca.test:{mute.getsockname()[1]}/dir"),
        "dns": line.ask(CAA, name="silent.test"),
    }
    yield begin, asked, line.arrived
    server.close()
    mute.close()


POSTED = '{"protected":"","payload":"","signature":""}'


# --- HTTP -------------------------------------------------------------------


def directory(server):
    return json.dumps({key: server.url(f"/{key}") for key in ["newNonce", "newAccount", "newOrder"]})


def test_a_request_says_who_asks_and_what_is_sent(line, ca):
    ca.paths = {"/dir": answer(directory(ca)), "/nonce": answer(b"", 200, "Replay-Nonce: abc"), "/order": answer(b"{}", 201)}
    assert line(DIRECTORY, url=ca.url("/dir"))["directory"]["new_order"] == ca.url("/newOrder")
    assert line(NONCE, url=ca.url("/nonce"))["nonce"] == "abc"
    line(ORDER, url=ca.url("/order"), body=POSTED)
    (get, _, headers, nothing), (head, *_), (post, _, posted, body) = ca.seen
    assert (get, head, post) == ("GET", "HEAD", "POST")
    assert re.fullmatch(r"webspaces/[\d.]+ \(\+libcurl/[\d.]+\)", headers["user-agent"])
    assert headers["accept-language"] == posted["accept-language"] == "en"
    assert posted["content-type"] == "application/jose+json" and "expect" not in posted
    assert body.decode() == POSTED and nothing == b"" and "content-type" not in headers


def test_headers_are_read_and_their_urls_are_absolute(line, ca):
    ca.paths = {
        "/a/chain": answer(
            "-----BEGIN\nAA\n", 200, "Replay-Nonce: n-1", "Location: ../order/7", "Retry-After: 5",
            'Link: <alt/1>;rel="alternate", </dir>;rel="index"', 'Link: <https://other.test/x>; title="a,b"; rel=alternate',
        )
    }
    reply = line(CHAIN, url=ca.url("/a/chain"), body=POSTED)
    assert reply["chain"] == "-----BEGIN\nAA\n"
    assert (reply["nonce"], reply["retry_after"], reply["http"]) == ("n-1", 5, 200)
    assert reply["location"] == ca.url("/order/7")
    assert reply["alternates"] == [ca.url("/a/alt/1"), "https://other.test/x"]


def test_a_directory_may_be_elsewhere_but_not_without_tls_and_not_far(line, ca):
    ca.paths = {f"/r{i}": answer(b"", 302, f"Location: /r{i - 1}") for i in range(1, 5)}
    ca.paths["/r0"] = answer(directory(ca))
    ca.paths["/plain"] = answer(b"", 302, f"Location: http://ca.test:{ca.port}/r0")
    assert line(DIRECTORY, url=ca.url("/r3"))["error"] == OK
    assert line(DIRECTORY, url=ca.url("/r4"))["error"] == BROKEN
    assert line(DIRECTORY, url=ca.url("/plain"))["error"] == BROKEN
    assert line(DIRECTORY, url=f"http://ca.test:{ca.port}/r0")["error"] == BROKEN


def test_a_post_is_not_sent_elsewhere(line, ca):
    ca.paths = {"/here": answer(b"", 307, "Location: /there"), "/there": answer(b"{}")}
    reply = line(ORDER, url=ca.url("/here"), body=POSTED)
    assert (reply["error"], reply["http"], reply["text"]) == (OK, 307, f"status 307 to {ca.url('/there')}")
    assert ca.count("/there") == 0


def test_a_post_is_sent_once_also_when_a_kept_connection_dies_under_it(line, ca):
    ca.paths = {"/warm": answer(b"{}"), "/dies": lambda connection: False}
    for kind, arrivals in [(ORDER, 1), (DIRECTORY, 2)]:
        ca.seen.clear()
        line(ORDER, url=ca.url("/warm"), body=POSTED)
        reply = line(kind, url=ca.url("/dies"), **({"body": POSTED} if kind == ORDER else {}))
        assert reply["error"] == BROKEN, reply
        # A GET changes nothing at a CA, and curl asks again on a new connection.
        assert ca.count("/dies") == arrivals


NGINX = """
daemon off; pid {path}/nginx.pid; error_log {path}/error.log; worker_processes 1; user root;
events {{ }}
http {{ access_log {path}/access.log combined;
 server {{ listen 127.0.0.1:14443 ssl http2; ssl_certificate {path}/ec.pem; ssl_certificate_key {path}/ec.key;
  location /warm {{ return 200 "{{}}"; }} location /dies {{ return 444; }} }} }}
"""


@pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx")
def test_the_same_is_true_of_a_stream_of_http_2(line, names, certificates):
    path, url = certificates.path, "https://ca.test:14443"
    (path / "nginx.conf").write_text(NGINX.format(path=path))
    nginx = subprocess.Popen(["nginx", "-c", str(path / "nginx.conf"), "-e", str(path / "error.log")])
    wait_for_port(14443)
    line(ORDER, url=f"{url}/warm", body=POSTED)
    reply = line(ORDER, url=f"{url}/dies", body=POSTED)
    assert reply["error"] == BROKEN, reply
    log = (path / "access.log").read_text()
    assert (log.count("/dies"), log.count("HTTP/2.0")) == (1, 2), log
    nginx.terminate()
    nginx.wait()


def cut(data):
    def serve(connection):
        connection.sendall(data)
        return False

    return serve


def endless(connection):
    connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 1073741824\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


@pytest.mark.parametrize(
    "what, served, text",
    [
        ("nothing", cut(b""), "Empty reply from server"),
        ("half of its headers", cut(b"HTTP/1.1 200 X\r\nContent-Le"), ""),
        ("half of its body", cut(b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{"), "transfer closed with 99 bytes remaining to read"),
        ("a gigabyte", endless, "the answer is larger than 1 MiB"),
        ("no HTTP", cut(b"SSH-2.0-OpenSSH\r\n"), "Received HTTP/0.9 when not allowed"),
        ("deep JSON", answer("[" * 10000 + "]" * 10000), "JSON: nested deeper than 32 levels"),
        ("a NUL", answer(b'{"a":"\0"}'), "JSON: line 1: control character 0x0 near '\"'"),
        ("bad UTF-8", answer(b'{"a":"\xff"}'), "JSON: line 1: unable to decode byte 0xff near '\"'"),
        ("a page", answer("<html>hello</html>"), "JSON: line 1: '[' or '{' expected near '<'"),
        ("a bomb", answer(b"\x1f\x8b\x08\0", 200, "Content-Encoding: gzip"), "JSON: line 1:"),
    ],
    ids=lambda value: value if isinstance(value, str) and "JSON:" not in value else "",
)
def test_a_broken_answer_is_told_as_such(line, ca, what, served, text):
    ca.paths = {"/dir": served}
    reply = line(DIRECTORY, url=ca.url("/dir"))
    is_whole = text.startswith(("JSON:", "the answer"))
    assert reply["error"] == (ODD if is_whole else BROKEN) and text in reply["text"] and reply["text"], (what, reply)


def test_a_failure_of_the_ca_is_an_answer(line, ca):
    problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many", "subproblems": [{"type": "x", "identifier": {"value": "a.test"}}]}
    ca.paths = {"/429": answer(json.dumps(problem), 429, "Retry-After: 7", "Content-Type: text/plain"), "/502": answer("<html>", 502)}
    reply = line(ORDER, url=ca.url("/429"), body=POSTED)
    assert (reply["error"], reply["http"], reply["retry_after"]) == (OK, 429, 7)
    assert reply["problem"] == {"type": "rateLimited", "detail": "too many", "name": ""}
    assert reply["subproblems"] == [{"type": "x", "detail": "", "name": "a.test"}]
    reply = line(ORDER, url=ca.url("/502"), body=POSTED)
    assert (reply["error"], reply["http"], reply["problem"]["type"]) == (OK, 502, "")


# --- TLS --------------------------------------------------------------------


def test_a_server_of_a_strange_ca_or_another_name_is_not_talked_to(line, certificates):
    strange = Server(certificates.context("unknown"))
    named = Server(certificates.context("ec"))
    reply = line(DIRECTORY, url=strange.url("/dir"))
    assert reply["error"] == UNREACHABLE and "certificate" in reply["text"]
    reply = line(DIRECTORY, url=f"https://127.0.0.1:{named.port}/dir")
    assert reply["error"] == UNREACHABLE and "subject" in reply["text"]
    assert strange.seen == named.seen == []
    old = certificates.context("rsa")
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    dated = Server(old)
    assert line(DIRECTORY, url=dated.url("/dir"))["error"] == UNREACHABLE
    for server in [strange, named, dated]:
        server.close()


def test_a_handshake_shows_the_certificate_of_each_kind(line, certificates):
    server = Server(certificates.context("ec", "rsa"))
    both = {name: (certificates.path / f"{name}.pem").read_text() for name in ["ec", "rsa"]}
    shown = lambda **what: line(HANDSHAKE, name="anything.test", connect=f"127.0.0.1:{server.port}", **what)
    assert shown()["chain"] in both.values()
    assert shown(expect="rsa")["chain"] == both["rsa"]
    assert shown(expect="ecdsa")["chain"] == both["ec"]
    server.close()
    only = Server(certificates.context("ec"))
    reply = line(HANDSHAKE, name="anything.test", connect=f"127.0.0.1:{only.port}", expect="rsa")
    assert reply["error"] == UNREACHABLE and reply["chain"] == ""
    only.close()
    reply = line(HANDSHAKE, name="anything.test", connect="[::1]:9")
    assert (reply["error"], reply["text"]) == (UNREACHABLE, "Connection refused")


def test_a_handshake_is_whole_each_time_and_says_the_name(line, certificates):
    context, said = certificates.context("ec"), []
    context.sni_callback = lambda connection, name, context: said.append(name)
    server = Server(context)
    for name in ["a.test", "b.test", "a.test"]:
        assert line(HANDSHAKE, name=name, connect=f"127.0.0.1:{server.port}")["chain"]
    assert said == ["a.test", "b.test", "a.test"] and server.accepted == 3
    server.close()


def test_the_cas_are_read_once(names, certificates):
    line = Line(certificates.path / "bundle.pem")
    server = Server(certificates.context("ec"))
    server.paths = {"/dir": answer(directory(server), 200, "Connection: close")}
    read = lambda: int(re.search(r"rchar: (\d+)", (line.worker() / "io").read_text()).group(1))
    assert line(DIRECTORY, url=server.url("/dir"))["text"] == ""
    before = read()
    for _ in range(10):
        assert line(DIRECTORY, url=server.url("/dir"))["connections"] == 1
    assert read() - before < BUNDLE.stat().st_size / 2
    rss = int(re.search(r"VmRSS:\s+(\d+)", (line.worker() / "status").read_text()).group(1))
    print(f"RSS with the CAs of the system: {rss / 1024:.1f} MB")
    assert rss < 20 * 1024 or is_sanitized(WORKER)
    server.close()
    line.close()


# --- our listeners ----------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_listener_is_asked_by_address_with_the_name(line, address):
    server = Server(address=address)
    connect = f"[{address}]:{server.port}" if ":" in address else f"{address}:{server.port}"
    look = lambda path: line(LISTENER, url=f"http://no.such.name{path}", connect=connect, expect="token.print")
    server.paths = {
        "/good": answer("token.print\n"),
        "/page": answer("x" * 312),
        "/moved": answer(b"", 301, "Location: https://no.such.name/moved"),
        "/cut": cut(b"HTTP/1.1 200 X\r\nContent-Length: 11\r\n\r\ntoken"),
    }
    assert look("/good")["found"] is True
    assert server.seen[0][2]["host"] == "no.such.name"
    for path, text in [("/page", "a page of 312 bytes"), ("/moved", "status 301 to https://no.such.name/moved"), ("/none", "status 404")]:
        reply = look(path)
        assert (reply["found"], reply["error"], reply["text"]) == (False, OK, text)
    assert look("/cut")["error"] == BROKEN
    server.close()
    reply = look("/good")
    assert (reply["found"], reply["error"], reply["text"]) == (False, UNREACHABLE, "Connection refused")


def test_a_listener_that_says_nothing_is_given_up_after_five_seconds(line):
    mute = socket.create_server(("127.0.0.1", 0))
    begin = time.monotonic()
    reply = line(LISTENER, url="http://a.test/x", connect=f"127.0.0.1:{mute.getsockname()[1]}", expect="x")
    assert reply["error"] == BROKEN and 4.5 < time.monotonic() - begin < 7
    mute.close()


# --- DNS --------------------------------------------------------------------


def test_addresses_are_those_of_the_dns(line, names):
    names.set("two.test", "A", "192.0.2.1", "192.0.2.2")
    names.set("two.test", "AAAA", "2001:db8::1")
    names.set("four.test", "A", "192.0.2.4")
    names.set("alias.test", "CNAME", "two.test")
    names.set("empty.test", "TXT", b"x")
    names.set("half.test", "A", "192.0.2.5")
    names.set("half.test", "AAAA", rcode=2)
    names.set("broken.test", "A", rcode=2)
    names.set("broken.test", "AAAA", rcode=5)
    look = lambda name: line(ADDRESSES, name=name, seconds=30)
    assert sorted(look("two.test")["records"]) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert look("four.test")["records"] == ["192.0.2.4"]
    assert sorted(look("alias.test")["records"]) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    for name in ["empty.test", "none.example"]:
        reply = look(name)
        assert (reply["error"], reply["exists"], reply["records"], reply["text"]) == (OK, False, [], "")
    reply = look("half.test")
    assert (reply["error"], reply["records"]) == (OK, ["192.0.2.5"]) and "half.test" in reply["text"]
    reply = look("broken.test")
    assert (reply["error"], reply["exists"]) == (UNREACHABLE, False) and reply["text"].startswith("DNS: broken.test: ")
    assert look("localhost")["exists"] is False  # no hosts file


def test_caa_is_that_of_the_nearest_parent(line, names):
    names.set("org.test", "CAA", (0, "issue", "ca.example"), (0, "issuewild", ";"), (0, "iodef", "mailto:x"))
    names.set("www.deep.org.test", "A", "192.0.2.1")
    names.set("own.org.test", "CAA", (128, "issue", ""))
    names.set("odd.org.test", "CAA", (0, "iodef", "mailto:x"))
    names.set("fails.org.test", "CAA", rcode=2)
    look = lambda name: line(CAA, name=name, seconds=30)
    assert look("www.deep.org.test")["records"] == ["ca.example", "*;"]
    assert look("gone.org.test")["records"] == ["ca.example", "*;"]
    assert look("own.org.test")["records"] == [";"]
    reply = look("odd.org.test")
    assert (reply["exists"], reply["records"]) == (True, [])
    reply = look("a.b.example")
    assert (reply["error"], reply["exists"]) == (OK, False)
    assert look("x.fails.org.test")["error"] == UNREACHABLE


def test_a_text_is_found_among_others_also_in_pieces_and_over_tcp(line, names):
    names.set("_acme-challenge.a.test", "TXT", b"other", [b"wan", b"ted"], b"wanted2")
    names.set("_acme-challenge.big.test", "TXT", *[b"x" * 200] * 20, b"wanted")
    look = lambda name, text: line(TXT, name=name, expect=text, seconds=30)["found"]
    assert look("_acme-challenge.a.test", "wanted") is True
    assert look("_acme-challenge.a.test", "wan") is False
    assert look("_acme-challenge.big.test", "wanted") is True
    assert ("_acme-challenge.big.test", 16, True) in names.asked
    assert line(TXT, name="_acme-challenge.none.test", expect="x")["exists"] is False


# --- with a proper CA, and the process itself ---------------------------------


@pytest.fixture
def pebble(certificates, names, tmp_path):
    config = {"pebble": {
        "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
        "certificate": str(certificates.path / "ec.pem"), "privateKey": str(certificates.path / "ec.key"), "httpPort": 80, "tlsPort": 443,
    }}
    (tmp_path / "pebble.json").write_text(json.dumps(config))
    process = subprocess.Popen(["pebble", "-config", str(tmp_path / "pebble.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(14000)
    yield "https://ca.test:14000"
    process.kill()
    process.wait()


@pytest.mark.skipif(not shutil.which("pebble"), reason="needs pebble")
def test_a_hundred_exchanges_share_one_connection(certificates, names, pebble):
    line = Line(certificates.ca)
    reply = line(DIRECTORY, url=f"{pebble}/dir")
    assert reply["directory"]["new_order"].startswith(pebble)
    asked = [line.ask(NONCE, url=reply["directory"]["new_nonce"]) for _ in range(100)]
    assert len({line.get(one)["nonce"] for one in asked}) == 100
    reply = line(ACCOUNT, url=reply["directory"]["new_account"], body=POSTED)
    assert (reply["http"], reply["problem"]["type"]) == (400, "malformed")
    assert line.figures() == {"requests": 102, "connections": 1, "deaths": 0}
    rss = int(re.search(r"VmRSS:\s+(\d+)", (line.worker() / "status").read_text()).group(1))
    print(f"RSS: {rss / 1024:.1f} MB")
    assert rss < 20 * 1024 or is_sanitized(WORKER)
    line.close()


def ticks(worker):
    return sum(map(int, (worker / "stat").read_text().rpartition(")")[2].split()[11:13]))


def test_it_costs_nothing_while_nothing_is_asked(certificates, names, ca):
    line = Line(certificates.ca)
    ca.paths = {"/dir": answer(directory(ca))}
    assert line(DIRECTORY, url=ca.url("/dir"))["error"] == OK
    switches = lambda: int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (line.worker() / "status").read_text(), re.M).group(1))
    time.sleep(0.2)  # the thread that resolved the name ends
    before = ticks(line.worker()), switches()
    time.sleep(2)
    assert (ticks(line.worker()), switches()) == before
    line.close()


def test_it_has_no_rights_and_nothing_open(line, ca):
    line(DIRECTORY, url=ca.url("/dir"))
    status = dict(re.findall(r"(\w+):[ \t]*(.*)", (line.worker() / "status").read_text()))
    assert {status[key] for key in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"], status["Groups"]) == ("1", "2", "")
    assert status["Uid"].split() == ["65534"] * 4
    targets = {os.readlink(one) for one in (line.worker() / "fd").iterdir()}
    assert all(one == "/dev/null" or one.startswith("socket:") for one in targets), targets


def test_after_its_death_the_next_question_has_another(certificates, names, ca):
    line = Line(certificates.ca)
    ca.paths = {"/dir": answer(directory(ca)), "/stall": lambda connection: time.sleep(20)}
    assert line(DIRECTORY, url=ca.url("/dir"))["error"] == OK
    stalled = line.ask(ORDER, url=ca.url("/stall"), body=POSTED)
    time.sleep(0.3)
    os.kill(int(line.worker().name), signal.SIGKILL)
    assert (line.get(stalled)["error"], line.figures()["deaths"]) == (BROKEN, 1)
    assert line(DIRECTORY, url=ca.url("/dir"))["error"] == OK
    line.close()


def test_a_new_resolv_conf_is_seen_by_the_next_question(certificates, names):
    line = Line(certificates.ca)
    assert line(ADDRESSES, name="ca.test")["exists"] is True
    first = line.worker()
    new = pathlib.Path("/etc/resolv.conf.new")
    new.write_text("nameserver 127.0.0.1\noptions timeout:1\n")
    new.rename("/etc/resolv.conf")
    assert line(ADDRESSES, name="ca.test")["exists"] is True
    assert line.worker() != first and line.figures()["deaths"] == 0
    line.close()


def test_who_is_slow_or_silent_is_given_up_in_time(line, slow_ones):
    begin, asked, arrived = slow_ones
    replies = {what: line.get(number, 65) for what, number in asked.items()}
    took = {what: arrived[number] - begin for what, number in asked.items()}
    print({what: f"{seconds:.1f} s" for what, seconds in took.items()})
    # When one came is known to the next look at the line; the first test looks after seconds at most.
    assert replies["mute"]["error"] == UNREACHABLE and 9 < took["mute"] < 20
    assert replies["dns"]["error"] == UNREACHABLE and 8 < took["dns"] < 40
    for what in ["loris", "stall"]:
        assert replies[what]["error"] == BROKEN and 35 < took[what] < 65, replies[what]
