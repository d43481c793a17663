"""What PHP can do in a jail: one script of the functions that need something of the host, and what each has to return."""

import contextlib
import glob
import json
import os
import pwd
import re
import socket
import subprocess
import threading

import pytest

from host import Host, wait_for
from snippets import php, values

# name → (PHP that returns a value, what it has to be). No bundle, no key: the base of every jail.
FUNCTIONS = {
    "iconv, Latin 1": ("return iconv('UTF-8', 'ISO-8859-1', 'é') === \"\\xe9\";", True),
    "iconv, Shift JIS": ("return iconv('SHIFT_JIS', 'UTF-8', \"\\x93\\xfa\");", "日"),
    "iconv, transliteration": ("setlocale(LC_CTYPE, 'C.UTF-8'); return iconv('UTF-8', 'ASCII//TRANSLIT', '½');", " 1/2 "),
    "a key of OpenSSL's": ("return openssl_pkey_get_details(openssl_pkey_new(['private_key_bits' => 2048]))['bits'];", 2048),
    "a request for a certificate": (
        "$k = openssl_pkey_new(); $r = openssl_csr_new(['commonName' => 'a.test'], $k); return openssl_csr_get_subject($r)['CN'];",
        "a.test",
    ),
    "a locale without a country": ("return setlocale(LC_ALL, 'C.UTF-8');", "C.UTF-8"),
    "its own account": ("return posix_getpwuid(posix_getuid())['name'];", "alice"),
    "its own group": ("return posix_getgrgid(posix_getgid())['name'];", "alice"),
    "its home": ("return posix_getpwnam('alice')['dir'];", "/data"),
    "the owner of the script": ("return get_current_user();", "alice"),
    "others' accounts": ("return [posix_getpwuid(0), posix_getpwnam('root'), posix_getpwnam('bob')];", [False, False, False]),
    "a service by name": ("return getservbyname('https', 'tcp');", 443),
    "a service by port": ("return getservbyport(25, 'tcp');", "smtp"),
    "a protocol": ("return getprotobyname('icmp');", 1),
    "/tmp": ("return is_dir('/tmp') && is_writable('/tmp');", True),
    "tempnam in /tmp": ("$f = tempnam('/tmp', 'x'); file_put_contents($f, 'text'); return [dirname($f), file_get_contents($f), unlink($f)];",
                        ["/tmp", "text", True]),
    "tmpfile": ("$f = tmpfile(); fwrite($f, 'text'); rewind($f); return fread($f, 9);", "text"),
    "a directory in /tmp": ("mkdir('/tmp/d'); touch('/tmp/d/f'); return [scandir('/tmp/d'), unlink('/tmp/d/f'), rmdir('/tmp/d')];",
                            [[".", "..", "f"], True, True]),
    "the temporary directory": ("return [sys_get_temp_dir(), dirname(tempnam('', 'x'))];", ["/tmp/misc", "/tmp/misc"]),
    "a time zone": ("return (new DateTime('2020-07-01', new DateTimeZone('Europe/Berlin')))->format('T');", "CEST"),
    "random numbers": ("return strlen(random_bytes(16));", 16),
}  # fmt: skip


@pytest.fixture(scope="module")
def house():
    host = Host(shards=1).start()
    host.add("alice")
    host.add("bob")
    yield host
    host.destroy()


def script(functions):
    """Each in a function of its own, so that one that ends badly says so of itself."""
    parts = ", ".join(f"{json.dumps(name, ensure_ascii=False)} => function () {{ {code} }}" for name, (code, _) in functions.items())
    return f"""
        $out = [];
        foreach ([{parts}] as $name => $f) {{
            try {{ $out[$name] = $f(); }} catch (Throwable $t) {{ $out[$name] = get_class($t) . ': ' . $t->getMessage(); }}
        }}
        return $out;
    """


def check_functions(host, name, functions):
    found = values(host, name, script(functions))
    wrong = {what: (found.get(what), right) for what, (_, right) in functions.items() if found.get(what) != right}
    assert not wrong, wrong


def test_every_function_of_the_list_works_in_a_jail(house):
    check_functions(house, "alice", FUNCTIONS)


