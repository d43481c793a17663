"""make demo: two webspaces served by nginx and PHP that the agent starts, and drift put back.

Runs inside tests/private: mounts, accounts and processes end with it. DEMO_EXIT=1 ends by itself
with 0; otherwise everything stays up until Ctrl-C.
"""

import os
import pwd
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))

from host import Host, acl, wait_for  # noqa: E402

PAGE = """<?php
header('Content-Type: text/plain');
echo "Hello from {$_SERVER['USER']}: PHP runs as uid ", posix_getuid(), "; / is the jail: this file is ", __FILE__;
foreach (['/etc/resolv.conf', '/etc/shadow', '/home'] as $path) {
    echo ", $path is ", @file_exists($path) ? 'there' : 'not there';
}
echo "\\n";
"""


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def show(label, value):
    print(f"    {label:<28} {value}", flush=True)


def mode_of(path):
    found = os.lstat(path)
    return f"{found.st_uid}:{found.st_gid} {stat.S_IMODE(found.st_mode):04o}"


def put_back(what, damage, look):
    """Damages something, shows it, and waits until it is as it was."""
    good = look()
    started = time.monotonic()
    damage()
    show(f"{what}:", good)
    wait_for(f"{what} put back", lambda: look() == good, 20, 0.002)
    show("  damaged, put back after", f"{(time.monotonic() - started) * 1000:.0f} ms: {look()}")


def is_mount(host, path):
    return host.enter("mountpoint", "-q", path).returncode == 0


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def serve(host):
    say("Two files are dropped, one of them empty.")
    host.drop("alice", "")
    host.drop("bob", 'php = { memory_limit = "64M"; master = "dedicated"; };\n')
    started = time.monotonic()
    host.wait_ready("alice", "bob")
    show("both ready after", f"{time.monotonic() - started:.2f} s")
    for name in ("alice", "bob"):
        host.write(name, "index.php", PAGE)
        http, https = host.wait_answers(name, status=301), host.wait_answers(name, https=True)
        show(f"http://{host.host_name(name)}:{host.http_port}/", f"{http.status} → {http.headers['Location']}")
        show(f"https://{host.host_name(name)}:{host.https_port}/", f"{https.status} {https.text.strip()}")


def drift(host):
    say("Whatever drifts is put back while you watch.")
    data, tmp = host.data("alice"), host.home("alice", "chroot/tmp/session")
    base = host.home("bob", "chroot/.base")
    put_back("a mode", lambda: os.chmod(data, 0o777), lambda: " ".join(acl(data)[:5]))
    put_back("an owner", lambda: os.chown(data, 12345, 12345), lambda: mode_of(data))
    put_back("a removed directory", lambda: os.rmdir(tmp), lambda: mode_of(tmp) if os.path.isdir(tmp) else None)
    put_back("a removed mount", lambda: host.enter("umount", base), lambda: is_mount(host, base))
    generated = os.path.join(host.state_dir, "nginx/current/sites.conf")
    put_back("an edited generated file", lambda: edit(host, generated), lambda: len(text_of(generated)))
    line, pid = sorted(host.masters().items())[0]
    put_back(
        f"a killed PHP master ({line})",
        lambda: os.kill(pid, signal.SIGKILL),
        lambda: all(host.answers(name, https=True) for name in ("alice", "bob")) and pid_in_line(host, line),
    )


def pid_in_line(host, line):
    return host.masters().get(line) is not None


def edit(host, path):
    """Generated files are compared at each look; SIGHUP asks for one."""
    append(path, "# somebody was here\n")
    host.agent.send_signal(signal.SIGHUP)


def removal(host):
    say("A file removed takes the site away and leaves the data.")
    host.remove("bob")
    wait_for("bob out of service", lambda: host.get_quietly("bob") is None and not host.status("bob"), 30)
    show("https://bob…", "refused")
    show("bob's index.php", "still there" if os.path.exists(host.data("bob", "index.php")) else "GONE")
    show("bob's account", pwd.getpwnam("bob").pw_uid)


def main():
    started = time.monotonic()
    host = Host(root="/mnt/demo", settings="reconcile = { removal_grace_s = 2; };")
    say("An agent starts on a host of its own: private mounts, private /etc, its own nginx and PHP-FPM.")
    host.start()
    show("ports", f"127.0.0.1:{host.http_port} and :{host.https_port}")
    try:
        serve(host)
        drift(host)
        removal(host)
        say("What the agent says (webspaces status):")
        print(host.command("status").stdout, end="")
        say("What it told the journal:")
        print(subprocess.run(["tail", "-n", "20", host.log], capture_output=True, text=True, check=True).stdout, end="")
        show("all of this took", f"{time.monotonic() - started:.1f} s")
        stay(host)
    finally:
        host.destroy()
    say("Gone: no account, mount, process or file of it is left.")


def stay(host):
    if os.environ.get("DEMO_EXIT"):
        return
    say("It stays up until Ctrl-C. In another terminal:")
    print(f"    curl --insecure --resolve alice.web.test:{host.https_port}:127.0.0.1 https://alice.web.test:{host.https_port}/")
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
