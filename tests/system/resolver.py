"""A name server for tests on 127.0.0.1:53, and the hook that an agent calls to put TXT records into it.

Of our own, since pebble-challtestsrv knows no NXDOMAIN, no silence, no CNAME to a CNAME and one case of letters
only, and takes away all TXT records of a name at once. Whoever asks (Pebble, Caddy, lego, the agent) reads
/etc/resolv.conf, which names it as long as it runs; /etc is that of tests/private.
"""

import asyncio
import functools
import json
import os
import socket
import struct
import threading

from certificates import peer_directory, read, write

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "TXT": 16, "AAAA": 28, "CAA": 257}
NUMBERS = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
RESOLV_CONF = "/etc/resolv.conf"


@functools.cache
def background():
    """One event loop in a thread for all servers that need none of their own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def in_background(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, background()).result(30)


def key_of(name):
    return name.rstrip(".").lower()


def encoded(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(name, kind, data):
    return encoded(name) + struct.pack(">HHIH", TYPES[kind], 1, 0, len(data)) + data


SOA = record("peers.test", "SOA", encoded("ns.peers.test") + encoded("me.peers.test") + struct.pack(">5I", 1, 1, 1, 1, 1))


class Question:
    def __init__(self, packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode("ascii"))
            at += 1 + packet[at]
        self.id, self.recursion = packet[:2], packet[2] & 1
        self.name, self.raw = ".".join(labels), packet[12 : at + 5]
        number = struct.unpack(">H", packet[at + 1 : at + 3])[0]
        self.kind = NUMBERS.get(number, str(number))
        extra, rest = packet[10:12] != b"\0\0", packet[at + 5 :]
        is_edns = extra and len(rest) >= 11 and rest[:3] == b"\0\0\x29"
        self.size_max = max(512, struct.unpack(">H", rest[3:5])[0]) if is_edns else 512


class Dns:
    """Records by name; a name without addresses of its own has the default ones."""

    def __init__(self, address="127.0.0.1", control_port=8053):
        self.control_port = control_port
        self.queries = []  # (name, kind) of each question
        self.clear()
        self.saved = os.readlink(RESOLV_CONF) if os.path.islink(RESOLV_CONF) else None
        self.text = read(RESOLV_CONF) if os.path.exists(RESOLV_CONF) else None
        self.servers = in_background(self.open(address))
        point_resolver(f"nameserver {address}\noptions timeout:1 attempts:2\n")

    async def open(self, address):
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(lambda: Datagrams(self), (address, 53))
        tcp = await asyncio.start_server(self.serve_stream, address, 53)
        control = await asyncio.start_server(self.serve_control, "127.0.0.1", self.control_port)
        return [udp, tcp, control]

    def stop(self):
        for server in self.servers:
            background().call_soon_threadsafe(server.close)
        if self.saved:
            os.unlink(RESOLV_CONF)
            os.symlink(self.saved, RESOLV_CONF)
        elif self.text is not None:
            point_resolver(self.text)

    # What it knows --------------------------------------------------------

    def clear(self, name=None):
        """Forgets a name, or everything (then all names are at 127.0.0.1)."""
        if name is None:
            self.records, self.trouble = {}, {}
            self.set_default("127.0.0.1")
            return
        for known in (self.records, self.trouble):
            for key in [key for key in known if key[0] == key_of(name)]:
                del known[key]

    def set(self, name, kind, datas):
        self.records[key_of(name), kind] = list(datas)

    def set_default(self, a=None, aaaa=None):
        """Where names are that have no address of their own. None and None: they do not exist."""
        self.default = {"A": [socket.inet_aton(a)] if a else [],
                        "AAAA": [socket.inet_pton(socket.AF_INET6, aaaa)] if aaaa else []}  # fmt: skip

    def set_a(self, name, *addresses):
        """No address: the name exists, but has none."""
        self.set(name, "A", map(socket.inet_aton, addresses))

    def set_aaaa(self, name, *addresses):
        self.set(name, "AAAA", [socket.inet_pton(socket.AF_INET6, address) for address in addresses])

    def set_cname(self, name, target):
        self.set(name, "CNAME", [encoded(target)])

    def set_txt(self, name, *values):
        self.set(name, "TXT", [bytes([len(value)]) + value.encode() for value in values])

    def texts(self, name):
        return [data[1:].decode() for data in self.records.get((key_of(name), "TXT"), [])]

    def add_txt(self, name, value):
        self.set_txt(name, *self.texts(name), value)

    def clear_txt(self, name, value=None):
        self.set_txt(name, *(text for text in self.texts(name) if value not in (None, text)))

    def set_caa(self, name, *policies, flags=0):
        """Policies: ("issue", "ca.test; accounturi=…") each; flags: 128 is critical."""
        self.set(name, "CAA", [bytes([flags, len(tag)]) + tag.encode() + value.encode() for tag, value in policies])

    # What goes wrong: for all kinds of questions, or those named --------------------------------

    def set_trouble(self, name, trouble, kinds):
        for kind in kinds or TYPES:
            self.trouble[key_of(name), kind] = trouble

    def servfail(self, name, *kinds):
        self.set_trouble(name, SERVFAIL, kinds)

    def nxdomain(self, name, *kinds):
        self.set_trouble(name, NXDOMAIN, kinds)

    def refuse(self, name, *kinds):
        self.set_trouble(name, REFUSED, kinds)

    def silence(self, name, *kinds):
        """No answer at all."""
        self.set_trouble(name, "silence", kinds)

    def truncate(self, name, *kinds):
        """The answer comes by TCP only."""
        self.set_trouble(name, "truncate", kinds)

    def slow(self, name, seconds, *kinds):
        self.set_trouble(name, float(seconds), kinds)

    def asked(self, name, kind=None):
        """How often."""
        return sum(1 for query in self.queries if query[0] == key_of(name) and kind in (None, query[1]))

    # Answers --------------------------------------------------------------

    def lookup(self, name, kind):
        """(rcode, records): through CNAMEs, at most eight."""
        found = []
        for _ in range(8):
            alias = self.records.get((key_of(name), "CNAME"))
            if not alias or kind == "CNAME":
                break
            found.append(record(name, "CNAME", alias[0]))
            name = decoded(alias[0])
        own = {key[1]: datas for key, datas in self.records.items() if key[0] == key_of(name)}
        exists = own or any(self.default.values())
        if not {"A", "AAAA"} & set(own) and not name.startswith("_"):
            own = {**self.default, **own}
        found += [record(name, kind, data) for data in own.get(kind, [])]
        return (NOERROR if exists or found else NXDOMAIN), found

    def answer(self, packet, by_tcp):
        """(delay, packet); None: silence."""
        question = Question(packet)
        self.queries.append((key_of(question.name), question.kind))
        trouble = self.trouble.get((key_of(question.name), question.kind))
        if trouble == "silence":
            return None
        code, found = self.lookup(question.name, question.kind)
        if isinstance(trouble, int):
            code, found = trouble, []
        body = b"".join(found)
        too_long = len(body) + 12 + len(question.raw) > question.size_max or trouble == "truncate"
        flags = 0x8480 | question.recursion << 8 | code
        if too_long and not by_tcp:
            flags, found, body = flags | 0x200, [], b""
        authority = b"" if found else SOA
        head = question.id + struct.pack(">HHHHH", flags, 1, len(found), 1 if authority else 0, 0)
        return (trouble if isinstance(trouble, float) else 0), head + question.raw + body + authority

    async def serve_stream(self, reader, writer):
        try:
            while True:
                length = struct.unpack(">H", await reader.readexactly(2))[0]
                answer = self.answer(await reader.readexactly(length), by_tcp=True)
                if answer:
                    await asyncio.sleep(answer[0])
                    writer.write(struct.pack(">H", len(answer[1])) + answer[1])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve_control(self, reader, writer):
        """One line of a hook: present|cleanup RECORD VALUE."""
        verb, name, value = (await reader.readline()).decode().split()
        (self.add_txt if verb == "present" else self.clear_txt)(name, value)
        writer.write(b"done\n")
        writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, dns):
        self.dns, self.transport = dns, None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        answer = self.dns.answer(data, by_tcp=False)
        if answer and answer[0]:
            asyncio.get_running_loop().call_later(answer[0], self.transport.sendto, answer[1], addr)
        elif answer:
            self.transport.sendto(answer[1], addr)


def decoded(data):
    labels, at = [], 0
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels)


def point_resolver(text):
    """By rename, which also goes over a link; a file that is a mount of its own is written in place."""
    write(f"{RESOLV_CONF}.new", text)
    try:
        os.rename(f"{RESOLV_CONF}.new", RESOLV_CONF)
    except OSError:
        os.unlink(f"{RESOLV_CONF}.new")
        write(RESOLV_CONF, text)


HOOK = """#!/usr/bin/python3 -IS
import json, os, socket, sys, time
here = os.path.dirname(os.path.abspath(__file__))
behaviour = open(here + "/behaviour").read()
with open(here + "/calls", "a") as calls:
    calls.write(json.dumps({"argv": sys.argv[1:], "environment": dict(os.environ), "uid": os.getuid()}) + "\\n")
