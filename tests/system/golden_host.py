"""The host that the texts of tests/golden are for, with its directories, jails and certificates.

Only the paths differ: the whole host lies below /mnt/golden.
"""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess

from host import REPOSITORY

ROOT = "/mnt/golden"
GOLDEN = os.path.join(REPOSITORY, "tests", "golden")
NAMES = ["alice", "bob", "carol", "dave", "erin", "default", "frank"]
PLACES = {
    "/home/www": "home",
    "/var/lib/webspaces": "state",
    "/run/webspaces": "run",
    "/var/log/webspaces": "log",
}
GENERATION = f"{ROOT}/state/nginx/7"
MASTER = f"{ROOT}/run/php/masters/1"
WEB, HTTP, HTTPS = 33, 8080, 8443
CERTIFICATES = (
    ("alice/alice.example.org/1", "alice.example.org", "ec"),
    ("bob/bob.example.org/3", "bob.example.org", "ec"),
    ("bob/wiki.bob.example.org/1", "wiki.bob.example.org", "ec"),
    ("bob/_.bob.example.org/2", "*.bob.example.org", "ec"),
    (".host/_.example.org/1", "*.example.org", "ec"),
    (".host/_.example.org+rsa/1", "*.example.org", "rsa"),
    ("dave/dave.example.org/1", "dave.example.org", "ec"),
    ("frank/frank.example.org/1", "frank.example.org", "ec"),
)


def moved(text):
    for place, name in PLACES.items():
        text = text.replace(place, f"{ROOT}/{name}")
    return text


def write(path, text, owner=None, mode=0o640):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    if owner is not None:
        os.chown(path, owner, owner)


def golden(name):
    with open(os.path.join(GOLDEN, name)) as f:
        return moved(f.read())


KINDS = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


def certificate(chain, key, names, kind="ec"):
    os.makedirs(os.path.dirname(chain), exist_ok=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *KINDS[kind], "-nodes", "-days", "2",
         "-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names),
         "-keyout", key, "-out", chain],
        check=True, capture_output=True)
    os.chown(key, 0, WEB)
    os.chmod(key, 0o640)


def jail(name, uid):
    """The skeleton: root's, the user's group, the web server by ACL."""
    home = f"{ROOT}/home/{name}"
    for path, mode in (("", 0o750), ("logs", 0o750), ("chroot", 0o010), ("chroot/data", 0o070), ("chroot/log", 0o030),
                       ("chroot/tmp", 0o010), ("chroot/tmp/misc", 0o030), ("chroot/tmp/upload", 0o030),
                       ("chroot/tmp/wsdl", 0o030), ("chroot/tmp/session", 0o070)):
        os.makedirs(f"{home}/{path}", exist_ok=True)
        os.chown(f"{home}/{path}", 0, uid)
        os.chmod(f"{home}/{path}", mode)
    write(f"{home}/logs/access.log", "", WEB)
    subprocess.run(["setfacl", "-m", "u:www-data:x", home, f"{home}/logs", f"{home}/chroot"], check=True)
    subprocess.run(["setfacl", "-m", "u:www-data:rx,d:u::rwx,d:g::rwx,d:o::-,d:u:www-data:rx", f"{home}/chroot/data"], check=True)
    for source in ("/etc/ssl/certs/ca-certificates.crt", "/etc/hosts", "/etc/nsswitch.conf"):
        os.makedirs(os.path.dirname(f"{home}/chroot{source}"), exist_ok=True)
        shutil.copy(source, f"{home}/chroot{source}")
    # Not a part of it: without its UTC, Debian's PHP dies of the first error that it logs.
    os.makedirs(f"{home}/chroot/usr/share/zoneinfo")
    subprocess.run(["mount", "--bind", "-o", "ro", "/usr/share/zoneinfo", f"{home}/chroot/usr/share/zoneinfo"],
                   check=True)
    os.makedirs(f"{home}/chroot/dev")
    subprocess.run(["mknod", "-m", "666", f"{home}/chroot/dev/urandom", "c", "1", "9"], check=True)


def content(name, path, text, mode=0o640):
    """A file as its user would make it."""
    uid = 20000 + NAMES.index(name)
    full = f"{ROOT}/home/{name}/chroot/data/{path}"
    directory = os.path.dirname(full)
    if not os.path.isdir(directory):
        os.makedirs(directory)
        os.chown(directory, uid, uid)
    with open(full, "w") as f:
        f.write(text)
    os.chown(full, uid, uid)
    os.chmod(full, mode)
    return full


def build():
    for place in ("home", "state/nginx-temp", "run/nginx", "run/php/masters/1", "log", "state/php"):
        os.makedirs(f"{ROOT}/{place}")
    os.chmod(f"{ROOT}/run/nginx", 0o700)
    for place in ("http01", "http01/.well-known", "http01/.well-known/acme-challenge"):
        os.makedirs(f"{ROOT}/run/{place}")
        os.chown(f"{ROOT}/run/{place}", 0, WEB)
        os.chmod(f"{ROOT}/run/{place}", 0o710)
    for name in ("nginx.conf", "maps.conf", "sites.conf", "generation.conf"):
        write(f"{GENERATION}/{name}", golden(name))
    write(f"{GENERATION}/dropins.conf", "")
    write(f"{ROOT}/state/php/php-fpm.conf", golden("php-fpm.conf"))
    write(f"{ROOT}/state/php/webspaces.ini", golden("php.ini"))
    for directory, name, kind in CERTIFICATES:
        certificate(f"{ROOT}/state/certs/{directory}/chain.pem", f"{ROOT}/state/certs/{directory}/key.pem", [name], kind)
    for i, name in enumerate(NAMES):
        jail(name, 20000 + i)
        os.symlink(f"masters/1/{name}.sock", f"{ROOT}/run/php/{name}.sock")


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()
        self.facts = dict(re.findall(r"^(\w+)=(.*)$", self.text, re.M))


def ask(host, path="/", tls=None, sni=None, port=None, method="GET", body=None, headers=()):
    """Over TLS when tls is not False; the certificate is not looked at."""
    tls = True if tls is None else tls
    sock = socket.create_connection(("127.0.0.1", port or (HTTPS if tls else HTTP)), 10)
    if tls:
        context = ssl._create_unverified_context()
        sock = context.wrap_socket(sock, server_hostname=sni or host)
    names = sock.getpeercert(True) if tls else None
    connection = http.client.HTTPConnection("127.0.0.1", timeout=10)
    connection.sock = sock
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"{host}:{HTTPS if tls else HTTP}")
    for key, value in headers:
        connection.putheader(key, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = Answer(connection.getresponse())
    answer.names = names
    sock.close()
    return answer
