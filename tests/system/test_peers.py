"""The peers of the ACME tests are right: clients of foreign make get along with them, and meet what a rule says."""

import base64
import http.client
import http.server
import json
import os
import ssl
import subprocess
import threading
import time

import pytest

from answers import cut, doubled, flood, forged, header, limited, lose, problem, put, stall, truncate
from certificates import Authority, days_left, names_of, openssl, public_key_of, read, renewal_id, serial_of, split, write
from faulty_ca import FaultyCA
from neighbourhood import trust
from peers import Delay, Pebble, fetch
from scripted_ca import ScriptedCA

UACME_HOOK = """#!/bin/sh -e
case $2 in
http-01) mkdir -p ROOT/.well-known/acme-challenge; echo "$5" > "ROOT/.well-known/acme-challenge/$4" ;;
dns-01) export WEBSPACES_NAME="$3" WEBSPACES_RECORD="_acme-challenge.$3." WEBSPACES_VALUE="$5"
	if [ "$1" = begin ]; then exec HOOK present; else exec HOOK cleanup; fi ;;
esac
"""


class Web:
    """Answers challenges on port 80 from files, for the clients here; the agent has nginx."""

    def __init__(self, root):
        self.root = root
        handler = lambda *words: Quiet(*words, directory=root)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 80), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    (tmp_path / "web").mkdir()
    server = Web(str(tmp_path / "web"))
    yield server
    server.stop()


@pytest.fixture
def uacme(tmp_path, web):
    """A function: the outcome of uacme's work for these names with this CA; certificate(name) reads what it got."""

    def run(peer, *names, verb="issue", challenge="http-01", dns_hook="false"):
        trust(peer.ca_file, "/etc/ssl/certs/ca-certificates.crt")
        text = UACME_HOOK.replace("ROOT", web.root).replace("HOOK", dns_hook)
        text = text.replace("case $2 in", f'[ "$2" = {challenge} ] || exit 1\ncase $2 in')
        hook = write(str(tmp_path / "uacme-hook"), text, 0o755)
        base = ["uacme", "-v", "-c", str(tmp_path / "uacme"), "-a", peer.directory_url, "-h", hook, "-y", "-t", "EC"]
        if not (tmp_path / "uacme").exists():
            new = subprocess.run([*base, "new"], capture_output=True, text=True, timeout=60, check=False)
            if new.returncode:
                return new
        return subprocess.run([*base, verb, *names], capture_output=True, text=True, timeout=60, check=False)

    run.path = lambda name: str(tmp_path / "uacme" / name / "cert.pem")
    run.certificate = lambda name: read(run.path(name))
    return run


def lego(peer, web, tmp_path, name):
    environment = {"LEGO_CA_CERTIFICATES": peer.ca_file, "PATH": os.environ["PATH"]}
    command = ["lego", "--path", str(tmp_path / "lego"), "-s", peer.directory_url, "-a", "-m", "me@peers.test",
               "--http", "--http.webroot", web.root, "-d", name, "run"]  # fmt: skip
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    return read(str(tmp_path / "lego" / "certificates" / f"{name}.crt"))


def dig(name, kind, *more):
    out = subprocess.run(["dig", "+noall", "+comments", "+answer", name, kind, *more], capture_output=True, text=True, check=False)
    status = out.stdout.partition("status: ")[2].partition(",")[0]
    rows = [line.split(None, 4) for line in out.stdout.splitlines() if line and not line.startswith(";")]
    return status, [f"{row[3]} {row[4]}" for row in rows]


# DNS ------------------------------------------------------------------------


