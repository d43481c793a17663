"""The journal as `journalctl` shows it: a diary for each webspace, explained by the catalog, readable in a crowd."""

import os
import re

import pytest

from host import wait_for
from journald import Journal, JournaledHost, catalog, ids

SETTINGS = "reconcile = { removal_grace_s = 1; settle_ms = 20; };"
ALWAYS = {"MESSAGE", "PRIORITY"}


@pytest.fixture(scope="module")
def journal():
    journald = Journal()
    yield journald
    journald.close()


@pytest.fixture
def journaled(journal):
    JournaledHost.journald = journal
    host = JournaledHost(settings=SETTINGS)
    yield host
    host.destroy()


def wait_told(journal, webspace, pattern):
    def told():
        return [text for text in journal.messages(f"WEBSPACE={webspace}") if re.search(pattern, text)]

    return wait_for(f"{webspace} is told: {pattern}", told, 30, 0.1)[-1]


def test_each_message_id_has_an_entry_of_the_catalog_and_each_entry_a_message_id():
    assert sorted(ids().values()) == sorted(catalog()), "agent/base/ids.h and packaging/journal.catalog"
    for name, number in ids().items():
        subject, text = catalog()[number]
        assert subject and len(text.strip().split("\n\n")) >= 2, f"{name}: what it means, and what to do"


def test_journalctl_reads_like_a_diary(journal, journaled):
    host = journaled.start()
    host.drop("bystander")  # else all files were gone at once
    host.drop("alice", 'sites = ( { names = ["alice.test", "www.alice.test"]; } );')
    wait_told(journal, "alice", "ready$")
    host.drop("alice", 'sites = ( { names = ["alice.test"]; } ); php = { memory_limit = "64M"; };')
    wait_for("ready again", lambda: len(re.findall("^alice: ready$", host.journal(), re.M)) == 2, 30, 0.1)
    os.chmod(host.home("alice", "chroot/tmp"), 0o777)
    wait_told(journal, "alice", r"chroot/tmp mode: 0777 → 1030 \(drift\)")
    host.drop("alice", "php = {")
    wait_told(journal, "alice", "syntax error")
    host.drop("alice", 'state = "suspended";')
    wait_told(journal, "alice", "ready: suspended")
    host.remove("alice")
    wait_told(journal, "alice", "out of service; account and data stay")
    diary = [re.sub(r"/mnt\S+:1: php: syntax error.*", "ERROR", text) for text in journal.messages("WEBSPACE=alice")]
    expected = [
        r"alice: new: alice\.test, www\.alice\.test",
        r"alice: account made: uid \d+",
        r"alice: ready",
        r'alice: file changed: php\.memory_limit "32M" → "64M"; '
        r'site alice\.test: names \["alice\.test", "www\.alice\.test"\] → \["alice\.test"\]',
        r"alice: ready",
        r"alice: directory chroot/tmp mode: 0777 → 1030 \(drift\)",
        r"alice: ERROR.*",
        r'alice: file changed: state "enabled" → "suspended"; php\.memory_limit "64M" → "32M"; '
        r"site alice\.web\.test is new; site alice\.test is gone",
        r"alice: its file loads again; it was: ERROR.*",
        r"alice: ready: suspended",
        r"alice: its file is gone: out of service in 1 s unless it comes back",
        r"alice: out of service; account and data stay",
    ]
    assert len(diary) == len(expected), "\n".join(diary)
    for text, pattern in zip(diary, expected):
        assert re.fullmatch(pattern, text), (text, pattern)


