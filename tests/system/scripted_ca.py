"""A CA of no depth that is quick: for thousands of certificates, where Pebble would deadlock and openssl be too slow.

It goes behind a FaultyCA, as Pebble does. It believes everything (no signature, no challenge is checked), but gives
each nonce once and takes it once, and its certificates are real ones: P-256, signed by a root through an intermediate.
Signing costs microseconds since all signatures share one random number, which tells whoever looks the key.
"""

import base64
import datetime
import hashlib
import itertools
import json
import os
import threading

from answers import Answer, problem
from certificates import peer_directory, unbase64url, write

# P-256 --------------------------------------------------------------------------

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)  # fmt: skip


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(scalar):
    result, power = None, G
    while scalar:
        if scalar & 1:
            result = add(result, power)
        power, scalar = add(power, power), scalar >> 1
    return result


K = int.from_bytes(os.urandom(31), "big") | 1
R = multiply(K)[0] % N
K_INVERSE = pow(K, -1, N)

# DER ----------------------------------------------------------------------------


def der(tag, *parts):
    content = b"".join(parts)
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def element(data, at):
    """(start of the content, end) of what begins there."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    return start, start + length


def integer(value):
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def identifier(text):
    return bytes.fromhex(text)


def sequence(*parts):
    return der(0x30, *parts)


def utc(moment):
    return der(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def common_name(text):
    return sequence(der(0x31, sequence(identifier("0603550403"), der(0x0C, text.encode())))) if text else sequence()


def extension(oid, value, critical=False):
    return sequence(identifier(oid), b"\x01\x01\xff" if critical else b"", der(4, value))


ECDSA_SHA256 = sequence(identifier("06082a8648ce3d040302"))
EC_P256 = sequence(identifier("06072a8648ce3d0201"), identifier("06082a8648ce3d030107"))


def pem(certificate):
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(certificate).decode()}-----END CERTIFICATE-----\n"


def public_key_in(request):
    """The third part of the first part of a PKCS #10."""
    at, _ = element(request, 0)
    at, _ = element(request, at)
    for _ in range(2):
        at = element(request, at)[1]
    return request[at : element(request, at)[1]]


