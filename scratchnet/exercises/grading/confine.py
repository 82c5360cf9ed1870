"""Confine — what the kernel shall refuse to a submission, asked for by its own process.

    limit(memory, seconds)          any Unix: memory, processor time, size of files, processes
    only_read(folders)              Linux: no file but those below `folders` can be opened, and
                                    none written (Landlock, since Linux 5.13)
    forbid_calls()                  Linux on x86-64 and arm64: no new process, no signal to
                                    another one, no socket, no debugger (seccomp)

All three go with the process for good and for all threads; none needs a privilege. Both Linux
calls return False where the kernel does not have them. This is a strong fence, not a sandbox:
docs/grading.md says what is left.
"""
import contextlib
import ctypes
import math
import os
import platform
import struct
import sys
import time
from collections.abc import Iterable
from pathlib import Path

FILE_SIZE = 1 << 20             # bytes: the largest file a submission can write, where it can
OPEN_FILES = 64
NICE = 10

_DEATH_SIGNAL, _SET_SECCOMP, _NO_NEW_PRIVILEGES = 1, 22, 38           # of prctl


def limit(memory: int, seconds: float) -> None:
    """Limit this process to `memory` bytes and `seconds` more of processor time; Windows has no
    such limits."""
    try:
        import resource
    except ImportError:
        return
    os.nice(NICE)
    if sys.platform == "linux":             # when the grader dies, so shall this
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, 9, 0, 0, 0)
    processor = math.ceil(time.process_time() + seconds)
    wanted = {"RLIMIT_AS": memory, "RLIMIT_CPU": processor, "RLIMIT_FSIZE": FILE_SIZE,
              "RLIMIT_NPROC": 0, "RLIMIT_NOFILE": OPEN_FILES, "RLIMIT_CORE": 0}
    for name, value in wanted.items():
        # macOS knows some of the names, but not what they mean
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


# ── Landlock: files ──────────────────────────────────────────────────────────────────────

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446      # system calls
_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 2, 4, 8
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}    # all, by version


def only_read(folders: Iterable[Path | str]) -> bool:
    """From now on, open nothing but what lies below `folders`, and only to read; and /dev/null."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    rights = struct.pack("=Q", _RIGHTS[min(version, 3)])
    rules = libc.syscall(_CREATE_RULESET, rights, ctypes.c_size_t(len(rights)), 0)
    for path, allowed in [*((folder, _READ_FILE | _READ_DIR) for folder in folders),
                          ("/dev/null", _READ_FILE | _WRITE_FILE), ("/dev/urandom", _READ_FILE)]:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:                     # what is not there need not be allowed
            continue
        if not os.path.isdir(path):
            allowed &= ~_READ_DIR
        rule = struct.pack("=Qi", allowed, place)
        libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0)
        os.close(place)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = libc.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return done


# ── seccomp: system calls ────────────────────────────────────────────────────────────────

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# The number of each forbidden call, on both.
_FORBIDDEN = {
    "x86_64": {"fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "kill": 62, "tkill": 200,
               "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297,
               "pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438, "ptrace": 101,
               "process_vm_readv": 310, "process_vm_writev": 311, "socket": 41,
               "socketpair": 53, "setsid": 112, "setpgid": 109, "setrlimit": 160,
               "setpriority": 141, "unshare": 272, "setns": 308, "mount": 165, "bpf": 321,
               "io_uring_setup": 425, "perf_event_open": 298, "userfaultfd": 323,
               "shmget": 29, "memfd_create": 319, "keyctl": 250, "inotify_init1": 294},
    "aarch64": {"execve": 221, "execveat": 281, "kill": 129, "tkill": 130, "tgkill": 131,
                "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424,
                "pidfd_open": 434, "pidfd_getfd": 438, "ptrace": 117, "process_vm_readv": 270,
                "process_vm_writev": 271, "socket": 198, "socketpair": 199, "setsid": 157,
                "setpgid": 154, "setrlimit": 164, "setpriority": 140, "unshare": 97,
                "setns": 268, "mount": 40, "bpf": 280, "io_uring_setup": 425,
                "perf_event_open": 241, "userfaultfd": 282, "shmget": 194,
                "memfd_create": 279, "keyctl": 219, "inotify_init1": 26},
}
_CLONE = {"x86_64": 56, "aarch64": 220}
_PRLIMIT = {"x86_64": 302, "aarch64": 261}
_CLONE3 = 435
_THREAD = 0x00010000            # CLONE_THREAD
_X32 = 0x40000000               # a second set of numbers for the same calls, on x86-64

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38


def forbid_calls() -> bool:
    """From now on, system calls that reach beyond this process fail with PermissionError.

    Threads may still be started (clone with CLONE_THREAD): they end with the process.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURE or sys.maxsize < 1 << 32:
        return False
    # A program for the kernel's filter machine: (operation, jump if true, jump if false, operand).
    # What it loads: the call's number at 0, the architecture at 4, argument i at 16 + 8·i.
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURE[machine]), (_RETURN, 0, 0, _KILL),
               (_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _REFUSE | _EPERM)]
    for number in _FORBIDDEN[machine].values():
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE | _EPERM)]
    # clone3 hides its flags in memory; told that there is none, the C library takes clone.
    program += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _REFUSE | _ENOSYS),
                (_EQUAL, 0, 4, _CLONE[machine]), (_LOAD, 0, 0, 16), (_ANY_BIT, 1, 0, _THREAD),
                (_RETURN, 0, 0, _REFUSE | _EPERM), (_LOAD, 0, 0, 0),
                # prlimit may ask for a limit (its third argument is no pointer), not set one
                (_EQUAL, 0, 5, _PRLIMIT[machine]), (_LOAD, 0, 0, 36), (_EQUAL, 0, 2, 0),
                (_LOAD, 0, 0, 32), (_EQUAL, 1, 0, 0), (_RETURN, 0, 0, _REFUSE | _EPERM),
                (_RETURN, 0, 0, _ALLOW)]
    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    memory = ctypes.create_string_buffer(code)
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(program), ctypes.addressof(memory)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return libc.prctl(_SET_SECCOMP, 2, header, 0, 0) == 0
