"""`scratchnet train`, `evaluate`, `predict` — networks by name, data by name, runs as folders."""
import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet.backend import best_device
from scratchnet.training.communicator import communicator
from scratchnet.training.ensemble import errors_of
from scratchnet.training.interrupt import Interrupted
from scratchnet.training.loop import SAVE_EVERY
from scratchnet.training.run import Run, train

ERRORS = (ValueError, OSError, ImportError, RuntimeError)     # about which a user can do something
BAR = 30                # characters of a bar for 100 %


def add_commands(commands: Any) -> None:
    """Add `train`, `evaluate` and `predict` to the command line."""
    command = commands.add_parser(
        "train", help="train a network after a recipe; nothing is lost when it is stopped",
        description="Train MODEL on DATA after a recipe. Ctrl-C and SIGTERM save at the next "
                    "update; --resume goes on.")
    command.add_argument("model", nargs="?", metavar="MODEL",
                         help="a network (scratchnet verify lists them); not needed with --resume")
    command.add_argument("--data", metavar="DATA", help="digits, shapes, mnist, fashion-mnist, "
                         "cifar10, cifar100, or a folder of folders of pictures")
    command.add_argument("--recipe", default=None, metavar="NAME", help="quick (the default), "
                         "paper, or another: scratchnet recipe lists them")
    command.add_argument("--out", metavar="RUN", help="the run's folder "
                         "(default: runs/MODEL-DATA-RECIPE)")
    command.add_argument("--resume", action="store_true", help="go on with the run in --out")
    command.add_argument("--device", choices=("cpu", "gpu"), help="default: a GPU if there is one")
    command.add_argument("--epochs", type=int, help="the schedule is stretched in proportion")
    command.add_argument("--batch-size", type=int)
    command.add_argument("--lr", type=float, help="the learning rate to begin with")
    command.add_argument("--size", type=int, help="side of the network's input")
    command.add_argument("--seed", type=int, help="default: 0")
    command.add_argument("--mirror", action=argparse.BooleanOptionalAction, default=None,
                         help="whether a mirrored image has the same label (default: yes, but for "
                              "digits)")
    command.add_argument("--pretrained", metavar="FILE", help="begin with these weights, all but "
                         "the head (transfer learning)")
    command.add_argument("--freeze", action="append", metavar="NAME",
                         help="do not train this part; again for another")
    command.add_argument("--record", type=int, metavar="N", help="record the sizes of activations "
                         "and gradients of every N-th update, for scratchnet look history")
    command.add_argument("--workers", type=int, default=2, metavar="N",
                         help="threads that prepare batches (default: 2)")
    command.add_argument("--save-every", type=float, default=SAVE_EVERY, metavar="SECONDS",
                         help=f"between checkpoints, beside those after each epoch (default: "
                              f"{SAVE_EVERY:g})")
    command.set_defaults(run=_told(run_train))

    command = commands.add_parser("evaluate", help="test a run; several are tested as an ensemble, "
                                  "too")
    command.add_argument("runs", nargs="+", metavar="RUN")
    command.add_argument("--ten-crop", action="store_true",
                         help="average over ten views of each image, as AlexNet did")
    command.add_argument("--data", metavar="DATA", help="other data with the same classes")
    command.add_argument("--part", choices=("test", "validation", "train"), default="test")
    command.add_argument("--device", choices=("cpu", "gpu"))
    command.set_defaults(run=_told(run_evaluate))

    command = commands.add_parser("predict", help="what is on a picture, as a run sees it")
    command.add_argument("folder", metavar="RUN")
    command.add_argument("images", nargs="+", metavar="IMAGE", help="a PNG or JPEG file")
    command.add_argument("--ten-crop", action="store_true")
    command.add_argument("--device", choices=("cpu", "gpu"))
    command.set_defaults(run=_told(run_predict))


def _told(run: Callable[..., int]) -> Callable[..., int]:
    """Turn what a user can do something about into one line, and the exit status 2."""
    def told(*arguments: Any) -> int:
        try:
            return run(*arguments)
        except BrokenPipeError:         # whoever was reading has seen enough: cli.main knows
            raise
        except ERRORS as error:
            print(f"scratchnet: {error}", file=sys.stderr)
            return 2
    return told


