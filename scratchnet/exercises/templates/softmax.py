"""softmax — from scores to probabilities to one number: how surprised are we?

Write forward and backward of the loss that ends most networks. From the scores z (logits) of
each image, and its true class t:

    forward     p[n,c] = e^z[n,c] / Σ_k e^z[n,k]            softmax: a probability per class
                L      = −1/N · Σ_n log p[n, t[n]]          cross-entropy: a mean over the images

    backward    dz[n,c] = dy · ∂L/∂z[n,c]                   find it; it is shorter than L

Nothing comes after the loss, so dy is one number, usually 1; nothing flows back to the labels.

Shapes      logits, dlogits (N, C), labels (N,) of integers 0 … C−1, L and dy one number each
Rules       never write into logits or labels. Scores may be near 1000: e^1000 is infinite, but
            L is not. What does softmax do when all scores of an image grow by the same amount?
            self.recall() without dy hands back what forward kept.

Worked example, with ln 3 = 1.0986: N = 2, C = 2, dy = 1

    logits = [[0  1.0986]       p = [[0.25  0.75]       L = (0.2877 + 0.6931) / 2 = 0.4904
              [0  0     ]]           [0.50  0.50]]
    labels = [1  0]                                     dlogits = [[ 0.125  -0.125]
                                                                   [-0.250   0.250]]
"""
from scratchnet import Layer


class SoftmaxCrossEntropy(Layer):
    """The mean cross-entropy of softmax(logits): (N, C) and (N,) → one number."""

    def forward(self, logits, labels):
        raise NotImplementedError("softmax: write SoftmaxCrossEntropy.forward")

    def backward(self, dy=1.0):
        raise NotImplementedError("softmax: write SoftmaxCrossEntropy.backward")
