"""lrn — local response normalisation: a channel that shouts turns its neighbours down.

Write forward and backward. At each pixel of each image on its own, with a_i the number in
channel i and n = size the number of channels in a window:

    forward     s_i = k + α · Σ a_j²        over the channels j = i − ⌊n/2⌋ … i + ⌊(n−1)/2⌋
                                            that exist
                b_i = a_i · s_i^(−β)

The derivation of backward is yours: a_j is in b_j, and in every s_i whose window contains j.

Shapes      a, b, db, da and s (N, C, H, W)
Rules       α is not divided by n: this is the formula of the AlexNet paper, where n = 5,
            k = 2, α = 1e-4, β = 0.75. (Other libraries divide.)
            For even n the window has one channel more before i than after it.
            New arrays have a's dtype: np.zeros(shape, dtype=a.dtype). Never write into a or db.

Worked example, three channels at one pixel, n = 3, k = α = β = 1:

    a  = [  3    1    2]     s  = [1+9+1  1+9+1+4  1+1+4] = [11  15   6]
    db = [121  225   36]     b  = [3/11     1/15     1/3]
                             da = [-13   3  -6]
"""
from scratchnet import Layer


class LocalResponseNorm(Layer):
    """a_i divided by (k + α · the squares of its neighbours)^β; (N, C, H, W), same shape out."""

    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=2.0):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, a):
        raise NotImplementedError("lrn: write LocalResponseNorm.forward")

    def backward(self, db):
        raise NotImplementedError("lrn: write LocalResponseNorm.backward")
