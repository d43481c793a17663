"""nginx and php-fpm of the distribution as an admin writes them by hand for one site: what ours is measured against."""

import contextlib
import glob
import http.client
import os
import pwd
import re
import signal
import subprocess

from host import wait_for

NGINX = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/nginx.log; user www-data;
events {{ worker_connections 64; }}
http {{
    include /etc/nginx/mime.types; access_log {root}/access.log;
    server {{
        listen 127.0.0.1:{port}; server_name {name}; root {docroot}; index index.php index.html;
        location / {{ try_files $uri $uri/ /index.php$is_args$args; }}
        location ~ \\.php$ {{ include /etc/nginx/fastcgi.conf; fastcgi_pass unix:{root}/php.sock; }}
    }}
}}
"""
# Above: nothing else. Below: what the distribution's www.conf has, but for the user and one child that stays.
FPM = """
[global]
pid = {root}/php.pid
error_log = {root}/php.log
daemonize = no
[plain]
user = {user}
group = {user}
listen = {root}/php.sock
listen.owner = www-data
listen.group = www-data
pm = static
pm.max_children = 1
php_admin_value[memory_limit] = {memory}
php_admin_value[mysqli.default_socket] = {mariadb}
"""


class PlainWeb:
    """Serves docroot as user at 127.0.0.1:port under the host name."""

    def __init__(self, root, docroot, user, name, port, memory="128M", mariadb=""):
        self.root, self.name, self.port = root, name, port
        os.makedirs(root, mode=0o755)
        self.programs = []
        fill = {"root": root, "docroot": docroot, "user": user, "name": name, "port": port, "memory": memory,
                "mariadb": mariadb}  # fmt: skip
        for file, text in (("nginx.conf", NGINX), ("fpm.conf", FPM)):
            with open(os.path.join(root, file), "w", encoding="ascii") as out:
                out.write(text.format(**fill))
        fpm = sorted(glob.glob("/usr/sbin/php-fpm[0-9]*"))[-1]
        self.php = self.launch(fpm, "--nodaemonize", "--fpm-config", f"{root}/fpm.conf")
        self.nginx = self.launch("nginx", "-c", f"{root}/nginx.conf")
        wait_for("the plain server", lambda: os.path.exists(f"{root}/php.sock") and self.is_up(), 20)

    def launch(self, *argv):
        with open(f"{self.root}/programs.log", "ab") as log:
            self.programs.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return self.programs[-1].pid

    def is_up(self):
        with contextlib.suppress(OSError):
            return bool(get(self.port, self.name, "/nothing.txt"))

    def php_child(self):
        return child_of(self.php)

    def stop(self):
        for program in self.programs:
            program.send_signal(signal.SIGTERM)
            program.wait(timeout=20)


def get(port, name, path):
    """(status, body) of a request over plain HTTP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Host": name})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def child_of(master, user=None):
    """The one child that serves (as user): its pid."""
    with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as file:
        pids = [int(word) for word in file.read().split()]
    pids = [pid for pid in pids if user is None or os.stat(f"/proc/{pid}").st_uid == pwd.getpwnam(user).pw_uid]
    return pids[0] if len(pids) == 1 else None


def calls_of(pid, request, path):
    """System calls that the process makes while request() runs: name → number. path: of a file to use."""
    tracer = subprocess.Popen(["strace", "-c", "-U", "calls,name", "-o", path, "-p", str(pid)],
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_for("strace to attach", lambda: tracer.pid == traced_by(pid))
        request()
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=20)
    with open(path, encoding="ascii") as file:
        counts = {name: int(n) for n, name in re.findall(r"^ *(\d+) +(\w+)$", file.read(), re.M)}
    counts.pop("total", None)
    return counts


def traced_by(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(r"TracerPid:\s*(\d+)", file.read())[1])
