"""Settings and variables of a pool arrive exactly as they are written, or `check` refuses them; limits hold."""

from snippets import values

# Of a webspace's file: texts that mean something to libconfig, PHP's ini or php-fpm, and are nothing but texts here.
TEXTS = {
    "quotes": """a"b'c''d'""",
    "backslash": "a\\b\\",
    "variable": "a${HOME}b$HOME",
    "dollar": "100$",
    "comment": "a;b#c//d",
    "spaces": "  a  ",
    "equals": "a=b=c[d]",
    "expression": "E_ALL & ~E_NOTICE",
    "constant": "PHP_OS",
    "word": "none",
    "truth": "On",
    "null": "null",
    "number": "-17",
    "unicode": "grüße \u4f60 \U0001f600",
    "long": "x" * 1024,
    "empty": "",
    "brackets": "{(<|&^~!>)}",
    "percent": "%s%n",
}


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def serve(host, texts):
    """A webspace for each text of a file, all in one pass: name → text."""
    names = {f"w{number:02}": text for number, text in enumerate(texts)}
    for name, text in names.items():
        host.drop(name, text)
    host.wait_ready(*names, seconds=60)
    return names


def test_every_text_arrives_in_settings_and_variables(host):
    """F7: F14: quotes, ${VAR}, comments, expressions, empty."""
    pairs = " ".join(f"K_{name} = {quoted(text)};" for name, text in TEXTS.items())
    host.add("alice", text=f"php = {{ env = {{ {pairs} }}; }};")
    for source in ("getenv()", "$_SERVER"):
        got = values(host, "alice", f"return {source};")
        assert {name: got.get(f"K_{name}") for name in TEXTS} == TEXTS, source
    wanted = [(kind, text) for kind in ("values", "user_values") for text in TEXTS.values()]
    names = serve(host, [f"php = {{ {kind} = {{ user_agent = {quoted(text)}; }}; }};" for kind, text in wanted])
    for name, (kind, text) in zip(names, wanted, strict=True):
        assert values(host, name, "return ini_get('user_agent');") == text, (kind, text)


SETTINGS = [
    # written so · read back so
    ('error_reporting = "E_ALL & ~E_DEPRECATED"', "error_reporting", "24575"),
    ('error_reporting = "E_ALL & ~(E_NOTICE | E_STRICT)"', "error_reporting", "30711"),
    ("error_reporting = 0", "error_reporting", "0"),
    ("error_reporting = -1", "error_reporting", "-1"),
    ("output_buffering = true", "output_buffering", "1"),
    ("log_errors = false", "log_errors", "0"),
    ('short_open_tag = "on"', "short_open_tag", "on"),
    ('realpath_cache_size = "2M"', "realpath_cache_size", "2M"),
    ("precision = -1", "precision", "-1"),
    ('date = { timezone = "Europe/Berlin"; }', "date.timezone", "Europe/Berlin"),
    ('session = { name = "SID"; sid_length = 40; }', "session.sid_length", "40"),
    ('default_charset = ""', "default_charset", ""),
]


def test_settings_mean_what_they_say(host):
    """F7: numbers, switches and expressions, as ini_get() has them in a real pool."""
    wanted = [(kind, *setting) for kind in ("values", "user_values") for setting in SETTINGS]
    names = serve(host, [f"php = {{ {kind} = {{ {text}; }}; }};" for kind, text, _, _ in wanted])
    for name, (kind, text, key, expected) in zip(names, wanted, strict=True):
        assert values(host, name, f"return ini_get('{key}');") == expected, (kind, text)


REFUSED = [
    ('values = { error_reporting = "E_ALL & ~E_DEPRECTED"; };', "E_DEPRECTED"),
    ('values = { memory_limit = "1G"; };', "php.memory_limit"),
    ('user_values = { upload_max_filesize = "1G"; };', "php.upload_max_filesize"),
    ('values = { max_input_var = 5; };', "max_input_vars"),
    ('values = { user_agent = "x$pool"; };', "$pool"),
    ('values = { date = { timezone = "Europe/Berln"; }; };', "time zone"),
    ("values = { zend = { assertions = 1; }; };", "php.ini"),
    ('values = { output_buffering = "On"; };', "number"),
    ('env = { A = "$x"; };', "begins with $"),
    ('env = { A = "a$pool"; };', "$pool"),
    ('env = { HTTP_PROXY = "x"; };', "HTTP_PROXY"),
    ('env = { DOCUMENT_ROOT = "/x"; };', "DOCUMENT_ROOT"),
    ('env = { SCRIPT_FILENAME = "/x"; };', "SCRIPT_FILENAME"),
]


