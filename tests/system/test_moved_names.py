"""F24: a name that goes from one webspace to another in one write is somebody's all the time."""

import http.client
import threading

import pytest

from host import Host, wait_for

ROUNDS = 6


@pytest.fixture(scope="module")
def host():
    host = Host(shards=1, settings="reconcile = { removal_grace_s = 1; };")
    host.start()
    host.drop("alice", sites("alice.web.test", "moved.test"))
    host.drop("bob", sites("bob.web.test"))
    host.wait_ready("alice", "bob")
    for name in ("alice", "bob"):
        host.write(name, "page.html", f"page of {name}")
    host.wait_answers("moved.test", "/page.html")
    yield host
    host.destroy()


def sites(*names):
    return 'sites = ({ type = "static"; redirect_https = false; names = [%s]; });' % ", ".join(f'"{name}"' for name in names)


class Visitor(threading.Thread):
    """Asks for the name without pause, and keeps all answers."""

    def __init__(self, host, https):
        super().__init__(daemon=True)
        self.host, self.https, self.ends, self.answers = host, https, False, []
        self.start()

    def run(self):
        while not self.ends:
            try:
                self.answers.append(self.host.get("moved.test", "/page.html", https=self.https).text)
            except (OSError, http.client.HTTPException) as failure:
                self.answers.append(repr(failure))

    def end(self):
        self.ends = True
        self.join()
        return {text: self.answers.count(text) for text in set(self.answers)}


def has(host, name):
    answer = host.get_quietly("moved.test", "/page.html")
    return answer and answer.text == f"page of {name}"


@pytest.mark.parametrize("https", [False, True])
@pytest.mark.parametrize("first", ["giver", "taker"])
def test_F24_a_name_that_moves_is_never_nobodys(host, first, https):
    visitor = Visitor(host, https)
    for _ in range(ROUNDS):
        giver, taker = ("alice", "bob") if has(host, "alice") else ("bob", "alice")
        texts = {giver: sites(f"{giver}.web.test"), taker: sites(f"{taker}.web.test", "moved.test")}
        for name in [giver, taker] if first == "giver" else [taker, giver]:
            host.drop(name, texts[name])
        wait_for(f"{taker} has it", lambda: has(host, taker), 20)
        host.wait_ready(giver, taker)
    answers = visitor.end()
    assert set(answers) == {"page of alice", "page of bob"}, answers


def test_F24_a_name_that_a_new_webspace_takes_is_never_nobodys(host):
    """Also where the one that had it is gone: renaming a file moves all names that it says."""
    host.drop("bob", sites("bob.web.test"))
    host.drop("alice", sites("alice.web.test", "moved.test"))
    wait_for("alice has it", lambda: has(host, "alice"), 20)
    host.wait_ready("alice", "bob")
    visitors = [Visitor(host, https) for https in (False, True)]
    for giver, taker in (("alice", "carol"), ("carol", "dora")):
        if giver == "alice":
            host.drop(giver, sites("alice.web.test"))
        else:
            host.remove(giver)
        host.drop(taker, sites("moved.test"))
        host.wait_ready(taker)
        host.write(taker, "page.html", f"page of {taker}")
        wait_for(f"{taker} has it", lambda: has(host, taker), 20)
    for visitor in visitors:
        wait_for("the visitor is at dora", lambda: "page of dora" in visitor.answers)
        answers = visitor.end()
        empty = {text for text in answers if "404 Not Found" in text}
        assert set(answers) - empty == {"page of alice", "page of carol", "page of dora"}, answers
