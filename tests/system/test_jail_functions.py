"""What PHP can do in a jail: one script of the functions that need something of the host, and what each has to return."""

import json
import os
import pwd
import subprocess

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