def run_train(options: argparse.Namespace) -> int:
    """Train; 0 when done, 130 or 143 when stopped by a signal."""
    given = {name: value for name, value in (
        ("recipe", options.recipe), ("size", options.size), ("epochs", options.epochs),
        ("batch_size", options.batch_size), ("lr", options.lr), ("seed", options.seed),
        ("mirror", options.mirror), ("pretrained", options.pretrained),
        ("record", options.record),
        ("freeze", options.freeze and tuple(options.freeze))) if value is not None}
    out = options.out
    if out is None and options.model and options.data:
        out = (f"runs/{options.model}-{Path(options.data).name}-"
               f"{Path(options.recipe or 'quick').stem}")
    if options.resume and out and (Path(out) / "run.json").exists():
        begun = vars(Run(out).settings)                 # for all that was not said again
        given = {**begun, **given, "model": options.model or begun["model"],
                 "data": options.data or begun["data"]}
    elif not (options.model and options.data):
        raise ValueError(
            ("train expects data, too: --data digits, or another" if options.model else
             "train expects a network and data: scratchnet train alexnet_small --data digits")
            if not options.resume else
            f"there is no run in {out} to resume: name the network and the data to begin one"
            if out else "--resume expects the folder of a run: --out RUN")
    else:
        given |= {"model": options.model, "data": options.data}
    with communicator(best_device(options.device)) as ranks:
        status = _told(_train)(options, given, out, ranks)
        if status == 2 and ranks.size > 1:
            sys.exit(status)                    # ends the other processes, too
    return status


def _train(options: argparse.Namespace, given: dict, out: str, ranks: Any) -> int:
    try:
        run = train(**given, out=out, resume=options.resume, device=options.device,
                    workers=options.workers, save_every=options.save_every, communicator=ranks)
    except Interrupted as stopped:
        if ranks.rank == 0:
            print(f"\n{stopped}. Go on with: scratchnet train --out {shlex.quote(out)} --resume",
                  flush=True)
        ranks.barrier()                         # the first to leave ends the others
        return 128 + stopped.number
    if ranks.rank == 0:
        print(f"\nThe run is in {run.folder}: curves.png, log.csv, best.npz, …\n"
              f"Test it with: scratchnet evaluate {shlex.quote(str(run.folder))}")
    return 0


def run_evaluate(options: argparse.Namespace) -> int:
    """Print the errors of each run and, of several, of their ensemble."""
    runs = [Run(folder) for folder in options.runs]
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise ValueError("evaluate expects each run once: one that is named twice would count "
                         "twice")
    for run in runs[1:]:
        if run.classes != runs[0].classes:
            raise ValueError(f"{run.folder} and {runs[0].folder} have other classes: they cannot "
                             f"answer together")
    answers = []
    for run in runs:
        data = run.data(options.data or runs[0].settings.data, border=options.ten_crop)
        images, labels = getattr(data, options.part)
        answers.append(run.probabilities(run.network(options.device), images, options.ten_crop))
    mirrored = all(run.settings.mirrored for run in runs)
    views = ("one view of each" if not options.ten_crop else "ten views of each" if mirrored else
             "five views of each, none mirrored: mirror images have other labels")
    print(f"{len(labels):,} images of {data.source}, {options.part}; {views}\n")
    if not options.ten_crop and any(run.recipe.test_crops == 10 for run in runs):
        print("The paper averages over ten views: --ten-crop.\n")
    print(errors_of(answers, labels).table([str(run.folder) for run in runs]))
    return 0


def run_predict(options: argparse.Namespace) -> int:
    """Print the five likeliest classes of each image."""
    from scratchnet.data.images import centre_square, read_image
    run = Run(options.folder)
    net = run.network(options.device)
    stored, status = run.side(border=options.ten_crop), 0
    for name in options.images:
        try:
            image = centre_square(read_image(name, run.channels), stored)
        except (ValueError, OSError) as error:          # the others can be asked nevertheless
            print(f"scratchnet: {error}", file=sys.stderr)
            status = 2
            continue
        p = run.probabilities(net, image[None], options.ten_crop)[0]
        print(name)
        width = max(map(len, run.classes))
        for c in np.argsort(-p, kind="stable")[:5]:
            print(f"  {run.classes[c]:{width}s} {p[c]:7.1%}  {'█' * round(BAR * p[c])}")
    return status
