"""Webspaces made from the table of options by chance: each key at its ends, beyond them and with odd values.

What is made is a dict of keys ("php.memory_limit": value) and a list of such dicts for sites; file() is its
text. Nothing here knows what `check` says of it.
"""

import json
import subprocess

ODD_TEXTS = (
    "", " ", "a b", "'", '"', "\\", "$x", "${HOME}", "a$pool", ";", "#", "{}", "\u00fc", "\u4f60\u597d", "-", "..", "/", "a/b", "/a/b",
    "%s", "x" * 255, "x" * 1024, "x" * 1025, "no", "E_ALL", "*", "a,b", "~", "=", "default", "hostnames", "volatile",
)  # fmt: skip

# What is plausible, by key: the table knows a text's form, not its words.
TEXTS = {
    "php.version": ("8.2", "8.2", "", "8", "8.x", "08.2"),
    "php.status_path": ("/a", "/status/", "/a.b~c-_", "//", "/", "/" + "s" * 1000, "/index.php", ""),
    "php.ping_path": ("/a", "/ping", "", "/php-fpm-status", "/x.php"),
    "php.listen_mode": ("0600", "0660", "0666", "600"),
    "php.disable_functions": ("@exec", "@strict", "@all", "", "exec,system", "exec, system", "f" * 1024, "no_such_function", "a;b"),
    "php.open_basedir": ("none", "", "/data", "/data:/tmp/misc", "/data/:/tmp", "data", "/data:", ":", "/data:/with space"),
    "root": ("web", "a/b/c", "a b", "it's", 'a"b', "a$b", "a;b", "a{b}", "\u00fc", "a\\b", "-a", "..a", "a" * 255, "a" * 256, "/x", "../x", "a//b", "x/"),
    "tls.hsts": ("1y", "0", "1y; includeSubDomains", "1y; includeSubDomains; preload", "max-age=5", "y", "999999999999y", "1y;;", "1d; preload"),
    "tls.profile": ("shortlived", "a b", ""),
    "tls.preferred_chain": ("ISRG Root X1", "", "'"),
    "tls.directory": ("https://ca.test/dir", "http://ca.test", ""),
    "tls.certificate": ("",),
    "tls.key": ("",),
}  # fmt: skip
LISTS = {
    "hosts": ([], ["*"], ["nowhere"], [""], ["[a"], ["*"] * 200, ["*"] * 201),
    "index": (["index.html"], ["index.php"], ["index.php", "index.html"], ["none.html", "a+b~c@d.html"], [], ["x"] * 200, ["a/b"], [".."],
              ["x" * 255], ["default"], ["index.htm", "index.html", "index.php"], ["i" * 250 + ".html"] * 50),
    "php.limit_extensions": ([".php"], [".php", ".phtml"], [".phtml", ".php"], ["php"], [""], [".php"] * 200, [".a b"], [".PHP", ".php"]),
    "bundles": ([], [], ["fonts", "fonts"], ["no such bundle"], [""]),
    "binds": ([], ["/usr/share/zoneinfo:/zones"], ["/usr/share/zoneinfo:/a b"], ["/usr/share/zoneinfo:/\u00fc:exec"], ["relative"], ["/"],
              ["/usr/share/zoneinfo:/data/x"], ["/usr/share/zoneinfo:/z:rw,nope"], ["/usr/share/zoneinfo:/log"], ["/usr/share/zoneinfo:/etc"],
              ["/usr/share/zoneinfo:/z", "/usr/share/zoneinfo:/z"], ["/usr/share/zoneinfo:/a/b/c", "/usr/share/misc:/a/b/d"],
              ["/usr/share/zoneinfo:/a", "/usr/share/misc:/a/b"]),
}  # fmt: skip
SETTINGS = {
    "user_agent": ODD_TEXTS, "from": ODD_TEXTS, "error_reporting": ("E_ALL", "E_ALL & ~E_DEPRECATED", "E_NONE", "(E_ALL", -1, 0, 32767, "~0", True),
    "max_execution_time": (0, 1, 30, 86400, 2147483647, -1, "300", "5m", True), "max_input_time": (-1, 0, 60, 300, "x"),
    "output_buffering": (True, False, 4096, "4K", "On"), "precision": (-1, 0, 17, "x"), "log_errors": (True, False, "on", "nope"),
    "memory_limit": ("1G",), "max_input_vars": (1, 1000, 1000000, "1e3"), "default_charset": ("UTF-8", ""), "realpath_cache_size": ("4096K",),
    "date.timezone": ("UTC", "Europe/Berlin", "Mars/Phobos", ""), "session.name": ("SID", "7", "", "a b"), "session.cookie_path": ("/", "app"),
    "session.sid_length": (22, 256, 21, 257, "x"), "zend.assertions": (1, -1), "opcache.enable": (False,), "error_log": ("/log/x", "syslog", ""),
    "arg_separator.output": ("&amp;", ";"), "serialize_precision": (-1, 100), "short_open_tag": (True, False), "xdebug.mode": ("off",),
}  # fmt: skip
VARIABLES = ("APP_ENV", "A", "lower", "USER", "HOME", "PATH", "TMPDIR", "TZ", "LANG", "HTTP_PROXY", "DOCUMENT_ROOT", "LD_PRELOAD", "SCRIPT_NAME")

