"""Certificates for tests, made with openssl: a small CA that signs whatever is asked, also what no CA should."""

import base64
import datetime
import functools
import os
import random
import re
import subprocess
import threading

PEERS = "/mnt/peers"

CONFIG = """
[ca]
default_ca = this
[this]
new_certs_dir = {directory}
database = {directory}/index
serial = {directory}/serial
certificate = {directory}/ca.pem
private_key = {directory}/ca.key
default_md = sha256
policy = anything
unique_subject = no
[anything]
commonName = optional
[req]
distinguished_name = nothing
prompt = no
[nothing]
"""


def openssl(*words, text=None):
    out = subprocess.run(["openssl", *words], input=text, capture_output=True, text=True, check=False)
    assert out.returncode == 0, f"openssl {words[0]}: {out.stderr}"
    return out.stdout


def write(path, text, mode=0o644):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def peer_directory(name):
    """A place that is made once; everybody may read it, as the process that talks to the CA must."""
    os.makedirs(f"{PEERS}/{name}")
    return f"{PEERS}/{name}"


def day(days):
    """A time so many days from now, as `openssl ca` wants it."""
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.strftime("%Y%m%d%H%M%SZ")


def alternative_names(names):
    is_address = re.compile(r"[0-9.]+|.*:.*").fullmatch
    return ",".join(f"{'IP' if is_address(name) else 'DNS'}:{name}" for name in names)


class Authority:
    """A root that signs requests: right ones for our own servers, wrong ones on demand."""

    numbers = iter(range(1, 10000))

    def __init__(self, name="tests"):
        self.lock = threading.Lock()  # openssl ca keeps a book
        self.directory = peer_directory(f"authority{next(Authority.numbers)}")
        self.ca_file = f"{self.directory}/ca.pem"
        self.config = write(f"{self.directory}/config", CONFIG.format(directory=self.directory))
        write(f"{self.directory}/index", "")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                "-keyout", f"{self.directory}/ca.key", "-out", self.ca_file, "-subj", f"/CN=CA {name}")  # fmt: skip

    @property
    def pem(self):
        return read(self.ca_file)

    def path(self, name):
        return f"{self.directory}/{name}"

    def request(self, names, stem):
        """A new key and a request for it: the request as PEM, the key in a file."""
        return openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                       self.path(f"{stem}.key"), "-subj", "/", "-config", self.config,
                       "-addext", f"subjectAltName={alternative_names(names)}")  # fmt: skip

    def sign(self, request, names=None, start=-1, end=90, usage="serverAuth", is_ca=False, serial=None):
        """The leaf alone. names: None, those of the request; start and end: days from now; serial: hex."""
        names = names or requested_names(request)
        serial = serial or f"{random.getrandbits(63) | 1 << 62:016x}"
        with self.lock:
            write(self.path("serial"), serial.upper() + "\n")
            write(self.path("request"), request)
            write(self.path("extensions"), (
                f"basicConstraints=critical,CA:{'TRUE' if is_ca else 'FALSE'}\n"
                f"extendedKeyUsage={usage}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                f"subjectAltName=critical,{alternative_names(names)}\n"))  # fmt: skip
            return openssl("ca", "-config", self.config, "-batch", "-notext", "-in", self.path("request"),
                           "-subj", "/", "-extfile", self.path("extensions"),
                           "-startdate", day(start), "-enddate", day(end))  # fmt: skip

    def server(self, names, stem="server", **options):
        """Certificate (with the root after it) and key of a server of ours: two paths."""
        leaf = self.sign(self.request(names, stem), names, **options)
        return write(self.path(f"{stem}.pem"), leaf + self.pem), self.path(f"{stem}.key")


@functools.cache
def https_authority():
    """The CA of all HTTPS servers of the tests."""
    return Authority("of the tests' servers")


def request_of(der):
    """PEM of a request that came as base64url."""
    body = base64.b64encode(unbase64url(der)).decode()
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n"


def requested_names(request):
    return names_in(openssl("req", "-noout", "-text", text=request))


def names_of(pem):
    """The DNS names and addresses of the first certificate."""
    return names_in(openssl("x509", "-noout", "-ext", "subjectAltName", text=pem))


def names_in(text):
    return re.findall(r"(?:DNS|IP Address):([^,\s]+)", text)


def serial_of(pem):
    """Hex, as Pebble and openssl write it."""
    return openssl("x509", "-noout", "-serial", text=pem).strip().split("=")[1].lower()


def public_key_of(pem):
    return openssl("x509", "-noout", "-pubkey", text=pem)


def days_left(pem):
    """Until the first certificate ends; negative: it has ended."""
    end = openssl("x509", "-noout", "-enddate", text=pem).strip().split("=")[1]
    moment = datetime.datetime.strptime(end, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=datetime.timezone.utc)
    return (moment - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400


def split(chain):
    """Each certificate of a PEM text."""
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", chain, re.S)


def renewal_id(pem):
    """RFC 9773, 4.1: of the first certificate."""
    text = openssl("x509", "-noout", "-ext", "authorityKeyIdentifier", text=pem)
    key = re.search(r"((?:[0-9A-F]{2}:){3,}[0-9A-F]{2})", text).group(1).replace(":", "")
    serial = serial_of(pem)
    if len(serial) % 2:
        serial = "0" + serial
    if int(serial[:2], 16) >= 0x80:
        serial = "00" + serial
    return f"{base64url(bytes.fromhex(key))}.{base64url(bytes.fromhex(serial))}"


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
