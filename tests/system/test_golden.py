"""The texts of tests/golden, given to the real daemons: they accept them, and serve what they say."""

import contextlib
import glob
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from golden_host import GENERATION, GOLDEN, MASTER, NAMES, ROOT, ask, build, content, golden, write
from host import REPOSITORY, wait_for

FPM_ENVIRONMENT = {
    "WEBSPACES_RUN": MASTER,
    "WEBSPACES_GENERATION": "7",
    "R": f"{MASTER}/$pool.sock",
    "H": f"{ROOT}/home",
    "A": f"{ROOT}/home/$pool/logs/php-access.log",
    "S": f"{ROOT}/home/$pool/logs/php-slow.log",
    "F": '%R - %t "%m %r%Q%q" %s %{mili}dms %{kilo}MkB %C%%',
    "P": "/usr/bin:/bin",
    "I": "/php-fpm-status",
    "J": "/php-fpm-ping",
    "X": "dl,exec,passthru,pcntl_exec,popen,proc_open,shell_exec,system",
    "Y": "posix_getuid,exec",
    "PHP_INI_SCAN_DIR": f"/etc/php/8.2/fpm/conf.d:{ROOT}/state/php",
    "PATH": "/usr/bin:/bin",
}


PROBE = """<?php header('Content-Type: text/plain');
foreach (['uid' => posix_getuid(), 'cwd' => getcwd(), 'root' => $_SERVER['DOCUMENT_ROOT'],
    'script' => $_SERVER['SCRIPT_FILENAME'], 'user' => $_SERVER['USER'], 'home' => $_SERVER['HOME'],
    'name' => $_SERVER['SERVER_NAME'], 'host' => $_SERVER['HTTP_HOST'], 'proxy' => $_SERVER['HTTP_PROXY'] ?? '',
    'https' => $_SERVER['HTTPS'] ?? '', 'scheme' => $_SERVER['REQUEST_SCHEME'],
    'memory' => ini_get('memory_limit'), 'basedir' => ini_get('open_basedir'),
    'agent' => ini_get('user_agent'), 'separator' => ini_get('arg_separator.output'),
    'quote' => getenv('QUOTE'), 'exec' => (int)function_exists('exec'), 'display' => ini_get('display_errors'),
    'opcache' => ini_get('opcache.validate_root') . ini_get('opcache.validate_permission'),
] as $k => $v) echo "$k=$v\\n";
"""


def nginx_test(conf):
    return subprocess.run(["/usr/sbin/nginx", "-t", "-c", conf], capture_output=True, text=True)


def subject(answer):
    out = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject"], input=answer.names,
                         capture_output=True, check=True)
    return out.stdout.decode().split("=")[-1].strip()


@pytest.fixture(scope="module")
def daemons():
    build()
    log = open(f"{ROOT}/log/daemons", "w")
    os.umask(0o022)
    started = [
        subprocess.Popen(["/usr/sbin/php-fpm8.2", "--nodaemonize", "--fpm-config", f"{ROOT}/state/php/php-fpm.conf"],
                         env=FPM_ENVIRONMENT, stdout=log, stderr=log),
        subprocess.Popen(["/usr/sbin/nginx", "-c", f"{GENERATION}/nginx.conf", "-g", "daemon off;"],
                         stdout=log, stderr=log),
    ]
    try:
        wait_for("both daemons", lambda: os.path.exists(f"{MASTER}/.webspaces.sock") and
                 os.path.exists(f"{ROOT}/run/nginx/verify.sock"))
        yield
    finally:
        for daemon in started:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(10)
        for name in NAMES:
            subprocess.run(["umount", f"{ROOT}/home/{name}/chroot/usr/share/zoneinfo"], check=True)
        with open(f"{ROOT}/log/daemons") as f:
            print(f.read())
        for path in glob.glob(f"{ROOT}/log/*.log"):
            with open(path) as f:
                print(path, f.read())
        shutil.rmtree(ROOT)


