"""Pools of different users in one master: what one may learn of, or do to, the other."""

import json
import os
import pwd
import socket
import ssl
import subprocess

from snippets import php, values

OPEN = 'php = { open_basedir = "none"; };'
UNJAILED = 'php = { chroot = false; open_basedir = "none"; };'
LONG_AGO = 1600000000


def put(host, name, path, code):
    """A script whose time says nothing: the same for everybody and each version of it."""
    full = host.write(name, path, f"<?php {code}")
    os.utime(full, (LONG_AGO, LONG_AGO))


def show(host, name):
    return host.get(name, "/show.php", https=True).text


def warm_up(host, *names):
    """Both have the same paths, times and sizes; afterwards PHP has them compiled."""
    for name in names:
        put(host, name, "config.php", f"return '{name:8} version 1';")
        put(host, name, "show.php", "echo include '/data/config.php', ' ', posix_getuid();")
        host.wait_answers(name, "/show.php", https=True)
        put(host, name, "config.php", f"return '{name:8} version 2';")


def expected(name, version=1):
    return f"{name:8} version {version} {pwd.getpwnam(name).pw_uid}"


# OPcache ------------------------------------------------------------------


def test_nobody_is_served_what_anothers_script_compiled_to(make_host):  # B7
    host = make_host(shards=1).start()
    host.add("alice", "bob")
    assert len(host.masters()) == 1, "they share a master"
    warm_up(host, "alice", "bob")
    for _ in range(100):
        assert show(host, "alice") == expected("alice"), "version 1: from the cache, so it is on and warm"
        assert show(host, "bob") == expected("bob")


def test_file_systems_of_their_own_do_not_mix_up_the_cache(make_host):  # B7 A10
    """OPcache tells jails apart by the inode of their root, and on two file systems it may be the same."""
    host = make_host(shards=1)
    for name in ("alice", "bob"):
        os.makedirs(host.home(name))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", host.home(name)], check=True)
    try:
        host.start()
        host.add("alice", "bob")
        host.add("carol")
        inodes = [os.stat(host.home(name, "chroot")).st_ino for name in ("alice", "bob")]
        assert inodes[0] == inodes[1], "else this proves nothing"
        warm_up(host, "alice", "bob", "carol")
        for _ in range(5):
            for name in ("alice", "bob", "carol"):
                assert show(host, name) == expected(name)
        assert len(host.masters()) == 3
    finally:
        host.destroy()
        for name in ("alice", "bob"):
            subprocess.run(["umount", "-l", host.home(name)], check=False)


def test_a_private_script_stays_private_when_it_is_compiled(make_host):  # B7
    host = make_host(shards=1).start()
    host.add("alice", "bob", text=UNJAILED)
    shared = os.path.join(host.root, "shared")
    secret = os.path.join(shared, "secret.php")
    os.mkdir(shared)
    with open(secret, "w", encoding="ascii") as file:
        file.write("<?php return 'of alice';")
    os.chown(secret, pwd.getpwnam("alice").pw_uid, -1)
    os.chmod(secret, 0o400)
    os.utime(secret, (LONG_AGO, LONG_AGO))
    include = f"return [@include '{secret}', @file_get_contents('{secret}'), is_readable('{secret}')];"
    for _ in range(10):
        assert values(host, "alice", include)[0] == "of alice"
        assert values(host, "bob", include) == [False, False, False]
    with open(secret, "r+", encoding="ascii") as file:
        file.write("<?php return 'changed ';")
    os.utime(secret, (LONG_AGO, LONG_AGO))
    assert values(host, "alice", include)[0] == "of alice", "it was warm all the time"
    own = host.data("alice", "own.php")
    put(host, "alice", "own.php", "return 'of alice';")
    assert values(host, "alice", f"return @include '{own}';") == "of alice"
    assert values(host, "bob", f"return @include '{own}';") is False


def test_nobody_lists_or_empties_the_shared_cache(make_host):  # B7
    host = make_host(shards=1).start()
    host.add("alice", "bob", text=OPEN)
    warm_up(host, "alice", "bob")
    attempts = """
        error_reporting(0);
        return [opcache_get_status(true), opcache_get_configuration(), opcache_is_script_cached('/data/config.php'),
            opcache_invalidate('/data/config.php', true), opcache_invalidate('/data/show.php', true), opcache_reset()];
    """
    assert values(host, "bob", attempts) == [False] * 6
    for name in ("alice", "bob"):
        assert show(host, name) == expected(name), "still compiled from version 1"


