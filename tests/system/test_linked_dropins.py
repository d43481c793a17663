"""Files of webspaces that are symbolic links: followed where every step is root's, refused where one is not."""

import os
import shutil
import subprocess

import pytest
from host import Host, wait_for

SETTINGS = "reconcile = { full_pass_s = 3600; };"  # whatever is seen is seen by events


@pytest.fixture(scope="module")
def accounts():
    """Those of the one host of this module stay: it is in a namespace of its own."""
    yield


@pytest.fixture(scope="module")
def host():
    made = Host(root="/mnt/linked", settings=SETTINGS)
    made.start()
    yield made
    made.destroy()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)


def link(target, path):
    """As ln -sfn: in one step."""
    os.symlink(target, path + ".tmp")
    os.rename(path + ".tmp", path)


def drop_in(host, name):
    return os.path.join(host.drops, f"{name}.conf")


def memory(size):
    return f'php = {{ memory_limit = "{size}M"; }};'


def wait_limit(host, name, size):
    def seen():
        answer = host.get_quietly(name, "/", https=True)
        return answer and answer.text == f"{size}M"

    wait_for(f"{name} with {size}M", seen, 20)


def serve(host, name, size):
    host.wait_ready(name)
    host.write(name, "index.php", "<?php echo ini_get('memory_limit');")
    wait_limit(host, name, size)


def problem(host, name):
    condition = host.condition(name, "Loaded") or {}
    return condition.get("message") or ""


def test_f15_a_config_map_is_served_and_its_changes_are_seen_at_once(host):
    """F15: Kubernetes puts NAME.conf → ..data/NAME.conf, and swaps ..data by a rename."""
    for revision, size in ("..2026_01", 41), ("..2026_02", 42):
        write(os.path.join(host.drops, revision, "kube.conf"), memory(size))
    link("..2026_01", os.path.join(host.drops, "..data"))
    link("..data/kube.conf", drop_in(host, "kube"))
    serve(host, "kube", 41)
    link("..2026_02", os.path.join(host.drops, "..data"))
    shutil.rmtree(os.path.join(host.drops, "..2026_01"))
    wait_limit(host, "kube", 42)
    assert host.command("check").returncode == 0, host.command("check").stderr


def test_f15_stow_and_nixos_are_followed_through_every_link(host):
    """F15: a link to a link in a directory that a link leads to."""
    store = f"{host.root}/store"
    write(f"{store}/one/webspaces/nix.conf", memory(43))
    write(f"{store}/two/webspaces/nix.conf", memory(44))
    link("one", f"{store}/static")
    link("../../store/static/webspaces/nix.conf", drop_in(host, "nix"))
    serve(host, "nix", 43)
    link("two", f"{store}/static")
    wait_limit(host, "nix", 44)
    write(f"{store}/two/webspaces/nix.conf", memory(45))  # in place
    wait_limit(host, "nix", 45)
    host.end()
    link("one", f"{store}/static")
    host.start()
    wait_limit(host, "nix", 43)


@pytest.mark.parametrize("step", ["file", "directory", "link"])
def test_f15_a_step_that_is_not_roots_is_refused_by_its_path(host, step):
    """F15: whoever can turn a step elsewhere would be root in all but name."""
    name, place = f"step{step}", f"{host.root}/by-{step}"
    write(f"{place}/inner/{name}", memory(46))
    link("inner", f"{place}/way")
    link(f"{place}/way/{name}", drop_in(host, name))
    serve(host, name, 46)
    bad = {"file": f"{place}/inner/{name}", "directory": f"{place}/inner", "link": f"{place}/way"}[step]
    os.chown(bad, 1234, 1234, follow_symlinks=False)
    write(f"{place}/inner/{name}", memory(47))
    said = wait_for("refused", lambda: problem(host, name), 20)
    assert "uid 1234" in said and (bad in said or step == "file")
    checked = host.command("check", host.drops)
    assert checked.returncode == 1 and "uid 1234" in checked.stderr
    wait_limit(host, name, 46)  # what was good is in force
    os.chown(bad, 0, 0, follow_symlinks=False)
    os.utime(f"{place}/inner/{name}")
    wait_limit(host, name, 47)
    host.drop(name, memory(47))


def test_f15_a_link_that_leads_nowhere_is_not_taken_for_a_removal(host):
    """F15: what it leads to may be on its way."""
    place = f"{host.root}/gone/late"
    write(place, memory(48))
    link(place, drop_in(host, "late"))
    serve(host, "late", 48)
    os.rename(place, place + ".away")
    said = wait_for("a problem", lambda: problem(host, "late"), 20)
    assert place in said and "No such file" in said
    wait_limit(host, "late", 48)
    write(place, memory(49))
    wait_limit(host, "late", 49)


def test_f15_the_hosts_file_may_be_such_a_link(host):
    linked = host.config + ".linked"
    link(host.config, linked)
    done = subprocess.run(
        [host.webspaces, "--config", linked, "check"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
