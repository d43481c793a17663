"""webspaces check: each malformed text is told with its line, and nothing crashes."""

import json
import os
import subprocess

import pytest
from host import REPOSITORY, WEBSPACES

SANITIZED = os.path.join(REPOSITORY, "build-asan", "webspaces")
PROGRAMS = [WEBSPACES] + [SANITIZED] * (os.path.exists(SANITIZED) and os.path.realpath(SANITIZED) != os.path.realpath(WEBSPACES))
SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "leaks.supp")
HOST = 'base_domain = "web.test"; manager = "direct";\n'

SITE = 'sites = ( { names = ["a.test"]; %s } );'

# text of alice.conf · line of the problem (0: none is named) · part of the message
CASES = [
    # libconfig's own traps
    ('@include "/etc"', 1, "include"),
    ('state = "enabled";\n@include "/etc/passwd"\n', 2, "include"),
    ("php = { max_children = 5000000000; };", 1, "too large"),
    ("php = { max_children = 0755; };", 1, "0755"),
    ("php = { max_children = 99999999999999999999999; };", 1, ""),
    ("\n\n/* no end\nstate = 1;", 3, "comment"),
    ('php = { version = "8\n.2"; };', 1, "line"),
    ('state = "ena', 1, ""),
    ('state = "enabled";\n\0\n', 2, "control"),
    ('state = "en\x1babled";', 1, "control"),
    ('state = "en\\x0aabled";', 1, "control"),
    ('state = "en\\nabled";', 1, "control"),
    ("a = " + "(" * 40 + ")" * 40 + ";", 1, ""),
    ("".join(f"k{i} = 1;\n" for i in range(3000)), 0, "too many"),
    ("# " + "x" * 70000, 0, ""),
    # syntax
    ("state = ;", 1, "syntax"),
    ('state "enabled";', 1, "syntax"),
    ('php = { enabled = true;', 1, "syntax"),
    ('};', 1, "syntax"),
    ('state = "enabled";\nstate = "disabled";', 2, "dup"),
    ('state = \'enabled\';', 1, ""),
    ("\xff\xfe = 1;", 1, ""),
    # what libconfig joins, cuts or calls a syntax error: said with its line, and with what to write
    ('hosts = ["web1"\n "web2"];', 2, "comma"),
    ('state = "ena" "bled";', 1, "follows another text"),
    ('state = "enabled\\x00x";', 1, "\\x00"),
    ("state = “enabled”;", 1, "plain double quotes"),
    ('state =\u00a0"enabled";', 1, "plain spaces"),
    ('state = "\x80";', 1, "control character"),
    ("state = enabled;", 1, '"enabled"'),
    ("php = {\n enabled = yes;\n};", 2, "write true"),
    ('php.memory_limit = "64M";', 1, "php = { memory_limit"),
    ("php = { memory_limit = 128M; };", 1, '"128M"'),
    ("php = { memory_limit = 128; };", 1, '"128M"'),
    ('php = { memory_limit = "128MB"; };', 1, "not a size"),
    ("php = { pm = \"dynamic\";\n\n", 1, "no end"),
    ('state = "enabled";\nbinds = [ "/srv";\n', 2, "comma or the ]"),
    (SITE % 'php = { version = "8.2"; };', 1, "of the webspace"),
    ("state := 1;", 1, ":="),
    # keys
    ("nothing = 1;", 1, "nothing"),
    ('stat = "enabled";', 1, "state"),
    ("php = { max_childs = 3; };", 1, "max_children"),
    ("php = {\n\n memorylimit = \"1M\"; };", 3, "memory_limit"),
    ('memory_limit = "64M";', 1, "php.memory_limit"),
    (SITE % "\n\n nmaes = [];", 3, "names"),
    (SITE % "tls = { hst = \"1y\"; };", 1, "tls.hsts"),
    ('config_dir = "/etc";', 1, "config_dir"),
    ("nginx = { http = []; };", 1, "nginx"),
    # types
    ("state = 1;", 1, "found a number"),
    ("state = true;", 1, "found true or false"),
    ("php = 1;", 1, "group"),
    ('php = { enabled = "yes"; };', 1, "true or false"),
    ('php = { max_children = "5"; };', 1, "whole number"),
    ("php = { max_children = 5.5; };", 1, "point"),
    ("sites = [];", 0, ""),
    ('sites = "a.test";', 1, "list"),
    ('sites = ["a.test"];', 1, "group"),
    ('sites = ( { names = "a.test"; } );', 1, "list"),
    ("sites = ( { names = [1]; } );", 1, "element 1"),
    ('binds = "/srv";', 1, "list"),
    ("php = { values = 3; };", 1, "group"),
    # ranges and words
    ('state = "on";', 1, "enabled, suspended, disabled"),
    ("php = { max_children = 0; };", 1, "not from 1"),
    ("php = { max_children = -1; };", 1, "not from 1"),
    ('php = { memory_limit = "1K"; };', 1, "memory_limit"),
    ('php = { memory_limit = "64X"; };', 1, "size"),
    ('php = { request_terminate_timeout = "20 parsecs"; };', 1, "duration"),
    ('php = { version = "8.2; x"; };', 1, "version"),
    ('php = { listen_mode = "0777"; };', 1, "0600"),
    ("account = { uid = 0; };", 1, "1000"),
    ("account = { uid = 65534; };", 1, "65534"),
    # names
    (SITE % "root = \"../bob\";", 1, "root"),
    (SITE % "root = \"/etc\";", 1, "root"),
    ('sites = ( { names = ["a b.test"]; } );', 1, "a b.test"),
    ('sites = ( { names = ["a.test;}"]; } );', 1, "names"),
    ('sites = ( { names = ["*.*.test"]; } );', 1, "names"),
    ('sites = ( { names = ["-a.test"]; } );', 1, "names"),
    ('sites = ( { names = ["a..test"]; } );', 1, "names"),
    ('sites = ( { names = ["%s.test"]; } );' % ("a" * 64), 1, "names"),
    ('sites = ( { names = ["a.test", "A.test"]; } );', 1, "twice"),
    ('sites = ( { names = ["a.test"]; },\n { names = ["a.test"]; } );', 2, "twice"),
    # values that would reach other programs
    ('php = { values = { "a;b" = "c"; }; };', 1, ""),
    ('php = { values = { memory = { limit = "1"; }; opcache = { enable = 0; }; }; };', 1, "opcache"),
    ('php = { env = { LD_PRELOAD = "/x"; }; };', 0, ""),
    ('php = { disable_functions = "exec)"; };', 1, "disable_functions"),
    ('php = { status_path = "status"; };', 1, "status_path"),
    ('php = { limit_extensions = ["php"]; };', 1, "limit_extensions"),
    (SITE % "index = [\"a/b\"];", 1, "index"),
    (SITE % "tls = { hsts = \"forever\"; };", 1, "hsts"),
    (SITE % "tls = { key = \"/k\"; };", 1, "tls.certificate"),
    (SITE % "tls = { certificate = \"c.pem\"; key = \"/k\"; };", 1, "tls.certificate"),
    # what belongs together
    ('php = { pm = "dynamic"; max_children = 2; max_spare_servers = 3; };', 1, "max_children"),
    ('php = { pm = "dynamic"; min_spare_servers = 4;\n max_spare_servers = 3; };', 1, "max_spare_servers"),
    ('php = { upload_max_filesize = "30M"; post_max_size = "20M"; };', 1, "post_max_size"),
    ('php = { ping_path = "/a"; status_path = "/a"; };', 1, "status_path"),
    # binds
    ('binds = ["srv"];', 1, "srv"),
    ('binds = ["/srv:../x"];', 1, "binds"),
    ('binds = ["/srv:/data/x"];', 1, "jail"),
    ('binds = ["/srv", "/srv"];', 1, "twice"),
    ('binds = ["/srv:/x:rw,fast"];', 1, "fast"),
    ('binds = ["/run/webspaces"];', 1, "own state"),
    ('hosts = ["a b"];', 1, "hosts"),
]
# These are well-formed: whatever looks odd in them is allowed.
RIGHT = [
    "",
    '\ufeffstate = "enabled";',  # a byte order mark
    'state = "enabled";\r\nphp = { };\r\n',
    'hosts = ["*", "web1",];',  # libconfig 1.7 takes it, 1.5 does not
    'sites = ( { names = ["a.test",]; }, );',
    'state = "enabled" php = { pm = "static" }',
    'php = { memory_limit = 0x8000000; };',
    "\n\n",
    "# only a comment",
    'state = "enabled"; // no line end',
    "/* a comment */",
    'state = "enabled"',
    'state : "enabled",',
    'state = "enabled";\r\nhosts = [];\r\n',
    "php = { max_children = 0x10; };",
    'php = { memory_limit = "64M"; };',
    "php = { memory_limit = 67108864; };",
    'php = { request_terminate_timeout = "1m"; };',
    'sites = ( { names = ["*.example.org", "bücher.example"]; root = "a/b"; } );',
    'php = { values = { date = { timezone = "Europe/Berlin"; }; }; };',
    'binds = ["/srv/media:/media:rw"];',
    "sites = ();",
]