def test_the_name_server_says_what_it_was_told(dns):
    dns.set_a("two.test", "127.0.0.2", "127.0.0.3")
    dns.set_aaaa("six.test", "::1")
    dns.set_a("none.test")
    dns.set_cname("alias.test", "other.test")
    dns.set_cname("other.test", "two.test")
    dns.set_caa("two.test", ("issue", "ca.test; accounturi=x"), ("iodef", "mailto:a@b"), flags=128)
    dns.set_txt("_acme-challenge.two.test.", "v1", "v2")
    dns.clear_txt("_acme-challenge.two.test.", "v1")
    dns.servfail("two.test", "AAAA")
    dns.nxdomain("gone.test")
    dns.truncate("_acme-challenge.two.test")
    dns.silence("mute.test")
    dns.slow("late.test", 0.3)
    assert dig("any.test", "A") == ("NOERROR", ["A 127.0.0.1"])
    assert dig("TWO.test", "A") == ("NOERROR", ["A 127.0.0.2", "A 127.0.0.3"])
    assert dig("six.test", "AAAA") == ("NOERROR", ["AAAA ::1"])
    assert dig("six.test", "A") == dig("none.test", "A") == ("NOERROR", [])
    assert dig("alias.test", "A") == ("NOERROR", ["CNAME other.test.", "CNAME two.test.", "A 127.0.0.2", "A 127.0.0.3"])
    assert dig("two.test", "CAA") == ("NOERROR", ['CAA 128 issue "ca.test; accounturi=x"', 'CAA 128 iodef "mailto:a@b"'])
    assert dig("_acme-challenge.two.test", "TXT")[1] == ['TXT "v2"']
    assert dig("_acme-challenge.two.test", "TXT", "+ignore")[1] == []
    assert dig("two.test", "AAAA")[0] == "SERVFAIL"
    assert dig("gone.test", "A")[0] == "NXDOMAIN"
    assert dig("mute.test", "A", "+time=1", "+tries=1") == ("", [])
    start = time.monotonic()
    assert dig("late.test", "A")[1] == ["A 127.0.0.1"] and time.monotonic() - start >= 0.3
    dns.set_default()
    assert dig("any.test", "A")[0] == "NXDOMAIN" and dns.asked("any.test", "A") == 2


def test_the_hook_makes_one_record_visible_and_takes_one_away(dns, hook):
    def call(verb, value):
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "WEBSPACES_NAME": "a.test",
                       "WEBSPACES_RECORD": "_acme-challenge.a.test.", "WEBSPACES_VALUE": value}  # fmt: skip
        return subprocess.run([hook.path, verb], env=environment, capture_output=True, check=False).returncode

    assert (call("present", "-one"), call("present", "two")) == (0, 0)
    assert dig("_acme-challenge.a.test", "TXT")[1] == ['TXT "-one"', 'TXT "two"']
    assert call("cleanup", "-one") == 0
    assert dig("_acme-challenge.a.test", "TXT")[1] == ['TXT "two"']
    hook.behave("fail")
    assert call("cleanup", "two") == 1
    assert [made["argv"] for made in hook.calls] == [["present"], ["present"], ["cleanup"], ["cleanup"]]
    assert hook.calls[0]["environment"]["WEBSPACES_VALUE"] == "-one"


# CAs of foreign make ----------------------------------------------------------


def test_uacme_gets_and_revokes_a_certificate_of_pebble(pebble, uacme):
    assert uacme(pebble, "one.test").returncode == 0
    chain = uacme.certificate("one.test")
    assert names_of(chain) == ["one.test"] and 89 < days_left(chain) < 91
    assert pebble.issued() >= 1 and pebble.status(serial_of(chain)) == "Valid"
    assert uacme(pebble, uacme.path("one.test"), verb="revoke").returncode == 0
    assert pebble.status(serial_of(chain)) == "Revoked"


def test_uacme_gets_a_certificate_of_caddy(caddy, uacme):
    assert uacme(caddy, "caddy.test").returncode == 0
    assert names_of(uacme.certificate("caddy.test")) == ["caddy.test"]


def test_pebble_asks_dns_for_dns_01_where_the_hook_wrote(pebble, uacme, hook, dns):
    assert uacme(pebble, "dns.test", challenge="dns-01", dns_hook=hook.path).returncode == 0
    assert dns.asked("_acme-challenge.dns.test", "TXT") >= 1
    assert dns.texts("_acme-challenge.dns.test") == []


