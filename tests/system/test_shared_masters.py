"""What one PHP master is to the webspaces that share it: no way from one to the other, and no way into the host's logs."""

import base64
import glob
import os
import pwd
import subprocess
import urllib.parse

import pytest

from host import Host, wait_for
from snippets import php, values

THIEF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "preload/thief.c")
SECRET, PAGE = "secret of bob", "page of bob"
LONG_AGO = 1600000000


@pytest.fixture(scope="module")
def shared():
    """alice and bob in one master; bob keeps a secret and a page that never changes. The others have masters of their own."""
    host = Host(shards=1).start()
    host.add("alice", "bob", "dave")
    host.add("carol", "erin", text='php = { master = "dedicated"; };')
    assert "8.2-00" in host.masters() and len(host.masters()) == 3
    private = host.write("bob", "config.php", f"<?php return '{SECRET}';", mode=0o600)
    page = host.write("bob", "page.php", f"<?php include '/data/config.php'; echo '{PAGE}';")
    for path in (private, page):  # OPcache takes no file that is younger than two seconds
        os.utime(path, (LONG_AGO, LONG_AGO))
    yield host
    host.destroy()


def look_at_bob(host):
    """Through OPcache's memory, from the second time on."""
    return [host.wait_answers("bob", "/page.php", https=True).text for _ in range(3)]


@pytest.fixture(scope="module")
def thief(tmp_path_factory):
    path = tmp_path_factory.mktemp("thief") / "thief.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", path, THIEF], check=True)
    return path.read_bytes()


# S1: machine code --------------------------------------------------------------

# Each ends with dlopen(3) of a file that the script names, by a library below PHP.
WAYS = {
    "an engine of OpenSSL, by its directory": """
        putenv("OPENSSL_ENGINES=$dir"); copy($so, "$dir/thief.so");
        $c = curl_init('https://localhost/'); @curl_setopt($c, CURLOPT_SSLENGINE, 'thief');
    """,
    "an engine of OpenSSL, by its path": """
        $c = curl_init('https://localhost/'); @curl_setopt($c, CURLOPT_SSLENGINE, $so);
    """,
    "a character set of the C library": """
        copy($so, "$dir/THIEF.so"); file_put_contents("$dir/gconv-modules", "module THIEF// INTERNAL THIEF 1\\nmodule INTERNAL THIEF// THIEF 1\\n");
        putenv("GCONV_PATH=$dir"); @iconv('THIEF', 'UTF-8', 'x'); @iconv('UTF-8', 'THIEF', 'x');
    """,
    "a coder of ImageMagick": """
        foreach (['', '/coders', '/modules-Q16/coders'] as $sub) { @mkdir("$dir$sub", 0755, true); copy($so, "$dir$sub/thief.so");
            file_put_contents("$dir$sub/thief.la", "dlname='thief.so'\\nlibrary_names='thief.so'\\ninstalled=yes\\nlibdir='$dir$sub'\\n"); }
        putenv("MAGICK_CODER_MODULE_PATH=$dir"); putenv("MAGICK_CONFIGURE_PATH=$dir");
        if (class_exists('Imagick')) try { (new Imagick())->readImageBlob('x', 'thief:x'); } catch (Throwable $t) {}
    """,
}  # fmt: skip
WAY = """
    error_reporting(0); @mkdir($dir = '%(place)s/d%(number)d'); file_put_contents($so = "$dir/lib.so", base64_decode('%(object)s'));
    %(code)s
    echo 'done';
"""


def attack(host, name, thief, place):
    """By every way, from a place where name can write; whether any was a way."""
    loaded = host.data(name, "loaded")
    if os.path.exists(loaded):
        os.unlink(loaded)
    found = []
    for number, (way, code) in enumerate(WAYS.items()):
        snippet = WAY % {"place": place, "number": number, "object": base64.b64encode(thief).decode(), "code": code}
        assert php(host, name, snippet) == "done"
        if os.path.exists(loaded):
            found.append(way)
            os.unlink(loaded)
    return found


def places_of(host, name):
    """All directories of its jail in which its scripts can write."""
    jail = host.home(name, "chroot")
    found = host.enter("find", jail, "-type", "d").stdout.splitlines()
    inside = [path[len(jail):] or "/" for path in found]
    probe = f"""
        error_reporting(0);
        return array_values(array_filter({inside}, fn($d) => file_put_contents("$d/.probe", 'x') && unlink("$d/.probe")));
    """
    return values(host, name, probe)