def clean(program):
    """For programs with sanitizers: a report is an exit code that nothing else has."""
    return {**os.environ, "ASAN_OPTIONS": "exitcode=99:detect_leaks=1", "LSAN_OPTIONS": f"suppressions={SUPPRESSIONS}:print_suppressions=0", "UBSAN_OPTIONS": "exitcode=99:print_stacktrace=1"}


def check(program, *paths, config=None, **options):
    words = [program] + (["--config", str(config)] if config else []) + ["check", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False, env=clean(program), **options)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode(errors="replace")
    assert done.returncode in (0, 1, 64), done.stderr
    assert "AddressSanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done


@pytest.fixture
def site(tmp_path):
    """A function that puts files into a directory of webspaces; site.config is the host's file."""

    class Files:
        drops = tmp_path / "webspaces.d"
        config = tmp_path / "webspaces.conf"

        @staticmethod
        def put(name, text):
            path = Files.drops / name
            path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1" if "\xff" in text else "utf-8"))
            return path

    Files.drops.mkdir()
    Files.config.write_text(HOST + f'config_dir = "{Files.drops}";\n', encoding="ascii")
    return Files


@pytest.mark.parametrize("program", PROGRAMS, ids=["plain", "sanitized"][: len(PROGRAMS)])
def test_each_malformed_text_is_told_with_its_line(site, program):  # G2 G5
    assert len(CASES) > 60
    wrong = []
    for text, line, part in CASES:
        path = site.put("alice.conf", text)
        done = check(program, path, config=site.config)
        if (line, part) == (0, "") and done.returncode == 0:
            continue
        where = f"{path}:{line}: " if line else f"{path}"
        told = done.stderr.splitlines()
        if done.returncode != 1 or not any(x.startswith(where) and part in x for x in told) or not all(str(path) in x for x in told):
            wrong.append((text[:80], line, part, done.returncode, done.stderr[:300]))
    assert wrong == [], "\n".join(map(str, wrong))


