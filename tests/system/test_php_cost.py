"""What a page of PHP costs in a jail, in system calls, beside php-fpm of the distribution with nothing set.

A count and no time: of one request by a process that is warm, on files that are compiled already.
"""

import os

import pytest

from host import Host, wait_for
from plain_web import PlainWeb, calls_of, child_of, get
from snippets import values

DIRECTORIES, FILES = 12, 25
ROUNDS = 5
COST = 1.15
LONG_AGO = 1600000000
ONE_CHILD = 'sites = ( { redirect_https = false; } ); php = { pm = "static"; max_children = 1; %s };'
# As applications load themselves: files are tested for, and included by either way.
PAGE = f"""<?php
$n = 0;
foreach (range(1, {DIRECTORIES}) as $d)
    foreach (range(1, {FILES}) as $f) {{
        $path = __DIR__ . "/library/part$d/source/file$f.php";
        if ($f % 2) $n += require $path;
        elseif (file_exists($path)) $n += require_once $path;
    }}
echo $n;
"""


@pytest.fixture(scope="module")
def house():
    host = Host(shards=1).start()
    yield host
    host.destroy()


def write_page(host, name):
    """Of long ago: OPcache keeps nothing that was written within the last two seconds."""
    files = {f"library/part{d}/source/file{f}.php": "<?php return 1;" for d in range(1, DIRECTORIES + 1)
             for f in range(1, FILES + 1)}  # fmt: skip
    for path, text in {"index.php": PAGE, **files}.items():
        os.utime(host.write(name, path, text), (LONG_AGO, LONG_AGO))


def least_calls(pid, port, name, scratch):
    """Of some rounds the one in which PHP looked for no newer files."""
    page = lambda: get(port, name, "/index.php")
    for _ in range(3):
        assert page() == (200, str(DIRECTORIES * FILES).encode())
    return min((calls_of(pid, page, scratch) for _ in range(ROUNDS)), key=lambda calls: sum(calls.values()))


def calls_in_jail(host, name, scratch):
    (master,) = host.masters().values()
    pid = wait_for("the child", lambda: child_of(master, name))
    return least_calls(pid, host.http_port, host.host_name(name), scratch)


def calls_of_plain(host, name, scratch):
    plain = PlainWeb(f"{host.root}/plain", host.data(name), name, "plain.test", 8070)
    try:
        return least_calls(plain.php_child(), plain.port, plain.name, scratch)
    finally:
        plain.stop()


def test_X3_a_page_in_a_jail_makes_hardly_more_system_calls_than_without(house, tmp_path):
    house.add("alice", text=ONE_CHILD % "")
    write_page(house, "alice")
    jail = calls_in_jail(house, "alice", str(tmp_path / "jail"))
    plain = calls_of_plain(house, "alice", str(tmp_path / "plain"))
    assert sum(jail.values()) <= COST * sum(plain.values()), (jail, plain)


def test_X3_open_basedir_limits_where_it_is_asked_for_and_where_there_is_no_jail(house):
    house.add("bob", text='php = { open_basedir = "/data:/tmp/misc"; };')
    house.add("carol", text="php = { chroot = false; };")
    read = "error_reporting(0); return [ini_get('open_basedir'), strlen(file_get_contents('/etc/hosts')) > 0];"
    assert values(house, "alice", read) == ["", True]
    assert values(house, "bob", read) == ["/data:/tmp/misc", False]
    limit, read_outside = values(house, "carol", read)
    assert limit.startswith(house.data("carol") + "/:") and not read_outside


def test_X3_a_link_that_is_replaced_does_not_lead_out_of_open_basedir(house):
    """What was inside when a process last saw it is not remembered as inside."""
    house.add("dora", text='php = { chroot = false; pm = "static"; max_children = 1; values = { realpath_cache_size = "4M"; }; };')
    inside, outside = house.write("dora", "inside.txt", "inside"), os.path.join(house.root, "outside.txt")
    with open(outside, "w", encoding="ascii") as file:
        file.write("outside")
    way = house.data("dora", "way")
    read = f"return @file_get_contents('{way}');"
    for target, seen in ((inside, "inside"), (outside, False)):
        os.symlink(target, f"{way}.new")
        os.rename(f"{way}.new", way)
        assert values(house, "dora", read) == seen


def test_X3_a_compiled_script_of_one_jail_is_nothing_to_another(house):
    """Without a look at its rights: the root alone tells jails of one master apart."""
    house.add("eve", "frank")
    assert len([line for line in house.masters() if "-u" not in line]) == 1, "they share a master"
    for name in ("eve", "frank"):
        path = house.write(name, "private.php", f"<?php return '{name:8}';")
        os.utime(path, (LONG_AGO, LONG_AGO))
    os.chown(house.data("frank", "private.php"), 0, 0)
    os.chmod(house.data("frank", "private.php"), 0o400)
    include = "return @include '/data/private.php';"
    for _ in range(5):
        assert values(house, "eve", include) == "eve     "
        assert values(house, "frank", include) is False
