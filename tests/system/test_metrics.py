"""Figures for Prometheus, read as its own tools read them."""

import os
import re
import stat
import subprocess

from host import wait_for

SETTINGS = 'metrics = { file = "%s"; }; reconcile = { settle_ms = 20; };'


def measured(make_host):
    host = make_host()
    os.makedirs(os.path.join(host.root, "prom"))
    host.figures = os.path.join(host.root, "prom/webspaces.prom")
    host.configure(settings=SETTINGS % host.figures)
    return host


def figures(host):
    """name{labels} → value."""
    with open(host.figures, encoding="utf-8") as file:
        return dict((line.rsplit(" ", 1)[0], float(line.rsplit(" ", 1)[1])) for line in file if not line.startswith("#"))


def wait_figure(host, name, value):
    wait_for(f"{name} {value}", lambda: os.path.exists(host.figures) and figures(host).get(name) == value, 30, 0.1)


def test_prometheus_own_tool_finds_nothing_wrong_with_the_file(make_host):
    host = measured(make_host).start()
    host.add("alice")
    wait_figure(host, "webspaces_webspaces_ready", 1)
    with open(host.figures, "rb") as file:
        out = subprocess.run(["promtool", "check", "metrics"], stdin=file, capture_output=True, text=True, check=False)
    assert (out.returncode, out.stdout + out.stderr) == (0, "")
    assert stat.S_IMODE(os.stat(host.figures).st_mode) == 0o644
    assert os.listdir(os.path.dirname(host.figures)) == ["webspaces.prom"]


def test_figures_say_what_is_and_count_what_was_done(make_host):
    host = measured(make_host).start()
    host.add("alice", "bob")
    host.drop("carol", 'state = "suspended";')
    host.drop("dora", 'php = { version = "9.9"; };')
    wait_figure(host, 'webspaces_webspaces{state="suspended"}', 1)
    wait_figure(host, 'webspaces_webspaces{state="enabled"}', 3)
    wait_figure(host, 'webspaces_webspaces_failing{condition="Php"}', 1)
    wait_figure(host, "webspaces_webspaces_ready", 3)
    assert 'webspaces_changes_total{change="drift",resource="directory"}' not in figures(host)
    os.chmod(host.home("alice", "chroot/tmp"), 0o777)
    wait_figure(host, 'webspaces_changes_total{change="drift",resource="directory"}', 1)
    now = figures(host)
    assert now['webspaces_reload_duration_seconds_count{daemon="nginx"}'] >= 1
    assert 0 < now['webspaces_reload_duration_seconds_sum{daemon="nginx"}'] < 60
    assert now["webspaces_pass_duration_seconds_count"] >= 2
    assert now["webspaces_generation"] == host.status()["generation"]
    os.kill(host.nginx_pid(), 9)
    wait_figure(host, 'webspaces_daemon_deaths_total{daemon="nginx"}', 1)


def test_each_figure_of_the_file_is_documented(make_host):
    host = measured(make_host).start()
    host.add("alice")
    wait_figure(host, "webspaces_webspaces_ready", 1)
    documented = set(re.findall(r"^(webspaces_\w+)", host.command("metrics").stdout, re.M))
    with open(host.figures, encoding="utf-8") as file:
        assert set(re.findall(r"^# TYPE (\w+) ", file.read(), re.M)) == documented


def test_without_an_exporter_nothing_is_written_and_nothing_told(make_host):
    host = measured(make_host)
    os.rmdir(os.path.dirname(host.figures))
    host.start()
    host.add("alice")
    host.end()
    assert "metrics" not in host.journal()
    assert not os.path.exists(os.path.dirname(host.figures))
