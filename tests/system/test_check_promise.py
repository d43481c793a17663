"""What `check` takes is served, and what it refuses it explains: webspaces by chance, against the real daemons.

PROMISE_SEED repeats a run (each prints its own), PROMISE_WEBSPACES makes it longer: `make promise`.
"""

import http.client
import json
import os
import pwd
import random
import re
import time

import pytest

from host import Timeout, wait_for
from odd_webspaces import Maker, file, group_of, options

SEED = int(os.environ.get("PROMISE_SEED", time.time_ns() % 1000000))
WEBSPACES = int(os.environ.get("PROMISE_WEBSPACES", "120"))
SHOW = """<?php
header('Content-Type: application/json');
$ini = array_map(fn ($setting) => $setting['local_value'], ini_get_all());
echo json_encode(['served' => true, 'ini' => $ini, 'env' => getenv()], JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
"""


class Made:
    """A webspace by chance: what its file says, what check said of it."""

    def __init__(self, name, keys, sites):
        self.name, self.keys, self.sites = name, keys, sites
        self.text = file(keys, sites)
        self.problems = []


def told(complaints):
    return f"PROMISE_SEED={SEED}\n" + "\n\n".join("\n".join(str(part) for part in complaint) for complaint in complaints)


def check(host, made):
    """Fills in problems: all that check says of the directory, by file."""
    for webspace in made:
        host.drop(webspace.name, webspace.text)
    done = host.command("check", host.drops)
    by_file = {webspace.name: webspace for webspace in made}
    for line in done.stderr.splitlines():
        found = re.match(rf"{re.escape(host.drops)}/([a-z0-9_-]+)\.conf:(\d*)(.*)", line)
        assert found, f"a problem of no file: {line}"
        by_file[found[1]].problems.append(line)
    assert done.returncode == any(webspace.problems for webspace in made), done.stderr


def complaints_of_messages(made):
    """What check says names a key that is in the file, at a line that it has."""
    wrong = []
    for webspace in made:
        for line in webspace.problems:
            found = re.match(r"\S+\.conf:(\d+): ([\w.\[\]]*?)(\.|\[\d+\])?: .", line)
            names = re.findall(r"\w+", found[2]) if found else []
            known = all(name.isdigit() or name in webspace.text for name in names)
            if not found or not names or not known or not 1 <= int(found[1]) <= webspace.text.count("\n") + 1:
                wrong.append((line, webspace.text))
    return wrong


def is_served(state):
    """Ready, or it waits for nothing but the CA, whose terms this host does not agree to."""
    failing = [condition["reason"] for condition in state.get("conditions", []) if condition["status"] == "False"]
    return state.get("ready") or failing == ["TermsNotAgreed"]


def complaints_of_readiness(host, made, seconds):
    def waiting():
        states = {webspace["name"]: webspace for webspace in host.status()["webspaces"]}
        return [w for w in made if not is_served(states.get(w.name, {}))], states

    try:
        wait_for("all that check takes", lambda: not waiting()[0], seconds, 0.2)
        return []
    except Timeout:
        left, states = waiting()
        shown = [(w.text, [c for c in states.get(w.name, {}).get("conditions", []) if c["status"] != "True"]) for w in left]
        return shown


# What is asked of a site ------------------------------------------------------------------------


def pool_of(webspace, defaults):
    return {**defaults, **webspace.keys}


def exact(value):
    return value if isinstance(value, str) else str(int(value))


def complaints_of_pool(php, shown):
    """What PHP has is what the file says."""
    wrong = []
    for key, setting in (("memory_limit", "memory_limit"), ("post_max_size", "post_max_size"), ("upload_max_filesize", "upload_max_filesize"),
                         ("session_gc_divisor", "session.gc_divisor"), ("session_gc_maxlifetime", "session.gc_maxlifetime")):  # fmt: skip
        if f"php.{key}" in php:
            got = shown["ini"][setting]
            size = int(got[:-1]) << 20 if got.endswith("M") else int(got)
            if size != php[f"php.{key}"]:
                wrong.append((key, php[f"php.{key}"], got))
    for kind in ("values", "user_values"):
        for setting, value in php.get(f"php.{kind}", {}).items():
            also = kind == "values" and setting in php.get("php.user_values", {})
            if setting != "error_reporting" and not also and setting in shown["ini"] and (shown["ini"][setting] or "") != exact(value):
                wrong.append((setting, value, shown["ini"][setting]))
    for name, value in php.get("php.env", {}).items():
        text = value if isinstance(value, str) else str(value).lower()
        if shown["env"].get(name) != text:
            wrong.append((name, value, shown["env"].get(name)))
    return wrong


def ask(machine, path, **options):
    try:
        return machine.get(options["host"], path, **options)
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"{options['host']}{path}: {error!r}") from error


