"""What PHP finds in its jail, and what it does not: the real thing, asked from inside."""

import glob
import os
import pwd
import re
import time

import pytest

from host import acl, wait_for
from neighbourhood import NameServer, TlsServer, authority, trust
from snippets import answer, multipart, php, values

ROOMY = 'php = { open_basedir = "none"; };'
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture
def etc():
    """Files below /etc that the test changes are put back."""
    kept = {}
    before = set(os.listdir("/etc/ssl/certs"))
    for path in ("/etc/resolv.conf", BUNDLE):
        with open(path, "rb") as file:
            kept[path] = file.read()
    yield
    for path, content in kept.items():
        with open(path, "wb") as file:
            file.write(content)
    for name in set(os.listdir("/etc/ssl/certs")) - before:
        os.unlink(os.path.join("/etc/ssl/certs", name))


def put_resolver(address):
    """As resolvconf and NetworkManager do: by rename."""
    with open("/etc/resolv.conf.new", "w", encoding="ascii") as file:
        file.write(f"nameserver {address}\noptions timeout:1 attempts:1\n")
    os.chmod("/etc/resolv.conf.new", 0o644)
    os.rename("/etc/resolv.conf.new", "/etc/resolv.conf")


def home_of(name):
    return pwd.getpwnam(name)


# Names, certificates, time ----------------------------------------------


def test_php_resolves_names_and_follows_a_change_of_the_resolver(make_host, etc):  # D1
    first, second = NameServer("127.0.0.1", "127.0.0.11"), NameServer("127.0.0.2", "127.0.0.22")
    put_resolver("127.0.0.1")
    host = make_host(shards=1).start()
    host.add("alice")
    assert php(host, "alice", "echo gethostbyname('one.example.test');") == "127.0.0.11"
    assert first.asked == ["one.example.test"]
    put_resolver("127.0.0.2")
    wait_for(
        "the new resolver asked",
        lambda: php(host, "alice", "echo gethostbyname('two.example.test');") == "127.0.0.22",
        20,
        0.1,
    )
    assert "two.example.test" in second.asked
    first.close()
    second.close()


FETCH = """
$before = error_reporting(0);
$c = stream_context_create(['http' => ['timeout' => 5]]);
$curl = curl_init('%(url)s');
curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 5]);
$by_curl = curl_exec($curl);
return [file_get_contents('%(url)s', false, $c), $by_curl, curl_errno($curl)];
"""


def test_php_verifies_tls_by_the_hosts_authorities(make_host, etc, tmp_path):  # D1 B4
    names = NameServer("127.0.0.1", "127.0.0.1")
    put_resolver("127.0.0.1")
    known, unknown = authority(tmp_path, "known"), authority(tmp_path, "unknown")
    trust(known, BUNDLE)
    good, bad = TlsServer(tmp_path, known, "good.test"), TlsServer(tmp_path, unknown, "bad.test")
    elsewhere = f"https://other.test:{good.port}/"
    host = make_host(shards=1).start()
    host.add("alice")
    assert values(host, "alice", FETCH % {"url": good.url}) == ["hello", "hello", 0]
    assert values(host, "alice", FETCH % {"url": bad.url}) == [False, False, 60]
    assert values(host, "alice", FETCH % {"url": elsewhere}) == [False, False, 60], "a name that it is not for"
    trust(unknown, BUNDLE)
    wait_for(
        "a CA that is added later is known in the jail",
        lambda: values(host, "alice", FETCH % {"url": bad.url}) == ["hello", "hello", 0],
        20,
        0.2,
    )
    for server in (names, good, bad):
        server.close()


def test_php_knows_time_zones_and_makes_random_numbers(host):  # D1
    host.add("alice", text=ROOMY)
    zones = """
        putenv('TZ=Asia/Kolkata');
        return [(new DateTime('2020-07-01 12:00', new DateTimeZone('Europe/Berlin')))->format('P'),
            is_file('/usr/share/zoneinfo/Europe/Berlin'), strlen(random_bytes(32)),
            strlen(fread(fopen('/dev/urandom', 'r'), 16)), file_put_contents('/dev/null', 'x'),
            file_get_contents('/dev/zero', false, null, 0, 2)];
    """
    assert values(host, "alice", zones) == ["+02:00", True, 32, 16, 1, "\0\0"]


