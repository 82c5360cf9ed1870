"""Checkpoint — everything a run needs to go on as if it had never stopped, in one file.

    RUN/checkpoint-000001234.npz        after 1,234 updates; the newest two are kept

A checkpoint is a .npz of the arrays (parameters, running statistics, the optimizer's state, the
epoch's order) and of "facts", a text in JSON with all that is no array (where in which epoch, the
states of the random generators, the sums of the running epoch, the history, versions).

`write` gives the file its name only when all of it is on the disk and has been read back
(archive.py), so that a file with such a name is whole. Disks fail all the same: `newest_first`
lists what there is, and whoever resumes goes back to the one before if `read` refuses.
"""
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.archive import damage_told, read_npz, replace_file, write_npz

KEPT = 2
FACTS = "facts"
NAME = re.compile(r"checkpoint-(\d{9,})\.npz")


def write(folder: Path, step: int, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> Path:
    """Write the checkpoint of `step`, then remove all but the newest two; returns its path.

    Raises OSError where the disk is full, or gives back other bytes than were written; the
    older checkpoints are then untouched.
    """
    text = json.dumps(facts, default=lambda array: array.tolist()).encode()
    table = {**arrays, FACTS: np.frombuffer(text, dtype=np.uint8)}
    path = folder / f"checkpoint-{step:09d}.npz"
    replace_file(path, lambda file: write_npz(table, file), check=_read_back)
    for old in newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def _read_back(path: Path) -> None:
    try:
        read(path)
    except ValueError as error:
        raise OSError(f"the disk gave back other bytes than were written: {error}") from error


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (arrays, facts) of the checkpoint `path`.

    Raises ValueError for a file that is damaged, truncated, or no checkpoint.
    """
    arrays = read_npz(path)
    with damage_told(path):
        if FACTS not in arrays:
            raise ValueError("it is not a checkpoint: it has no facts")
        facts = json.loads(arrays.pop(FACTS).tobytes().decode())
        if not isinstance(facts, dict):
            raise ValueError("it is not a checkpoint: its facts are no table")
    return arrays, facts


def newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder`, the one with the most updates first."""
    found = [(int(match[1]), path) for path in folder.iterdir()
             if (match := NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def read_newest(folder: Path, say: Callable[[str], Any]
                ) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return (arrays, facts) of the newest checkpoint that can be read; None if there is none.

    What cannot be read is told to `say` and set aside (as ….broken), and the one before it is
    taken. Raises ValueError if there are checkpoints and none can be read.
    """
    paths = newest_first(folder)
    for n, path in enumerate(paths):
        try:
            found = read(path)
        except ValueError as error:
            say(f"{error}\nGoing back to the checkpoint before it.")
            continue
        for broken in paths[:n]:                # or it would count as one of the newest two
            broken.replace(broken.with_suffix(".broken"))
        return found
    if paths:
        raise ValueError(f"none of the {len(paths)} checkpoints in {folder} can be read: begin "
                         f"anew in another folder")
    return None
