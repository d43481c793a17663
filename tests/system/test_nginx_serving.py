"""What nginx serves and what it does not, on one host for all: by requests, never by its configuration."""

import os
import pwd
import stat
import string

import pytest

from host import Host

WORDS = ["default", "hostnames", "include", "volatile"]
LABELS = [*(f"{first}as" for first in string.ascii_lowercase + string.digits), *"nrt", *WORDS]
NAMES = [*(f"{first}ina" for first in string.ascii_lowercase), *"nrt", *WORDS, "_ina"]
PUBLIC = 'type = "static"; root = "public"; tls = { hsts = "1y"; };'
OF_LABEL = '{ names = ["%s"]; type = "static"; root = "%s"; tls = { issuer = "off"; }; }'
OTHERS = {
    "alice": '''sites = (
        { root = "php"; },
        { names = ["files.alice.web.test"]; type = "static"; root = "files"; }
    );''',
    "bob": 'php = { limit_extensions = [".php", ".phtml"]; };',
    "carol": 'php = { limit_extensions = [".html"]; };',
    "dora": "php = { enabled = false; };",
}
SECRET = "<?php $password = 'secret';"


@pytest.fixture(scope="module")
def host():
    """All webspaces are made here: accounts that a test makes end with it."""
    host = Host(shards=1)
    host.start()
    for name in NAMES:
        host.drop(name, f'sites = ({{ names = ["{named(name)}"]; {PUBLIC} }}); php = {{ enabled = false; }};')
    host.drop("labels", f"sites = ({', '.join(OF_LABEL % (label, label) for label in LABELS)}); php = {{ enabled = false; }};")
    for name, text in OTHERS.items():
        host.drop(name, text)
    host.wait_ready(*NAMES, "labels", *OTHERS, seconds=120)
    yield host
    host.destroy()


@pytest.fixture
def alice():
    """Who has a site of every kind."""
    return "alice"


def named(name):
    """A webspace's name as host name: one has no _."""
    return f"{name.strip('_')}.under.test" if "_" in name else f"{name}.web.test"


def status(host, name, path):
    return host.get(name, path, https=True).status


def statuses(host, name, paths):
    return {path: status(host, name, path) for path in paths}


# F1: names ------------------------------------------------------------------------------------------


def test_F1_root_and_hsts_hold_whatever_letter_a_webspace_begins_with(host):
    for name in NAMES:
        host.write(name, "config.txt", "secret")
        host.write(name, "public/index.html", f"page of {name}")
        page = host.wait_answers(named(name), "/", https=True)
        assert page.text == f"page of {name}"
        assert page.headers["Strict-Transport-Security"] == "max-age=31536000", name
        assert status(host, named(name), "/config.txt") == 404, name


def test_F1_a_host_name_of_one_label_is_served_whatever_it_begins_with(host):
    for label in LABELS:
        host.write("labels", f"{label}/index.html", f"page of {label}")
    for label in LABELS:
        answer = host.get("labels", "/", host=label)
        assert (answer.status, answer.text) == (200, f"page of {label}"), label


# What is source -------------------------------------------------------------------------------------


SOURCES = ["x.php~", "x.php.bak", "x.php.save", "x.php.save.1", "x.php.orig", "x.php.old", "x.php_old", "x.php-2026", "x.php.txt", "x.php.",
           "x.php.dpkg-dist", "x.php.gz", "x.PHP", "x.php5", "x.php7.bak", "x.phtml", "x.phtml~", "x.pht", "x.phar", "x.phps", "x.inc",
           "x.inc.bak", "x.INC", "config.inc~", "sub/x.php~", "#x.php#", "x.php (1)", "x.php.swp"]  # fmt: skip
LEFTOVERS = ["x~", "config.bak", "dump.sql", "dump.sql.gz", "debug.log", "debug.log.1", "settings.ini", "settings.ini.dist", "a.old", "a.orig",
             "a.save", "a.swp", "a.swo", "a.rej", "#a#", "A.BAK"]  # fmt: skip
PAGES = ["a.html", "b.txt", "c.css", "jquery.inc.js", "menu.inc.css", "index.php.html", "photo.php.jpg", "include", "a.incl", "catalog", "x.swf",
         "phpinfo.txt", "backup.zip", "old", "what.php.d/page.txt", "a#b.txt"]  # fmt: skip


def quoted(path):
    return "/" + path.replace("#", "%23").replace(" ", "%20")


def put(host, name, below, paths):
    for path in paths:
        host.write(name, f"{below}{path}", SECRET)


def test_S8_no_source_of_PHP_is_shown_by_any_site(host, alice):
    for below in ("php/", "files/"):
        put(host, alice, below, SOURCES)
    for name in ("alice", "files.alice.web.test"):
        assert set(statuses(host, name, map(quoted, SOURCES)).values()) == {404}, name
    put(host, "dora", "", [*SOURCES, "x.php"])
    assert set(statuses(host, "dora", map(quoted, [*SOURCES, "x.php"])).values()) == {404}


def test_S8_what_editors_leave_beside_a_program_is_not_shown(host, alice):
    put(host, alice, "php/", LEFTOVERS)
    put(host, "dora", "", LEFTOVERS)
    for name in ("alice", "dora"):
        assert set(statuses(host, name, map(quoted, LEFTOVERS)).values()) == {404}, name


def test_S8_a_site_of_files_serves_its_files_and_a_site_of_PHP_its_pages(host, alice):
    put(host, alice, "files/", [*LEFTOVERS, *PAGES])
    put(host, alice, "php/", PAGES)
    assert set(statuses(host, "files.alice.web.test", map(quoted, [*LEFTOVERS, *PAGES])).values()) == {200}
    assert set(statuses(host, "alice", map(quoted, PAGES)).values()) == {200}


