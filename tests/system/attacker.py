"""What a hostile user does, as that user, and whether anybody else's things show it."""

import ctypes
import hashlib
import os
import pwd
import select
import struct
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)

IN_MODIFY, IN_ATTRIB, IN_OPEN, IN_DELETE_SELF, IN_MOVE_SELF = 0x2, 0x4, 0x20, 0x400, 0x800
TOUCHED = IN_MODIFY | IN_ATTRIB | IN_OPEN | IN_DELETE_SELF | IN_MOVE_SELF

EXCHANGE = """
import ctypes, os, stat, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def exchange(a, b):
    return libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2) == 0
def attempt(f, *args):
    try:
        f(*args)
        return True
    except OSError:
        return False
"""


def as_user(name, code, *words, **options):
    """Runs Python code with the ids of a user, outside of the jails' namespace; what it printed."""
    entry = pwd.getpwnam(name)
    done = subprocess.run(
        ["/usr/bin/python3", "-c", EXCHANGE + code, *words],
        user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], capture_output=True, text=True, check=False,
        cwd="/", timeout=120, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_as_user(name, code, *words, **options):
    entry = pwd.getpwnam(name)
    return subprocess.Popen(
        ["/usr/bin/python3", "-c", EXCHANGE + code, *words],
        user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], stdout=subprocess.PIPE, text=True, cwd="/", **options,
    )  # fmt: skip


def print_of(path):
    """All of an inode that nobody may change: identity, rights, ACLs, content."""
    found = os.lstat(path)
    content = None
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
    elif os.path.islink(path):
        content = os.readlink(path)
    rights = {}
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        try:
            rights[name] = os.getxattr(path, name, follow_symlinks=False)
        except OSError:
            rights[name] = None
    return (found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_nlink, content, str(rights))


def prints_of(*tops, without=()):
    """print_of everything below these."""
    found = {}
    for top in tops:
        found[top] = print_of(top)
        for directory, directories, files in os.walk(top):
            for name in directories + files:
                path = os.path.join(directory, name)
                if not path.startswith(tuple(without)) if without else True:
                    found[path] = print_of(path)
    return found


def differences(before, after):
    return {path: (before.get(path), after.get(path)) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


class Victims:
    """Files and a directory of root's that nobody has any business with; each open and each change is seen."""

    def __init__(self, directory, count=12):
        os.makedirs(directory)
        os.chmod(directory, 0o755)
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.files, self.watched = [], {}
        for number in range(count):
            path = os.path.join(directory, f"victim{number}")
            with open(path, "w", encoding="ascii") as file:
                file.write("root's\n")
            os.chmod(path, 0o600)
            self.files.append(path)
        self.directory = os.path.join(directory, "victims.d")
        os.mkdir(self.directory, 0o755)
        with open(os.path.join(self.directory, "in"), "w", encoding="ascii") as file:
            file.write("secret")
        self.before = prints_of(directory)
        self.top = directory
        for path in self.files:
            self.watched[libc.inotify_add_watch(self.descriptor, path.encode(), TOUCHED)] = path
        self.spare = iter(self.files)

    def next(self):
        """One that no link leads to yet."""
        return next(self.spare)

    def touched(self):
        """What was opened or changed until now: path and inotify's mask."""
        seen = []
        while select.select([self.descriptor], [], [], 0)[0]:
            data, at = os.read(self.descriptor, 65536), 0
            while at < len(data):
                watch, mask, _, length = struct.unpack_from("iIII", data, at)
                seen.append((self.watched.get(watch), hex(mask)))
                at += 16 + length
        return seen

    def check(self):
        assert self.touched() == []
        assert differences(self.before, prints_of(self.top)) == {}
        self.touched()  # our own look


assert sys.version_info >= (3, 9)
