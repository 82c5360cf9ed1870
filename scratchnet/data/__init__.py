"""Images to learn from, and ways to vary them."""
from scratchnet.data.augment import random_shift
from scratchnet.data.digits import Digits, Split, load_digits

__all__ = ["Digits", "Split", "load_digits", "random_shift"]
