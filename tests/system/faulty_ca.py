"""A CA that misbehaves on demand: an HTTPS server before Pebble (or Caddy) that passes everything on, but for rules.

It adds what Pebble lacks (renewalInfo, profiles), remembers what was asked, and answers by rule:

    ca.on("newOrder", problem("rateLimited", 429, "too many new orders …", retry_after=30), times=1)
    ca.on("finalize", lose, nth=1)
    ca.on("certificate", edit(lambda answer: answer.drop_last(100)))

The CA behind forms its URLs by the Host header, so they are ours without any rewriting, and a client's signature over
the URL holds. What a request is (its kind) is learned from the directory and from the answers, as a client does.
"""

import collections
import contextlib
import datetime
import email.utils
import functools
import http.client
import http.server
import itertools
import json
import re
import socket
import ssl
import threading
import time

from answers import Answer, Cut, problem
from certificates import https_authority, request_of, unbase64url
from host import wait_for
from peers import SERVER_NAMES, Pebble, Peer

DIRECTORY_KINDS = {"newNonce": "newNonce", "newAccount": "newAccount", "newOrder": "newOrder",
                   "revokeCert": "revoke", "keyChange": "keyChange"}  # fmt: skip


class Seen:
    """A request of the client: kind, method, path, url, header (the JWS's protected one), payload ("" for
    POST-as-GET, None without a JWS), number of its connection, time; status once it is answered (0: never)."""

    def __init__(self, ca, handler, body):
        self.ca, self.time, self.connection, self.status = ca, time.time(), handler.number, 0
        self.method, self.path = handler.command, handler.path
        self.url = f"{ca.origin}{handler.path}"
        self.agent = handler.headers.get("User-Agent", "")
        self.raw, self.headers = body, handler.headers
        self.header, self.payload = decoded(body)
        self.kind = ca.kind_of(self.path)

    def forward(self):
        return self.ca.forward(self)

    def __repr__(self):
        return f"<{self.method} {self.kind} {self.path} {self.payload!r} → {self.status}>"


def decoded(body):
    """(protected header, payload) of a JWS."""
    try:
        jws = json.loads(body)
        return json.loads(unbase64url(jws["protected"])), json.loads(unbase64url(jws["payload"]) or '""')
    except (ValueError, KeyError, TypeError):
        return None, None


class Rule:
    def __init__(self, kinds, action, nth, times, every, when):
        self.kinds, self.action, self.times, self.every, self.when = kinds, action, times, every, when
        self.nth = {nth} if isinstance(nth, int) else nth
        self.met = self.fired = 0

    def is_due(self, seen):
        """Counts the request if it is one of the rule's."""
        if seen.kind not in self.kinds and "*" not in self.kinds or self.when and not self.when(seen):
            return False
        self.met += 1
        due = self.met in self.nth if self.nth else self.met % self.every == 0
        due = due and (self.times is None or self.fired < self.times)
        self.fired += due
        return due