def test_all_character_sets_of_glibc_are_there(house):
    """What iconv does for PHP on the host, name by name."""
    listed = subprocess.run(["iconv", "-l"], capture_output=True, text=True, check=True).stdout.split()
    names = [name.rstrip("/") for name in listed]
    assert len(names) > 500
    code = f"return array_map(fn($n) => [bin2hex(@iconv('UTF-8', $n, 'a')), @iconv($n, 'UTF-8', 'aaaa') !== false], {names!r});"
    on_host = subprocess.run(["php", "-r", f"echo json_encode((function() {{ {code} }})());"], capture_output=True, text=True, check=True)
    assert values(house, "alice", code) == json.loads(on_host.stdout)


def test_a_file_of_tmp_that_is_moved_into_the_site_is_served(house):
    moved = values(house, "alice", "file_put_contents('/tmp/page', 'of tmp'); return rename('/tmp/page', '/data/page.txt');")
    assert moved is True and house.get("alice", "/page.txt", https=True).text == "of tmp"


HOSTILE = """
error_reporting(0);
$done = [];
foreach (['misc', 'upload', 'session', 'wsdl'] as $own) {
    if (rename("/tmp/$own", "/tmp/$own.old")) $done[] = "renamed $own";
    if (rmdir("/tmp/$own")) $done[] = "removed $own";
    if (chmod("/tmp/$own", 0777)) $done[] = "opened $own";
}
return $done;
"""


def test_what_we_have_in_tmp_stays_in_its_place(house):
    """Its own directories a user neither moves nor removes; what he puts where one of them was is not followed."""
    assert values(house, "alice", HOSTILE) == []
    place, victim = house.home("alice", "chroot/tmp/wsdl"), os.path.join(house.root, "victim")
    os.mkdir(victim, 0o755)
    os.rmdir(place)
    uid = pwd.getpwnam("alice").pw_uid
    wait_for("it is made anew", lambda: os.path.isdir(place))
    assert os.stat(place).st_uid == 0
    house.end()
    os.rmdir(place)
    os.symlink(victim, place)
    os.lchown(place, uid, uid)
    house.start()
    wait_for("it is said", lambda: "wsdl" in house.condition("alice", "Directories")["message"])
    assert os.stat(victim).st_mode & 0o7777 == 0o755 and os.readlink(place) == victim
    os.unlink(place)
    house.wait_ready("alice")


def test_the_line_of_the_account_is_put_back(house):
    """Nobody but root changes it, and what root changes by mistake is a drift."""
    path = house.home("alice", "chroot/.passwd")
    user = pwd.getpwnam("alice")
    right = f"alice:x:{user.pw_uid}:{user.pw_gid}::/data:/usr/sbin/nologin\n"
    assert open(path, encoding="ascii").read() == right
    with open(path, "w", encoding="ascii") as file:
        file.write("root:x:0:0::/:/bin/sh\n")
    house.agent.send_signal(1)
    wait_for("it is put back", lambda: open(path, encoding="ascii").read() == right)
    os.unlink(path)
    wait_for("it is made anew", lambda: os.path.exists(path) and open(path, encoding="ascii").read() == right)
    assert php(house, "alice", "echo posix_getpwuid(posix_getuid())['name'];") == "alice"


def test_a_base_of_an_earlier_version_is_brought_up_to_date(house):
    """A tmpfs that did not let code be loaded, without the links: it outlives the agent."""
    base = f"{house.run_dir}/base"
    house.end()
    assert house.enter("mount", "-o", "remount,bind,noexec,nosuid", base).returncode == 0
    assert house.enter("rm", f"{base}/etc/passwd", f"{base}/etc/group").returncode == 0
    house.start()
    house.add("carol")
    check_functions(house, "carol", {key: FUNCTIONS[key] for key in ("iconv, Latin 1",)})
    assert values(house, "carol", "return posix_getpwuid(posix_getuid())['name'];") == "carol"


# Bundles --------------------------------------------------------------------

