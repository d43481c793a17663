"""X6: what failed of a webspace's requests, and why, is in its own error.log and in nobody else's."""

import socket

import pytest

from host import Host, wait_for


@pytest.fixture(autouse=True)
def accounts():
    """Of the module."""


@pytest.fixture(scope="module")
def host(accounts_of_the_module):
    settings = 'defaults = { site = { redirect_https = false; client_max_body_size = "1M"; }; php = { request_terminate_timeout = "1s"; request_slowlog_timeout = "0"; }; };'
    host = Host(settings=settings).start()
    host.add("alice", "bob")
    yield host
    host.destroy()


def said(host, name):
    with open(host.home(name, "logs/error.log"), encoding="utf-8") as file:
        return file.read()


FAILURES = {
    "a body that is too large": (None, dict(path="/large", method="POST", body=b"x" * 2_000_000), "413 client intended to send too large body"),
    "a body that is too large, for what is not there": (None, dict(path="/no/such/page", method="POST", body=b"x" * 2_000_000), "413 client intended to send too large body"),
    "PHP that ends with an error": (lambda host: host.write("alice", "fatal.php", "<?php nothing_of_that_name();"), dict(path="/fatal.php"), "500 internal server error"),
    "PHP that is cut": (lambda host: host.write("alice", "cut.php", "<?php sleep(30);"), dict(path="/cut.php"), "502 upstream sent no valid response"),
    "what the web server may not read": (lambda host: host.write("alice", "deep/er/private.txt", "mine", mode=0o600), dict(path="/deep/er/private.txt"), "403 access forbidden"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_x6_in_the_right_users_log_is(host, kind):
    prepare, request, words = FAILURES[kind]
    if prepare:
        prepare(host)
    others = said(host, "bob")
    host.get_quietly("alice", timeout=30, **request)
    wait_for(f"{words}: {said(host, 'alice')}", lambda: any(words in line and request["path"] in line for line in said(host, "alice").splitlines()))
    assert said(host, "bob") == others


def test_x6_pages_that_are_served_or_do_not_exist_are_not_errors(host):
    before = said(host, "bob")
    assert host.get("bob").status == 200 and host.get("bob", "/no-such-page").status == 404
    assert said(host, "bob") == before


PAGES = {"/": 200, "/no": 404, "/no/such/page": 404, "/d/e": 301, "/d/e/": 403, "/d/e/f.txt": 200, "/d/e/g.txt": 403, "/d/e/p.php": 200,
         "/d/e/q.php": 404, "/.git/x/y": 404, "/d/e/.htaccess": 404, "/d/e/x.php~": 404}  # fmt: skip


def test_x6_every_request_has_its_line_in_the_access_log(host):
    """nginx drops that of a request for "/a/b" that fails, where links are not followed."""
    host.write("bob", "d/e/f.txt", "x")
    host.write("bob", "d/e/g.txt", "x", mode=0o600)
    host.write("bob", "d/e/p.php", "<?php echo 1;")
    assert {path: host.get("bob", path).status for path in PAGES} == PAGES
    assert host.get("bob", "/d/e/f.txt", method="POST").status == 405
    log = host.home("bob", "logs/access.log")
    wanted = [f'"GET {path} HTTP/1.1" {status} ' for path, status in PAGES.items()] + ['"POST /d/e/f.txt HTTP/1.1" 405 ']

    def missing():
        with open(log, encoding="utf-8") as file:
            text = file.read()
        return [line for line in wanted if line not in text]

    wait_for("all are there", lambda: not missing() or print(missing()))


def test_x6_nobody_forges_a_line(host):
    before = len(said(host, "alice").splitlines())
    with socket.create_connection(("127.0.0.1", host.http_port), timeout=10) as raw:
        raw.sendall(b'POST /x%0a2026/%22%1b%5b2J HTTP/1.1\r\nHost: alice.web.test\r\nReferer: a", host: "bob.web.test\x1b[2J\xc2\x9b\r\nContent-Length: 2000000\r\n\r\n')
        assert b" 413 " in raw.recv(4096)
    wait_for("it is there", lambda: len(said(host, "alice").splitlines()) == before + 1)
    line = said(host, "alice").splitlines()[-1]
    assert 'host: "alice.web.test"' in line and 'host: "bob' not in line
    assert all(" " <= letter <= "~" for letter in line)


def test_x6_whose_line_it_is_says_the_name_that_was_served(host):
    """A Host header beside an absolute URI is not what counts."""
    others = said(host, "bob")
    with socket.create_connection(("127.0.0.1", host.http_port), timeout=10) as raw:
        raw.sendall(b"POST http://alice.web.test/absolute HTTP/1.1\r\nHost: bob.web.test\r\nContent-Length: 2000000\r\n\r\n")
        assert b" 413 " in raw.recv(4096)
    wait_for("alice has it", lambda: "/absolute" in said(host, "alice"))
    assert said(host, "bob") == others