def test_S1_no_file_of_a_user_becomes_code_in_a_shared_master(shared, thief):
    shared.drop("alice", 'php = { open_basedir = "none"; disable_functions = ""; memory_limit = "64M"; };')
    shared.wait_ready("alice")
    wait_for("its functions are on", lambda: values(shared, "alice", "return function_exists('exec');"))
    places = places_of(shared, "alice")
    assert "/data" in places and "/tmp/misc" in places and "/tmp/upload" in places, places
    assert look_at_bob(shared) == [PAGE] * 3
    found = {place: attack(shared, "alice", thief, place) for place in places}
    assert look_at_bob(shared) == [PAGE] * 3
    assert not os.path.exists(shared.data("alice", "stolen"))
    assert not any(found.values()), found


def shared_directory(host, name):
    path = os.path.join(host.root, f"of-{name}")
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o777)
    return path


def test_S1_a_webspace_that_may_run_what_it_writes_has_a_master_of_its_own(shared, thief):
    """And so the attack does no more than its user could anyway. It works there: what the others are safe from is real."""
    path = shared_directory(shared, "carol")
    shared.drop("carol", 'binds = ["%s:/srv/own:rw,exec"]; php = { open_basedir = "none"; };' % path)
    wait_for("the bind", lambda: values(shared, "carol", "return is_dir('/srv/own');"))
    assert look_at_bob(shared) == [PAGE] * 3
    assert attack(shared, "carol", thief, "/data") == []
    assert "an engine of OpenSSL, by its directory" in attack(shared, "carol", thief, "/srv/own")
    assert look_at_bob(shared) == [PAGE] * 3
    assert not os.path.exists(shared.data("carol", "stolen"))


@pytest.mark.parametrize(
    "text, own",
    [
        ("php = { chroot = false; };", True),
        ('binds = ["%s:/srv/x:exec"];', True),
        ('binds = ["%s:/srv/x:rw"];', False),
        ('binds = ["/usr/share:/srv/x:exec"];', False),
        ('binds = ["/usr/share:/srv/x:rw,exec"];', True),
    ],
)
def test_S1_who_could_run_machine_code_shares_no_master(shared, text, own):
    shared.drop("dave", text % shared_directory(shared, "dave") if "%s" in text else text)
    line = f"8.2-u{pwd.getpwnam('dave').pw_uid}" if own else "8.2-00"
    link = os.path.join(shared.run_dir, "php/dave.sock")
    wait_for("its place", lambda: os.readlink(link) == f"line/{line}/dave.sock", 30)
    shared.wait_answers("dave", https=True)


# S3: System V IPC ----------------------------------------------------------------

IPC = ("shm_attach", "shm_put_var", "shm_get_var", "sem_get", "sem_acquire", "msg_get_queue", "msg_send", "msg_receive",
       "shmop_open", "shmop_read", "shmop_write", "ftok")  # fmt: skip


def test_S3_no_script_in_a_shared_master_has_memory_in_common_with_another(shared):
    shared.drop("alice", 'php = { disable_functions = ""; };')
    shared.wait_ready("alice")
    wait_for("its functions are on", lambda: values(shared, "alice", "return function_exists('exec');"))
    for name in ("alice", "bob"):
        assert values(shared, name, f"return array_values(array_filter({list(IPC)}, 'function_exists'));") == []
    assert values(shared, "bob", "return function_exists('exec');") is False, "@exec is in force beside it"
    rest = "return array_values(array_filter(get_defined_functions()['internal'], fn($f) => preg_match('/^(shm|sem|msg|shmop)_|^ftok/', $f)));"
    assert values(shared, "alice", rest) == []


# S9: memory caches -----------------------------------------------------------------


def test_S9_apcu_is_off_in_a_shared_master_and_on_in_ones_own(shared):
    shared.drop("erin", 'php = { master = "dedicated"; values = { apc = { ttl = "60"; }; }; };')
    wait_for("its setting", lambda: values(shared, "erin", "return ini_get('apc.ttl');") == "60")
    put = "return function_exists('apcu_enabled') && apcu_enabled() && apcu_store('key', 'of erin');"
    assert values(shared, "erin", put) is True
    assert values(shared, "erin", "return [apcu_fetch('key'), ini_get('apc.ttl')];") == ["of erin", "60"]
    for name in ("alice", "bob"):
        assert values(shared, name, "return apcu_enabled() || @ini_set('apc.enabled', '1') || apcu_store('key', 'x');") is False
        assert values(shared, name, "return apcu_fetch('key');") is False