# Settings ---------------------------------------------------------------


def test_php_has_the_jails_paths(host):  # B4 B5 B11
    host.add("alice")
    user = home_of("alice")
    code = """
        return [posix_getuid(), posix_geteuid(), posix_getgid(), posix_getgroups(), $_SERVER['USER'], $_SERVER['HOME'],
            ini_get('include_path'), ini_get('open_basedir'), sys_get_temp_dir(), ini_get('upload_tmp_dir'),
            ini_get('session.save_path'), ini_get('soap.wsdl_cache_dir'), ini_get('openssl.capath'), getcwd()];
    """
    assert values(host, "alice", code) == [
        user.pw_uid, user.pw_uid, user.pw_gid, [user.pw_gid], "alice", "/data",
        ".", "", "/tmp/misc", "/tmp/upload",
        "/tmp/session", "/tmp/wsdl", "/etc/ssl/certs", "/data",
    ]  # fmt: skip


def test_include_finds_what_lies_beside_the_script(host):  # B4
    host.add("alice")
    host.write("alice", "lib/part.php", "<?php return 'part';")
    host.write("alice", "lib/all.php", "<?php echo include 'part.php';")
    assert host.wait_answers("alice", "/lib/all.php", https=True).text == "part"
    assert php(host, "alice", "echo include 'lib/part.php';") == "part"


WSDL = """<?xml version="1.0"?><definitions name="t" targetNamespace="urn:t" xmlns="http://schemas.xmlsoap.org/wsdl/">
<portType name="p"/></definitions>"""


def test_soap_keeps_its_cache_in_the_jail(host):  # B4
    if not glob.glob("/usr/lib/php/*/soap.so"):
        pytest.skip("no soap extension here")
    host.add("alice")
    host.write("alice", "t.wsdl", WSDL.replace("<portType", """<message name="m"/><portType""").replace(
        "</definitions>", """<binding name="b" type="p"><binding xmlns="http://schemas.xmlsoap.org/wsdl/soap/"
        transport="http://schemas.xmlsoap.org/soap/http"/></binding><service name="s"><port name="o" binding="b">
        <address xmlns="http://schemas.xmlsoap.org/wsdl/soap/" location="http://127.0.0.1:1/"/></port></service></definitions>"""))  # fmt: skip
    code = """
        try { new SoapClient('/data/t.wsdl', ['cache_wsdl' => WSDL_CACHE_DISK]); return 'ok'; }
        catch (SoapFault $f) { return $f->getMessage(); }
    """
    assert values(host, "alice", code) == "ok"
    cached = os.listdir(host.home("alice", "chroot/tmp/wsdl"))
    assert len(cached) == 1 and cached[0].startswith("wsdl-"), cached


# Sessions ---------------------------------------------------------------


def test_sessions_work_and_an_expired_one_is_collected(host):  # B6 D1
    host.add("alice", text="php = { session_gc_divisor = 1; session_gc_maxlifetime = \"1m\"; };")
    host.write("alice", "count.php", "<?php session_start(); echo $_SESSION['n'] = 1 + ($_SESSION['n'] ?? 0);")
    first = host.wait_answers("alice", "/count.php", https=True)
    cookie = first.headers["Set-Cookie"]
    assert "httponly" in cookie.lower()
    again = host.get("alice", "/count.php", https=True, headers={"Cookie": cookie.split(";")[0]})
    assert (first.text, again.text) == ("1", "2")

    kept = host.home("alice", "chroot/tmp/session", "sess_" + re.search("PHPSESSID=([^;]+)", cookie)[1])
    young = os.path.join(os.path.dirname(kept), "sess_" + "y" * 26)
    with open(young, "w", encoding="ascii"):
        os.utime(young, (time.time() - 30,) * 2)
    for path in (kept, young):
        os.chown(path, home_of("alice").pw_uid, home_of("alice").pw_gid)
    os.utime(kept, (time.time() - 70,) * 2)
    host.get("alice", "/count.php", https=True)
    assert not os.path.exists(kept), "a session of 70 s outlived its 60 s"
    assert os.path.exists(young), "a session of 30 s did not live its 60 s"


