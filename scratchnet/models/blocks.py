"""Blocks that several families share."""
import numpy as np

from scratchnet.layers import BatchNorm2d, Conv2d, ReLU, Sequential


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int | tuple[int, int],
                 stride: int = 1, padding: int | tuple[int, int] = 0,
                 rng: np.random.Generator | None = None) -> Sequential:
    """Convolution, batch normalisation, ReLU: the Inception networks' unit since 2015.

    No bias: batch normalisation would subtract it again. ε = 0.001, as in TensorFlow.
    """
    return Sequential(
        conv=Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False, rng=rng),
        bn=BatchNorm2d(out_channels, eps=1e-3),
        relu=ReLU(),
    )
