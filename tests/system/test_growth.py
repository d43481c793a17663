"""More webspaces, more PHP masters: nobody notices."""

import threading

from host import wait_for


def test_lines_double_as_webspaces_come_and_nobody_is_refused(make_host):  # B1 promise 2
    host = make_host(shards=1, settings="reconcile = { full_pass_s = 3; };", user_range=(21000, 29999)).start()
    host.add("bob")
    host.wait_answers("bob", https=True)
    assert len(host.masters()) == 1
    failed, stop = [], threading.Event()

    def visit():
        while not stop.is_set():
            answer = host.get_quietly("bob", https=True)
            if not answer or answer.status != 200:
                failed.append(answer and answer.status)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        names = [f"w{i:03d}" for i in range(230)]
        for name in names:
            host.drop(name)
        host.wait_ready(names[-1], seconds=60)
        wait_for("two masters", lambda: len(host.masters()) == 2, 60, 0.1)
        wait_for("all ready", lambda: all(w["ready"] for w in host.status()["webspaces"]), 60, 0.2)
    finally:
        stop.set()
        visitor.join()
    assert failed == []
    host.write(names[0], "index.php", "<?php echo 'w000';")
    assert host.get(names[0], https=True).text == "w000"