def test_nginx_accepts_the_whole_and_each_webspace_alone(daemons):
    assert nginx_test(f"{GENERATION}/nginx.conf").returncode == 0
    for path in glob.glob(f"{GOLDEN}/alone-*.conf"):
        write(f"{ROOT}/alone.conf", "events {}\nhttp {\n" + golden(os.path.basename(path)) + "}\n")
        result = nginx_test(f"{ROOT}/alone.conf")
        # Certificates of those out of service were never made.
        assert result.returncode == 0, (path, result.stderr)
        assert "[warn]" not in result.stderr, result.stderr


def test_php_fpm_accepts_its_configuration(daemons):
    result = subprocess.run(["/usr/sbin/php-fpm8.2", "-t", "--fpm-config", f"{ROOT}/state/php/php-fpm.conf"],
                            env=FPM_ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_one_variable_fewer_and_php_fpm_refuses(daemons):
    """A master without its environment must not start: its pools would be of another kind."""
    for missing in ("R", "H"):
        environment = {key: value for key, value in FPM_ENVIRONMENT.items() if key != missing}
        result = subprocess.run(["/usr/sbin/php-fpm8.2", "-t", "--fpm-config", f"{ROOT}/state/php/php-fpm.conf"],
                                env=environment, capture_output=True, text=True)
        assert result.returncode != 0, missing


def test_generations_are_told_by_those_who_may_ask(daemons):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(f"{ROOT}/run/nginx/verify.sock")
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    text = b""
    while chunk := sock.recv(4096):
        text += chunk
    assert text.endswith(b"\r\n\r\n7\n")
    ping = subprocess.run(["cgi-fcgi", "-bind", "-connect", f"{MASTER}/.webspaces.sock"], capture_output=True, text=True,
                          env={"SCRIPT_NAME": "/ping", "SCRIPT_FILENAME": "/ping", "REQUEST_METHOD": "GET"})
    assert ping.stdout.split()[-1] == "7"


def test_a_php_site_runs_as_its_user_in_its_jail(daemons):  # B1 B3 B4 B5 B11 C2
    content("alice", "probe.php", PROBE)
    facts = ask("alice.example.org", "/probe.php", headers=[("Proxy", "evil:1")]).facts
    assert facts["uid"] == "20000" and facts["user"] == "alice" and facts["home"] == "/data"
    assert facts["root"] == "/data" and facts["script"] == "/data/probe.php"
    assert facts["name"] == "alice.example.org" and facts["host"] == "alice.example.org:8443"
    assert facts["proxy"] == "" and facts["https"] == "on" and facts["scheme"] == "https"
    assert facts["memory"] == "32M" and facts["exec"] == "0" and facts["opcache"] == "10", "a jail's root tells its scripts apart; rights are tested where there is none"
    assert facts["basedir"] == ""
    assert facts["display"] == "0"


def test_a_client_cannot_set_php_values(daemons):  # B10
    content("alice", "probe.php", PROBE)
    sent = [(key, "memory_limit=1G") for key in ("PHP-VALUE", "PHP_VALUE", "PHP-ADMIN-VALUE", "PHP_ADMIN_VALUE")]
    facts = ask("alice.example.org", "/probe.php?PHP_VALUE=memory_limit%3D1G", headers=sent).facts
    assert facts["memory"] == "32M"


def test_values_of_a_webspace_arrive_as_they_were_written(daemons):  # B5 B12
    content("bob", "probe.php", PROBE.replace("posix_getuid()", "'-'"))
    facts = ask("bob.example.org", "/probe.php").facts
    assert facts["agent"] == '"; php_admin_value[open_basedir] = none'
    assert facts["separator"] == "&${WEBSPACES_RUN};"
    assert facts["quote"] == "it's \"${HOME}\""
    assert facts["basedir"] == "" and facts["display"] == "1"


def test_a_site_in_a_strange_directory_is_served_from_it(daemons):
    content("bob", 'wiki $1 "x"/probe.php', PROBE.replace("posix_getuid()", "'-'"))
    facts = ask("wiki.bob.example.org", "/probe.php").facts
    assert facts["script"] == '/data/wiki $1 "x"/probe.php'
    assert ask("wiki.bob.example.org", "/probe.php", tls=False).facts["https"] == ""


def test_pools_without_chroot_have_full_paths(daemons):  # B9
    for name, host, tls in (("carol", "carol.example.org", True), ("default", "default", False)):
        full = content(name, "probe.php", PROBE)
        facts = ask(host, "/probe.php", tls=tls).facts
        assert facts["script"] == full and facts["uid"] == str(20000 + NAMES.index(name))
    assert facts["basedir"] == ""


FUNCTIONS = """<?php header('Content-Type: text/plain');
session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo 'session=', $_SESSION['n'], "\\n";
echo 'random=', strlen(random_bytes(8)), "\\n";
echo 'tmp=', dirname(tempnam(sys_get_temp_dir(), 'x')), "\\n";
echo 'file=', (int)is_resource(tmpfile()), "\\n";
echo 'zone=', (new DateTime('2026-07-01 12:00', new DateTimeZone('Europe/Berlin')))->format('P'), "\\n";
echo 'gc=', var_export(session_gc(), true), "\\n";
if ($f = $_FILES['f'] ?? null) echo 'upload=', dirname($f['tmp_name']), (int)move_uploaded_file($f['tmp_name'], '/data/up'), "\\n";
echo 'passwd=', (int)@file_get_contents('/etc/shadow'), "\\n";
ini_set('open_basedir', '/'); ini_set('memory_limit', '1G');
echo 'basedir=', ini_get('open_basedir'), "\\nmemory=", ini_get('memory_limit'), "\\n";
echo 'reset=', (int)@opcache_reset(), "\\n"; trigger_error('seen');
"""


def test_sessions_temporary_files_uploads_and_zones_work_in_the_jail(daemons):  # B4 B6 D1
    content("alice", "works.php", FUNCTIONS)
    body = (b"--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\nhello\r\n--x--\r\n")
    answer = ask("alice.example.org", "/works.php", method="POST", body=body,
                 headers=[("Content-Type", "multipart/form-data; boundary=x")])
    facts = answer.facts
    assert facts.get("session") == "1", answer.text
    assert facts["random"] == "8" and facts["tmp"] == "/tmp/misc" and facts["file"] == "1"
    assert facts["zone"] == "+02:00" and facts["gc"] == "0" and facts["upload"] == "/tmp/upload1"
    assert facts["passwd"] == "0" and facts["reset"] == "0"
    assert facts["basedir"] == "/" and facts["memory"] == "32M", "a script narrows open_basedir, and widens nothing"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    again = ask("alice.example.org", "/works.php", headers=[("Cookie", cookie.split(";")[0])])
    assert again.facts["session"] == "2"
    with open(f"{ROOT}/home/alice/chroot/log/php-error.log") as f:
        assert "seen" in f.read()


def test_verified_tls_works_in_the_jail(daemons):  # B4 D1
    """The CA file of the jail is what PHP trusts, also below open_basedir."""
    shutil.copy(f"{ROOT}/state/certs/alice/alice.example.org/1/chain.pem",
                f"{ROOT}/home/alice/chroot/etc/ssl/certs/ca-certificates.crt")
    os.chmod(f"{ROOT}/home/alice/chroot/etc/ssl/certs/ca-certificates.crt", 0o644)
    content("alice", "tls.php", """<?php header('Content-Type: text/plain');
foreach (['alice.example.org', 'bob.example.org'] as $n) {
    $c = stream_context_create(['ssl' => ['peer_name' => $n]]);
    $s = @stream_socket_client('ssl://127.0.0.1:8443', $no, $e, 5, STREAM_CLIENT_CONNECT, $c);
    echo strtok($n, '.'), '=', (int)is_resource($s), "\\n";
    $h = curl_init("https://$n:8443/none"); curl_setopt_array($h, [CURLOPT_RETURNTRANSFER => 1,
        CURLOPT_RESOLVE => ["$n:8443:127.0.0.1"]]); curl_exec($h);
    echo 'curl', strtok($n, '.'), '=', curl_errno($h), "\\n";
}""")
    facts = ask("alice.example.org", "/tls.php").facts
    assert facts == {"alice": "1", "bob": "0", "curlalice": "0", "curlbob": "60"}


def test_nobody_is_served_what_another_compiled(daemons):  # B7
    content("alice", "config.php", "<?php echo 'of alice';", 0o400)
    content("bob", "config.php", "<?php echo 'of bob';")
    for _ in range(3):
        assert ask("alice.example.org", "/config.php").text == "of alice"
        assert ask("bob.example.org", "/config.php").text == "of bob"


def test_http_goes_to_https_but_for_acme(daemons):  # C13
    answer = ask("alice.example.org", "/a?b=c", tls=False)
    assert (answer.status, answer.headers["Location"]) == (301, "https://alice.example.org:8443/a?b=c")
    assert ask("alice.example.org", "/.well-known/acme-challenge/x", tls=False).status == 404
    assert ask("dave.example.org", "/.well-known/acme-challenge/x", tls=False).status == 404


def test_hsts_is_sent_by_who_asked_for_it_and_over_tls_only(daemons):  # C13
    header = "Strict-Transport-Security"
    assert ask("bob.example.org", "/none").headers[header] == "max-age=31536000; includeSubDomains"
    assert ask("alice.example.org", "/none").headers[header] is None
    assert ask("bob.example.org", "/none", tls=False).headers[header] is None


def test_source_dot_files_and_links_are_not_served(daemons):  # C2 C3
    content("alice", "index.html", "home of alice")
    content("alice", ".git/config", "secret")
    content("alice", "x.phtml", "<?php secret")
    content("alice", "x.PHP", "<?php secret")
    os.symlink("/etc/hostname", f"{ROOT}/home/alice/chroot/data/link")
    os.symlink("index.html", f"{ROOT}/home/alice/chroot/data/inside")
    content("bob", "all/x.php", "<?php secret")
    content("frank", "x.php", "<?php secret")
    assert ask("alice.example.org", "/").text == "home of alice"
    for path in ("/.git/config", "/x.phtml", "/x.PHP", "/x.php/y", "/none.php"):
        assert ask("alice.example.org", path).status == 404, path
    for path in ("/link", "/inside"):
        assert ask("alice.example.org", path).status in (403, 404), path
    assert ask("any.bob.example.org", "/x.php").status == 404
    assert ask("frank.example.org", "/x.php").status == 404


def test_each_name_has_its_own_certificate(daemons):  # E7
    for host, cn in (("alice.example.org", "alice.example.org"), ("bob.example.org", "bob.example.org"),
                     ("www.bob.example.org", "bob.example.org"), ("wiki.bob.example.org", "wiki.bob.example.org"),
                     ("any.bob.example.org", "*.bob.example.org"), ("carol.example.org", "*.example.org"),
                     ("dave.example.org", "dave.example.org")):
        assert subject(ask(host)) == cn


def test_a_wildcard_does_not_catch_a_name_that_is_somebodys(daemons):  # C15
    content("bob", "all/index.html", "all of bob")
    assert ask("any.bob.example.org").text == "all of bob"
    with pytest.raises(ssl.SSLError):  # erin's, out of service
        ask("sub.bob.example.org")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        ask("sub.bob.example.org", sni="any.bob.example.org")
    content("bob", "index.html", "main of bob")
    assert ask("bob.example.org", sni="any.bob.example.org").text == "main of bob"


def test_unknown_names_and_those_without_certificate_are_refused(daemons):  # C17
    for host in ("nobody.example.org", "include", "..", "127.0.0.1"):
        with pytest.raises((ssl.SSLError, ValueError)):
            ask(host)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        ask("nobody.example.org", tls=False)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        ask("include", sni="alice.example.org")


def test_words_of_nginx_are_names_like_others(daemons):
    content("default", "index.html", "of default")
    content("default", "volatile/index.html", "volatile")
    assert ask("include", tls=False).text == "of default"
    assert ask("default", tls=False).text == "of default"
    assert ask("hostnames", tls=False).text == "volatile"


def test_the_suspended_say_so(daemons):  # A7
    answer = ask("dave.example.org", "/anything")
    assert answer.status == 503 and "suspended" in answer.text


def test_http2_and_tls_1_3_are_offered_on_both_families(daemons):  # C1 C14
    content("alice", "index.html", "home of alice")
    for address in ("127.0.0.1", "[::1]"):
        for tls in ("1.2", "1.3"):
            out = subprocess.run(
                ["curl", "-sk", "--http2", f"--tlsv{tls}", "--tls-max", tls, "--resolve",
                 f"alice.example.org:8443:{address}", "-w", " %{http_version}", "https://alice.example.org:8443/"],
                capture_output=True, text=True)
            assert out.stdout == "home of alice 2", (address, tls, out)


def test_bodies_are_limited_by_shape(daemons):
    assert ask("any.bob.example.org", "/", method="POST", body=b"x" * (1 << 20)).status == 405
    too_large = [("Content-Length", str((1 << 20) + 1))]
    assert ask("any.bob.example.org", "/", method="POST", headers=too_large).status == 413


def test_each_webspace_has_its_own_access_log(daemons):  # F3
    ask("alice.example.org", "/logged-here")
    ask("bob.example.org", "/logged-there")

    def logged(name):
        with open(f"{ROOT}/home/{name}/logs/access.log") as f:
            return f.read()

    wait_for("the lines", lambda: "/logged-here" in logged("alice") and "/logged-there" in logged("bob"))
    assert "/logged-there" not in logged("alice")
    with open(f"{ROOT}/home/alice/logs/php-access.log") as f:
        assert "GET /probe.php" in f.read()


def said(what):
    """Pairs of quote_test: a value, and how nginx is told it."""
    program = os.path.join(REPOSITORY, "build", "unit", "quote_test")
    out = subprocess.run([program, what], capture_output=True, text=True, errors="surrogateescape", check=True).stdout
    return [line.split("\t", 1) for line in out.splitlines()]


@contextlib.contextmanager
def nginx_with(text):
    """A function that asks an nginx of this http {} for a path: the answer's body."""
    conf = f"{ROOT}/quote.conf"
    with open(conf, "w", errors="surrogateescape") as f:
        f.write(f"pid {ROOT}/quote.pid; events {{}} http {{ access_log off; geo $ws_dollar {{ default '$'; }}\n{text} }}\n")
    server = subprocess.Popen(["/usr/sbin/nginx", "-c", conf, "-g", "daemon off; error_log stderr;"])
    try:
        wait_for("nginx", lambda: os.path.exists(f"{ROOT}/quote.pid"))
        connection = http.client.HTTPConnection("x")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(f"{ROOT}/quote.sock")

        def ask_it(path):
            connection.request("GET", path)
            return connection.getresponse().read()

        yield ask_it
    finally:
        server.terminate()
        server.wait(10)


def test_nginx_reads_back_what_the_quoter_said(daemons):
    """quote_test --say prints pairs: a value in hexadecimal, and how it is said."""
    pairs = said("--say")
    assert len(pairs) > 200
    locations = "".join(f"location = /{i} {{ return 200 {text}; }}\n" for i, (_, text) in enumerate(pairs))
    with nginx_with(f"server {{ listen unix:{ROOT}/quote.sock; keepalive_requests 10000; {locations} }}") as ask_it:
        for i, (value, text) in enumerate(pairs):
            assert ask_it(f"/{i}").hex() == value, text


@pytest.mark.parametrize("kind", ["", "hostnames;"])
def test_F1_nginx_finds_every_key_that_the_quoter_said(daemons, kind):
    pairs = [pair for pair in said("--say-keys") if kind or "*" not in pair[0]]
    assert len(pairs) > 150
    rows = "".join(f"{text} {i};\n" for i, (_, text) in enumerate(pairs))
    with nginx_with(
        f"map_hash_bucket_size 512; map $arg_key $found {{ {kind} default none; {rows} }}\n"
        f"server {{ listen unix:{ROOT}/quote.sock; keepalive_requests 10000; return 200 $found; }}"
    ) as ask_it:
        for i, (value, text) in enumerate(pairs):
            assert ask_it(f"/?key={value.replace('*', 'any')}").decode() == str(i), text
        assert ask_it("/?key=nowhere") == b"none"
