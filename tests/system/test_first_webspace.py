"""A dropped file becomes a served site: the smallest whole path."""

import pwd


def test_an_empty_file_becomes_a_served_site(host):  # G6 A1 B4 B11 C1
    host.add("alice")
    response = host.wait_answers("alice", https=True)
    uid = pwd.getpwnam("alice").pw_uid
    assert response.text.startswith(f"uid={uid} file=/data/index.php ")


def test_php_sees_the_jail_as_its_root(host):  # B4
    host.add("alice", text='php = { open_basedir = "none"; };')
    names = ["/data", "/log", "/tmp", "/etc/resolv.conf", "/dev/urandom", "/etc/shadow", "/home", "/proc", "/bin"]
    host.write("alice", "look.php", "<?php foreach (%s as $n) echo (int)file_exists($n);" % names)
    assert host.wait_answers("alice", "/look.php", https=True).text == "111110000"


def test_http_redirects_to_https(host):  # C13
    host.add("alice")
    response = host.wait_answers("alice", "/a?b=c", status=301)
    assert response.headers["Location"] == f"https://alice.web.test:{host.https_port}/a?b=c"


def test_unknown_names_are_refused(host):  # C17
    host.add("alice")
    host.wait_answers("alice", https=True)
    assert host.get_quietly("nobody.test") is None
    assert host.get_quietly("nobody.test", https=True) is None
