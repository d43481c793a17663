"""Our account at a CA: bound to another, changed, ended, forgotten; and what can be done about certificates."""

import base64
import itertools
import json
import os
import time

import pytest

from acme_host import NO_PHP, account, account_public_key, certs, use, wait_reason, wait_served
from answers import cut, lose, problem
from certificates import public_key_of, read, serial_of
from faulty_ca import FaultyCA
from host import Host, wait_for
from peers import Pebble

EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
OTHER_KEY = base64.urlsafe_b64encode(b"another key of thirty-two bytes.").decode().rstrip("=")


NAMES = (f"user{number}" for number in itertools.count(1))


@pytest.fixture(autouse=True)
def accounts():
    """Those of the host that most tests here share stay until the last of them."""


@pytest.fixture(scope="module")
def shared(pebble_of_the_module):
    """(host, its CA), with alice certified."""
    ca = FaultyCA(pebble_of_the_module)
    host = started(Host, ca)
    yield host, ca
    host.destroy()
    ca.stop()


@pytest.fixture
def agent(shared):
    return shared[0]


@pytest.fixture
def ca(shared):
    ca = shared[1]
    ca.forget_requests()
    yield ca
    ca.clear()


@pytest.fixture
def alone(make_host, make_peer, second_pebble):
    """(host, its CA) as the shared ones, for what would spoil those."""
    ca = make_peer(FaultyCA, second_pebble)
    return started(make_host, ca, ports=(8080, 8443)), ca


def started(make, ca, ports=(80, 443)):
    """A host of a CA; alice is certified."""
    host = make(ports=ports, addresses=("127.0.0.1", "::1"), trust=ca.root_file, acme=ca.settings()).start()
    host.drop("alice", NO_PHP)
    host.wait_ready("alice")
    return host


def order_another(host):
    """Proves that the account is good, and is answered for. The new webspace's name."""
    name = next(NAMES)
    host.drop(name, NO_PHP)
    host.wait_ready(name)
    return name


# External account binding (E6) --------------------------------------------------------------------


@pytest.fixture(scope="module")
def binding_pebble(dns_of_the_module):
    server = Pebble(eab={"kid-1": EAB_KEY}, http_port=8080, tls_port=8443)
    yield server
    server.stop()


@pytest.fixture
def binding_ca(make_peer, binding_pebble):
    return make_peer(FaultyCA, binding_pebble)


def test_an_account_that_has_to_be_bound_is_held_with_a_clear_word_and_made_once_the_key_is_right(make_host, binding_ca, tmp_path):
    # E6: EAB missing, wrong, right (hmac_key), right (hmac_key_file)
    ca = binding_ca
    host = make_host(trust=ca.root_file, acme=ca.settings()).start()
    host.drop("alice", NO_PHP)
    wait_reason(host, "alice", "AccountRefused", "acme.eab")
    assert ca.counts() == {"directory": 1}, "the directory said it already"

    def with_eab(text):
        host.end()
        ca.forget_requests()
        use(host, ca.settings(f'eab = {{ kid = "kid-1"; {text} }};'))
        host.start()

    with_eab(f'hmac_key = "{OTHER_KEY}";')
    wait_reason(host, "alice", "AccountRefused", "unauthorized")
    assert len(ca.seen("newAccount")) == 1 and not ca.seen("newOrder")

    with_eab(f'hmac_key_file = "{tmp_path}/none";')
    wait_reason(host, "alice", "AccountRefused", "No such file")
    assert not ca.seen("newAccount")

    (tmp_path / "key").write_text(EAB_KEY + "\n")
    with_eab(f'hmac_key_file = "{tmp_path}/key";')
    host.wait_ready("alice")
    assert len(ca.seen("newAccount")) == 1
    bound = ca.seen("newAccount")[0].payload["externalAccountBinding"]
    assert json.loads(base64.urlsafe_b64decode(bound["protected"] + "=="))["kid"] == "kid-1"


def test_an_account_is_bound_by_a_key_in_the_host_s_file(make_host, binding_ca):  # E6: EAB right
    acme = binding_ca.settings(f'eab = {{ kid = "kid-1"; hmac_key = "{EAB_KEY}"; }};')
    host = make_host(trust=binding_ca.root_file, acme=acme).start()
    host.drop("alice", NO_PHP)
    host.wait_ready("alice")
    assert len(binding_ca.seen("newAccount")) == 1


