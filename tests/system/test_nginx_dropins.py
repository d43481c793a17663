"""X11: the admin's files in /etc/nginx/webspaces.d are watched, planned, and broken one by one."""

import json
import os
import shutil
import urllib.request

import pytest

from host import Host, wait_for

NGINX = "/etc/nginx"
DROPINS = f"{NGINX}/webspaces.d"
PORT = 8090
MADE = ("snippets/ours.conf", "ours.htpasswd", "ours-other.conf")


@pytest.fixture(autouse=True)
def accounts():
    """Of the module."""


@pytest.fixture(scope="module")
def machine(accounts_of_the_module):
    os.makedirs(DROPINS, exist_ok=True)
    host = Host(settings="defaults = { site = { redirect_https = false; }; };").start()
    host.add("alice")
    yield host
    host.destroy()


@pytest.fixture
def host(machine):
    """Nothing of another test's lies in /etc/nginx, and the host has seen that."""
    yield machine
    for name in os.listdir(DROPINS):
        path = os.path.join(DROPINS, name)
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    for path in MADE:
        if os.path.lexists(f"{NGINX}/{path}"):
            os.unlink(f"{NGINX}/{path}")
    wait_for("nothing is left of it", lambda: not copies(machine) and problem(machine) is None)


def put(name, text, where=DROPINS):
    """In one step."""
    path = os.path.join(where, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def server(port, answer, more=""):
    return f'server {{ listen 127.0.0.1:{port}; {more} location / {{ return 200 "{answer}"; }} }}\n'


def ask(port=PORT, path="/"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def copies(host):
    with open(f"{host.state_dir}/nginx/current/dropins.conf", encoding="utf-8") as file:
        return file.read()


def problem(host):
    return json.loads(host.command("status", "--json").stdout)["problem"]


def wait_in_force(host):
    """What was published is seen to be served, and nothing is on its way."""
    wait_for("all is in force", lambda: os.readlink(f"{host.state_dir}/nginx/current") == str(host.status()["generation"]))


def wait_problem(host, *words):
    return wait_for(f"status says {words}: {problem(host)}", lambda: all(word in (problem(host) or "") for word in words))


def wait_answer(answer, port=PORT, path="/"):
    wait_for(f"{port}{path} answers {answer}: {ask(port, path)}", lambda: ask(port, path) == answer)


def the_rest_goes_on(host, name):
    """Another's change is in force, and nobody is blamed for what the admin did."""
    host.add(name)
    host.wait_answers(name)
    assert host.ready("alice")


def test_x11_a_file_that_comes_changes_and_goes_is_in_force_at_once(host):
    put("a.conf", server(PORT, "one"))
    wait_answer("one")
    put("a.conf", server(PORT, "two"))
    wait_answer("two")
    os.unlink(f"{DROPINS}/a.conf")
    wait_for("it is gone", lambda: ask() is None)


def test_x11_plan_shows_a_file_that_has_changed(host):
    host.end()  # no agent is quicker than the plan
    put("a.conf", server(PORT, "planned"))
    plan = host.command("plan", "--diff")
    assert plan.returncode == 2 and f"+ nginx {DROPINS}/a.conf" in plan.stdout, plan.stdout + plan.stderr
    assert f"+server {{ listen 127.0.0.1:{PORT}" in plan.stdout
    assert ask() is None
    host.start()
    wait_answer("planned")
    assert host.command("plan").returncode == 0


def test_x11_relative_paths_are_those_below_etc_nginx(host):
    put("snippets/ours.conf", 'add_header X-Ours yes; include mime.types; error_page 418 "/teapot";\n', NGINX)
    put("ours.htpasswd", "ann:{PLAIN}secret\n", NGINX)
    os.chmod(f"{NGINX}/ours.htpasswd", 0o644)
    put("a.conf", server(PORT, "relative", 'include snippets/ours.conf; location = /closed { auth_basic "x"; auth_basic_user_file ours.htpasswd; return 204; }'))
    wait_answer("relative")
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5) as response:
        assert response.headers["X-Ours"] == "yes"
    put("a.conf", server(PORT, "password", 'location /closed { root /nonexistent; auth_basic "x"; auth_basic_user_file ours.htpasswd; }'))
    wait_answer("password")
    wait_answer(401, path="/closed/x")
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/closed/x", headers={"Authorization": "Basic YW5uOnNlY3JldA=="})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=5)
    assert error.value.code == 404, "its workers can read the file of passwords"


def test_x11_a_file_that_is_included_may_change(host):
    put("snippets/ours.conf", 'return 200 "one";\n', NGINX)
    put("a.conf", f"server {{ listen 127.0.0.1:{PORT}; location / {{ include snippets/ours.conf; }} }}\n")
    wait_answer("one")
    put("snippets/ours.conf", 'return 200 "two";\n', NGINX)
    host.command("reload")
    wait_answer("two")


BROKEN = {
    "an unknown directive": ("no_such_directive on;\n", ('unknown directive "no_such_directive"', "/z.conf:1")),
    "a line further down": ("# one\n\nserver {\n\tlisten 127.0.0.1:8097;\n\troot;\n}\n", ("number of arguments", "/z.conf:5")),
    "a brace that is missing": ("server { listen 127.0.0.1:8098;\n", ("unexpected end of file", "/z.conf")),
    "a file that is not there": ("include snippets/missing.conf;\n", ("snippets/missing.conf", "No such file")),
    "a certificate that is not there": ("server { listen 127.0.0.1:8099 ssl; ssl_certificate no.pem; ssl_certificate_key no.pem; }\n", ("no.pem",)),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_x11_a_broken_file_is_named_and_left_out(host, kind):
    text, words = BROKEN[kind]
    put("a.conf", server(PORT, "well"))
    put("z.conf", text)
    said = wait_problem(host, f"{DROPINS}/z.conf is left out", *words) and problem(host)
    wait_answer("well")
    assert "/a.conf" not in said and host.state_dir not in said
    assert f"{DROPINS}/z.conf: nginx: quarantined: " in host.journal()
    status = host.command("status")
    assert status.returncode == 1 and f"{DROPINS}/z.conf" in status.stdout.replace("\n", " ")
    assert f"{DROPINS}/z.conf" in host.command("doctor", "alice").stdout.replace("\n", " ")
    the_rest_goes_on(host, f"b{list(BROKEN).index(kind)}")
    put("z.conf", server(8096, "mended"))
    wait_answer("mended", 8096)
    wait_for("all is well", lambda: problem(host) is None)


def test_x11_a_file_that_breaks_stays_as_it_was(host):
    put("a.conf", server(PORT, "good"))
    wait_answer("good")
    put("a.conf", server(PORT, "good").replace("return", "retrun"))
    wait_problem(host, f"{DROPINS}/a.conf is left as it was when it last worked", "retrun", "/a.conf:1")
    the_rest_goes_on(host, "c1")
    assert ask() == "good"


UNREADABLE = {
    "a link to nothing": (lambda path: os.symlink("/nonexistent", path), "No such file"),
    "a directory": (os.mkdir, "regular file"),
    "a pipe": (os.mkfifo, "regular file"),
    "a link in a circle": (lambda path: os.symlink(path, path), "symbolic links"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_x11_what_cannot_be_read_is_named_and_left_out(host, kind):
    make, words = UNREADABLE[kind]
    make(f"{DROPINS}/z.conf")
    put("a.conf", server(PORT, "well"))
    wait_problem(host, f"{DROPINS}/z.conf is left out", words)
    wait_answer("well")
    the_rest_goes_on(host, f"u{list(UNREADABLE).index(kind)}")


def test_x11_a_link_of_the_admins_is_followed(host):
    put("ours-other.conf", server(PORT, "linked"), NGINX)
    os.symlink("../ours-other.conf", f"{DROPINS}/a.conf")
    wait_answer("linked")


def test_x11_of_two_that_conflict_one_is_left_out(host):
    put("a.conf", "map $uri $ours_map { default 1; }\n" + server(PORT, "first", "listen 127.0.0.1:8091 default_server;"))
    wait_answer("first")
    put("b.conf", server(8092, "second", "listen 127.0.0.1:8091 default_server;"))
    wait_problem(host, f"{DROPINS}/b.conf is left out", "duplicate default server")
    assert ask() == "first" and ask(8092) is None
    the_rest_goes_on(host, "d1")


def test_x11_what_a_good_file_includes_may_break(host):
    """Then the generation in force fails its check too, and yet not all of the host is at fault."""
    put("snippets/ours.conf", 'return 200 "good";\n', NGINX)
    put("a.conf", f"server {{ listen 127.0.0.1:{PORT}; location / {{ include snippets/ours.conf; }} }}\n")
    put("b.conf", server(8092, "innocent"))
    wait_answer("good")
    wait_answer("innocent", 8092)
    put("snippets/ours.conf", "retrun 200;\n", NGINX)
    host.drop("e1")
    host.wait_ready("e1")
    wait_problem(host, f"{DROPINS}/a.conf is left out", "retrun", f"{NGINX}/snippets/ours.conf:1")
    assert ask(8092) == "innocent" and ask() is None
    put("snippets/ours.conf", 'return 200 "mended";\n', NGINX)
    host.command("reload")
    wait_answer("mended")


def test_x11_nginx_starts_where_what_a_good_file_includes_has_gone(host):
    put("snippets/ours.conf", 'return 200 "good";\n', NGINX)
    put("a.conf", f"server {{ listen 127.0.0.1:{PORT}; location / {{ include snippets/ours.conf; }} }}\n")
    wait_answer("good")
    wait_in_force(host)
    before = host.nginx_pid()
    os.unlink(f"{NGINX}/snippets/ours.conf")
    os.kill(before, 9)
    wait_for("another nginx serves", lambda: host.nginx_pid() not in (None, before) and host.answers("alice"), 30)
    wait_problem(host, f"{DROPINS}/a.conf is left out", "ours.conf")


def test_x11_a_restart_of_the_agent_reloads_nothing(host):
    put("b.conf", server(8092, "two"))
    wait_answer("two", 8092)
    put("a.conf", server(PORT, "one"))
    wait_answer("one")
    wait_in_force(host)
    before, pid = host.status()["generation"], host.nginx_pid()
    host.end()
    host.start()
    host.wait_ready("alice")
    assert (host.status()["generation"], host.nginx_pid()) == (before, pid)


def test_x11_where_the_hosts_own_nginx_serves_the_directory_means_nothing(make_host):
    other = make_host(ports=(8180, 8543))
    other.configure(nginx=f'instance = "system"; main = "{other.root}/nginx.conf"; include = "{other.root}/webspaces.conf";')
    shutil.copy(f"{NGINX}/nginx.conf", f"{other.root}/nginx.conf")
    put("z.conf", "no_such_directive on;\n")
    try:
        assert "z.conf" not in other.command("plan").stdout
    finally:
        os.unlink(f"{DROPINS}/z.conf")
