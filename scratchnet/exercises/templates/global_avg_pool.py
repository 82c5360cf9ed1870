"""global_avg_pool — one number for each channel: its mean over the whole image.

Write forward and backward. Network in Network ends with this layer in place of AlexNet's large
fully connected ones: it has no parameters and takes images of any size.

    forward     y[n,c,0,0] = 1/(H·W) · Σ_i Σ_j x[n,c,i,j]

Shapes      x and dx (N, C, H, W)       y and dy (N, C, 1, 1)
Rules       the next image may have another size: remember what belongs to this one.
            Never write into x or dy.

Worked example, one channel of 2×3 pixels:

    x = [1  2  3]       y  = [ 4]       dx = [2  2  2]
        [4  5  9]       dy = [12]            [2  2  2]
"""
from scratchnet import Layer


class GlobalAvgPool2d(Layer):
    """The mean of each channel, (N, C, H, W) → (N, C, 1, 1)."""

    def forward(self, x):
        raise NotImplementedError("global_avg_pool: write GlobalAvgPool2d.forward")

    def backward(self, dy):
        raise NotImplementedError("global_avg_pool: write GlobalAvgPool2d.backward")