# Settings -------------------------------------------------------------------

FIXED = {
    "opcache.validate_root": "0", "opcache.validate_permission": "0", "opcache.restrict_api": "", "opcache.file_cache": "/tmp/misc",
    "opcache.preload": "/data/x.php", "ffi.enable": "1", "enable_dl": "1", "allow_url_include": "1", "open_basedir": "/",
    "memory_limit": "1G", "post_max_size": "1G", "upload_max_filesize": "1G", "disable_functions": "", "extension_dir": "/data",
    "sys_temp_dir": "/data", "upload_tmp_dir": "/data", "session.gc_divisor": "7", "allow_url_fopen": "0",
}  # fmt: skip
# Of these a script has the say about its own requests, and nobody else's.
OWN_AFFAIR = ("session.gc_divisor", "open_basedir")  # the latter can only become narrower
READ = "return array_map('ini_get', array_combine($k = {keys!r}, $k));"


def settings(host, name):
    return values(host, name, "error_reporting(0); " + READ.format(keys=list(FIXED)))


def test_no_script_loosens_what_is_set_for_it(host):  # B5 B10
    host.add("alice")
    before = settings(host, "alice")
    pairs = ",".join(f"'{key}' => '{value}'" for key, value in FIXED.items())
    after = values(host, "alice", f"error_reporting(0); foreach ([{pairs}] as $k => $v) ini_set($k, $v); "
                   + READ.format(keys=list(FIXED)))  # fmt: skip
    assert {k for k in FIXED if before[k] != after[k]} <= set(OWN_AFFAIR)
    host.add("bob")  # whose processes have not looked for such a file yet
    host.write("bob", ".user.ini", "".join(f"{key} = {value}\n" for key, value in FIXED.items()) + "user_agent = seen\n")
    assert values(host, "bob", "return ini_get('user_agent');") == "seen"
    changed = {k for k, v in settings(host, "bob").items() if before[k] != v}
    assert changed <= set(OWN_AFFAIR), changed


def test_no_header_of_a_client_is_a_setting_of_php(host):  # B10
    host.add("alice")
    text = "memory_limit=1G\nauto_prepend_file=/data/evil.php"
    names = ("PHP_VALUE", "PHP_ADMIN_VALUE", "PHP-VALUE", "PHP-ADMIN-VALUE", "Php-Admin-Flag", "SCRIPT-FILENAME", "SCRIPT_FILENAME",
             "Document-Root", "Proxy", "Redirect-Status", "PATH_TRANSLATED", "CONTENT-LENGTH-X")  # fmt: skip
    request = "GET /dump.php HTTP/1.1\r\nHost: alice.web.test\r\nConnection: close\r\n"
    request += "".join(f"{name}: {text.splitlines()[0]}\r\n" for name in names) + "\r\n"
    host.write("alice", "dump.php", "<?php echo json_encode([ini_get('memory_limit'), ini_get('auto_prepend_file'), $_SERVER]);")
    plain = host.wait_answers("alice", "/dump.php", https=True)
    seen = json.loads(https_raw(host, request))
    assert seen[:2] == json.loads(plain.text)[:2] == ["32M", ""]
    added = seen[2].keys() - json.loads(plain.text)[2].keys()
    assert added and all(key.startswith("HTTP_") for key in added), added
    assert "HTTP_PROXY" not in added and not seen[2].get("HTTP_PROXY")
    assert seen[2]["SCRIPT_FILENAME"] == "/data/dump.php" and seen[2]["DOCUMENT_ROOT"] == "/data"