@pytest.mark.parametrize("program", PROGRAMS, ids=["plain", "sanitized"][: len(PROGRAMS)])
def test_what_is_well_formed_is_taken_in_silence(site, program):  # G2
    for text in RIGHT:
        path = site.put("alice.conf", text)
        done = check(program, path, config=site.config)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), text


@pytest.mark.parametrize("program", PROGRAMS, ids=["plain", "sanitized"][: len(PROGRAMS)])
def test_all_problems_of_all_files_are_told_in_order(site, program):  # G2 G5
    site.put("alice.conf", 'stat = "x";\nphp = { max_children = 0;\n version = 3; };\nsites = ( { root = "/"; } );\n')
    site.put("bob.conf", "")
    site.put("carol.conf", "php = 1;")
    done = check(program, site.drops, config=site.config)
    assert done.returncode == 1 and done.stdout == ""
    heads = [x.split(": ")[0].replace(f"{site.drops}/", "") for x in done.stderr.splitlines()]
    assert heads == ["alice.conf:1", "alice.conf:2", "alice.conf:3", "alice.conf:4", "carol.conf:1"]
    assert check(program, config=site.config).stderr == done.stderr


def test_names_that_two_want_are_problems_of_the_loser(site):  # C15
    site.put("alice.conf", 'sites = ( { names = ["shop.test"]; } );')
    site.put("bob.conf", 'sites = ( { names = ["shop.test", "bob.test"]; } );')
    site.put("carol.conf", 'sites = ( { names = ["alice.web.test"]; } );')
    done = check(WEBSPACES, site.drops, config=site.config)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert "bob.conf" in lines[0] and "shop.test" in lines[0] and "alice" in lines[0]
    assert "carol.conf" in lines[1] and "alice.web.test" in lines[1]