def complaints_of_site(host, webspace, site, php):
    names = site.get("names") or [host.host_name(webspace.name)]
    name = names[-1].rstrip(".").lower().replace("*", "any").encode("idna").decode() if names[-1].isascii() else None
    issuer, state = site.get("tls.issuer", "internal"), php.get("state", "enabled")
    if name is None or state == "disabled":
        return []
    secure = issuer != "off" or bool(site.get("tls.certificate"))
    options = {"https": secure, "host": name, "timeout": 20, "cafile": site.get("tls.certificate") or None}
    page = ask(host, "/page.html", **options)
    if state == "suspended":
        return [] if page.status == 503 else [("suspended", page.status)]
    wrong = [] if (page.status, page.text) == (200, "a page") else [("page", page.status, page.text[:200])]
    if issuer == "internal" and site.get("tls.hsts") and not page.headers.get("Strict-Transport-Security"):
        wrong.append(("hsts", site["tls.hsts"]))
    if site.get("type", "php") != "php" or not php.get("php.enabled", True) or ".php" not in php.get("php.limit_extensions", [".php"]):
        return wrong
    script = ask(host, "/show.php", **options)
    if not script.text.startswith("{"):
        return [*wrong, ("script", script.status, script.text[:300])]
    return wrong + complaints_of_pool(php, json.loads(script.text))


def fill(host, webspace, sites):
    """Files of the user's own, in the root of each site."""
    for root in {site.get("root", "").rstrip("/") for site in sites}:
        host.write(webspace.name, os.path.join(root, "page.html"), "a page")
        host.write(webspace.name, os.path.join(root, "show.php"), SHOW)


def complaints_of_answers(host, made, defaults):
    wrong = []
    for webspace in made:
        php = pool_of(webspace, defaults[0])
        sites = [{**defaults[1], **site} for site in (webspace.sites if webspace.sites is not None else [{}])]
        if "php.open_basedir" in php and php["php.open_basedir"] not in ("none", ""):
            php = {**php, "php.enabled": False}  # it may well exclude the script itself
        try:
            pwd.getpwnam(webspace.name)
            fill(host, webspace, sites)
            found = [complaint for site in sites for complaint in complaints_of_site(host, webspace, site, php)]
        except (OSError, KeyError) as error:
            found = [repr(error)]
        if found:
            wrong.append((webspace.text, found))
    return wrong


def is_too_much(keys, defaults):
    """Thousands of processes at once are what the file asks for, and no machine's to run."""
    php = {**defaults, **keys}
    most = max(php.get(f"php.{key}", 0) for key in ("max_children", "start_servers", "min_spare_servers"))
    return isinstance(most, int) and most > 50 and php.get("php.pm", "ondemand") != "ondemand"


def is_here(webspace, defaults):
    return "nowhere" not in webspace.keys.get("hosts", defaults[0].get("hosts", []))


def make_some(maker, count, defaults):
    made, taken = [], set()
    while len(made) < count:
        name = f"w{len(made):04}" if len(made) % 10 else f"w{len(made):04}-".ljust(32, "x")
        keys, sites = maker.webspace(name)
        for key in ("account.uid", "account.gid"):  # who has which id is no file's affair
            if keys.get(key) in taken:
                del keys[key]
        taken.update(keys[key] for key in ("account.uid", "account.gid") if keys.get(key, -1) != -1)
        if not is_too_much(keys, defaults[0]):
            made.append(Made(name, keys, sites))
    return made


def host_with_defaults(make_host, maker):
    """A host whose `defaults` are by chance, of those that its own check takes."""
    for _ in range(50):
        php, site = maker.defaults()
        if php.get("hosts") or php.get("state", "enabled") != "enabled" or "php.enabled" in php or is_too_much({}, php):
            continue
        text = f"defaults = {group_of({**php, **{f'site.{key}': value for key, value in site.items()}})};"
        host = make_host(settings=text, shards=2)
        done = host.command("check", host.drops)
        if done.returncode == 0:
            return host, (php, site), text
        assert all(re.match(rf"{re.escape(host.config)}:\d+: defaults\.\w", line) for line in done.stderr.splitlines()), (text, done.stderr)
    raise AssertionError("no defaults that check takes")


@pytest.mark.parametrize("part", ["plain", "defaults 1", "defaults 2"])
def test_what_check_takes_is_served_and_what_it_refuses_is_explained(make_host, part):
    """F3: F7: F14: F21: check is a promise."""
    print(f"\nPROMISE_SEED={SEED}")
    maker = Maker(options(os.environ.get("WEBSPACES", "build/webspaces")), random.Random(f"{SEED} {part}"))
    host, defaults, text, count = make_host(shards=4), ({}, {}), "", WEBSPACES
    if part != "plain":
        host.destroy()
        host, defaults, text = host_with_defaults(make_host, maker)
        count = WEBSPACES // 3
    made = make_some(maker, count, defaults)
    check(host, made)
    wrong = complaints_of_messages(made)
    assert not wrong, told(wrong)
    taken = [webspace for webspace in made if not webspace.problems and is_here(webspace, defaults)]
    assert len(taken) > len(made) / 10, "too few to prove anything"
    print(f"{len(taken)} of {len(made)} taken")
    host.start()
    wrong = complaints_of_readiness(host, taken, 30 + count / 5)
    assert not wrong, text + told(wrong)
    wrong = complaints_of_answers(host, taken, defaults)
    assert not wrong, text + told(wrong)
