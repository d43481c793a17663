"""php.limits where there is no systemd to keep them; where there is one: test_debian_host.py."""

from host import wait_for


def test_limits_that_nobody_keeps_are_said_not_to_hold_and_the_site_is_served(make_host):
    host = make_host(shards=1).start()
    host.add("alice", text='php = { master = "dedicated"; };')
    assert "message" not in host.condition("alice", "Php") or not host.condition("alice", "Php")["message"]
    before = host.masters()

    host.drop("alice", 'php = { master = "dedicated"; limits = { tasks_max = 64; }; };')
    told = wait_for("it is said", lambda: host.condition("alice", "Php").get("message"), 30)
    assert told.startswith("php.limits do not hold") and host.ready("alice")
    assert host.masters() == before, "no configuration of PHP has changed"
    host.wait_answers("alice", https=True)

    host.drop("alice", 'php = { master = "dedicated"; };')
    wait_for("it is said no more", lambda: not host.condition("alice", "Php").get("message"), 30)


def test_limits_of_a_webspace_that_shares_a_master_are_refused(make_host):
    host = make_host(shards=1).start()
    host.add("alice")
    host.drop("alice", "php = {\n limits = { tasks_max = 64; }; };")
    told = wait_for("it is refused", lambda: host.condition("alice", "Loaded").get("message"), 30)
    assert 'alice.conf:2: php.limits: limits are those of a master of its own: they need php.master = "dedicated"' in told
    host.wait_answers("alice", https=True)
