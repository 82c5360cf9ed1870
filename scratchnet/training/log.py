"""Log — what a run leaves to be read: a table of epochs, a line for each update, the curves.

    RUN/log.csv         a row an epoch, for a spreadsheet
    RUN/updates.jsonl   a JSON object an update: loss, errors, rate, gradient norm, seconds
    RUN/curves.png      loss and errors, epoch by epoch

The checkpoint decides how far a run has come; the log follows it. On resuming, lines of updates
that the checkpoint does not know are taken away (the run will make them again), and so is a line
that a kill cut in two.
"""
import csv
import io
import json
import os
import time
from pathlib import Path
from typing import Any

from scratchnet.archive import replace_file
from scratchnet.training.trainer import Epoch, Update

DRAW_EVERY = 20.0       # seconds between pictures


class Log:
    """Writes the log of one run into `folder`; `step` is where the run goes on."""

    def __init__(self, folder: Path, step: int):
        self.folder = folder
        self.updates = folder / "updates.jsonl"
        earlier = self._forget_after(step)
        self._file = self.updates.open("a", encoding="utf-8")
        self._began = time.monotonic() - earlier
        self._drawn = float("-inf")

    def _forget_after(self, step: int) -> float:
        """Keep the lines up to `step`; returns the seconds of training that the last one tells."""
        kept, seconds = [], 0.0
        if self.updates.exists():
            for line in self.updates.read_bytes().splitlines(keepends=True):
                try:
                    told = json.loads(line)
                    if told["step"] > step or not line.endswith(b"\n"):
                        break
                    seconds = float(told["seconds"])
                except (ValueError, KeyError, TypeError):
                    break
                kept.append(line)
        replace_file(self.updates, lambda file: file.writelines(kept))
        return seconds

    def update(self, update: Update, epoch: int) -> None:
        """Add a line."""
        line: dict[str, Any] = {"epoch": epoch, **update._asdict(),
                                "seconds": round(time.monotonic() - self._began, 3)}
        self._file.write(json.dumps(line) + "\n")

    def flush(self) -> None:
        """Have every line on the disk: before a checkpoint, which will not make them again."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def epoch(self, history: list[Epoch]) -> None:
        """Write the table anew."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["epoch", *Epoch._fields])
        writer.writerows([n, *(f"{number:.9g}" for number in epoch)]
                         for n, epoch in enumerate(history, start=1))
        replace_file(self.folder / "log.csv", lambda file: file.write(text.getvalue().encode()))
    def draw(self, history: list[Epoch], last: bool = False) -> None:
        """Draw the curves, at the end and now and then before it."""
        from scratchnet.visualize import learning_curves
        if last or time.monotonic() - self._drawn > DRAW_EVERY:
            figure = learning_curves(history)
            replace_file(self.folder / "curves.png",
                         lambda file: figure.savefig(file, dpi=120, format="png"))
            self._drawn = time.monotonic()

    def close(self) -> None:
        """End the log."""
        self._file.close()
