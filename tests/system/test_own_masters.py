"""What a master of one's own has of its own."""

import os

from snippets import values


def test_S3_a_master_of_its_own_has_system_v_ipc_of_its_own(make_host):
    host = make_host(shards=1).start()
    host.add("alice", "bob", text='php = { master = "dedicated"; };')
    host.add("carol")
    put = "return shm_put_var(shm_attach(4711, 1000, 0666), 1, 'of alice') && msg_send(msg_get_queue(4711, 0666), 1, 'of alice');"
    get = """
        error_reporting(0);
        msg_receive(msg_get_queue(4711, 0666), 1, $type, 100, $text, true, MSG_IPC_NOWAIT);
        return [shm_get_var(shm_attach(4711, 1000, 0666), 1), $text ?: false];
    """
    assert values(host, "alice", put) is True
    assert values(host, "alice", get) == ["of alice", "of alice"], "it works among a webspace's own requests"
    assert values(host, "bob", get) == [False, False]
    spaces = {os.readlink(f"/proc/{pid}/ns/ipc") for pid in host.masters().values()}
    assert len(spaces) == 3 and os.readlink("/proc/self/ns/ipc") not in spaces
    assert os.readlink(f"/proc/{host.agent.pid}/ns/ipc") == os.readlink("/proc/self/ns/ipc")


def test_S9_apcu_by_a_default_of_the_host_holds_where_it_can(make_host):
    host = make_host(shards=1, settings='defaults = { php = { values = { apc = { ttl = "7"; }; }; }; };').start()
    host.add("alice")
    host.add("bob", text='php = { master = "dedicated"; };')
    assert values(host, "alice", "return apcu_enabled();") is False
    assert values(host, "bob", "return [apcu_enabled(), ini_get('apc.ttl')];") == [True, "7"]
