"""F12: where nginx listens, on hosts that lack what the file says."""

import os
import subprocess
import sys

from host import wait_for

WITHOUT_IPV6 = (sys.executable, "-B", os.path.join(os.path.dirname(os.path.abspath(__file__)), "without_ipv6.py"))
BOTH = ("0.0.0.0", "::")


def without_ipv6(host, *words):
    return subprocess.run([*WITHOUT_IPV6, host.webspaces, "--config", host.config, *words], capture_output=True, text=True, check=False)


def test_F12_a_host_whose_kernel_lacks_IPv6_serves_with_both_families_in_its_file(make_host):
    host = make_host(shards=1, addresses=BOTH)
    host.launch(prefix=WITHOUT_IPV6)
    wait_for("the agent", host.alive, 30)
    host.add("alice")
    host.wait_answers("alice", https=True)
    said = "nginx does not listen on [::]:8080, [::]:8443: the kernel has no IPv6"
    assert host.journal().count(said) == 1
    assert host.status()["note"] == said
    assert said in host.command("status").stdout.replace("\n", " ") and host.command("status").returncode == 0
    assert "no IPv6" in without_ipv6(host, "doctor", "alice").stdout


def test_F12_a_host_that_has_IPv6_switched_off_serves_with_both_families_in_its_file(make_host):
    place = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
    with open(place, "w", encoding="ascii") as file:
        file.write("1")
    try:
        host = make_host(shards=1, addresses=BOTH).start()
        host.add("alice")
        host.wait_answers("alice", https=True)
        assert host.status()["note"] is None
    finally:
        with open(place, "w", encoding="ascii") as file:
            file.write("0")


def test_F12_an_address_that_the_host_does_not_have_is_named(make_host):
    host = make_host(shards=1, addresses=("127.0.0.1", "192.0.2.7")).start()
    host.drop("alice")
    told = wait_for("it is said", lambda: host.condition("alice", "Sites") and host.condition("alice", "Sites").get("message"), 30)
    said = "nginx cannot listen on 192.0.2.7:8080: this host does not have that address (`ip address` lists those it has)"
    assert told.startswith(said)
    assert not host.condition("alice", "Sites")["reason"].startswith("Quarantined"), "it is not alice's fault"
    doctor = " ".join(host.command("doctor", "alice").stdout.split())
    assert said in doctor and "give the host that address" in doctor


def test_F12_only_addresses_of_a_family_that_the_kernel_lacks_are_refused(make_host):
    host = make_host(shards=1, addresses=("::1",))
    host.launch(prefix=WITHOUT_IPV6)
    assert host.agent.wait(30) != 0
    assert "nginx.http: the kernel has no IPv6: add an address of the other family" in host.journal()