# Files ------------------------------------------------------------------

RECEIVE = """<?php
$f = $_FILES['file'] ?? null;
echo $f ? $f['error'] : 'none';
if ($f && !$f['error'])
    echo ' ', dirname($f['tmp_name']), ' ', (int)move_uploaded_file($f['tmp_name'], '/data/received.bin');
"""


def send(host, megabytes):
    body, headers = multipart("file", "big.bin", os.urandom(1024) * 1024 * megabytes)
    return host.get("alice", "/receive.php", https=True, method="POST", body=body, headers=headers, timeout=60), body


def test_an_upload_of_15_MB_arrives_and_one_over_the_limits_does_not(host):  # B4 B5 C12
    host.add("alice")
    host.write("alice", "receive.php", RECEIVE)
    host.wait_answers("alice", "/receive.php", https=True)
    response, body = send(host, 15)
    assert (response.status, response.text) == (200, "0 /tmp/upload 1")
    served = host.get("alice", "/received.bin", https=True, timeout=60)
    assert served.status == 200 and len(served.body) == 15 << 20 and served.body in body, "what was uploaded is served"
    assert acl(host.data("alice", "received.bin"))
    assert send(host, 21)[0].text == "1", "over upload_max_filesize: UPLOAD_ERR_INI_SIZE"
    try:
        assert send(host, 25)[0].status == 413, "over post_max_size: nginx says so"
    except (BrokenPipeError, ConnectionResetError):
        pass  # said before all of it was sent
    assert os.listdir(host.home("alice", "chroot/tmp/upload")) == []


def test_a_file_renamed_from_the_temporary_directory_is_served_unless_it_was_made_private(host):  # A2 A4
    host.add("alice")
    code = """
        file_put_contents('/tmp/misc/a', 'made');
        $private = tempnam('/tmp/misc', 'x');
        file_put_contents($private, 'private');
        mkdir('/tmp/misc/d');
        file_put_contents('/tmp/misc/d/in', 'within');
        return [dirname($private), rename('/tmp/misc/a', '/data/a.txt'), rename($private, '/data/b.txt'),
            rename('/tmp/misc/d', '/data/d')];
    """
    assert values(host, "alice", code) == ["/tmp/misc", True, True, True]
    assert host.get("alice", "/a.txt", https=True).text == "made"
    assert host.get("alice", "/d/in", https=True).text == "within"
    for name in ("a.txt", "d/in"):
        entries = acl(host.data("alice", name))
        assert "user:33:r-x" in entries and "other::---" in entries, "read by the web server and by nobody else"
    assert host.get("alice", "/b.txt", https=True).status in (403, 404), "a file of mode 0600 is its owner's affair"
    told = host.command("access", "alice")
    assert (told.returncode, told.stderr) == (0, "")
    assert host.get("alice", "/b.txt", https=True).text == "private"
    again = host.command("access", "alice")
    assert (again.returncode, again.stdout) == (0, "0 opened to the web server, 0 could not be\n")


# What is not there -------------------------------------------------------


def test_php_sees_nothing_of_the_host_nor_of_its_neighbours(host):  # B10 D1 A2
    host.add("alice", "bob", text=ROOMY)
    host.write("bob", "secret.txt", "bob's")
    outside = ["/etc/shadow", "/proc/self/status", "/proc", "/sys", "/home", "/root", "/bin/sh", "/run",
               "/dev/mem", "/dev/kmsg", "/dev/ptmx", "/dev/shm", "/etc/ssl/private", host.config, host.run_dir, host.state_dir,
               host.home("bob"), host.data("bob", "secret.txt"), host.home("alice"), "/logs", "/.base/../../bob"]  # fmt: skip
    ups = [("/data/" + "../" * n + "etc/shadow") for n in (1, 2, 5, 12)] + ["/../../../bob/chroot/data/secret.txt"]
    seen = values(host, "alice", f"return array_filter(array_map('file_exists', array_flip(array_flip({outside + ups!r}))));")
    assert not seen, seen
    assert php(host, "alice", "echo json_encode(@scandir('/'));") == "false"
    shown = values(host, "alice", "return array_merge(scandir('/etc'), scandir('/dev'), scandir('/usr/share'));")
    assert set(shown) <= {".", "..", "ssl", "resolv.conf", "hosts", "nsswitch.conf", "localtime", "passwd",
                          "group", "services", "protocols", "null", "zero", "full",
                          "random", "urandom", "zoneinfo", "ca-certificates"}, shown  # fmt: skip


