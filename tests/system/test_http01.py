"""Challenges of http-01, asked of the real nginx with the texts of tests/golden: every name answers, by itself.

nginx alone: nothing here needs PHP, and a challenge must not come to it.
"""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from golden_host import GENERATION, HTTP, HTTPS, ROOT, WEB, build, content, golden, write
from host import wait_for

THUMBPRINT = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PLACE = "/.well-known/acme-challenge/"
FILES = f"{ROOT}/run/http01{PLACE}"
PLAIN = {
    "redirect": "alice.example.org",
    "site": "wiki.bob.example.org",
    "wildcard": "any.bob.example.org",
    "suspended": "dave.example.org",
    "out of service": "erin.example.org",
    "no certificate": "include",
    "certificate stands in": "frank.example.org",
    "unknown": "nobody.example.org",
    "address": "127.0.0.1",
    "no name": None,
}
TLS = ("alice.example.org", "wiki.bob.example.org", "any.bob.example.org", "carol.example.org", "dave.example.org",
       "frank.example.org")


class Nginx:
    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", f"{GENERATION}/nginx.conf", "-g", "daemon off;"])
        wait_for("nginx", lambda: ask("x", "/") is not None)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    @contextlib.contextmanager
    def changed(self, file, old, new):
        """The same host with a text of its configuration changed."""
        text = golden(file)
        assert old in text
        self.stop()
        write(f"{GENERATION}/{file}", text.replace(old, new))
        self.start()
        yield
        self.stop()
        write(f"{GENERATION}/{file}", text)
        self.start()


@pytest.fixture(scope="module")
def host():
    build()
    server = Nginx()
    try:
        server.start()
        yield server
    finally:
        server.stop()
        with open(f"{ROOT}/log/nginx-error.log") as f:
            print(f.read())
        subprocess.run(f"umount {ROOT}/home/*/chroot/usr/share/zoneinfo", shell=True, check=True)
        shutil.rmtree(ROOT)


class Answer:
    """status 0: the connection was closed without a word."""

    def __init__(self, data):
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if data else 0
        self.headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        self.text = body.decode("latin-1")


def ask(name, path, tls=False):
    """The path goes out as it is, which no HTTP library would let it. name None: without a Host header."""
    try:
        sock = socket.create_connection(("127.0.0.1", HTTPS if tls else HTTP), 10)
    except ConnectionRefusedError:
        return None
    if tls:
        sock = ssl._create_unverified_context().wrap_socket(sock, server_hostname=name)
    head = f"GET {path} HTTP/1.0\r\n" + (f"Host: {name}\r\n" if name else "") + "\r\n"
    data = b""
    with sock, contextlib.suppress(ConnectionResetError):
        sock.sendall(head.encode("latin-1"))
        while chunk := sock.recv(65536):
            data += chunk
    return Answer(data)


def assert_answers(name, tls=False, token=TOKEN, text=None):
    answer = ask(name, PLACE + token, tls)
    assert (answer.status, answer.text) == (200, text or f"{token}.{THUMBPRINT}"), name
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("kind", PLAIN)
def test_every_kind_of_name_answers_over_http(host, kind):
    assert_answers(PLAIN[kind])


@pytest.mark.parametrize("name", TLS)
def test_every_name_with_a_certificate_answers_over_https_too(host, name):
    assert_answers(name, tls=True)


@pytest.mark.parametrize("token", ["a" * 16, "a" * 128, "-" * 16, "_" * 22, "0aZ9-_" * 4])
def test_any_token_that_a_ca_may_choose_is_answered(host, token):
    assert_answers("alice.example.org", token=token)
    assert_answers("nobody.example.org", token=token)


def test_names_that_are_refused_are_so_for_all_else(host):
    """What answers the challenge opens nothing beside it."""
    for kind in ("out of service", "unknown", "address", "no name"):
        for path in ("/", "/index.html", "/.well-known/", "/.well-known/acme-challenge"):
            assert ask(PLAIN[kind], path).status == 0, (kind, path)
    assert ask("alice.example.org", "/.well-known/x").status == 301
    assert ask("dave.example.org", "/.well-known/x").status == 503
    assert ask("wiki.bob.example.org", "/.hidden").status == 404
    for name in ("erin.example.org", "nobody.example.org"):
        with pytest.raises(ssl.SSLError):
            ask(name, PLACE + TOKEN, tls=True)


JUNK = {
    "nothing": "",
    "a dot": ".",
    "short": "a" * 15,
    "long": "a" * 129,
    "very long": "a" * 4096,
    "too long for a request line": "a" * 40000,
    "an extension": TOKEN + ".html",
    "a script": TOKEN + ".php",
    "HTML": "<script>alert(1)</script>",
    "HTML, encoded": "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "a slash behind it": TOKEN + "/",
    "a path behind it": TOKEN + "/" + TOKEN,
    "a line's end behind it": TOKEN + "%0A",
    "a header behind it": TOKEN + "%0D%0AX-Other:%20yes",
    "NUL": TOKEN + "%00",
    "NUL before": "%00" + TOKEN,
    "up": "../" + TOKEN,
    "up, encoded": "%2e%2e%2f" + TOKEN,
    "up and up": "../../" + TOKEN,
    "beyond the root": "../../../../etc/hostname",
    "a variable": "$uri" + TOKEN,
    "a space": TOKEN + "%20",
    "UTF-8": "\u00fc".encode().decode("latin-1") + TOKEN,
    "a full stop": TOKEN + "." + THUMBPRINT,
    "equals": TOKEN + "==",
    "a star": TOKEN + "*",
}


