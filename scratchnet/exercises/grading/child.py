"""Child — the first lines of the process in which a submission runs; submission.py starts it.

    python -I -B child.py FILE MEMORY SECONDS CONFINED FOLDER…

FOLDERs are where scratchnet and NumPy are; MEMORY is in bytes, SECONDS are of processor time.
What was standard input and output becomes the wire, under numbers of its own: print goes nowhere.
"""
import os
import sys


def main() -> None:
    """Answer until the grader hangs up."""
    file, memory, seconds, confined, *folders = sys.argv[1:]
    sys.argv = [file]
    for name in ("OPENBLAS", "MKL", "OMP"):             # NumPy reads it when it is imported
        os.environ[f"{name}_NUM_THREADS"] = "1"
    installed = [folder for folder in sys.path if "-packages" in folder]
    sys.path = [folder for folder in sys.path if folder not in installed] + folders + installed

    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)

    from scratchnet.exercises.grading import answers, confine
    confine.limit(int(memory), float(seconds))
    answers.serve(file, reader, writer, folders, confined == "1")


if __name__ == "__main__":
    main()