def test_names_on_different_hosts_do_not_meet(site):  # C15 G5
    site.put("alice.conf", 'hosts = ["web1"]; sites = ( { names = ["shop.test"]; } );')
    site.put("bob.conf", 'hosts = ["web2"]; sites = ( { names = ["shop.test"]; } );')
    assert check(WEBSPACES, site.drops, config=site.config).returncode == 0


NAMES = ["Alice.conf", "-a.conf", "root.conf", "1.conf", "a" * 40 + ".conf", "a b.conf", "www-data.conf", "alice.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_files_whose_name_is_no_webspaces_are_refused_when_named(site, name):  # A6
    done = check(WEBSPACES, site.put(name, ""), config=site.config)
    if name in ("root.conf", "www-data.conf", "1.conf"):
        assert done.returncode in (0, 1)  # who has which id is the host's affair
    else:
        assert done.returncode == 1 and name in done.stderr


def test_other_files_of_the_directory_are_left_alone(site):  # G5
    for name in ("README.md", ".alice.conf.swp", "alice.conf~", ".git"):
        site.put(name, "not a configuration {{{")
    site.put("alice.conf", "")
    (site.drops / "sub").mkdir()
    assert check(WEBSPACES, site.drops, config=site.config).returncode == 0


@pytest.mark.parametrize(
    "make, part",
    [
        (lambda p: os.mkfifo(p), "regular"),
        (lambda p: os.mkdir(p), ""),
        (lambda p: os.symlink("/dev/zero", p), ""),
        (lambda p: os.symlink("/nonexistent", p), ""),
    ],
    ids=["fifo", "directory", "device", "dangling link"],
)
def test_what_is_no_file_is_told_and_does_not_hang(site, make, part):  # G2
    path = site.drops / "alice.conf"
    make(path)
    done = check(WEBSPACES, site.drops, config=site.config)
    assert done.returncode == 1 and "alice.conf" in done.stderr and part in done.stderr


def test_paths_that_are_not_there(site):  # G2
    for path in (site.drops / "none.conf", "/nonexistent/dir", "/nonexistent/dir/a.conf", ""):
        done = check(WEBSPACES, path, config=site.config)
        assert done.returncode == 1 and done.stderr.strip(), path


HOST_CASES = [
    ("nginx = { htp = []; };", 1, "http"),
    ("base_domain = 3;", 1, "text"),
    ('\nmanager = "init";', 2, "auto, systemd, direct"),
    ('config_dir = "etc";', 1, "config_dir"),
    ("accounts = { uid_min = 30000; uid_max = 20000; };", 1, "uid_min"),
    ('nginx = { http = ["80"]; };', 1, "nginx.http"),
    ('nginx = { http = ["127.0.0.1:80"]; https = ["127.0.0.1:80"]; };', 1, "nginx.https"),
    ("php = { shards = 0; };", 1, "php.shards"),
    ("reconcile = { full_pass_s = 0; };", 1, "full_pass_s"),
    ('defaults = { php = { memory_limt = "1M"; }; };', 1, "memory_limit"),
    ('defaults = {\n site = { names = ["a.test"]; }; };', 2, "names"),
    ('defaults = { sites = ( {}, {} ); };', 1, "site"),
    ('home_root = "/";', 1, "home_root"),
    ('state_dir = "/home/www/state";', 1, "home_root"),
    ('@include "/etc"', 1, "include"),
    ("/* no end", 1, "comment"),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=["plain", "sanitized"][: len(PROGRAMS)])
def test_the_hosts_file_is_checked_too(site, program):  # G2
    for text, line, part in HOST_CASES:
        site.config.write_text(text, encoding="ascii")
        done = check(program, site.drops, config=site.config)
        told = done.stderr.splitlines()
        assert done.returncode == 1, text
        assert any(x.startswith(f"{site.config}:{line}: ") and part in x for x in told), (text, done.stderr)
        for verb in ("status", "plan", "mounts"):
            other = subprocess.run([program, "--config", site.config, verb], capture_output=True, text=True, check=False, env=clean(program))
            assert other.returncode == 1 and f"{site.config}:{line}" in other.stderr, (verb, other.stderr)


def test_nobody_needs_to_be_root_to_check(site):  # G5
    os.chmod(site.drops.parent, 0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", WEBSPACES, "options", "--json"],
        capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        pytest.skip("the program lies where nobody else may go")
    assert json.loads(done.stdout)
