"""nginx.instance = "system": the host's own nginx, which has a site of its own, serves the webspaces too."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from host import Host, pid_in, wait_for

NGINX = "/usr/sbin/nginx"
MAIN = """
user www-data;
worker_processes 2;
pid {root}/host-nginx.pid;
error_log {root}/host-nginx.log;
events {{ worker_connections 512; }}
http {{
	access_log off;
	sendfile on;
	types_hash_max_size 1024;
	map_hash_bucket_size 128;
	include conf.d/*.conf;
	include sites/*;
}}
"""
SITE = """
server {{
	listen {address}{default};
	server_name other.example;
	location / {{ return 200 "the host's own site\\n"; }}
}}
"""


def runs(pid):
    """Whose parent is gone may stay a zombie here."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class HostNginx:
    """An admin's nginx with one site, started by the admin's hand."""

    def __init__(self, host, address, default=" default_server"):
        self.root, self.host, self.process = os.path.join(host.root, "etc/nginx"), host, None
        for directory in ("conf.d", "sites"):
            os.makedirs(os.path.join(self.root, directory))
        self.main, self.include = f"{self.root}/nginx.conf", f"{self.root}/conf.d/webspaces.conf"
        self.address = address
        self.put("nginx.conf", MAIN.format(root=host.root))
        self.put("sites/other", SITE.format(address=address, default=default))

    def put(self, path, text):
        with open(os.path.join(self.root, path), "w", encoding="utf-8") as file:
            file.write(text)

    @property
    def settings(self):
        return f'instance = "system"; main = "{self.main}"; include = "{self.include}";'

    @property
    def pid(self):
        return pid_in(f"{self.host.root}/host-nginx.pid")

    def start(self):
        subprocess.run([NGINX, "-c", self.main], check=True, timeout=30)
        wait_for("the host's own nginx", lambda: self.pid, 20)
        return self

    def stop(self):
        """As an admin would, and until it is gone."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGTERM)
            wait_for("its end", lambda: not runs(pid), 20)

    def get(self, name, port):
        """Status and body of / at this port of 127.0.0.1."""
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body.decode()


class Load:
    """Asks the host's own site again and again, in a thread, and counts."""

    def __init__(self, nginx, port):
        self.nginx, self.port, self.asked, self.failed, self.over = nginx, port, 0, [], False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over:
            try:
                answer = self.nginx.get("other.example", self.port)
            except OSError as error:
                answer = error
            self.asked += 1
            if answer != (200, "the host's own site\n"):
                self.failed.append(answer)
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()


@pytest.fixture
def make(make_host):
    """make(address, default) → a host, and its own nginx, which runs."""
    made = []

    def make_both(address="127.0.0.1:8080", default=" default_server"):
        host = make_host()
        nginx = HostNginx(host, address, default)
        made.append(nginx)
        host.configure(nginx=nginx.settings, settings="reconcile = { full_pass_s = 2; };")
        return host, nginx.start()

    yield make_both
    for nginx in made:
        nginx.host.end()
        nginx.stop()


def plain(host, name, text="hello"):
    """A webspace that is served without PHP and over HTTP."""
    host.drop(name, 'sites = ( { type = "static"; redirect_https = false; } ); php = { enabled = false; };')
    host.wait_ready(name, seconds=60)
    host.write(name, "index.html", text)


def host_fault(host, name):
    """What is said of the host, once that is why the webspace's sites cannot be had."""
    sites = lambda: host.condition(name, "Sites") or {}
    wait_for(f"a fault of the host at {name}", lambda: sites().get("reason") == "HostFault", 60)
    return sites()["message"]


def test_it_serves_webspaces_beside_its_own_site_and_stays_the_default_server(make):
    host, nginx = make()
    host.start()
    plain(host, "alice", "from alice\n")
    assert nginx.get("alice.web.test", 8080) == (200, "from alice\n")
    assert nginx.get("other.example", 8080) == (200, "the host's own site\n")
    assert nginx.get("nobody.example", 8080) == (200, "the host's own site\n")
    assert host.nginx_pid() is None, "an nginx of our own runs too"
    assert pid_in(f"{host.root}/host-nginx.pid") == nginx.pid


def test_its_own_site_loses_no_request_while_webspaces_come_and_go(make):
    host, nginx = make()
    host.start()
    plain(host, "first")
    with Load(nginx, 8080) as load:
        for i in range(8):
            plain(host, f"user{i}", f"user{i}\n")
            assert nginx.get(f"user{i}.web.test", 8080) == (200, f"user{i}\n")
        wait_for("requests", lambda: load.asked > 200, 60)
    assert load.failed == []


def test_a_host_whose_nginx_is_broken_blames_nobody_and_goes_on_once_it_is_mended(make):
    host, nginx = make()
    host.start()
    plain(host, "alice", "from alice\n")
    nginx.put("sites/broken", "server { listen 127.0.0.1:8085; nonsense; }\n")
    host.drop("bob", 'sites = ( { type = "static"; redirect_https = false; } ); php = { enabled = false; };')
    assert "nonsense" in host_fault(host, "bob")
    assert host.condition("alice", "Sites")["reason"] == "Served"
    assert nginx.get("alice.web.test", 8080) == (200, "from alice\n")
    assert "quarantine" not in host.journal()
    os.unlink(f"{nginx.root}/sites/broken")
    host.wait_ready("bob", "alice", seconds=90)


def test_where_ours_would_become_the_default_server_nothing_is_published_and_the_cure_is_said(make):
    host, nginx = make(default="")
    host.start()
    host.drop("alice", 'sites = ( { type = "static"; redirect_https = false; } ); php = { enabled = false; };')
    fault = host_fault(host, "alice")
    assert "default_server" in fault and f"{nginx.root}/sites/other" in fault
    assert nginx.get("nobody.example", 8080) == (200, "the host's own site\n")
    nginx.put("sites/other", SITE.format(address="127.0.0.1:8080", default=" default_server"))
    host.wait_ready("alice", seconds=90)
    assert nginx.get("nobody.example", 8080) == (200, "the host's own site\n")


def test_one_that_does_not_run_is_not_started_and_serves_again_once_it_does(make):
    host, nginx = make()
    host.start()
    plain(host, "alice", "from alice\n")
    nginx.stop()
    assert "does not run" in host_fault(host, "alice")
    assert nginx.pid is None
    said = host.command("doctor", "alice").stdout
    assert "the host's own nginx does not serve it" in said and "systemctl start nginx" in said
    nginx.start()
    host.wait_ready("alice", seconds=60)
    assert nginx.get("alice.web.test", 8080) == (200, "from alice\n")


def test_a_killed_one_can_be_started_again_although_its_socket_was_left(make):
    host, nginx = make()
    host.start()
    plain(host, "alice", "from alice\n")
    old, left = nginx.pid, f"{host.run_dir}/nginx/system.sock"
    wait_for("a socket that is not quite new", lambda: time.time() - os.stat(left).st_ctime > 3, 20)
    workers = subprocess.run(["pgrep", "-P", str(old)], capture_output=True, text=True, check=True).stdout.split()
    for pid in (old, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)
    wait_for("the socket's end", lambda: not os.path.exists(left), 30)
    nginx.start()
    host.wait_ready("alice", seconds=60)
    assert nginx.get("alice.web.test", 8080) == (200, "from alice\n")


def test_from_own_to_system_and_back_leaves_nothing_behind(make):
    host, nginx = make(address="127.0.0.1:8081")
    host.configure()
    host.start()
    plain(host, "alice", "from alice\n")
    own = host.nginx_pid()
    host.end()
    host.configure(nginx=nginx.settings)
    host.start()
    wait_for("the host's own to serve it", lambda: not os.path.exists(f"{host.state_dir}/nginx"), 60)
    wait_for("the end of ours", lambda: not runs(own), 60)
    host.wait_ready("alice", seconds=60)
    assert nginx.get("alice.web.test", 8080) == (200, "from alice\n")
    host.end()
    host.configure()
    host.start()
    wait_for("an nginx of our own", lambda: not os.path.exists(f"{host.state_dir}/nginx-system"), 60)
    host.wait_ready("alice", seconds=60)
    assert nginx.get("alice.web.test", 8080) == (200, "from alice\n")
    assert nginx.get("other.example", 8081) == (200, "the host's own site\n")
    for gone in (nginx.include, f"{host.state_dir}/nginx-system", f"{host.state_dir}/made/.host",
                 f"{host.run_dir}/nginx/system.sock"):  # fmt: skip
        assert not os.path.exists(gone), gone
    assert sorted(os.listdir(f"{nginx.root}/conf.d")) == []