def test_a_name_that_is_elsewhere_fails_with_pebble(pebble, uacme, dns):
    dns.servfail("lost.test")
    assert uacme(pebble, "lost.test").returncode != 0


def test_pebble_takes_its_options(make_peer, uacme):
    pebble = make_peer(Pebble, always_valid=True, alternate_roots=1, chain_length=3, validity_seconds=3600)
    assert uacme(pebble, "opt.test").returncode == 0
    chain = uacme.certificate("opt.test")
    assert len(split(chain)) == 4 and days_left(chain) < 1 and pebble.root(0) != pebble.root(1)


def test_pebble_rejects_nonces_when_told(make_peer, uacme):
    assert "badNonce" in uacme(make_peer(Pebble, nonce_reject=100), "nonce.test").stderr


# The faulty CA ----------------------------------------------------------------


def test_lego_gets_a_certificate_through_the_faulty_ca_as_if_it_were_not_there(ca, web, tmp_path):
    ca.on("challenge", header("Retry-After", 1))  # lego is in no hurry otherwise
    chain = lego(ca, web, tmp_path, "lego.test")
    assert names_of(chain) == ["lego.test"]
    assert {"directory", "newNonce", "newAccount", "newOrder", "authz", "challenge", "finalize", "certificate"} <= set(ca.counts())
    assert "unknown" not in ca.counts()
    assert ca.seen("newOrder")[0].payload["identifiers"] == [{"type": "dns", "value": "lego.test"}]
    assert all(seen.header["url"] == seen.url for seen in ca.seen() if seen.header)
    assert ca.seen("certificate")[-1].payload == "" and ca.seen("certificate")[-1].status == 200
    assert ca.seen("newOrder")[0].header["kid"].startswith(ca.origin)


def test_the_directory_has_what_pebble_lacks(ca):
    ca.profiles = {"shortlived": "six days"}
    directory = json.loads(fetch(ca.directory_url, ca.ca_file)[1])
    assert str(ca.upstream.port) not in str(directory) and "shortlived" in directory["meta"]["profiles"]
    ca.set_window(-60, 3600, retry_after=60, certificate="aki.serial")
    assert '"start": "20' in fetch(f"{directory['renewalInfo']}/aki.serial", ca.ca_file)[1]
    ca.set_window(0, "tomorrow")
    assert '"end": "tomorrow"' in fetch(f"{directory['renewalInfo']}/other.one", ca.ca_file)[1]
    assert ca.counts() == {"directory": 1, "renewalInfo": 2}


@pytest.mark.parametrize(
    ("kind", "action", "told"),
    [
        ("newOrder", limited("account"), "too many new orders"),
        ("finalize", problem("badCSR", 400, "no such key"), "no such key"),
        ("order", put(status="invalid"), "invalid"),
    ],
    ids=["limited", "refused", "invalid"],
)
def test_a_client_meets_the_rule(ca, uacme, kind, action, told):
    rule = ca.on(kind, action)
    out = uacme(ca, "rule.test")
    assert out.returncode != 0 and told in out.stderr and rule.fired >= 1


def test_a_rule_counts(ca):
    ca.on("directory", problem("serverInternal", 500), nth=2)
    ca.on("directory", problem("rateLimited", 429), every=2, times=1)
    answers = [fetch(ca.directory_url, ca.ca_file)[0] for _ in range(6)]
    assert answers == [200, 500, 429, 200, 200, 200]


@pytest.mark.parametrize(("action", "status"), [(cut, 0), (lose, 200), (truncate(), 200), (stall, 0)])
def test_of_a_broken_line_the_client_has_no_answer(ca, action, status):
    ca.on("directory", action, nth=1)
    with pytest.raises((OSError, http.client.HTTPException)):
        fetch(ca.directory_url, ca.ca_file, timeout=0.3)
    assert fetch(ca.directory_url, ca.ca_file)[0] == 200
    assert [seen.status for seen in ca.seen("directory")] == [status, 200]