def test_what_would_arrive_as_something_else_is_refused_with_its_line(host, tmp_path):
    """F7: F14: not by php-fpm later."""
    path = tmp_path / "carol.conf"
    tmp_path.chmod(0o755)
    for text, part in REFUSED:
        path.write_text(f"php = {{\n {text} }};\n")
        path.chmod(0o644)
        done = host.command("check", str(path))
        assert done.returncode == 1 and f"{path}:2: php." in done.stderr and part in done.stderr, (text, done.stderr)


ALONE = [
    'request_terminate_timeout = "10s";',
    'request_terminate_timeout = "1s";',
    'request_slowlog_timeout = "60s";',
    'pm = "dynamic"; start_servers = 9;',
    'pm = "dynamic"; max_children = 1;',
    'pm = "dynamic"; min_spare_servers = 7;',
    'upload_max_filesize = "30M";',
    'post_max_size = "1M";',
    'status_path = "/php-fpm-ping";',
]


def test_one_key_alone_is_served(host):
    """F3: a default follows what the file says, and php-fpm takes the pool."""
    names = serve(host, [f"php = {{ {text} }};" for text in ALONE])
    for name, text in names.items():
        assert values(host, name, "return 'served';") == "served", text


def test_a_file_is_served_beside_defaults_that_it_contradicts(make_host):
    """F3: so do the defaults of the host."""
    defaults = 'pm = "dynamic"; start_servers = 4; max_spare_servers = 6; max_children = 8; request_slowlog_timeout = "30s"; request_terminate_timeout = "40s";'
    host = make_host(settings=f"defaults = {{ php = {{ {defaults} }}; }};").start()
    texts = ["max_children = 2;", 'request_terminate_timeout = "10s";', "min_spare_servers = 7;", "start_servers = 20;", 'pm = "static"; max_children = 1;']
    names = serve(host, ["", *(f"php = {{ {text} }};" for text in texts)])
    for name, text in names.items():
        assert values(host, name, "return 'served';") == "served", text


def test_a_script_may_run_as_long_as_it_is_said(make_host):
    """F21: the end of requests and nginx follow max_execution_time, also when the defaults end requests early."""
    host = make_host(settings='defaults = { php = { request_terminate_timeout = "2s"; request_slowlog_timeout = 0; }; };').start()
    host.add("alice", "bob")
    host.add("carol", text="php = { values = { max_execution_time = 6; }; };")
    host.add("dora", text="php = { user_values = { max_execution_time = 0; }; };")
    script = "$until = microtime(true) + 4; while (microtime(true) < $until) usleep(10000); echo 'done';"
    for name in ("alice", "carol", "dora"):
        host.write(name, "long.php", f"<?php {script}")
    assert host.get("carol", "/long.php", https=True, timeout=20).text == "done"
    assert host.get("dora", "/long.php", https=True, timeout=20).text == "done"
    assert host.get("alice", "/long.php", https=True, timeout=20).status == 502, "its end holds"


def test_a_site_may_take_less_than_php_does(host):
    """F21: client_max_body_size that the file says holds, whatever post_max_size is; unsaid, it follows."""
    host.add("erin", text='sites = ( { client_max_body_size = "1M"; } );')
    host.add("fred", text='php = { upload_max_filesize = "40M"; };')
    for name in ("erin", "fred"):
        host.write(name, "size.php", "<?php $in = fopen('php://input', 'r'); for ($n = 0; !feof($in); $n += strlen(fread($in, 65536))); echo $n;")
    too_much = {"Content-Length": str((1 << 20) + 1)}  # the answer comes before the body
    assert host.get("erin", "/size.php", https=True, method="POST", headers=too_much).status == 413
    assert host.get("erin", "/size.php", https=True, method="POST", body=b"x" * (1 << 20)).text == str(1 << 20)
    assert host.get("fred", "/size.php", https=True, method="POST", body=b"x" * (41 << 20), timeout=30).text == str(41 << 20)
    limits = values(host, "fred", "return [ini_get('post_max_size'), ini_get('upload_max_filesize')];")
    assert limits == ["44M", "40M"]
