"""Runs a command as on a kernel without IPv6: socket(2) says EAFNOSUPPORT (ipv6.disable=1), for it and its children."""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

SECCOMP_MODE_FILTER, PR_SET_SECCOMP = 2, 22
LOAD, IS_EQUAL, ANSWER = 0x20, 0x15, 0x06  # BPF: load a word, jump if equal, return
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]

PROGRAM = [
    (LOAD, 0, 0, NUMBER),
    (IS_EQUAL, 0, 3, SOCKET),
    (LOAD, 0, 0, FIRST_ARGUMENT),
    (IS_EQUAL, 0, 1, socket.AF_INET6),
    (ANSWER, 0, 0, ERRNO | errno.EAFNOSUPPORT),
    (ANSWER, 0, 0, ALLOW),
]

if __name__ == "__main__":
    code = b"".join(struct.pack("HBBI", *line) for line in PROGRAM)
    text = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("HP", len(PROGRAM), ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    os.execv(sys.argv[1], sys.argv[1:])
