"""The solution of bottleneck, as a good student writes it."""
import numpy as np

from scratchnet import Layer
from scratchnet.layers import BatchNorm2d, Conv2d, Identity, ReLU, Sequential


class Bottleneck(Layer):
    """y = max(f(x) + shortcut(x), 0): (N, in_channels, H, W) → (N, 4·width, H/stride, W/stride)."""

    def __init__(self, in_channels, width, stride=1, *, rng=None):
        rng = np.random.default_rng(rng)
        out = 4 * width
        self.conv1 = Conv2d(in_channels, width, 1, bias=False, rng=rng)
        self.bn1 = BatchNorm2d(width)
        self.relu1 = ReLU()
        self.conv2 = Conv2d(width, width, 3, stride, padding=1, bias=False, rng=rng)
        self.bn2 = BatchNorm2d(width)
        self.relu2 = ReLU()
        self.conv3 = Conv2d(width, out, 1, bias=False, rng=rng)
        self.bn3 = BatchNorm2d(out)
        self.downsample = Identity() if (in_channels, stride) == (out, 1) else Sequential(
            Conv2d(in_channels, out, 1, stride, bias=False, rng=rng), BatchNorm2d(out))
        self.relu = ReLU()

    def forward(self, x):
        f = x
        for part in (self.conv1, self.bn1, self.relu1, self.conv2, self.bn2, self.relu2,
                     self.conv3, self.bn3):
            f = part.forward(f)
        return self.relu.forward(f + self.downsample.forward(x))

    def backward(self, dy):
        dsum = self.relu.backward(dy)
        df = dsum
        for part in (self.bn3, self.conv3, self.relu2, self.bn2, self.conv2, self.relu1,
                     self.bn1, self.conv1):
            df = part.backward(df)
        return df + self.downsample.backward(dsum)
