"""WordPress' front page with a real MariaDB: in a jail, and beside it in nginx and php-fpm as written by hand.

The same files, database and machine in one run, the two sides in turn, medians of what each took.
"""

import os
import pwd
import shutil
import statistics
import subprocess
import urllib.parse

import meter
from host import Host, wait_for
from plain_web import PlainWeb, calls_of, child_of, get

PACKAGED = "/usr/share/wordpress"
ROUNDS, PAGES, TRACES = 12, 5, 5
NAME = "blog"
PASSWORD = "a password of a database that is gone in a minute"
CONFIG = f"""<?php
define('DB_NAME', 'blog'); define('DB_USER', 'blog'); define('DB_PASSWORD', '{PASSWORD}'); define('DB_HOST', 'localhost');
define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']); define('WP_SITEURL', WP_HOME);
define('DISABLE_WP_CRON', true); define('WP_HTTP_BLOCK_EXTERNAL', true); define('AUTOMATIC_UPDATER_DISABLED', true);
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $k) {{ define("{{$k}}_KEY", $k); define("{{$k}}_SALT", $k); }}
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""
FORM = {"weblog_title": "A blog", "user_name": "admin", "admin_password": PASSWORD, "admin_password2": PASSWORD, "pw_weak": "1",
        "admin_email": "admin@example.org", "blog_public": "0", "language": "", "Submit": "Install WordPress"}  # fmt: skip


RUN = "/run/mysqld"  # for us a directory of our own


class MariaDb:
    """One with nothing in it but an empty database and its user, at the place of the distribution's."""

    def __init__(self, root):
        self.socket = os.path.join(RUN, "mysqld.sock")
        data = os.path.join(root, "data")
        for path in (root, data):
            os.makedirs(path)
            os.chown(path, pwd.getpwnam("mysql").pw_uid, -1)
        os.makedirs(RUN, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,uid=mysql", "tmpfs", RUN], check=True)
        self.log = open(os.path.join(root, "log"), "wb")
        words = ["--no-defaults", "--user=mysql", f"--datadir={data}"]
        subprocess.run(["mariadb-install-db", *words, "--skip-test-db"], check=True, stdout=self.log, stderr=self.log)
        self.server = subprocess.Popen(
            ["mariadbd", *words, f"--socket={self.socket}", "--skip-networking"], stdout=self.log, stderr=self.log
        )
        wait_for("MariaDB", lambda: self.query("SELECT 1").returncode == 0, 60, 0.1)
        made = self.query(f"CREATE DATABASE blog; CREATE USER blog@localhost IDENTIFIED BY '{PASSWORD}'; "
                          "GRANT ALL ON blog.* TO blog@localhost")  # fmt: skip
        assert made.returncode == 0, made.stderr

    def query(self, text):
        return subprocess.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "-e", text],
                              capture_output=True, text=True, check=False)  # fmt: skip

    def stop(self):
        self.server.terminate()
        self.server.wait(timeout=60)
        self.log.close()
        subprocess.run(["umount", "-l", RUN], check=True)


class Side:
    """Where a page is asked for, and the processes that make it."""

    def __init__(self, port, name, php, nginx):
        self.port, self.name, self.php, self.nginx = port, name, php, nginx

    def page(self):
        status, body = get(self.port, self.name, "/")
        assert status == 200 and b"Hello world!" in body, (status, body[:500])

    def cpu_ms(self):
        """Of PHP and nginx, a page."""
        pids = [self.php, *meter.children(self.nginx)]
        self.page()
        before = sum(map(meter.cpu_seconds, pids))
        for _ in range(PAGES):
            self.page()
        return 1000 * (sum(map(meter.cpu_seconds, pids)) - before) / PAGES

    def calls(self, scratch):
        self.page()
        return sum(calls_of(self.php, self.page, scratch).values())


def install(host):
    """The files of the package, its links followed, as the user's own; then WordPress' own form."""
    data = host.data(NAME)
    os.unlink(os.path.join(data, "index.php"))
    shutil.copytree(PACKAGED, data, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    for top, directories, files in os.walk(data):
        for name in directories + files:
            os.chown(os.path.join(top, name), pwd.getpwnam(NAME).pw_uid, pwd.getpwnam(NAME).pw_gid)
    host.write(NAME, "wp-config.php", CONFIG)
    answer = host.get(NAME, "/wp-admin/install.php?step=2", method="POST", body=urllib.parse.urlencode(FORM), timeout=120,
                      headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    assert answer.status == 200 and "Success!" in answer.text, answer.text[-2000:]


TEXT = """
bundles = ["mariadb"];
sites = ( { redirect_https = false; } );
php = { pm = "static"; max_children = 1; max_requests = 0; memory_limit = "128M"; };
"""


def measure():
    """{"syscalls": (in the jail, plain), "cpu": the same in ms}"""
    host = Host(shards=1, user_range=(60000, 60099), settings="reconcile = { full_pass_s = 3600; };")
    database = plain = None
    try:
        database = MariaDb(os.path.join(host.root, "mariadb"))
        host.start().add(NAME, text=TEXT)
        install(host)
        (master,) = host.masters().values()
        php = wait_for("the child", lambda: child_of(master, NAME))
        jail = Side(host.http_port, host.host_name(NAME), php, host.nginx_pid())
        plain = PlainWeb(f"{host.root}/plain", host.data(NAME), NAME, "plain.test", 8070, mariadb=database.socket)
        beside = Side(plain.port, plain.name, plain.php_child(), plain.nginx)
        return compare(jail, beside, os.path.join(host.root, "calls"))
    finally:
        if plain:
            plain.stop()
        host.end()
        host.destroy()
        if database:
            database.stop()


def compare(jail, plain, scratch):
    rounds = [(jail.cpu_ms(), plain.cpu_ms()) for _ in range(ROUNDS)]
    traces = [(jail.calls(scratch), plain.calls(scratch)) for _ in range(TRACES)]
    medians = lambda pairs: tuple(statistics.median(side) for side in zip(*pairs))
    return {"cpu": medians(rounds), "syscalls": medians(traces)}
