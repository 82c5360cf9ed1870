"""Lessons — the architectures built layer by layer, as scripts, notebooks and pages of a book."""
from scratchnet.lesson.experiment import experiment, quoted, recorded, verdict
from scratchnet.lesson.files import cells, find, lessons, run, title
from scratchnet.lesson.running import FINISHED, Lesson, add_options, printable
from scratchnet.lesson.steps import steps, what_changed

__all__ = ["FINISHED", "Lesson", "add_options", "cells", "experiment", "find", "lessons",
           "printable", "quoted", "recorded", "run", "steps", "title", "verdict", "what_changed"]
