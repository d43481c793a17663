"""Figures for Prometheus, read as its own tools read them."""

import calendar
import os
import re
import stat
import subprocess
import time

from acme_host import Place, one
from certificates import Authority, openssl, read
from host import wait_for

SETTINGS = 'metrics = { file = "%s"; }; reconcile = { settle_ms = 20; };'


def measured(make_host, **options):
    host = make_host(**options)
    os.makedirs(os.path.join(host.root, "prom"))
    host.figures = os.path.join(host.root, "prom/webspaces.prom")
    host.configure(settings=SETTINGS % host.figures)
    return host


def figures(host):
    """name{labels} → value."""
    with open(host.figures, encoding="utf-8") as file:
        return dict((line.rsplit(" ", 1)[0], float(line.rsplit(" ", 1)[1])) for line in file if not line.startswith("#"))


def file_text(host):
    with open(host.figures, encoding="utf-8") as file:
        return file.read()


def assert_is_clean(host):
    """By Prometheus' own tool."""
    with open(host.figures, "rb") as file:
        out = subprocess.run(["promtool", "check", "metrics"], stdin=file, capture_output=True, text=True, check=False)
    assert (out.returncode, out.stdout + out.stderr) == (0, ""), file_text(host)


def not_after(pem):
    """Seconds since 1970, by openssl."""
    text = openssl("x509", "-noout", "-enddate", text=pem).strip().removeprefix("notAfter=")
    return calendar.timegm(time.strptime(text, "%b %d %H:%M:%S %Y GMT"))


def wait_figure(host, name, value):
    wait_for(f"{name} {value}", lambda: os.path.exists(host.figures) and figures(host).get(name) == value, 30, 0.1)


def test_prometheus_own_tool_finds_nothing_wrong_with_the_file(make_host):
    host = measured(make_host).start()
    host.add("alice")
    wait_figure(host, "webspaces_webspaces_ready", 1)
    assert_is_clean(host)
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
    assert set(re.findall(r"^# TYPE (\w+) ", file_text(host), re.M)) == documented


def test_the_ends_of_certificates_are_told_with_where_they_come_from(make_host):
    host = measured(make_host).start()
    files = Authority().server(["own.test"], start=-1, end=5)
    host.drop("alice")
    host.drop("bob", one("own.test", tls=f'certificate = "{files[0]}"; key = "{files[1]}";'))
    host.drop("carol", one("carol.test", tls='issuer = "acme";'))  # whose terms nobody agreed to
    host.drop("dora", one("dora.test", tls='issuer = "off";'))
    for source, count in {"internal": 1, "files": 1, "stand_in": 1, "ca": 0}.items():
        wait_figure(host, f'webspaces_certificates{{source="{source}"}}', count)
    assert_is_clean(host)
    now = figures(host)
    ends = {key: value for key, value in now.items() if key.startswith("webspaces_certificate_not_after_")}
    named = "webspaces_certificate_not_after_timestamp_seconds{{webspace=\"{}\",site=\"{}\"}}".format
    assert ends == {
        named("bob", "own.test"): not_after(read(files[0])),
        named("alice", "alice.web.test"): not_after(Place(host, "alice").chain()),
        named("carol", "carol.test"): not_after(Place(host, "carol", "carol.test").chain()),
    }
    assert list(ends)[0] == named("bob", "own.test")
    assert now["webspaces_certificate_earliest_not_after_timestamp_seconds"] == not_after(read(files[0]))
    assert now["webspaces_certificates_left_out"] == 0
    assert now["webspaces_acme_requests_total"] == 0


def test_a_certificate_that_goes_is_told_no_more(make_host):
    host = measured(make_host).start()
    host.drop("alice")
    wait_figure(host, 'webspaces_certificates{source="internal"}', 1)
    host.drop("alice", 'sites = ( { names = ["alice.test"]; tls = { issuer = "off"; }; } );')
    wait_figure(host, 'webspaces_certificates{source="internal"}', 0)
    assert "webspaces_certificate_not_after_timestamp_seconds{" not in file_text(host)


def test_what_the_client_of_cas_does_is_counted(make_host, dns, pebble):
    host = measured(make_host, ports=(80, 443), addresses=("127.0.0.1", "::1"), acme=pebble.settings()).start()
    wait_figure(host, 'webspaces_certificates{source="ca"}', 0)
    host.drop("alice", one("alice.test"))
    wait_figure(host, 'webspaces_certificates{source="ca"}', 1)
    wait_figure(host, "webspaces_acme_certificates_issued_total", 1)
    assert_is_clean(host)
    now = figures(host)
    assert now["webspaces_acme_certificates_wanted"] == 1
    assert now["webspaces_acme_requests_total"] >= 6
    assert 1 <= now["webspaces_acme_connections_total"] <= now["webspaces_acme_requests_total"]
    assert now["webspaces_acme_worker_deaths_total"] == 0
    named = 'webspaces_certificate_not_after_timestamp_seconds{webspace="alice",site="alice.test"}'
    assert now[named] == not_after(Place(host, "alice", "alice.test").chain())


def test_without_an_exporter_nothing_is_written_and_nothing_told(make_host):
    host = measured(make_host)
    os.rmdir(os.path.dirname(host.figures))
    host.start()
    host.add("alice")
    host.end()
    assert "metrics" not in host.journal()
    assert not os.path.exists(os.path.dirname(host.figures))