if behaviour == "hang":
    time.sleep(3600)
if behaviour == "fail" or behaviour == "keep" and sys.argv[1] == "cleanup":
    sys.exit("the zone is locked")
if behaviour == "flood":
    os.write(1, b"x" * 4096 * 4096)
if behaviour != "lie":
    line = " ".join([sys.argv[1], os.environ["WEBSPACES_RECORD"], os.environ["WEBSPACES_VALUE"]]) + "\\n"
    with socket.create_connection(("127.0.0.1", PORT)) as door:
        door.sendall(line.encode())
        sys.exit(0 if door.recv(16) == b"done\\n" else 1)
"""


class Hook:
    """The program of acme.dns_hook, at self.path.

    How it is called: with one argument, `present` or `cleanup`; in its environment WEBSPACES_NAME (the identifier
    without "*."), WEBSPACES_RECORD ("_acme-challenge.example.org."), WEBSPACES_VALUE (the text of the TXT record),
    PATH and LANG, nothing else. Exit status 0: done; else what it says on stderr is the reason.
    """

    numbers = iter(range(1, 10000))

    def __init__(self, dns, behaviour="work"):
        self.directory = peer_directory(f"hook{next(Hook.numbers)}")
        self.path = write(f"{self.directory}/hook", HOOK.replace("PORT", str(dns.control_port)), 0o755)
        write(f"{self.directory}/calls", "", 0o666)
        self.behave(behaviour)

    def behave(self, behaviour):
        """work, fail, keep (cleanup fails), hang, lie (says done, does nothing), flood (16 MiB on stdout, then works)."""
        assert behaviour in ("work", "fail", "keep", "hang", "lie", "flood")
        write(f"{self.directory}/behaviour", behaviour)

    def forget(self):
        write(f"{self.directory}/calls", "", 0o666)

    @property
    def calls(self):
        """Each: argv (without the program), environment, uid."""
        return [json.loads(line) for line in read(f"{self.directory}/calls").splitlines()]
