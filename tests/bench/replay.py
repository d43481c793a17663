"""What one full pass does for one webspace, out of a trace of it: the lines that bare.c takes.

A call belongs to a webspace if it names it, or uses a descriptor that such a call has opened.
The trace is strace's with -X raw, so flags are numbers.
"""

import os
import re

# Arguments: f descriptor, s text that goes in, h struct open_how, b what comes out, n number.
CALLS = {
    "access": "sn",
    "close": "f",
    "faccessat": "fsn",
    "faccessat2": "fsnn",
    "fcntl": "fnn",
    "fgetxattr": "fsbn",
    "fstat": "fb",
    "fstatfs": "fb",
    "getdents64": "fbn",
    "getxattr": "ssbn",
    "lseek": "fnn",
    "lstat": "sb",
    "newfstatat": "fsbn",
    "open": "snn",
    "openat": "fsnn",
    "openat2": "fshn",
    "pread64": "fbnn",
    "read": "fbn",
    "readlink": "sbn",
    "readlinkat": "fsbn",
    "stat": "sb",
    "statx": "fsnnb",
}
OPENING = ("open", "openat", "openat2")
AT_FDCWD = -100
LINE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)")


def count(path):
    """Calls by name in a trace."""
    found = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"^(\w+)\(", line)
            if match:
                found[match.group(1)] = found.get(match.group(1), 0) + 1
    return found


def arguments(text):
    """The arguments of a call, split at the commas that are in no braces, brackets or quotes."""
    out, depth, start, quoted, escaped = [], 0, 0, False, False
    for i, c in enumerate(text):
        if quoted:
            quoted = escaped or c != '"'
            escaped = c == "\\" and not escaped
        elif c == '"':
            quoted = True
        elif c in "{[":
            depth += 1
        elif c in "}]":
            depth -= 1
        elif c == "," and depth == 0:
            out.append(text[start:i].strip())
            start = i + 1
    return out + [text[start:].strip()] if text else []


def number(text):
    text = text.lstrip("|")  # strace's "|0x1000": the flag before it is 0
    match = re.match(r"-?(0x[0-9a-f]+|\d+)", text)
    if not match:
        return 0
    octal = re.match(r"0\d", text)
    return int(text, 8) if octal else int(match.group(0), 0)


def behind_proc(text):
    """The descriptor that a path in /proc stands for, or None."""
    match = re.match(r'"/proc/self/fd/(\d+)"', text)
    return int(match.group(1)) if match else None


def how(text):
    fields = dict(re.findall(r"(\w+)=(0x[0-9a-f]+|\d+)", text))
    return ",".join(str(number(fields.get(key, "0"))) for key in ("flags", "mode", "resolve"))


class Trace:
    """One webspace's calls, in order."""

    def __init__(self, name, pid, root):
        self.name, self.pid, self.root = name, pid, root
        self.mine = {}  # descriptor → slot, of those opened for this webspace
        self.held = {}  # path → slot, of directories that all webspaces share
        self.shared = {}  # descriptor → path, of such ones that the trace saw opened
        self.lines, self.unknown, self.slots = [], set(), 0

    def read(self, path):
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                match = LINE.match(line)
                if match:
                    self.take(match.group(1), arguments(match.group(2)), number(match.group(3)))
        return self

    def new_slot(self):
        self.slots += 1
        return self.slots

    def slot(self, descriptor):
        if descriptor in self.mine:
            return self.mine[descriptor]
        path = self.path(descriptor)
        if path not in self.held:
            self.held[path] = self.new_slot()
        return self.held[path]

    def path(self, descriptor):
        if descriptor == AT_FDCWD:
            return "/"
        return self.shared.get(descriptor) or os.readlink(f"/proc/{self.pid}/fd/{descriptor}")

    def note_shared(self, call, words, result):
        """Somebody opened or closed what belongs to no webspace."""
        if call == "close":
            self.shared.pop(number(words[0]), None)
        elif call in OPENING and result >= 0:
            self.mine.pop(result, None)
            place = words[0].strip('"') if call == "open" else words[1].strip('"')
            above = "/" if call == "open" else self.path(number(words[0]))
            self.shared[result] = os.path.normpath(os.path.join(above, place))

    def is_ours(self, kinds, words):
        for kind, word in zip(kinds, words):
            if kind == "s" and re.search(rf"(?<![\w-]){re.escape(self.name)}(?![\w-])", word):
                return True
            if kind == "f" and number(word) in self.mine:
                return True
            if kind == "s" and behind_proc(word) in self.mine:
                return True
        return False

    def word(self, kind, text):
        if kind == "f":
            descriptor = number(text)
            return "f-" if descriptor == AT_FDCWD else f"f{self.slot(descriptor)}"
        if kind == "s" and behind_proc(text) is not None:
            return f"p{self.slot(behind_proc(text))}"
        if kind == "s":
            return "s" + text.strip('"').replace(self.name, "@")
        if kind == "h":
            return "h" + how(text)
        return "b" if kind == "b" else f"n{number(text)}"

    def take(self, call, words, result):
        kinds = CALLS.get(call)
        if kinds is None:
            if any(f'{self.name}' in word for word in words):
                self.unknown.add(call)
            return
        if not self.is_ours(kinds, words):
            self.note_shared(call, words, result)
            return
        line = [call, *(self.word(kind, word) for kind, word in zip(kinds, words))]
        if call in OPENING and result >= 0:
            self.mine[result] = self.new_slot()
            line.append(f"={self.mine[result]}")
        elif call == "close":
            self.mine.pop(number(words[0]), None)
        self.lines.append("\t".join(line))

    def text(self, names, root):
        """bare's input, for another host's names and directory."""
        held = [f"fd\t{slot}\t{path}" for path, slot in self.held.items()]
        calls = "\n".join([*held, *self.lines]).replace(f"{self.root}/", f"{root}/")
        return "\n".join([calls, "names", *names]) + "\n"