class FaultyCA(Peer):
    """upstream: a Pebble or a Caddy, or whatever has forward(seen, origin) → Answer."""

    numbers = iter(range(17000, 18000))

    def __init__(self, upstream, profiles=None, ari=True):
        super().__init__("faulty", next(FaultyCA.numbers))
        self.upstream, self.ari, self.profiles = upstream, ari, profiles or {}
        self.turn = upstream.turn if isinstance(upstream, Pebble) else contextlib.nullcontext()
        self.ca_file = https_authority().ca_file
        self.lock, self.local = threading.RLock(), threading.local()
        self.requests, self.rules, self.windows = [], [], {}
        self.window = None  # (start, end, Retry-After or None, explanation) of certificates without one of their own
        self.connections = self.clock_skew = self.cut_every = 0
        self.greeting = None  # bytes that each new connection gets in place of TLS
        self.kinds = {}  # path → kind, as learned
        self.requested, self.csrs = {}, {}  # path of finalize, of the certificate → the CSR
        self.present_certificate()
        self.start()
        self.learn_directory()

    # As a server ----------------------------------------------------------

    @property
    def directory_url(self):
        return f"{self.origin}{self.directory_path}"

    @property
    def directory_path(self):
        return path_of(self.upstream.directory_url)

    @property
    def root_file(self):
        return self.upstream.root_file

    def start(self):
        self.ending = threading.Event()
        self.server = Server(self)
        self.process = None
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Also the end of all stalls."""
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()
        self.cut_connections()

    def cut_connections(self):
        for connection in list(self.server.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def present_certificate(self, authority=None, **options):
        """Its own HTTPS certificate from now on (start=, end=, names=; another authority): options of Authority.sign."""
        if not authority and not options:
            self.context = good_context()
            return
        names = options.pop("names", SERVER_NAMES)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(authority or https_authority()).server(names, f"faulty{self.port}", **options))
        self.context = context

    # Rules ----------------------------------------------------------------

    def on(self, kinds, action, nth=None, times=None, every=1, when=None):
        """Requests of these kinds ("newOrder", "order authz", "*") get `action`: an Answer, or a function of the
        request that makes one. nth: only this one or these (from 1) of them; times: at most so often; every: each
        so manieth; when: only those for which when(request). The first rule that is due counts."""
        rule = Rule(kinds.split(), action, nth, times, every, when)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        """No rules any more."""
        with self.lock:
            self.rules = []
        self.clock_skew, self.cut_every, self.greeting = 0, 0, None

    def forget_requests(self):
        with self.lock:
            self.requests = []
        self.connections = 0

    # What was asked -------------------------------------------------------

    def seen(self, *kinds):
        """Requests of these kinds (of all), in order."""
        with self.lock:
            return [seen for seen in self.requests if not kinds or seen.kind in kinds]

    def counts(self):
        """kind → number of requests."""
        return collections.Counter(seen.kind for seen in self.seen())

    def wait(self, kind, count=1, seconds=15):
        wait_for(f"{count} × {kind} at the CA (there are {self.counts()})", lambda: len(self.seen(kind)) >= count, seconds)
        return self.seen(kind)

    # Renewal information --------------------------------------------------

    def set_window(self, start, end, retry_after=None, explanation=None, certificate=None):
        """Of one certificate (by its renewal id) or all others: seconds from now, or any JSON values as they are."""
        window = (start, end, retry_after, explanation)
        if certificate:
            self.windows[certificate] = window
        else:
            self.window = window

    def renewal_info(self, certificate):
        far_away = (30 * 86400, 32 * 86400, 21600, None)
        start, end, retry_after, explanation = self.windows.get(certificate) or self.window or far_away
        body = {"suggestedWindow": {"start": moment(start), "end": moment(end)}}
        if explanation:
            body["explanationURL"] = explanation
        return Answer(200, body, {"Retry-After": retry_after})

    # The way of a request -------------------------------------------------

    def kind_of(self, path):
        if path == self.directory_path:
            return "directory"
        if path.startswith("/renewal-info"):
            return "renewalInfo"
        return self.kinds.get(path, "unknown")

    def answer(self, seen):
        with self.lock:
            self.requests.append(seen)
            rule = next((rule for rule in self.rules if rule.is_due(seen)), None)
            count = len(self.requests)
        if self.cut_every and count % self.cut_every == 0:
            raise Cut
        if not rule:
            answer = self.forward(seen)
        else:
            answer = rule.action(seen) if callable(rule.action) else rule.action.copy()
        if answer.wants_nonce and seen.method == "POST":
            answer.set("Replay-Nonce", self.fresh_nonce())
        return answer

    def forward(self, seen):
        """What the CA behind says, with what we add to it."""
        if seen.kind == "renewalInfo":
            return self.renewal_info(seen.path.rsplit("/", 1)[1])
        if seen.kind == "newOrder" and seen.payload and seen.payload.get("profile", "") not in ["", *self.profiles]:
            return problem("invalidProfile", 400, f"profile {seen.payload['profile']} is not known")
        if seen.kind == "finalize" and seen.payload:
            self.requested[seen.path] = request_of(seen.payload["csr"])
        answer = self.ask(seen.method, seen.path, seen.raw, seen.headers.get("Content-Type"))
        self.learn(seen, answer)
        if seen.kind == "directory" and answer.json:
            directory = answer.json
            if self.ari:
                directory["renewalInfo"] = f"{self.origin}/renewal-info"
            if self.profiles:
                directory.setdefault("meta", {})["profiles"] = self.profiles
            answer.json = directory
        return answer

    def ask(self, method, path, body=b"", content_type=None):
        """The CA behind, over this thread's own connection."""
        if hasattr(self.upstream, "forward"):
            return self.upstream.forward(method, path, body, self.origin)
        headers = {"Host": self.origin.split("//")[1]}
        if content_type:
            headers["Content-Type"] = content_type
        for is_last in (False, True):
            connection = getattr(self.local, "connection", None) or self.connect()
            try:
                with self.turn:
                    connection.request(method, path, body=body or None, headers=headers)
                    return Answer.of_response(connection.getresponse())
            except (OSError, http.client.HTTPException) as error:
                self.local.connection = None
                if is_last or not isinstance(error, (ConnectionResetError, BrokenPipeError)):
                    raise Cut from error  # else: the one kept open was old, as RemoteDisconnected also says

    def connect(self):
        context = ssl.create_default_context(cafile=self.upstream.ca_file)
        self.local.connection = http.client.HTTPSConnection("localhost", self.upstream.port, context=context, timeout=30)
        return self.local.connection

    def fresh_nonce(self):
        path = next((path for path, kind in list(self.kinds.items()) if kind == "newNonce"), None)
        return self.ask("HEAD", path).get("Replay-Nonce") if path else "bm9uY2U"

    def note(self, url, kind):
        self.kinds.setdefault(path_of(url), kind)

    def learn_directory(self):
        """A client may know it from earlier."""
        directory = self.ask("GET", self.directory_path).json
        for key, kind in DIRECTORY_KINDS.items():
            self.note(directory[key], kind)

    def learn(self, seen, answer):
        """The kinds of the URLs in an answer; of a certificate's also, which request it answers."""
        body, note = answer.json if isinstance(answer.json, dict) else {}, self.note
        location = answer.get("Location")
        if location and seen.kind in ("newAccount", "newOrder"):
            note(location, "account" if seen.kind == "newAccount" else "order")
        for url in body.get("authorizations", []):
            note(url, "authz")
        for challenge in body.get("challenges", []):
            note(challenge["url"], "challenge")
        for key in ("finalize", "certificate"):
            if key in body:
                note(body[key], key)
        if "certificate" in body and "finalize" in body:
            self.csrs[path_of(body["certificate"])] = self.requested.get(path_of(body["finalize"]))
        for url in re.findall(r'<([^>]+)>;\s*rel="alternate"', ",".join(answer.all("Link"))):
            note(url, "certificate")


