"""grading — for teachers: `scratchnet grade SUBMISSIONS/ --out grades.csv`.

A submission is a stranger's program. It runs in a process of its own, which maps arrays to
arrays and nothing else; the inputs, the reference and the verdict stay with the grader.

    grade.py        asks the checker about each file, in two processes
    folders.py      which file is whose, and what lies about beside them
    submission.py   RemoteSolution: a file in a child process, as the checker sees it
    child.py        the first lines of that process; answers.py: what it answers
    confine.py      what the kernel shall refuse to it
    wire.py         how values cross; objects.py and remote.py: how layers do
    formats.py      the results as CSV, for Gradescope, as JUnit XML
    commands.py     the command line

docs/grading.md says how to use it, and what it does not stop.
"""