class Signer:
    def __init__(self, name, issuer=None):
        self.name, self.key = name, int.from_bytes(os.urandom(31), "big")
        x, y = multiply(self.key)
        point = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
        self.public = sequence(EC_P256, der(3, b"\0", point))
        self.id = hashlib.sha1(point).digest()
        years = datetime.timedelta(days=3650)
        basic = extension("0603551d13", sequence(b"\x01\x01\xff"), critical=True)
        usage = extension("0603551d0f", der(3, b"\x01\x06"), critical=True)
        identity = extension("0603551d0e", der(4, self.id))
        self.certificate = (issuer or self).sign(name, self.public, years, [basic, usage, identity])

    def sign(self, name, public_key, lifetime, extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        authority = extension("0603551d23", sequence(der(0x80, self.id)))
        body = sequence(
            der(0xA0, integer(2)), integer(int.from_bytes(os.urandom(16), "big") | 1), ECDSA_SHA256,
            common_name(self.name), sequence(utc(now - datetime.timedelta(hours=1)), utc(now + lifetime)),
            common_name(name), public_key, der(0xA3, sequence(authority, *extensions)),
        )  # fmt: skip
        digest = int.from_bytes(hashlib.sha256(body).digest(), "big")
        s = K_INVERSE * (digest + R * self.key) % N
        return sequence(body, ECDSA_SHA256, der(3, b"\0", sequence(integer(R), integer(s))))

    def sign_request(self, request, names, lifetime):
        alternatives = sequence(*(der(0x82, name.encode()) for name in names))
        return self.sign("", public_key_in(request), lifetime, [
            extension("0603551d13", sequence(), critical=True),
            extension("0603551d25", sequence(identifier("06082b06010505070301"))),
            extension("0603551d0f", der(3, b"\x07\x80"), critical=True),
            extension("0603551d11", alternatives, critical=True),
        ])  # fmt: skip


# The CA -------------------------------------------------------------------------


class ScriptedCA:
    """days: of a certificate's life. asynchronous: so many polls of an order say "processing" after finalize."""

    numbers = iter(range(1, 10000))

    def __init__(self, days=90, asynchronous=0):
        self.lifetime, self.asynchronous = datetime.timedelta(days=days), asynchronous
        self.lock, self.count = threading.Lock(), itertools.count(1)
        self.nonces, self.accounts, self.orders = set(), {}, {}
        self.root = Signer("Scripted Root")
        self.issuer = Signer("Scripted Intermediate", self.root)
        self.intermediate = pem(self.issuer.certificate)
        directory = peer_directory(f"scripted{next(ScriptedCA.numbers)}")
        self.root_file = write(f"{directory}/root.pem", pem(self.root.certificate))
        self.directory_url = "https://scripted/directory"

    def issued(self):
        return sum(1 for order in list(self.orders.values()) if order["chain"])  # they become more meanwhile

    def forward(self, method, path, body, origin):
        kind, *numbers = path.strip("/").split("/")
        if kind == "directory":
            return Answer(200, {key: f"{origin}/{place}" for key, place in PLACES.items()}, wants_nonce=False)
        if kind != "nonce":
            header, payload = opened(body)
            if not self.take_nonce(header["nonce"]):
                return self.with_nonce(problem("badNonce", 400, "this nonce was not given, or was used"))
            answer = getattr(self, f"do_{kind}")(origin, header, payload, *numbers)
        else:
            answer = Answer(200 if method == "HEAD" else 204)
        return self.with_nonce(answer)

    def with_nonce(self, answer):
        nonce = f"{next(self.count):x}-{os.urandom(6).hex()}"
        with self.lock:
            self.nonces.add(nonce)
        answer.set("Replay-Nonce", nonce)
        answer.wants_nonce = False
        return answer

    def take_nonce(self, nonce):
        with self.lock:
            if nonce not in self.nonces:
                return False
            self.nonces.remove(nonce)
            return True

    def do_account(self, origin, header, payload, number=None):
        if number:
            return Answer(200, {"status": "valid"})
        key = json.dumps(header["jwk"], sort_keys=True)
        with self.lock:
            known = key in self.accounts
            if not known and payload.get("onlyReturnExisting"):
                return problem("accountDoesNotExist", 400)
            number = self.accounts.setdefault(key, len(self.accounts) + 1)
        return Answer(200 if known else 201, {"status": "valid"}, {"Location": f"{origin}/account/{number}"})

    def do_order(self, origin, _, payload, number=None):
        if number:
            order = self.orders[number]
            if order["waits"] > 0:
                order["waits"] -= 1
            return Answer(200, self.shown(origin, number))
        number = str(next(self.count))
        names = [identifier["value"] for identifier in payload["identifiers"]]
        self.orders[number] = {"names": names, "valid": set(), "chain": None, "waits": 0}
        return Answer(201, self.shown(origin, number), {"Location": f"{origin}/order/{number}"})

    def shown(self, origin, number):
        order = self.orders[number]
        status = "ready" if len(order["valid"]) == len(order["names"]) else "pending"
        if order["chain"]:
            status = "processing" if order["waits"] else "valid"
        found = {
            "status": status,
            "expires": (datetime.datetime.utcnow() + datetime.timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "identifiers": [{"type": "dns", "value": name} for name in order["names"]],
            "authorizations": [f"{origin}/authz/{number}/{at}" for at in range(len(order["names"]))],
            "finalize": f"{origin}/finalize/{number}",
        }
        return {**found, "certificate": f"{origin}/chain/{number}"} if status == "valid" else found

    def do_authz(self, origin, _, payload, number, at):
        name = self.orders[number]["names"][int(at)]
        wildcard = {"wildcard": True} if name.startswith("*.") else {}
        return Answer(200, {
            "status": self.status_at(number, at), "identifier": {"type": "dns", "value": name.removeprefix("*.")},
            "challenges": [self.challenge(origin, number, at, kind) for kind in ("http-01", "dns-01")], **wildcard,
        })  # fmt: skip

    def status_at(self, number, at):
        return "valid" if at in self.orders[number]["valid"] else "pending"

    def challenge(self, origin, number, at, kind):
        token = hashlib.sha256(f"{number}/{at}".encode()).hexdigest()[:43]
        return {"type": kind, "url": f"{origin}/challenge/{number}/{at}/{kind}", "token": token,
                "status": self.status_at(number, at)}  # fmt: skip

    def do_challenge(self, origin, _, payload, number, at, kind):
        if payload != "":
            self.orders[number]["valid"].add(at)
        return Answer(200, self.challenge(origin, number, at, kind), {"Link": f'<{origin}/authz/{number}/{at}>;rel="up"'})

    def do_finalize(self, origin, _, payload, number):
        order = self.orders[number]
        if len(order["valid"]) != len(order["names"]):
            return problem("orderNotReady", 403, "the order is not ready")
        if not order["chain"]:
            leaf = self.issuer.sign_request(unbase64url(payload["csr"]), order["names"], self.lifetime)
            order["chain"], order["waits"] = pem(leaf) + self.intermediate, self.asynchronous
        return Answer(200, self.shown(origin, number), {"Location": f"{origin}/order/{number}"})

    def do_chain(self, _, __, ___, number):
        return Answer(200, self.orders[number]["chain"], content_type="application/pem-certificate-chain")

    def do_revoke(self, *_):
        return Answer(200)


PLACES = {"newNonce": "nonce", "newAccount": "account", "newOrder": "order", "revokeCert": "revoke", "keyChange": "key"}


def opened(body):
    """(protected header, payload) of a JWS; "" for POST-as-GET."""
    jws = json.loads(body)
    return json.loads(unbase64url(jws["protected"])), json.loads(unbase64url(jws["payload"]) or '""')