def test_nothing_of_the_jail_is_the_users_to_change_but_what_is_his(host):  # A2 D2
    host.add("alice", text=ROOMY)
    code = """
        error_reporting(0);
        $found = array_filter(['/', '/data', '/log', '/tmp', '/tmp/misc', '/tmp/upload', '/tmp/session', '/tmp/wsdl'], 'is_writable');
        $base = new RecursiveIteratorIterator(new RecursiveDirectoryIterator('/.base', FilesystemIterator::SKIP_DOTS),
            RecursiveIteratorIterator::SELF_FIRST, RecursiveIteratorIterator::CATCH_GET_CHILD);
        $seen = 0;
        foreach ($base as $path => $_) {
            $seen++;
            if (!is_link($path) && is_writable($path) && strncmp($path, '/.base/dev/', 11))
                $found[] = $path;
        }
        if ($seen < 100)
            $found[] = "the walk saw only $seen";
        foreach (['/x', '/.base/x', '/.base/etc/x', '/.base/dev/x', '/etc/x', '/.passwd', '/etc/passwd', '/etc/group'] as $path)
            if (file_put_contents($path, 'x') !== false || mkdir("$path.d") || symlink('/', "$path.l"))
                $found[] = $path;
        foreach (['/data', '/tmp', '/tmp/misc', '/tmp/session', '/log', '/etc', '/.base', '/.passwd', '/.group'] as $path)
            if (rename($path, "/data/moved") || rename($path, "$path.old") || chmod($path, 0777) || rmdir($path))
                $found[] = "$path!";
        sort($found);
        return $found;
    """
    mine = {"/data", "/log", "/tmp", "/tmp/misc", "/tmp/upload", "/tmp/session", "/tmp/wsdl"}
    assert set(values(host, "alice", code)) == mine
    devices = values(host, "alice", "return array_filter(['null','zero','full','random','urandom'], fn($d) => "
                     "@filetype(\"/dev/$d\") !== 'char');")  # fmt: skip
    assert not devices


def test_programs_are_neither_there_nor_run(host):  # B5 D1
    host.add("alice")
    for function in ("exec", "shell_exec", "system", "passthru", "proc_open", "popen", "pcntl_exec", "dl"):
        assert php(host, "alice", f"echo (int)function_exists('{function}');") == "0", function
    host.add("bob", text='php = { disable_functions = ""; open_basedir = "none"; };')
    code = "exec('/bin/sh -c id', $out, $how); $p = proc_open(['/bin/id'], [1 => ['pipe', 'w']], $pipes); return [$out, $how, "
    code += "stream_get_contents($pipes[1]), proc_close($p)];"
    out, how, said, ended = values(host, "bob", code)
    assert (out, said) == ([], "") and how != 0 and ended != 0


def test_error_log_is_the_users_own_file(host):  # B5 F3
    host.add("alice")
    answer(host, "alice", "error_log('a word'); trigger_error('another');")
    log = host.home("alice", "chroot/log/php-error.log")
    with open(log, encoding="utf-8") as file:
        text = file.read()
    assert "a word" in text and "another" in text
    assert os.stat(log).st_uid == home_of("alice").pw_uid


def test_links_of_the_base_lead_to_nothing_else(host):  # D1
    host.add("alice")
    base = host.home("alice", "chroot/.base")
    links = host.enter("find", base, "-type", "l", "-printf", "%l\\n").stdout.split()
    outward = {link for link in links if link.startswith("/")}
    assert len(links) > 10
    assert not [link for link in outward if not link.startswith(("/usr/share/", "/etc/ssl/certs/", "/etc/localtime"))]
