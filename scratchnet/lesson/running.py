"""Lesson — what a running lesson has: the device, its data, a folder for figures, and verdicts."""
import argparse
import base64
import html
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from scratchnet.backend import best_device, describe_device
from scratchnet.lesson import claims

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from scratchnet.data.sets import Data
    from scratchnet.exercises.own_layers import OwnLayers
    from scratchnet.layer import Layer

FINISHED = "lesson.json"            # in a lesson's folder, when it has run to its end


class Lesson:
    """What a running lesson has.

    Begin with `lesson = Lesson("alexnet")`: reads --device, --out, --full, --data and --with from
    the command line (ignored in a notebook) and says in one line where the work is done.

    device      "cpu" or "gpu"              full    whether the longer version is asked for
    folder      for its figures             own     the reader's own layers, given by --with
    """

    def __init__(self, name: str):
        printable()
        parser = argparse.ArgumentParser(prog=f"scratchnet lesson {name}")
        add_options(parser)
        options = parser.parse_args([] if _in_notebook() else sys.argv[1:])
        try:
            self.own = _own_layers(options.own)
            # the student's layers need know of no GPU
            self.device = best_device(options.device or ("cpu" if self.own else None))
        except ValueError as error:
            parser.error(str(error))
        self.name, self.full = name, options.full
        self.folder = Path(options.out or Path("runs") / f"lesson-{name}")
        self.figures: list[Path] = []
        self.answers: dict[str, tuple[str, str]] = {}
        self._data, self._began = options.data, time.perf_counter()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"cannot write to {self.folder}: {error.strerror}; choose another "
                         f"folder with --out")
        print(describe_device(self.device))

    def load(self, data: str, size: int = 32, **settings: Any) -> Any:
        """Return the lesson's own data: drawn "shapes" (settings as data.load_shapes) or "digits",
        each image size×size, float32 from 0 to 1.

        With --data it is the reader's, made alike: as many images, as many channels, and of the
        classes the first ten. Ends the program if they cannot be had.
        """
        from scratchnet import data as sets
        makers = {"shapes": sets.load_shapes, "digits": sets.load_digits}
        own = makers[data](size, **settings)
        if self._data is None:
            return own
        try:
            return _alike(sets.load(self._data, size=size), own)
        except (ValueError, OSError) as error:      # ConnectionError is an OSError
            raise SystemExit(f"scratchnet: --data {self._data}: {error}") from None

    def claim(self, claim: str, verdict: str, evidence: str) -> None:
        """State a sentence of claims.toml by its id, what came of it here, and what shows it.

        Raises ValueError for a claim that is not in the list or is another lesson's, and for a
        verdict that is none of claims.VERDICTS.
        """
        statement = claims.checked(claim, verdict, self.name)
        self.answers[claim] = verdict, evidence
        print(claims.told(statement, verdict, evidence))

    def replace(self, network: "Layer", images: "np.ndarray") -> None:
        """Put the layers given by --with in place of the library's, and say so; without --with, do
        nothing. `images`: a batch to train on. A wrong layer ends the lesson with its report, and
        so does it if there is no place for any (exit status 2)."""
        if self.own is not None:
            from scratchnet.exercises.own_layers import NoPlace, Refused
            try:
                self.own.replace(network, images)
            except Refused as refused:
                _refuse(refused)
            except NoPlace as error:
                print(f"scratchnet: {error}", file=sys.stderr)
                raise SystemExit(2) from None

    @property
    def loss(self) -> "Layer | None":
        """The SoftmaxCrossEntropy given by --with, for training.fit(…, loss=lesson.loss)."""
        return None if self.own is None else self.own.loss()

    def save(self, figure: "Figure", name: str, alt: str = "") -> None:
        """Write the figure to the lesson's folder, and show it if this is a notebook; `alt` says in
        a sentence what is on it, for those who cannot see it."""
        path = self.folder / f"{name}.png"
        figure.savefig(path, dpi=130)
        self.figures.append(path)
        if _in_notebook():
            from IPython.display import HTML, display
            picture = base64.b64encode(path.read_bytes()).decode()
            display(HTML(f'<img alt="{html.escape(alt or name)}" style="max-width: 100%" '
                         f'src="data:image/png;base64,{picture}">'))

    def end(self) -> None:
        """Name the folder and the figures in it, and write down that the lesson is finished."""
        seconds = time.perf_counter() - self._began
        table = {"lesson": self.name, "seconds": round(seconds, 1), "full": self.full,
                 "claims": {claim: list(answer) for claim, answer in self.answers.items()}}
        text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
        (self.folder / FINISHED).write_text(text, encoding="utf-8")
        print(f"Figures are in {self.folder.resolve()}:")
        for path in self.figures:
            print(f"  {path.name}")


def printable() -> None:
    """On a terminal or in a file that cannot hold → or ×, print ? instead of stopping."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every lesson has."""
    parser.add_argument("--device", help="cpu or gpu (default: gpu where there is one)")
    parser.add_argument("--full", action="store_true", help="the longer version, of some minutes")
    parser.add_argument("--data", help="other data to train on, where the lesson trains: cifar10, "
                        "a folder of pictures, … (what the lesson asserts of its own is then not "
                        "checked)")
    parser.add_argument("--out", help="folder for the figures (default: runs/lesson-NAME)")
    parser.add_argument("--with", dest="own", action="append", metavar="FILE",
                        help="train with your own layers: a file with a class named like one of "
                             "the library's (ReLU, Conv2d, …), after checking it; repeat for more")


def _alike(data: "Data", own: Any) -> Any:
    """Some of `data`, in number and channels like `own`: float32 arrays from 0 to 1."""
    import numpy as np
    parts = {}
    for name in own._fields:                        # train, validation, test
        (images, labels), (like, _) = getattr(data, name), getattr(own, name)
        chosen = np.random.default_rng(0).permutation(len(labels))
        chosen = np.sort(chosen[np.asarray(labels)[chosen] < 10][:len(like)])
        x = np.asarray(images[chosen])
        x = x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1)
        if x.shape[1] != like.shape[1]:             # grey from colours, or the same three times
            x = x.mean(axis=1, keepdims=True).repeat(like.shape[1], axis=1)
        parts[name] = getattr(own, name)._replace(images=x, labels=np.asarray(labels)[chosen])
    return own._replace(**parts)


def _own_layers(paths: list[str] | None) -> "OwnLayers | None":
    """The layers of these files; a wrong one ends the program with its report."""
    if not paths:
        return None
    from scratchnet.exercises.own_layers import OwnLayers, Refused
    try:
        return OwnLayers(paths)
    except Refused as refused:
        _refuse(refused)


def _refuse(report: Exception) -> NoReturn:
    print(report)
    raise SystemExit(1)


def _in_notebook() -> bool:
    """True inside IPython (Jupyter, VS Code's cells)."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