def test_S9_settings_of_a_memory_that_is_off_are_refused_where_a_master_is_shared(shared, tmp_path):
    path = tmp_path / "frank.conf"
    for group in ("values", "user_values"):
        for master, good in (("shared", False), ("dedicated", True)):
            path.write_text(f'php = {{ master = "{master}";\n {group} = {{ apc = {{ enabled = "1"; }}; }}; }};\n')
            told = shared.command("check", str(path))
            assert (told.returncode == 0) is good, told.stderr
            assert good or ":2: " in told.stderr and f"php.{group}.apc.enabled" in told.stderr, told.stderr
            assert good or 'php.master = "dedicated"' in told.stderr, told.stderr


# S5, S8: logs ------------------------------------------------------------------------

FORGED = "2026/01/01 00:00:00 [emerg] 1#1: forged"
FAILING_LOGS = {
    "a directory": "mkdir('/data/D'); ini_set('error_log', '/data/D');",
    "no such place": "ini_set('error_log', '/data/none/x');",
    "no right": "ini_set('error_log', '/etc/hosts');",
    "nothing": "ini_set('error_log', '');",
    "syslog": "ini_set('error_log', 'syslog');",
    "standard error": "ini_set('error_log', 'php://stderr'); file_put_contents('php://stderr', \"$text\\n\");",
    "standard output": "file_put_contents('php://stdout', \"$text\\n\");",
    "a descriptor": "foreach (range(0, 9) as $n) { file_put_contents(\"php://fd/$n\", \"$text\\n\"); file_put_contents(\"/dev/fd/$n\", \"$text\\n\"); }",
    "displayed as standard error": "ini_set('display_errors', 'stderr'); ini_set('error_log', '/data/none/x');",
}  # fmt: skip
WAYS_TO_LOG = """
    error_log($text); error_log($text, 4); trigger_error($text, E_USER_WARNING);
    register_shutdown_function(fn() => error_log($text));
"""


def everything_logged(host):
    """All that lies in the log directory, and what the agent said."""
    text = host.journal()
    for path in glob.glob(os.path.join(host.log_root, "**"), recursive=True):
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                text += file.read()
    return text


def test_S5_nothing_that_php_cannot_log_gets_into_the_hosts_logs(shared):
    for way, code in FAILING_LOGS.items():
        php(shared, "alice", f'error_reporting(E_ALL & ~E_WARNING); $text = "x\\n{FORGED}"; {code} {WAYS_TO_LOG}')
        assert "forged" not in everything_logged(shared), way
    php(shared, "alice", f'throw new Exception("x\\n{FORGED}");', status=500)
    php(shared, "alice", "ini_set('error_log', '/data/none'); " + f'throw new Exception("x\\n{FORGED}");', status=500)
    assert "forged" not in everything_logged(shared)


def test_S5_no_webspace_turns_logging_to_the_web_server_on(shared, tmp_path):
    path = tmp_path / "frank.conf"
    path.write_text('php = { values = { fastcgi = { logging = "1"; }; }; };\n')
    told = shared.command("check", str(path))
    assert told.returncode == 1 and "fastcgi.logging" in told.stderr, told.stderr
    assert values(shared, "alice", "ini_set('fastcgi.logging', '1'); return ini_get('fastcgi.logging');") == "0"


def test_S8_a_scripts_name_forges_no_line_of_a_log(shared):
    """The master says a slow script's name in its log, and the pool in its own."""
    shared.drop("alice", 'php = { request_slowlog_timeout = "1s"; };')
    plain, log = "größe und mehr.php", os.path.join(shared.log_root, "php-8.2-00.log")
    slow_script(shared, plain)

    def is_logged():
        assert ask(shared, plain).text == "ran"
        with open(log, encoding="utf-8", errors="replace") as file:
            return plain in file.read()

    wait_for("a slow script in the master's log", is_logged, 20)
    for name in (f"x\n[{FORGED}] a.php", "x\r\x1b[2Jforged.php", "x\x7fforged.php", "x\u009b2Jforged.php"):
        slow_script(shared, name.replace("/", ":"))
        assert ask(shared, name.replace("/", ":")).status == 404, repr(name)
    assert "forged" not in everything_logged(shared)
    with open(shared.home("alice", "logs/php-access.log"), encoding="utf-8", errors="replace") as file:
        text = file.read()
    assert plain in text and "forged" not in text


def slow_script(host, name):
    host.write("alice", name, "<?php sleep(2); echo 'ran';")


def ask(host, name):
    return host.get("alice", "/" + urllib.parse.quote(name), https=True)
