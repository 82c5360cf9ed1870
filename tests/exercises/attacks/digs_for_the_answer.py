"""Looks for the library's layer among all classes in memory."""
from scratchnet import Layer

ReLU = next(kind for kind in Layer.__subclasses__() if kind.__name__ == "ReLU")
