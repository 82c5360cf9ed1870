"""What submissions try, and what comes of it: run by test_grading_attacks.py, printed in
docs/grading.md.

Each is a file in attacks/, a submission of relu. Unless its docstring says "right otherwise", its
gradient is wrong, so that "passed" would mean that the attack worked.

    stopped         the act fails, or ends the submission
    no gain         it happens, within the submission's own process, and changes nothing
    not stopped     it works
"""
from typing import NamedTuple


class Attack(NamedTuple):
    """One attack, and what is expected of it.

    verdict, cause      of the grader on Linux; `cause` is a regular expression
    linux, elsewhere    what comes of it with the fences of confine.py, and where there are none
                        (macOS, Windows, old kernels)
    by                  what stops it
    """

    name: str
    verdict: str
    cause: str
    linux: str
    elsewhere: str
    by: str


_PROCESS = "a submission has a process of its own"
_VERDICT = "the verdict is made elsewhere, from arrays"
_KINDS = "only arrays of the right kind count"
_CALLS = "system calls are refused (seccomp)"
_FILES = "files are refused (Landlock)"
_CLOCK = "the clock"

ATTACKS = (
    Attack("exit_at_import", "stopped", "with status 0", "stopped", "stopped", _PROCESS),
    Attack("exit_in_forward", "stopped", "with status 0", "stopped", "stopped", _PROCESS),
    Attack("sys_exit", "error", "exit", "stopped", "stopped", _PROCESS),
    Attack("atexit_prints", "failed", "mask", "no gain", "no gain", _VERDICT),
    Attack("patches_numpy", "failed", "mask", "no gain", "no gain", _VERDICT),
    Attack("patches_random", "failed", "mask", "no gain", "no gain", _VERDICT),
    Attack("patches_gradcheck", "failed", "mask", "no gain", "no gain", _VERDICT),
    Attack("patches_layer", "failed", "mask", "no gain", "no gain", _VERDICT),
    Attack("pytest_skip", "error", "pytest cannot be used", "stopped", "stopped",
           "only NumPy and what comes with Python can be imported"),
    Attack("imports_a_library", "error", "No module named 'matplotlib'", "stopped",
           "not stopped", _FILES),
    Attack("alarm", "stopped", "SIGALRM", "stopped", "stopped", _PROCESS),
    Attack("kills_the_grader", "failed", "mask", "stopped", "not stopped", _CALLS),
    Attack("stops_itself", "error", "PermissionError", "stopped", "stopped",
           f"{_CALLS}, {_CLOCK}"),
    Attack("leaves_a_child", "error", "PermissionError", "stopped", "not stopped", _CALLS),
    Attack("fork_bomb", "error", "PermissionError", "stopped", "stopped",
           f"{_CALLS}, a limit of processes"),
    Attack("starts_a_program", "error", "PermissionError", "stopped", "not stopped", _CALLS),
    Attack("memory_bomb", "error", "MemoryError", "stopped", "not stopped", "a limit of memory"),
    Attack("endless_loop", "stopped", "took longer .* of computing", "stopped", "stopped", _CLOCK),
    Attack("ignores_signals", "stopped", "took longer .* of computing", "stopped", "stopped",
           _CLOCK),
    Attack("sleeps", "stopped", "longer than .* by the clock", "stopped", "stopped", _CLOCK),
    Attack("output_flood", "passed", "", "no gain", "no gain", "nobody reads it"),
    Attack("huge_array", "error", "MiB", "stopped", "stopped", "a limit of the wire"),
    Attack("huge_list", "error", "list of 5000000", "stopped", "stopped", "a limit of the wire"),
    Attack("huge_file", "error", "PermissionError", "stopped", "not stopped", _FILES),
    Attack("imports_the_answer", "error", "cannot be used", "stopped", "stopped",
           "of scratchnet, only what the template imports is there"),
    Attack("digs_for_the_answer", "error", "StopIteration", "stopped", "stopped",
           "the class is not in the process"),
    Attack("reads_the_answer", "error", "PermissionError", "stopped", "not stopped", _FILES),
    Attack("reads_other_files", "error", "PermissionError", "stopped", "not stopped", _FILES),
    Attack("reads_the_grader", "error", "PermissionError", "stopped", "not stopped", _FILES),
    Attack("looks_up_the_stack", "failed", "mask", "no gain", "no gain",
           "the reference is not in the process"),
    Attack("equal_to_everything", "failed", "mask", "no gain", "no gain", _KINDS),
    Attack("object_array", "failed", "object", "stopped", "stopped", _KINDS),
    Attack("wrong_dtype", "failed", "float32", "stopped", "stopped", _KINDS),
    Attack("not_a_number", "failed", "NaN", "stopped", "stopped", _KINDS),
    Attack("generator", "failed", "generator", "stopped", "stopped", _KINDS),
    Attack("backwards_in_memory", "passed", "", "no gain", "no gain", "it is right"),
    Attack("memory_view", "failed", "memoryview", "stopped", "stopped", _KINDS),
    Attack("pickle_bomb", "failed", "Bomb", "stopped", "stopped", "nothing is unpickled"),
    Attack("phones_home", "error", "PermissionError", "stopped", "not stopped", _CALLS),
    Attack("forges_answers", "stopped", "nobody asked|described", "stopped", "stopped",
           "answers are numbered, and could hold nothing but arrays"),
    Attack("lies_about_lengths", "stopped", "too long", "stopped", "stopped",
           "a limit of the wire"),
    Attack("closes_everything", "stopped", "closed the line", "stopped", "stopped", _PROCESS),
    Attack("behaves_when_watched", "passed", "", "no gain", "no gain", "it is right"),
    Attack("right_once", "failed", "", "stopped", "stopped", "more than one question"),
    Attack("recursion", "error", "without end", "stopped", "stopped", _PROCESS),
    Attack("deletes_files", "error", "PermissionError", "stopped", "not stopped", _FILES),
    Attack("changes_folder", "passed", "", "no gain", "no gain", "there is nothing to find"),
    Attack("raises_its_limits", "error", "Permission|exceeds|allowed", "stopped", "stopped",
           "limits cannot be raised"),
    Attack("leaves_threads", "passed", "", "no gain", "no gain", "they end with the process"),
    Attack("covers_its_tracks", "passed", "", "not stopped", "not stopped",
           "nothing: what a process says of its own arrays is its word"),
)