@pytest.mark.parametrize("what", JUNK)
def test_what_is_no_token_is_not_answered(host, what):
    leaves = what.startswith(("up", "beyond"))
    for name, tls in (("alice.example.org", False), ("nobody.example.org", False), ("wiki.bob.example.org", False),
                      ("dave.example.org", False), ("alice.example.org", True)):
        answer = ask(name, PLACE + JUNK[what], tls)
        assert THUMBPRINT not in answer.text and "x-other" not in answer.headers, name
        # What climbs out is an ordinary path of the site, and has its answer.
        assert answer.status in ((0, 301, 400, 404, 503) if leaves else (400, 404, 414)), (name, answer.status)


def test_a_file_of_the_tokens_name_says_something_else(host):
    """A second account, or one whose key is being changed; readable by the web server alone."""
    other = "o" * 22
    write(FILES + other, f"{other}.of-another-account", mode=0o640)
    os.chown(FILES + other, 0, WEB)
    for kind in PLAIN:
        assert_answers(PLAIN[kind], token=other, text=f"{other}.of-another-account")
    assert_answers("alice.example.org", tls=True, token=other, text=f"{other}.of-another-account")
    os.unlink(FILES + other)
    assert_answers("alice.example.org", token=other)


@pytest.mark.parametrize("name", ["page.html", "page.php", ".page"])
def test_no_file_is_ever_more_than_text(host, name):
    """Neither its name nor the rules that a site has for such names make anything of it."""
    write(FILES + name, "<script>alert(1)</script><?php echo 1;", mode=0o644)
    for kind in PLAIN:
        answer = ask(PLAIN[kind], PLACE + name)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/plain"), kind
        assert answer.headers["x-content-type-options"] == "nosniff" and "<?php" in answer.text
    os.unlink(FILES + name)


def test_the_directory_is_not_shown(host):
    assert ask("nobody.example.org", PLACE).status == 404
    assert ask("wiki.bob.example.org", PLACE[:-1]).status in (301, 404)


def test_a_users_own_files_do_not_get_in_the_way(host):
    content("bob", 'wiki $1 "x"' + PLACE + TOKEN, "of bob")
    content("bob", 'wiki $1 "x"/.well-known/other', "of bob")
    assert_answers("wiki.bob.example.org")
    assert ask("wiki.bob.example.org", "/.well-known/other").text == "of bob"


def test_validations_are_in_the_sites_own_log(host):
    """So that a user sees who asked, and an admin sees that nobody did."""
    token = "L" * 22
    assert_answers("dave.example.org", token=token)
    with open(f"{ROOT}/home/dave/logs/access.log") as f:
        assert f'"GET {PLACE}{token} HTTP/1.0" 200' in f.read()


# a second certificate, with an RSA key ---------------------------------------


def key_of(name, version, algorithms):
    """The kind of key in the certificate that a client with these signature algorithms is shown; None: no handshake."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{HTTPS}", "-servername", name, version, "-sigalgs", algorithms],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if "BEGIN CERTIFICATE" not in done.stdout:
        return None
    shown = subprocess.run(["openssl", "x509", "-noout", "-text"], input=done.stdout, capture_output=True, text=True, check=True)
    return "RSA" if "Public Key Algorithm: rsaEncryption" in shown.stdout else "EC"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_is_shown_the_certificate_that_it_can_check(host, version):
    ecdsa, rsa = "ECDSA+SHA256", "RSA+SHA256:RSA-PSS+SHA256"
    assert key_of("carol.example.org", version, ecdsa) == "EC"
    assert key_of("carol.example.org", version, rsa) == "RSA"
    assert key_of("carol.example.org", version, f"{ecdsa}:{rsa}") == "EC"
    assert key_of("alice.example.org", version, ecdsa) == "EC"
    assert key_of("alice.example.org", version, rsa) is None


# other hosts ----------------------------------------------------------------


def test_without_an_account_nothing_is_answered(host):
    with host.changed("maps.conf", f"default {THUMBPRINT};", 'default "";'):
        for kind in PLAIN:
            answer = ask(PLAIN[kind], PLACE + TOKEN)
            assert (answer.status, TOKEN in answer.text) == (404, False), kind
        assert ask("alice.example.org", PLACE + TOKEN, tls=True).status == 404


def test_names_that_are_unknown_with_a_status_answer_too(host):
    with host.changed("nginx.conf", "return 444;", "return 404;"):
        assert_answers("nobody.example.org")
        assert ask("nobody.example.org", "/").status == 404


def test_what_an_admin_forbids_for_all_leaves_the_challenge(host):
    closed = 'deny all; auth_basic "closed"; auth_basic_user_file /dev/null;\n'
    with host.changed("nginx.conf", '/dropins.conf";', f'/dropins.conf";\n\t{closed}'):
        assert ask("wiki.bob.example.org", "/").status in (401, 403)
        for kind in PLAIN:
            assert_answers(PLAIN[kind])