def test_an_entry_has_the_fields_that_its_explanation_and_scripts_use(journal, journaled):
    host = journaled.start()
    host.add("bystander", "dora")
    os.chmod(host.home("dora", "chroot/tmp"), 0o777)
    wait_told(journal, "dora", "drift")
    host.drop("dora", 'php = { version = "9.9"; };')
    wait_told(journal, "dora", "PHP 9.9 is not installed")
    host.drop("dora", "")
    wait_told(journal, "dora", "PHP is well again")
    host.remove("dora")
    wait_told(journal, "dora", "out of service;")
    drift = journal.entries("WEBSPACE=dora", "CHANGE=drift")[0]
    assert [drift[field] for field in ("RESOURCE", "OLD", "NEW", "MESSAGE_ID")] == [
        "directory", "0777", "1030", ids()["ID_CHANGED"],
    ]  # fmt: skip
    asked = [e for e in journal.entries("WEBSPACE=dora", f"MESSAGE_ID={ids()['ID_ASKED']}") if "OLD" in e][0]
    assert (asked["OLD"], asked["NEW"], asked["CHANGE"]) == ('php.version = "";', 'php.version = "9.9";', "intent")
    published = journal.entries(f"MESSAGE_ID={ids()['ID_PUBLISHED']}", "UNIT=nginx")
    assert published and re.search("generation [0-9]+ is in force", published[0]["MESSAGE"])
    kinds = {entry.get("MESSAGE_ID") for entry in journal.entries()}
    assert len(kinds) > 6
    for entry in journal.entries():
        subject, text = catalog()[entry["MESSAGE_ID"]]
        used = set(re.findall(r"@([A-Z_]+)@", subject + text))
        assert used - set(entry) - ALWAYS <= {"OLD"}, (entry["MESSAGE"], used)


def test_journalctl_explains_every_entry(journal, journaled):
    host = journaled.start()
    host.add("erna")
    out = journal.read("-x", "WEBSPACE=erna")
    assert "Subject: Webspace erna is ready" in out and "Defined-By: webspaces" in out
    assert out.count("Subject: ") == len(journal.entries("WEBSPACE=erna"))
    assert not re.search("@[A-Z]+@", out), out


def test_a_crowd_that_drifts_at_once_is_summed_up_and_nobody_is_lost(journal, journaled):
    host = journaled.start()
    names = [f"crowd{number:03d}" for number in range(260)]
    for name in names:
        host.drop(name, "php = { enabled = false; };")
    host.wait_ready(*names, seconds=60)
    host.end()  # sums up what is due
    told = journal.entries()
    new = [e for e in told if e["MESSAGE_ID"] == ids()["ID_ASKED"] and str(e.get("WEBSPACE")).startswith("crowd")]
    assert len(new) == 100
    assert journal.entries(f"WEBSPACE={names[-1]}"), "a sum is in the diary of each that it is about"
    before = len(told)
    for name in names:
        os.chmod(host.home(name, "chroot/tmp"), 0o777)
    host.start()
    wait_for("all put back", lambda: all(w.get("put_back") for w in host.status()["webspaces"]), 60, 0.2)
    host.end()
    told = journal.entries()[before:]
    drift = [entry for entry in told if entry.get("CHANGE") == "drift" and entry["MESSAGE_ID"] == ids()["ID_CHANGED"]]
    sums = [entry for entry in told if entry["MESSAGE_ID"] == ids()["ID_SUMMED"] and entry.get("CHANGE") == "drift"]
    assert len(drift) == 100
    concerned = [name for entry in sums for name in entry["WEBSPACE"]] + [entry["WEBSPACE"] for entry in drift]
    assert sorted(concerned) == names
    assert re.search(r"^160 more like this are not logged one by one: directory 160; of crowd\d+, .* and 150 more", sums[0]["MESSAGE"])
    assert {w["put_back"]["what"] for w in host.status()["webspaces"]} == {"directory chroot/tmp mode"}


def test_without_a_journal_a_crowd_is_summed_up_on_stderr(make_host):
    host = make_host(settings=SETTINGS).start()
    names = [f"crowd{number:03d}" for number in range(150)]
    for name in names:
        host.drop(name, "php = { enabled = false; };")
    host.wait_ready(*names, seconds=60)
    wait_for("the sum, without an end", lambda: "more like this" in host.journal(), 30, 0.1)
    host.end()
    lines = host.journal().splitlines()
    ready = [line for line in lines if re.fullmatch(r"webspaces: crowd\d+: ready", line)]
    sums = [re.match(r"webspaces: (\d+) more like this .*: ready$", line) for line in lines]
    assert len(ready) + sum(int(found[1]) for found in sums if found) == 150
    assert len(ready) == 100