IMAGE = "$i = new Imagick(); $i->newImage(9, 7, '#336699'); $i->setImageFormat('{0}'); $blob = $i->getImageBlob(); "
IMAGE += "$j = new Imagick(); $j->readImageBlob($blob); return [$j->getImageFormat(), $j->getImageWidth(), $j->getImageHeight()];"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
BUNDLED = {
    "formats of Imagick": ("return count(Imagick::queryFormats()) > 100;", True),
    **{f"{kind} by Imagick": (IMAGE.format(kind), [kind, 9, 7]) for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "JP2")},
    "the host's policy for Imagick": (
        "try { $i = new Imagick(); $i->readImageBlob('%PDF-1.4'); return 'read'; } "
        "catch (ImagickException $e) { return str_contains($e->getMessage(), 'security policy'); }",
        True,
    ),
    "a font by its name": ("$i = new Imagick(); return count($i->queryFonts('DejaVu*')) > 0;", True),
    "text of GD in a font": (f"return count(imagettfbbox(12, 0, '{FONT}', 'text'));", 8),
    "a locale of the host": ("return [setlocale(LC_ALL, 'de_DE.UTF-8'), localeconv()['decimal_point']];", ["de_DE.UTF-8", ","]),
    "MariaDB's socket": ("return fread(stream_socket_client('unix://' . (ini_get('mysqli.default_socket') ?: '/var/run/mysqld/mysqld.sock')), 9);",
                         "hello"),
}  # fmt: skip
HIDDEN = ("/usr/lib/locale", "/usr/share/php")
ALL = 'bundles = ["imagick", "fonts", "locales", "mariadb"];'