@functools.cache
def good_context():
    """Of all CAs that present what they should."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*https_authority().server(SERVER_NAMES, "faulty"))
    return context


def path_of(url):
    return "/" + url.split("/", 3)[3]


def moment(value):
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return value
    return datetime.datetime.fromtimestamp(time.time() + value, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, ca):
        self.ca, self.open, self.numbers = ca, set(), itertools.count(1)
        super().__init__(("127.0.0.1", ca.port), Handler)

    def handle_error(self, request, client_address):
        """Clients that go away are no news."""

    def shutdown_request(self, request):
        self.open.discard(request)
        super().shutdown_request(request)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        ca = self.server.ca
        with ca.lock:
            ca.connections += 1
        self.number, plain = next(self.server.numbers), self.request
        if ca.greeting is not None:
            plain.sendall(ca.greeting)
            raise Cut
        self.server.open.add(plain)
        plain.settimeout(60)
        self.request = ca.context.wrap_socket(plain, server_side=True)
        self.server.open.discard(plain)
        self.server.open.add(self.request)
        super().setup()

    def finish(self):
        super().finish()
        self.server.open.discard(self.request)
        self.request.close()

    def respond(self):
        length = int(self.headers.get("Content-Length") or 0)
        seen = Seen(self.server.ca, self, self.rfile.read(length))
        try:
            answer = self.server.ca.answer(seen)
            seen.status = answer.status
            self.send(answer)
        except (Cut, OSError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = respond

    def send(self, answer):
        ca = self.server.ca
        body = answer.body
        is_stream = not isinstance(body, bytes)
        self.send_response_only(answer.status)
        answer.set("Date", answer.get("Date") or email.utils.formatdate(time.time() + ca.clock_skew, usegmt=True))
        if answer.get("Content-Length") is None and is_stream:
            self.close_connection = True
            answer.set("Connection", "close")
        elif answer.get("Content-Length") is None:
            answer.set("Content-Length", str(len(body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for part in body if is_stream else [body]:
                self.wfile.write(part)
                self.wfile.flush()
            if answer.get("Content-Length") != str(len(body) if not is_stream else -1):
                self.close_connection = True

    def log_message(self, *_):
        pass
