# SPDX-License-Identifier: Apache-2.0
"""Loads filters of system calls and becomes a program.

    confine.py FILTERS PROGRAM ARGUMENT...

FILTERS are in base64, with commas between them; sandbox.py makes them, once for many programs.
"""

import binascii
import ctypes
import os
import sys

# linux/prctl.h, linux/seccomp.h
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
INSTRUCTION_BYTES = 8


class Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def main():
    """Confines this process; privileges it cannot have any more."""
    filters, *command = sys.argv[1:]
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.POINTER(Program)]
    for text in filters.split(","):
        code = binascii.a2b_base64(text)
        program = Program(len(code) // INSTRUCTION_BYTES, code)
        if prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)) != 0:
            sys.exit(f"cannot load a filter: {os.strerror(ctypes.get_errno())}")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