def test_S8_a_long_name_of_many_extensions_is_answered_at_once(host, alice):
    for evil in ("/" + ".php~" * 1500 + "/", "/" + ".inc" * 1900 + "x/", "/" + "#" * 7000, "/#" * 3500, "/" + ".sql." * 1500):
        assert status(host, alice, evil.replace("#", "%23")[:30000]) in (404, 414), evil[:20]


def test_F17_every_extension_of_the_list_is_run_and_no_other(host, alice):
    for name in ("bob", "carol"):
        for extension in ("php", "phtml", "html", "php5", "inc"):
            host.write(name, f"x.{extension}", "<?php echo 6 * 7;")
    assert statuses(host, "bob", ["/x.php", "/x.phtml", "/x.php5", "/x.inc"]) == {"/x.php": 200, "/x.phtml": 200, "/x.php5": 404, "/x.inc": 404}
    assert host.get("bob", "/x.phtml", https=True).text == host.get("bob", "/x.php", https=True).text == "42"
    assert host.get("carol", "/x.html", https=True).text == "42"
    assert statuses(host, "carol", ["/x.php", "/x.phtml"]) == {"/x.php": 404, "/x.phtml": 404}
    host.write("alice", "php/x.phtml", "<?php echo 6 * 7;")
    assert status(host, "alice", "/x.phtml") == 404


# X7: what may not be read ---------------------------------------------------------------------------


def test_X7_what_may_not_be_read_is_forbidden_and_what_is_missing_is_missing(host, alice):
    for below in ("php", "files"):
        host.write(alice, f"{below}/closed.html", "closed", mode=0o600)
        host.write(alice, f"{below}/private/page.html", "closed")
        host.write(alice, f"{below}/private/index.php", "<?php echo 'closed';")
        host.write(alice, f"{below}/open/page.html", "open")
        os.chmod(host.data(alice, below, "private"), 0o700)
    expected = {"/closed.html": 403, "/private/page.html": 403, "/private/none.html": 403, "/private": 403, "/private/": 403,
                "/none.html": 404, "/none/": 404, "/none/none.html": 404, "/open/none.html": 404, "/open/page.html/x": 404,
                "/open/page.html": 200, "/open": 301, "/open/": 403, "/" + 300 * "x": 404}  # fmt: skip
    for name in ("alice", "files.alice.web.test"):
        assert statuses(host, name, expected) == expected, name
    of_php = {"/private/index.php": 403, "/none.php": 404, "/open/none.php": 404, "/none/none.php": 404, "/open/page.html/x.php": 404}
    assert statuses(host, alice, of_php) == of_php


def test_X7_a_script_of_mode_0600_is_run(host, alice):
    """PHP reads it as its user, not the web server."""
    host.write(alice, "php/own.php", "<?php echo 'run';", mode=0o600)
    assert host.wait_answers(alice, "/own.php", https=True).text == "run"


def test_X7_a_link_is_forbidden(host, alice):
    user = pwd.getpwnam(alice)
    os.symlink("/etc/hostname", host.data(alice, "files", "link"))
    os.lchown(host.data(alice, "files", "link"), user.pw_uid, user.pw_gid)
    assert status(host, "files.alice.web.test", "/link") == 403


@pytest.mark.parametrize("kind", [stat.S_IFSOCK, stat.S_IFIFO])
def test_X7_what_is_neither_file_nor_directory_is_no_failure_of_the_server(host, alice, kind):
    for below in ("php", "files"):
        host.write(alice, f"{below}/special{kind}/page.html", "page")
        for file in ("socket", "socket.html", "index.html"):
            os.mknod(host.data(alice, below, f"special{kind}", file), kind | 0o666)
    for name in ("alice", "files.alice.web.test"):
        for path in ("socket", "socket.html", "socket/", "socket/x", "index.html", ""):
            for method in ("GET", "HEAD"):
                answer = host.get(name, f"/special{kind}/{path}", https=True, method=method)
                assert answer.status in (403, 404), (name, path, method)
        assert status(host, name, f"/special{kind}") == 301
        assert status(host, name, f"/special{kind}/page.html") == 200
    os.mknod(host.data(alice, "php", f"special{kind}", "own.php"), stat.S_IFSOCK | 0o666)
    assert status(host, "alice", f"/special{kind}/own.php") in (403, 404)


# F18: large headers ---------------------------------------------------------------------------------


def test_F18_thirty_kilobytes_of_cookies_reach_PHP(host, alice):
    host.write(alice, "php/cookies.php", "<?php echo strlen($_SERVER['HTTP_COOKIE']), ' ', strlen($_SERVER['QUERY_STRING']);")
    for size in (9000, 30000):
        answer = host.wait_answers(alice, "/cookies.php?" + 9000 * "q", https=True, headers={"Cookie": "a=" + (size - 2) * "x"})
        assert answer.text == f"{size} 9000"
        assert host.get(alice, "/none.html", https=True, headers={"Cookie": "a=" + size * "x"}).status == 404
        assert host.get(alice, "/", headers={"Cookie": "a=" + size * "x"}).status == 301


def test_F18_fifty_kilobytes_of_headers_come_back_from_PHP(host, alice):
    host.write(alice, "php/headers.php", "<?php for ($i = 0; $i < 12; $i++) setcookie(\"c$i\", str_repeat('x', 4000)); echo 'sent';")
    answer = host.wait_answers(alice, "/headers.php", https=True)
    assert answer.text == "sent" and len(answer.headers.get_all("Set-Cookie")) == 12