def test_a_binding_of_a_kid_that_the_ca_does_not_know_is_told_in_its_words(make_host, binding_ca):  # E6: EAB wrong
    acme = binding_ca.settings(f'eab = {{ kid = "kid-2"; hmac_key = "{EAB_KEY}"; }};')
    host = make_host(trust=binding_ca.root_file, acme=acme).start()
    host.drop("alice", NO_PHP)
    wait_reason(host, "alice", "AccountRefused", "unauthorized")
    time.sleep(1)
    assert len(binding_ca.seen("newAccount")) == 1, "not asked again and again"


# Contacts (E6) --------------------------------------------------------------------------------------


def test_changed_contacts_are_told_to_the_ca_at_the_next_start_and_only_then(agent, ca):
    def restarted_with(contacts):
        agent.end()
        ca.forget_requests()
        use(agent, ca.settings(f"contact = [{contacts}];"))
        agent.start()

    restarted_with('"mailto:a@peers.test", "mailto:b@peers.test"')
    update = ca.wait("account", 1)[0]
    assert update.payload == {"contact": ["mailto:a@peers.test", "mailto:b@peers.test"]}
    wait_for("the record", lambda: "b@peers.test" in read(account(agent, ca)), 5)
    restarted_with('"mailto:a@peers.test", "mailto:b@peers.test"')
    order_another(agent)
    assert not ca.seen("account") and not ca.seen("newAccount")


def test_contacts_that_the_ca_does_not_take_hold_no_certificate_up(agent, ca):
    ca.on("account", problem("invalidContact", 400, "no mail is taken there"))
    agent.end()
    use(agent, ca.settings('contact = ["mailto:a@peers.test"];'))
    agent.start()
    wait_for("it is told", lambda: "no mail is taken there" in agent.journal(), 5)
    order_another(agent)


# Another key (E6, key rollover) -----------------------------------------------------------------------


def test_the_account_gets_another_key_and_challenges_are_answered_by_files_until_the_next_start(agent, ca):
    old = account_public_key(agent, ca)
    assert "asked for another key" in certs(agent, "change-key")
    ca.wait("keyChange")
    wait_for("the new key", lambda: account_public_key(agent, ca) != old, 5)
    assert not os.path.exists(account(agent, ca, "next.key"))
    assert oct(os.stat(account(agent, ca, "account.key")).st_mode & 0o7777) == "0o400"  # E1

    files = f"{agent.run_dir}/http01/.well-known/acme-challenge"
    met = []
    ca.on("challenge", lambda seen: met.extend(os.listdir(files)) or seen.forward())
    order_another(agent)  # E3: answered by files
    assert met and not os.listdir(files), "put for the proof, and taken away after it"

    agent.end()
    agent.start()
    met.clear()
    order_another(agent)
    assert not met, "nginx answers for the new key by itself"
    assert not ca.seen("newAccount")


@pytest.mark.parametrize("done", [False, True], ids=["the CA never heard of it", "the CA knows the new one"])
def test_an_agent_killed_while_its_account_changes_its_key_finds_out_which_one_counts(agent, ca, done):
    old = account_public_key(agent, ca)

    def die(seen):
        if done:
            seen.status = seen.forward().status
        agent.kill()
        return cut(seen)

    ca.on("keyChange", die, times=1)
    certs(agent, "change-key")
    agent.agent.wait(10)
    new = account_public_key(agent, ca, "next.key")
    assert account_public_key(agent, ca) == old != new

    ca.forget_requests()
    agent.start()
    order_another(agent)
    assert account_public_key(agent, ca) == (new if done else old)
    assert not os.path.exists(account(agent, ca, "next.key"))
    assert [seen.payload for seen in ca.seen("newAccount")] == [{"onlyReturnExisting": True}]


@pytest.mark.parametrize(("action", "times"), [(lose, 1), (cut, 1)], ids=["after the CA did it", "before"])
def test_a_lost_answer_to_a_change_of_the_key_loses_no_account(agent, ca, action, times):
    old = account_public_key(agent, ca)
    ca.on("keyChange", action, times=times)
    certs(agent, "change-key")
    wait_for("the new key", lambda: account_public_key(agent, ca) != old, 10)
    order_another(agent)
    assert not os.path.exists(account(agent, ca, "next.key"))


def test_the_old_key_stays_if_the_ca_refuses_the_new_one(agent, ca):
    old = account_public_key(agent, ca)
    ca.on("keyChange", problem("badPublicKey", 400, "no such key here"))
    certs(agent, "change-key")
    wait_for("it is told", lambda: "no such key here" in agent.journal(), 5)
    wait_for("next.key goes", lambda: not os.path.exists(account(agent, ca, "next.key")), 5)
    assert account_public_key(agent, ca) == old
    order_another(agent)


