"""Images to learn from, and ways to vary them."""
from scratchnet.data.augment import (
    ColourJitter,
    Compose,
    Cutout,
    Normalise,
    PCAColour,
    RandomCrop,
    RandomReflection,
    RandomResizedCrop,
    RandomShift,
    ScaleJitter,
    random_shift,
)
from scratchnet.data.cifar import load_cifar10, load_cifar100
from scratchnet.data.crops import CentreCrop, TenCrop, ten_crop_probabilities
from scratchnet.data.digits import Digits, Split, load_digits
from scratchnet.data.folder import ImageFolder, load_folder
from scratchnet.data.idx import load_mnist, read_idx
from scratchnet.data.images import centre_square, read_image, resize_shorter
from scratchnet.data.sets import Data, load
from scratchnet.data.shapes import SHAPES, draw_shapes, load_shapes

__all__ = ["CentreCrop", "ColourJitter", "Compose", "Cutout", "Data", "Digits", "ImageFolder",
           "Normalise", "PCAColour", "RandomCrop", "RandomReflection", "RandomResizedCrop",
           "RandomShift", "SHAPES", "ScaleJitter", "Split", "TenCrop", "centre_square",
           "draw_shapes", "load", "load_cifar10", "load_cifar100", "load_digits", "load_folder",
           "load_mnist", "load_shapes", "random_shift", "read_idx", "read_image", "resize_shorter",
           "ten_crop_probabilities"]
