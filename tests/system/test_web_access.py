"""How the web server gets at content: by ACL (preset) or by membership of each user's group."""

import grp
import os
import pwd

from host import acl, rights, wait_for


def test_by_acl_content_is_closed_to_all_but_user_and_web_server(host):  # A4
    host.add("alice")
    user = pwd.getpwnam("alice")
    host.write("alice", "page.html", "page of alice", mode=0o640)
    assert host.wait_answers("alice", "/page.html", https=True).text == "page of alice"
    assert "www-data" not in grp.getgrnam("alice").gr_mem
    assert rights(host.data("alice"))[:2] == (0, user.pw_gid)
    assert "user:33:r-x" in acl(host.data("alice")) and "other::---" in acl(host.data("alice"))


def test_by_group_the_web_server_is_a_member_and_there_is_no_acl(make_host):  # A4
    host = make_host(settings='web_access = "group";').start()
    host.add("alice", "bob")
    for name in ("alice", "bob"):
        assert "www-data" in grp.getgrnam(name).gr_mem
        host.write(name, "page.html", f"page of {name}", mode=0o640)
        assert host.wait_answers(name, "/page.html", https=True).text == f"page of {name}"
        assert not [line for line in acl(host.data(name)) if line.startswith("user:33")]
    host.write("alice", "private.html", "closed", mode=0o600)
    assert host.get("alice", "/private.html", https=True).status in (403, 404)


def test_a_lost_membership_is_put_back(make_host):  # A4
    host = make_host(settings='web_access = "group"; reconcile = { full_pass_s = 2; };').start()
    host.add("alice")
    text = open("/etc/group", encoding="utf-8").read()
    with open("/etc/group.new", "w", encoding="utf-8") as file:
        file.write("".join(line if not line.startswith("alice:") else line.rsplit(":", 1)[0] + ":\n" for line in text.splitlines(True)))
    os.rename("/etc/group.new", "/etc/group")
    wait_for("membership", lambda: "www-data" in grp.getgrnam("alice").gr_mem, 20)