def test_the_key_changes_also_when_nothing_has_been_asked_of_the_ca_since_the_start(agent, ca):
    old = account_public_key(agent, ca)
    agent.end()
    ca.forget_requests()
    agent.start()
    certs(agent, "change-key")
    wait_for("the new key", lambda: account_public_key(agent, ca) != old, 5)


# Revocation (E4) -------------------------------------------------------------------------------------


@pytest.mark.parametrize("already", [False, True], ids=["revoked by us", "revoked before"])
def test_a_revoked_certificate_is_replaced_at_once_with_another_key(agent, ca, pebble, already):
    if already:  # alreadyRevoked
        ca.on("revoke", lose, times=1)
    old = agent.served("alice")
    ca.forget_requests()
    assert "asked to revoke 1 certificate" in certs(agent, "revoke", "alice")
    new = wait_served(agent, "alice", other_than=old)
    assert pebble.status(serial_of(old)) == "Revoked" and pebble.status(serial_of(new)) == "Valid"
    assert public_key_of(new) != public_key_of(old)
    assert len(ca.seen("newOrder")) == 1
    if already:
        assert [seen.status for seen in ca.seen("revoke")] == [200, 400]
    agent.wait_ready("alice")


def test_a_certificate_that_the_ca_does_not_revoke_stays(agent, ca):
    ca.on("revoke", problem("unauthorized", 403, "not yours"))
    old = agent.served("alice")
    certs(agent, "revoke", "alice")
    wait_for("it is told", lambda: "not yours" in agent.journal(), 5)
    time.sleep(0.5)
    assert agent.served("alice") == old and agent.ready("alice")


# Its end ----------------------------------------------------------------------------------------------


def test_a_deactivated_account_asks_for_nothing_more_also_after_a_restart_and_what_is_there_stays(alone):  # E6
    agent, ca = alone
    assert "asked to deactivate" in certs(agent, "deactivate")
    wait_for("it is told", lambda: "our account is deactivated" in agent.journal(), 5)
    assert json.loads(read(account(agent, ca)))["deactivated"] is True
    for name in ("bob", "carol"):
        ca.forget_requests()
        agent.drop(name, NO_PHP)
        wait_reason(agent, name, "AccountRefused", "deactivated")
        assert ca.counts() == {} and agent.ready("alice")
        agent.end()
        agent.start()


def test_an_account_that_the_ca_has_ended_is_told_once_and_asked_about_once(alone):  # E6: deactivated by the CA
    agent, ca = alone
    ca.on("newOrder", problem("unauthorized", 403, "Account is not valid, has status \"deactivated\""))
    ca.forget_requests()
    agent.drop("bob", NO_PHP)
    agent.drop("carol", NO_PHP)
    wait_reason(agent, "bob", "AccountRefused", "deactivated")
    wait_reason(agent, "carol", "AccountRefused")
    time.sleep(1)
    assert len(ca.seen("newOrder")) <= 2 and not ca.seen("newAccount") and agent.ready("alice")


def test_an_account_that_the_ca_forgot_is_made_again_with_the_same_key(make_host, make_peer):
    # account forgotten: Pebble restarts and knows nothing
    pebble = make_peer(Pebble, http_port=8080, tls_port=8443)
    ca = make_peer(FaultyCA, pebble)
    host = make_host(trust=pebble.root_file, acme=ca.settings()).start()
    host.drop("alice", NO_PHP)
    host.wait_ready("alice")
    key, served = account_public_key(host, ca), host.served("alice")
    pebble.restart()
    ca.forget_requests()
    order_another(host)
    assert account_public_key(host, ca) == key and len(ca.seen("newAccount")) == 1
    assert host.served("alice") == served
    certs(host, "renew", "alice")
    wait_served(host, "alice", other_than=served)
    assert len(ca.seen("newAccount")) == 1


def test_a_ca_that_forgets_the_account_again_and_again_is_not_asked_again_and_again(alone):
    agent, ca = alone
    ca.on("newOrder", problem("accountDoesNotExist", 400, "never seen"))
    ca.forget_requests()
    agent.drop("bob", NO_PHP)
    wait_reason(agent, "bob", "AccountRefused")
    time.sleep(0.5)
    assert len(ca.seen("newAccount")) == 1 and len(ca.seen("newOrder")) == 2