def https_raw(host, request):
    """The body of the answer to a request that is sent as it stands."""
    context = ssl.create_default_context(cafile=host.ca_file)
    with socket.create_connection(("127.0.0.1", host.https_port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="alice.web.test") as connection:
            connection.sendall(request.encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], answer
    if b"chunked" in head:
        body = body.split(b"\r\n")[1]
    return body.decode()


def test_machine_code_is_not_a_script_away(host):  # B7 B5
    host.add("alice", text=OPEN)
    code = "try { FFI::cdef('int getpid(void);'); return 'called'; } catch (Throwable $t) { return get_class($t); }"
    assert values(host, "alice", code) in ("Error", "FFI\\Exception")
    assert values(host, "alice", "return function_exists('dl');") is False


def as_groups(key, value):
    """a.b as the file writes it: a = { b = "…"; };"""
    first, dot, rest = key.partition(".")
    return f"{first} = {{ {as_groups(rest, value)} }};" if dot else f'{first} = "{value}";'


def test_check_refuses_settings_that_reach_all_pools(make_host, tmp_path):  # B7 B10
    host = make_host()
    path = tmp_path / "alice.conf"
    for group in ("values", "user_values"):
        for key, good in (("opcache.enable", 0), ("OPcache.validate_root", 0), ("opcache.restrict_api", 0), ("ffi.enable", 0),
                          ("extension", 0), ("zend_extension", 0), ("extension_dir", 0), ("enable_dl", 0), ("FFI.preload", 0),
                          ("open_basedir", 0), ("disable_functions", 0), ("mbstring.language", 1)):  # fmt: skip
            path.write_text(f"php = {{ {group} = {{ {as_groups(key, '1')} }}; }};\n")
            told = host.command("check", str(path))
            assert told.returncode == (0 if good else 1), (path.read_text(), told.stderr)
            assert good or key.lower() in told.stderr.lower(), told.stderr


# Sockets ----------------------------------------------------------------------

CONNECT = """
error_reporting(0);
$open = [];
foreach (%(paths)s as $path) {
    if (stream_socket_client("unix://$path", $no, $text, 1)) $open[] = $path;
    if (fopen($path, 'r+')) $open[] = "file $path";
}
return $open;
"""


def everything_below(top):
    found = [top]
    for directory, directories, files in os.walk(top):
        found += [os.path.join(directory, name) for name in directories + files]
    return found


def sockets_of(host):
    return [path for path in everything_below(host.run_dir) if os.path.exists(path) and not os.path.isdir(path)
            and not path.startswith((os.path.join(host.run_dir, "base"), os.path.join(host.run_dir, "status")))]  # fmt: skip


def quoted(paths):
    return "[" + ",".join("'" + path.replace("'", "\\'") + "'" for path in paths) + "]"


def test_no_php_reaches_a_socket_of_another(make_host):  # B10 B1
    host = make_host(shards=2).start()
    host.add("alice", text=OPEN)
    host.add("bob", "carol", text=UNJAILED)
    host.add("dave", text='php = { master = "dedicated"; };')
    paths = sockets_of(host)
    real = [path for path in paths if os.path.realpath(path).endswith("/dave.sock")]
    assert len(real) >= 2 and any("/masters/" in path for path in paths) and any("/line/" not in path for path in real)
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(real[0])  # root can: what is tried is really there
    inside = [path.replace(host.run_dir, prefix) for path in paths for prefix in ("/run", "/run/webspaces", "/data/../run", "")]
    assert values(host, "alice", CONNECT % {"paths": quoted(paths + inside)}) == []
    for name in ("bob", "carol"):
        allowed = values(host, name, CONNECT % {"paths": quoted(paths)})
        assert allowed == [], f"{name} has no jail, and reaches {allowed}"


def test_there_is_no_door_besides_unix_sockets_with_rights(make_host):  # B10 B1
    host = make_host(shards=1).start()
    host.add("alice", "bob", text=OPEN)
    with open("/proc/net/unix", encoding="ascii") as file:
        abstract = [line for line in file if "@" in line]
    assert abstract == [], "an abstract socket has no owner"
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}", encoding="ascii") as file:
            ports |= {int(line.split()[1].split(":")[1], 16) for line in file.readlines()[1:] if line.split()[3] == "0A"}
    assert ports == {host.http_port, host.https_port}


def test_a_pool_of_one_user_is_not_told_to_run_anothers_script(host):  # B10 C2
    """Host names, paths and what nginx makes of them never leave the webspace that they belong to."""
    host.add("alice", "bob")
    host.write("bob", "secret.php", "<?php echo 'of bob';")
    host.wait_answers("bob", "/secret.php", https=True)
    for path in ("/../bob/chroot/data/secret.php", "/..%2fbob%2fsecret.php", "/%2e%2e/bob/secret.php", "//bob/secret.php",
                 "/index.php/../../bob/chroot/data/secret.php", "/secret.php", "/index.php%00/secret.php"):  # fmt: skip
        answer = host.get_quietly("alice", path, https=True)
        assert answer is None or "of bob" not in answer.text, path
    for name in ("alice.web.test/../bob.web.test", "bob.web.test.", "BOB.web.test"):
        answer = host.get_quietly("alice", "/secret.php", https=True, headers={"Host": name})
        assert answer is None or answer.status in (200, 400, 404, 421, 444), answer.status
    assert php(host, "alice", "echo (int)file_exists('/data/secret.php');") == "0"
