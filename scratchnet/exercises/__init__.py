"""exercises — write the layers yourself, and be told what went wrong.

    scratchnet exercise start   the next one: a small file in ./exercises that says what to write
    scratchnet exercise check   is it right? If not: where, and why

Reading order: spec.py (what an exercise is), catalogue/ (all of them, a file each), solution.py
(the way to the student's code), checker.py (is it right?) with setting.py (the random numbers of a
case), difference.py (how two results differ), hunt.py (bug hunts) and result.py (what is told),
workspace.py (the student's folder), limit.py (a check that cannot hang), commands.py (the command
line), own_layers.py (the student's layers in a real network).
"""