def test_a_flood_is_one(ca):
    ca.on("directory", flood(total=32 << 20))
    assert len(fetch(ca.directory_url, ca.ca_file)[1]) == 32 << 20


def test_connections_are_cut_and_tls_is_spoilt(ca, tmp_path):
    ca.cut_every = 2
    assert fetch(ca.directory_url, ca.ca_file)[0] == 200
    with pytest.raises(OSError):
        fetch(ca.directory_url, ca.ca_file)
    ca.clear()
    ca.greeting = b"HTTP/1.0 400 this is not TLS\r\n"
    with pytest.raises(ssl.SSLError):
        fetch(ca.directory_url, ca.ca_file)
    ca.clear()
    for options in ({"end": -0.1}, {"names": ["other.test"]}, {"authority": Authority("nobody knows")}):
        ca.present_certificate(**options)
        with pytest.raises(ssl.SSLCertVerificationError):
            fetch(ca.directory_url, ca.ca_file)
    ca.present_certificate()
    assert fetch(ca.directory_url, ca.ca_file)[0] == 200


@pytest.mark.parametrize(
    ("options", "is_so"),
    [
        ({"end": -0.1}, lambda chain: days_left(chain) < 0),
        ({"serial": "f00dfeed"}, lambda chain: renewal_id(chain).partition(".")[2] == "APAN_u0"),
    ],
    ids=["expired", "serial with its high bit set"],
)
def test_a_chain_is_forged_for_the_client_s_own_key(ca, uacme, tmp_path, options, is_so):
    ca.on("certificate", forged(**options))
    assert uacme(ca, "forged.test").returncode == 0
    chain = uacme.certificate("forged.test")
    key = subprocess.run(["openssl", "pkey", "-pubout", "-in", str(tmp_path / "uacme/private/forged.test/key.pem")],
                         capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert is_so(chain) and public_key_of(chain) == key and len(split(chain)) == 2


def test_headers_may_come_twice_and_a_made_up_answer_has_a_good_nonce(ca, uacme):
    ca.on("newNonce", doubled("Replay-Nonce"), times=1)
    rule = ca.on("newOrder", problem("badNonce"), times=1)
    assert uacme(ca, "nonce.test").returncode == 0 and rule.fired == 1
    assert ca.counts()["newOrder"] == 2 and ca.counts()["newNonce"] == 2  # the latter: one a process


def test_the_scripted_ca_s_certificates_verify_and_are_cheap(make_peer, uacme):
    scripted = ScriptedCA()
    ca = make_peer(FaultyCA, scripted)
    assert uacme(ca, "quick.test", "www.quick.test").returncode == 0
    chain = write(uacme.path("quick.test") + ".all", uacme.certificate("quick.test"))
    issuer = write(chain + ".issuer", split(read(chain))[1])
    openssl("verify", "-x509_strict", "-CAfile", scripted.root_file, "-untrusted", issuer, "-purpose", "sslserver",
            "-verify_hostname", "www.quick.test", chain)  # fmt: skip
    request = Authority().request(["a.test"], "many")
    data = base64.b64decode("".join(request.splitlines()[1:-1]))
    start = time.monotonic()
    for _ in range(1000):
        scripted.issuer.sign_request(data, ["a.test"], scripted.lifetime)
    assert time.monotonic() - start < 1


def test_a_slow_line_is_slow_each_way_and_keeps_the_bytes(pebble):
    line = Delay(pebble.port, 60)
    start = time.monotonic()
    body = fetch(line.url(pebble.directory_url), pebble.ca_file)[1]
    took = time.monotonic() - start
    line.stop()
    assert 0.18 <= took < 0.5 and str(line.port) in body and line.connections == 1
