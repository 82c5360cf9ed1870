"""What an exercise is: data. A catalogue file describes one; checker.py asks it.

    catalogue/NAME.py     EXERCISE = Exercise(…): title, cases, reference, classic mistakes, hints
    templates/NAME.py     what the student gets: the task, and `raise NotImplementedError`

Three kinds of task, told apart by what a Case names in the student's file:

    a class with forward and backward    compared with the reference's output, then its gradients
                                         checked, and the mistake named, by gradcheck
    a function                           compared with the reference's results
    a bug hunt                           `test(make)` must accept right layers and expose wrong ones
"""
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One setting in which a class or function of the student's file is asked.

    label     what sets this case apart, as it stands in "wrong only with …": "stride 2",
              "a batch of one". The first case of an exercise is the plain one; each other
              changes one thing, or says "everything at once".
    name      the class or function in the student's file
    draw      rng → the arguments of forward, or of the function, as a tuple: arrays, and for
              functions also numbers and tuples of numbers. Float64; sizes all distinct.
    args, options   of the constructor (classes only)
    training  the mode in which a layer is asked
    """

    label: str
    name: str
    draw: Callable[[np.random.Generator], tuple]
    args: tuple = ()
    options: dict[str, Any] = field(default_factory=dict)
    training: bool = True


@dataclass(frozen=True)
class Classic:
    """A known wrong version of the reference, and what to tell whoever wrote it.

    For mistakes in forward and in functions, which gradcheck does not name. `wrong` takes the
    place of the reference: a class or a function; if the student's results equal its results
    in every case where they differ from the right ones, `says` is the cause.
    """

    name: str               # of the class or function it is a wrong version of
    wrong: Any
    says: str               # one sentence: what is wrong, and where to look; never the solution


@dataclass(frozen=True)
class Exercise:
    """One exercise; see the module's docstring.

    reference   {name in the student's file: the library's class or function, or one of the
                catalogue file itself}. A class is built with the case's args and options, and
                has the same parameter names as the template's.
    hints       three, from a question to a plan, 80 to 160 words each, never the solution
    """

    name: str
    title: str
    cases: tuple[Case, ...]
    reference: dict[str, Any]
    hints: tuple[str, str, str]
    classics: tuple[Classic, ...] = ()


@dataclass(frozen=True)
class Hunt:
    """A bug hunt: the template shows a layer with a bug and asks for `test(make)`.

    make() builds a layer; test raises AssertionError if the layer is wrong, returns if right.
    `right` and `wrong` are tuples of functions without arguments that build layers: test must
    accept every right one and expose every wrong one.
    """

    name: str
    title: str
    right: tuple[Callable[[], Any], ...]
    wrong: tuple[Callable[[], Any], ...]
    hints: tuple[str, str, str]


def randn(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple]:
    """A `draw` of standard normal float64 arrays of these shapes."""
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)