class Greeter:
    """What listens where MariaDB would, in a directory of our own mounted there."""

    def __init__(self):
        self.made = not os.path.isdir("/run/mysqld")
        os.makedirs("/run/mysqld", exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run/mysqld")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind("/run/mysqld/mysqld.sock")
        os.chmod("/run/mysqld/mysqld.sock", 0o777)
        self.socket.listen()
        threading.Thread(target=self.greet, daemon=True).start()

    def greet(self):
        with contextlib.suppress(OSError):
            while True:
                with self.socket.accept()[0] as connection:
                    connection.sendall(b"hello")

    def close(self):
        self.socket.close()
        subprocess.run(["umount", "-l", "/run/mysqld"], check=True)
        if self.made:
            os.rmdir("/run/mysqld")


def mount(*words):
    subprocess.run(["mount", *words], check=True)


@pytest.fixture(scope="module")
def equipped():
    """A host with what the bundles are of, but for php-libraries."""
    greeter = Greeter()
    for directory in HIDDEN:
        mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", directory)
    subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", "de_DE.UTF-8"], check=True)
    host = Host(shards=1, ports=(8081, 8444)).start()
    yield host
    host.destroy()
    for directory in HIDDEN:
        subprocess.run(["umount", "-l", directory], check=True)
    greeter.close()


def test_every_function_of_the_bundles_works_in_a_jail_that_has_them(equipped):
    equipped.add("alice", text=ALL)
    check_functions(equipped, "alice", BUNDLED)


def test_imagick_needs_no_other_extension_for_its_formats(make_host):
    """GD brings the same libraries into a master, which hides that they are not in the jail."""
    ini = glob.glob("/etc/php/*/fpm/conf.d/*-gd.ini")
    assert ini, "else this proves nothing"
    for path in ini:
        os.rename(path, f"{path}.off")
    try:
        host = make_host(shards=1, ports=(8082, 8445)).start()
        host.add("alice", text='bundles = ["imagick"];')
        assert values(host, "alice", "return extension_loaded('gd');") is False
        check_functions(host, "alice", {what: case for what, case in BUNDLED.items() if what.endswith("Imagick")})
    finally:
        for path in ini:
            os.rename(f"{path}.off", path)


def test_a_jail_without_bundles_has_none_of_it(equipped):
    equipped.add("bob")
    for what in ("formats of Imagick", "text of GD in a font", "MariaDB's socket"):
        code, right = BUNDLED[what]
        assert values(equipped, "bob", f"error_reporting(0); try {{ {code} }} catch (Throwable $t) {{ return 'no'; }}") != right, what


def test_bundles_are_binds_that_are_read_only_and_come_and_go(equipped):
    equipped.add("carol", text=ALL)
    listed = equipped.command("mounts", "carol")
    assert listed.returncode == 0
    for path in ("/ImageMagick-", "etc/ImageMagick-", "usr/share/fonts", "usr/lib/locale", "var/run/mysqld"):
        assert re.search(rf"\+ \S*{path}", listed.stdout), (path, listed.stdout)
    flags = equipped.enter("findmnt", "-rno", "TARGET,OPTIONS").stdout
    ours = [line for line in flags.splitlines() if equipped.home("carol", "chroot") + "/" in line and "/.base" not in line]
    assert len(ours) >= 8 and all(re.search(r" ro,nosuid,nodev", line) for line in ours), ours
    assert {"noexec" in line for line in ours if "/fonts" in line or "/etc/" in line} == {True}
    equipped.drop("carol", "")
    wait_for("they go", lambda: "ImageMagick" not in equipped.command("mounts", "carol").stdout)
    equipped.wait_ready("carol")
    wait_for("nothing of them is left", lambda: not os.path.exists(equipped.home("carol", "chroot/var")))


def test_a_bundle_follows_its_package(equipped):
    """Paths with a version in their name appear and go while the webspace's file stays as it is."""
    equipped.add("dora", text='bundles = ["imagick"];')
    seen = lambda: os.listdir(f"/proc/{equipped.nginx_pid()}/root{equipped.home('dora', 'chroot/etc')}")
    before = seen()
    os.mkdir("/etc/ImageMagick-99")
    try:
        wait_for("the new path", lambda: equipped.agent.send_signal(1) or "ImageMagick-99" in seen(), 10, 0.2)
        equipped.wait_ready("dora")
    finally:
        os.rmdir("/etc/ImageMagick-99")
    wait_for("the old path goes", lambda: equipped.agent.send_signal(1) or seen() == before, 10, 0.2)
    equipped.wait_ready("dora")


def test_a_bundle_whose_package_is_not_installed_names_it_and_the_site_is_served(equipped):
    equipped.add("erin")
    equipped.drop("erin", 'bundles = ["php-libraries", "fonts"];')
    told = wait_for("it is said", lambda: equipped.condition("erin", "Mounts")["message"])
    assert "bundle php-libraries: /usr/share/php/* is not on this host: install the php-* packages" in told
    assert equipped.condition("erin", "Mounts")["reason"] == "BundleMissing"
    assert "install the php-* packages" in equipped.command("doctor", "erin").stdout
    assert equipped.wait_answers("erin", https=True).status == 200
    assert values(equipped, "erin", f"return is_file('{FONT}');") is True, "the other bundle is there"


@pytest.mark.parametrize(
    "text, said",
    [
        ('bundles = ["imagik"];', 'bundles: "imagik": unknown bundle; the bundles are imagick, fonts'),
        ('bundles = ["fonts", "fonts"];', "bundles: names a bundle twice"),
        ('bundles = ["fonts"];\nbinds = ["/srv/x:/usr/share/fonts/x"];', "2: binds[0]: the target lies inside what the bundle fonts brings"),
        ('bundles = ["imagick"];\nbinds = ["/srv/x:/etc/ImageMagick-6/policy.xml"];', "inside what the bundle imagick brings"),
    ],
)
def test_check_refuses_bundles_that_cannot_be(equipped, tmp_path, text, said):
    path = tmp_path / "alice.conf"
    path.write_text(text)
    told = equipped.command("check", str(path))
    assert told.returncode == 1 and said in told.stderr, told.stderr


def test_a_bind_takes_the_place_of_a_bundles(equipped):
    own = os.path.join(equipped.root, "fonts")
    os.mkdir(own)
    with open(os.path.join(own, "own.ttf"), "w", encoding="ascii") as file:
        file.write("own")
    equipped.add("frank", text=f'bundles = ["fonts"]; binds = ["{own}:/usr/share/fonts"];')
    assert values(equipped, "frank", "return scandir('/usr/share/fonts');") == [".", "..", "own.ttf"]
