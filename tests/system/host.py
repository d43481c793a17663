"""A whole host under one directory: the real agent, nginx and php-fpm, for one test.

Everything here expects to run inside tests/private: accounts go to an /etc of our own, daemons
end with the namespace at the latest.
"""

import ctypes
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time
import weakref

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEBSPACES = os.environ.get("WEBSPACES", os.path.join(REPOSITORY, "build", "webspaces"))
WORKER = os.path.join(os.path.dirname(WEBSPACES), "acme-worker")

INDEX_PHP = """<?php
header('Content-Type: text/plain');
echo 'uid=', posix_getuid(), ' file=', __FILE__, ' cwd=', getcwd(), "\\n";
"""


class Timeout(AssertionError):
    pass


def exchange(one, other):
    """Both names at once: nobody sees either missing."""
    rename_exchange = 2
    assert ctypes.CDLL(None).renameat2(-100, one.encode(), -100, other.encode(), rename_exchange) == 0


def wait_for(what, condition, seconds=10.0, interval=0.01):
    """Polls until condition() is true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"not within {seconds} s: {what}")
        time.sleep(interval)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.text = body.decode("utf-8", "replace")


class Host:
    """home, drops, state, run and logs below self.root; ports http_port and https_port on loopback."""

    numbers = iter(range(1, 10000))
    made = weakref.WeakSet()

    def __init__(self, root=None, shards=2, settings="", user_range=None, webspaces=None, ports=(8080, 8443),
                 addresses=("127.0.0.1",), acme=None, trust=None):  # fmt: skip
        """acme: the text of that group (a peer's settings()); trust: a file with the root to verify sites against."""
        number = next(Host.numbers)
        Host.made.add(self)
        self.root = root or f"/mnt/h{number}"
        self.webspaces = webspaces or WEBSPACES
        self.http_port, self.https_port = ports
        self.addresses, self.acme, self.trust = addresses, acme, trust
        self.base_domain = "web.test"
        self.agent = None
        self.log = os.path.join(self.root, "agent.log")
        low = 20000 + 100 * number
        self.uid_min, self.uid_max = user_range or (low, low + 19999)
        if acme:
            make_system_user("webspaces-acme", 990)
        for directory in ("etc/webspaces.d", "log"):
            os.makedirs(os.path.join(self.root, directory))
        os.makedirs(self.home_root, exist_ok=True)
        self.configure(shards, settings)

    # Places ---------------------------------------------------------------

    @property
    def drops(self):
        return os.path.join(self.root, "etc/webspaces.d")

    @property
    def home_root(self):
        return os.path.join(self.root, "home")

    @property
    def run_dir(self):
        return os.path.join(self.root, "run")

    @property
    def state_dir(self):
        return os.path.join(self.root, "state")

    @property
    def log_root(self):
        return os.path.join(self.root, "log")

    @property
    def config(self):
        return os.path.join(self.root, "etc/webspaces.conf")

    @property
    def ca_file(self):
        return os.path.join(self.state_dir, "ca/ca.pem")

    def home(self, name, *below):
        return os.path.join(self.home_root, name, *below)

    def data(self, name, *below):
        return self.home(name, "chroot/data", *below)

    def host_name(self, name):
        return f"{name}.{self.base_domain}"

    # Configuration --------------------------------------------------------

    def configure(self, shards=2, settings="", nginx=""):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(
                f"""
config_dir = "{self.drops}"; home_root = "{self.home_root}"; state_dir = "{self.state_dir}";
run_dir = "{self.run_dir}"; log_root = "{self.log_root}"; base_domain = "{self.base_domain}";
manager = "direct";
accounts = {{ create = true; uid_min = {self.uid_min}; uid_max = {self.uid_max}; }};
nginx = {{ http = [{self.listeners(self.http_port)}]; https = [{self.listeners(self.https_port)}]; {nginx} }};
php = {{ shards = {shards}; }};
{"" if "metrics" in settings else 'metrics = { file = ""; };'}
acme = {{ {self.acme or 'issuer = "internal";'} }};
{settings}
"""
            )

    def listeners(self, port):
        return ", ".join(f'"{f"[{address}]" if ":" in address else address}:{port}"' for address in self.addresses)

    def drop(self, name, text=""):
        """Puts NAME.conf in place in one step, as an editor or rsync would."""
        temporary = os.path.join(self.drops, f".{name}.new")
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.rename(temporary, os.path.join(self.drops, f"{name}.conf"))

    def remove(self, name):
        os.unlink(os.path.join(self.drops, f"{name}.conf"))

    def write(self, name, path, text, mode=0o644):
        """A file of the user's own in data."""
        full = self.data(name, path)
        entry = pwd.getpwnam(name)
        directory, missing = os.path.dirname(full), []
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for directory in reversed(missing):
            os.mkdir(directory)
            os.chown(directory, entry.pw_uid, entry.pw_gid)
        with open(full, "wb" if isinstance(text, bytes) else "w") as file:
            file.write(text)
        os.chown(full, entry.pw_uid, entry.pw_gid)
        os.chmod(full, mode)
        return full

    # The program ----------------------------------------------------------

    def command(self, *words, **options):
        options.setdefault("timeout", 120)
        return subprocess.run(
            [self.webspaces, "--config", self.config, *words],
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def launch(self, *words, prefix=()):
        """Starts the agent and waits for nothing."""
        with open(self.log, "ab") as log:
            self.agent = subprocess.Popen(
                [*prefix, self.webspaces, "--config", self.config, "run", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self, *words, prefix=()):
        self.launch(*words, prefix=prefix)
        wait_for("the agent's door", lambda: self.alive() or self.agent.poll() is not None, 60)
        assert self.agent.poll() is None, self.journal()
        return self

    def settle(self, seconds=60):
        """Waits until the agent has nothing left to do; its counters. Equal ones mean that nothing happened between."""
        out = self.command("settle", "--timeout", str(seconds), timeout=seconds + 30)
        assert out.returncode == 0, f"{out.stderr}{out.stdout}\n{self.journal()[-3000:]}"
        return json.loads(out.stdout)

    def alive(self):
        return self.command("status").returncode != 3

    def kill(self):
        """kill -9 of the agent alone."""
        self.agent.send_signal(signal.SIGKILL)
        self.agent.wait()

    def end(self):
        """SIGTERM; the daemons go on."""
        if self.agent and self.agent.poll() is None:
            self.agent.send_signal(signal.SIGTERM)
            self.agent.wait(timeout=30)
        return self.agent.returncode if self.agent else None

    def ends_well(self):
        """SIGTERM to an agent that has done nothing that it should not, as far as its journal knows."""
        return self.end() == 0 and "Sanitizer" not in self.journal() and "runtime error" not in self.journal()

    def journal(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def status(self, name=None):
        """The whole of status --json, or one webspace's object (None: unknown)."""
        is_word = name and not name.startswith("-")  # or it would be an option
        out = self.command("status", *([name] if is_word else []), "--json")
        if not out.stdout.startswith("{"):
            return None
        whole = json.loads(out.stdout)
        if not name:
            return whole
        return next((webspace for webspace in whole["webspaces"] if webspace["name"] == name), None)

    def condition(self, name, kind):
        webspace = self.status(name)
        for condition in webspace["conditions"] if webspace else []:
            if condition["type"] == kind:
                return condition
        return None

    def ready(self, name):
        webspace = self.status(name)
        return bool(webspace and webspace["ready"])

    def wait_ready(self, *names, seconds=30):
        for name in names:
            try:
                wait_for(f"{name} ready", lambda: self.ready(name), seconds, 0.03)
            except Timeout as timeout:
                raise Timeout(f"{timeout}: {json.dumps(self.status(name))}\n{self.journal()[-3000:]}") from None

    def add(self, *names, text="", index=INDEX_PHP):
        """Drops files, waits until they are ready and gives each an index.php."""
        for name in names:
            self.drop(name, text)
        self.wait_ready(*names)
        for name in names:
            self.write(name, "index.php", index)

    # The daemons ----------------------------------------------------------

    def nginx_pid(self):
        return pid_in(os.path.join(self.run_dir, "nginx/nginx.pid"))

    def masters(self):
        """The PHP masters that lines name: line → pid."""
        found = {}
        lines = os.path.join(self.run_dir, "php/line")
        for line in sorted(os.listdir(lines)) if os.path.isdir(lines) else []:
            pid = pid_in(os.path.join(lines, line, "master.pid"))
            if pid:
                found[line] = pid
        return found

    def enter(self, *argv, **options):
        """A command as root in the mount namespace of the jails."""
        return subprocess.run(
            ["nsenter", f"--mount={self.run_dir}/ns/mnt", *argv],
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def processes(self):
        """Pids of all processes that name this host's directory or have something in it open (daemons, agent)."""
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        return [pid for pid in pids if pid != os.getpid() and self.owns(pid)]

    def owns(self, pid):
        """Workers have no command line that tells, but open logs."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if f"{self.root}/".encode() in file.read():
                    return True
            open_files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            return False
        return any(path.startswith(f"{self.root}/") for path in open_files)

    # Requests -------------------------------------------------------------

    def get(self, name, path="/", https=False, headers=None, method="GET", body=None, timeout=10, host=None, cafile=None):
        """A request to name (a webspace's, or a host name with a dot) over a connection of its own."""
        host = host or (name if "." in name else self.host_name(name))
        port = self.https_port if https else self.http_port
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        connection.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        if https:
            context = ssl.create_default_context(cafile=cafile or self.trust or self.ca_file)
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
        try:
            connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    def served(self, name, address="127.0.0.1", ciphers=None):
        """PEM of the certificate that a client is given, whoever issued it."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if ciphers:  # of one kind of key alone: "aRSA", "aECDSA"; before TLS 1.3 the cipher tells
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        with socket.create_connection((address, self.https_port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname=name if "." in name else self.host_name(name)) as line:
                return ssl.DER_cert_to_PEM_cert(line.getpeercert(binary_form=True))

    def get_quietly(self, *args, **options):
        """As get, None where there is no answer."""
        try:
            return self.get(*args, **options)
        except (OSError, http.client.HTTPException):
            return None

    def answers(self, name, path="/", status=200, **options):
        response = self.get_quietly(name, path, **options)
        return response if response and response.status == status else None

    def wait_answers(self, name, path="/", seconds=10, status=200, **options):
        return wait_for(f"{name}{path} answers {status}", lambda: self.answers(name, path, status, **options), seconds)

    # The end --------------------------------------------------------------

    def destroy(self):
        """Agent, daemons, mounts and files of this host; accounts are the fixture's affair."""
        Host.made.discard(self)
        if self.agent and self.agent.poll() is None:
            self.kill()
        for _ in range(50):
            left = self.processes()
            if not left:
                break
            for pid in left:
                kill_with_group(pid)
            time.sleep(0.05)
        subprocess.run(["umount", "-l", f"{self.run_dir}/ns/mnt"], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["umount", "-l", f"{self.run_dir}/ns"], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.root, ignore_errors=True)


def kill_with_group(pid):
    """A daemon leads a process group; nginx's workers do not name the host in their title."""
    try:
        group = os.getpgid(pid)
        if group == pid:
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def make_system_user(name, number):
    """The user of a service, as its package would make it; in the /etc of our own."""
    if any(entry.pw_name == name for entry in pwd.getpwall()):
        return
    with open("/etc/passwd", "a", encoding="ascii") as users, open("/etc/group", "a", encoding="ascii") as groups:
        users.write(f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n")
        groups.write(f"{name}:x:{number}:\n")


def pid_in(path):
    """The pid in a pid file if that process lives, or None."""
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read().strip())
        os.kill(pid, 0)
        return pid
    except (OSError, ValueError):
        return None


def rights(path):
    """(uid, gid, mode) as numbers."""
    found = os.lstat(path)
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def acl(path):
    """getfacl's entries without comments, defaults included."""
    out = subprocess.run(["getfacl", "-cnpE", path], capture_output=True, text=True, check=True)
    return [line for line in out.stdout.split("\n") if line]