# Pairs and more that nginx, php-fpm or PHP check against each other: made together now and then.
TOGETHER = (
    ("php.request_terminate_timeout", "php.request_slowlog_timeout"),
    ("php.pm", "php.max_children", "php.start_servers", "php.min_spare_servers", "php.max_spare_servers"),
    ("php.pm", "php.start_servers"),
    ("php.pm", "php.min_spare_servers"),
    ("php.post_max_size", "php.upload_max_filesize", "php.memory_limit"),
    ("php.status_path", "php.ping_path"),
    ("php.request_terminate_timeout", "php.values"),
    ("php.limits.memory_high", "php.limits.memory_max", "php.master"),
    ("php.limits.tasks_max", "php.max_children", "php.master"),
    ("php.chroot", "php.open_basedir"),
    ("php.values", "php.user_values"),
    ("php.limit_extensions", "php.status_path"),
)
# These would only make this machine slow, or are what the test itself needs.
LEFT_OUT = {"names", "sites"}
PROCESSES = ("php.max_children", "php.start_servers", "php.min_spare_servers", "php.max_spare_servers")


def options(program):
    """Rows of the table by key: the keys of webspaces and of sites."""
    done = subprocess.run([program, "options", "--json"], capture_output=True, text=True, check=True)
    return {row["key"]: row for row in json.loads(done.stdout) if row["scope"] != "host"}


class Maker:
    def __init__(self, rows, random, certificate=None):
        """certificate: (path, path) of one with its key, for sites that bring their own."""
        self.rows, self.random, self.certificate = rows, random, certificate
        self.of_webspace = [key for key, row in rows.items() if row["scope"] == "webspace" and key not in LEFT_OUT]
        self.of_site = [key for key, row in rows.items() if row["scope"] == "site" and key not in LEFT_OUT]

    def number(self, key, row):
        low, high, step = row["min"], row["max"], row.get("step", 1)
        if key in PROCESSES and self.random.random() < 0.9:
            return self.random.choice([0, 1, 2, 3, 4, 5, 9])
        values = [low, high, low + step, high - step, self.random.randint(low, min(high, low + 1000)), low, high]
        if self.random.random() < 0.1:
            values = [low - 1, high + 1, -1, 2**31, 2**50]
        return self.random.choice(values)

    def value(self, key):
        row, choose = self.rows[key], self.random.choice
        if key in TEXTS:
            return choose(TEXTS[key] if self.random.random() < 0.9 else ODD_TEXTS)
        if key in LISTS:
            return choose(LISTS[key])
        if row["kind"] == "bool":
            return choose([True, False] * 10 + ["yes", 1])
        if row["kind"] == "word":
            return choose(row["words"] * 10 + ["", "no such word"])
        if row["kind"] in ("number", "size", "duration"):
            return self.number(key, row)
        if row["kind"] == "pairs":
            return self.pairs(key)
        return choose(ODD_TEXTS)

    def pairs(self, key):
        names = VARIABLES if key == "php.env" else list(SETTINGS)
        chosen = self.random.sample(names, self.random.randint(0, 2))
        return {name: self.random.choice(ODD_TEXTS + (0, 1, True, False) if key == "php.env" else SETTINGS[name]) for name in chosen}

    def keys(self, known, most):
        together = [group for group in TOGETHER if all(key in known for key in group)]
        if together and self.random.random() < 0.4:
            return list(self.random.choice(together))
        return self.random.sample(known, self.random.randint(0, most))

    def group(self, known, most):
        return {key: self.value(key) for key in self.keys(known, most)}

    def defaults(self):
        """What could stand in `defaults`: (keys of webspaces, keys of sites)."""
        return self.group([key for key in self.of_webspace if not key.startswith("account")], 3), self.group(self.of_site, 2)

    def webspace(self, name):
        """(keys, sites or None)."""
        keys = self.group(self.of_webspace, 4)
        if self.random.random() < 0.4:
            return keys, None
        sites = []
        for number in range(self.random.choice([1, 1, 2, 3])):
            site = self.group(self.of_site, 3)
            if self.certificate and self.random.random() < 0.05:
                site["tls.certificate"], site["tls.key"] = self.certificate
            site["names"] = self.names(name, number)
            sites.append(site)
        return keys, sites

    def names(self, name, number):
        label = f"s{number}-{name[:5]}"
        plain = f"{label}.test"
        return self.random.choice(
            [
                [plain], [plain], [plain, f"www.{plain}"], [f"*.{plain}"], [plain.upper() + "."], [f"b\u00fccher-{plain}"],
                [f"{label}.{'a' * 63}.test"], [f"{label}{'a' * 64}.test"], [f"{label}.{'.'.join(['a' * 60] * 4)}"[:253]],
                [f"n{i}.{plain}" for i in range(90)], [f"_{plain}"], [f"{label}..test"], [f"xn--{plain}"], [],
            ]
        )  # fmt: skip


def text_of(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value}L" if abs(value) >= 2**31 else str(value)
    if isinstance(value, list):
        return f"[{', '.join(text_of(item) for item in value)}]"
    if isinstance(value, dict):
        return group_of(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def group_of(keys):
    """Keys with dots as groups in groups."""
    tree = {}
    for key, value in keys.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return "{ " + " ".join(f"{key} = {text_of(value)};" for key, value in tree.items()) + " }"


def file(keys, sites):
    """A line for each key or group, so that a problem's line says which."""
    lines = [f"{group_of({key: value})[2:-2]}\n" for key, value in gathered(keys).items()]
    if sites is not None:
        lines.append("sites = (\n" + ",\n".join(f"  {group_of(site)}" for site in sites) + "\n);\n")
    return "".join(lines)


def gathered(keys):
    """libconfig wants each group once."""
    top = {}
    for key, value in keys.items():
        head, _, rest = key.partition(".")
        if rest:
            top.setdefault(head, {})[rest] = value
        else:
            top[head] = value
    return top
