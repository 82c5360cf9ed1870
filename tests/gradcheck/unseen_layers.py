"""Layers as people write them who have never read this library: all of them right.

unseen_bugs.py breaks them by changing a line or two of their text, so each class stands on its
own, in whatever style its author liked: W and dW, dicts of params and grads, lists, or a
scratchnet Layer with Parameters.
"""
import numpy as np

from scratchnet import Layer
from scratchnet.layer import Parameter
from scratchnet.layers import BatchNorm2d, Conv2d, LocalResponseNorm, MaxPool2d


def rand(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


# ── linear ───────────────────────────────────────────────────────────────────────────


class Affine:
    def __init__(self, n_in, n_out):
        self.W = 0.3 * rand(n_in, n_out)
        self.b = 0.1 * rand(n_out, seed=4)

    def forward(self, x):
        self.x = x
        return x.dot(self.W) + self.b

    def backward(self, dout):
        self.dW = self.x.T.dot(dout)
        self.db = np.sum(dout, axis=0)
        dx = dout.dot(self.W.T)
        return dx


class FlatAffine:
    """Takes images, sees them as rows."""

    def __init__(self, n_in, n_out):
        self.params = {"W": 0.2 * rand(n_in, n_out), "b": rand(n_out, seed=5)}
        self.grads = {}

    def forward(self, x):
        self.shape = x.shape
        self.rows = x.reshape(x.shape[0], -1)
        return self.rows @ self.params["W"] + self.params["b"]

    def backward(self, grad_out):
        self.grads["W"] = self.rows.T @ grad_out
        self.grads["b"] = grad_out.sum(0)
        grad_rows = grad_out @ self.params["W"].T
        return grad_rows.reshape(self.shape)


class FullyConnected(Layer):
    def __init__(self, n_in, n_out):
        self.weight = Parameter(0.5 * rand(n_out, n_in))
        self.bias = Parameter(rand(n_out, seed=6))

    def forward(self, x):
        y = x @ self.weight.value.T + self.bias.value
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        for n in range(len(x)):
            self.weight.grad += np.outer(dy[n], x[n])
            self.bias.grad += dy[n]
        return dy @ self.weight.value


# ── convolution ──────────────────────────────────────────────────────────────────────


class ConvLoops:
    """The definition, one output pixel at a time."""

    def __init__(self, filters, channels, k, stride=1, pad=1):
        self.w = 0.2 * rand(filters, channels, k, k)
        self.b = rand(filters, seed=7)
        self.stride, self.pad = stride, pad

    def forward(self, x):
        p, s = self.pad, self.stride
        F, _, HH, WW = self.w.shape
        self.x_shape = x.shape
        self.xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        Ho = (x.shape[2] + 2 * p - HH) // s + 1
        Wo = (x.shape[3] + 2 * p - WW) // s + 1
        out = np.zeros((x.shape[0], F, Ho, Wo), dtype=x.dtype)
        for i in range(Ho):
            for j in range(Wo):
                patch = self.xp[:, :, i * s:i * s + HH, j * s:j * s + WW]
                out[:, :, i, j] = np.tensordot(patch, self.w, ([1, 2, 3], [1, 2, 3])) + self.b
        return out

    def backward(self, dout):
        p, s = self.pad, self.stride
        N, F, Ho, Wo = dout.shape
        HH, WW = self.w.shape[2:]
        self.dw, self.db = np.zeros_like(self.w), np.zeros_like(self.b)
        dxp = np.zeros_like(self.xp)
        for n in range(N):
            for f in range(F):
                self.db[f] += dout[n, f].sum()
                for i in range(Ho):
                    for j in range(Wo):
                        top, left = i * s, j * s
                        patch = self.xp[n, :, top:top + HH, left:left + WW]
                        self.dw[f] += dout[n, f, i, j] * patch
                        dxp[n, :, top:top + HH, left:left + WW] += dout[n, f, i, j] * self.w[f]
        return dxp[:, :, p:p + self.x_shape[2], p:p + self.x_shape[3]]


class ConvColumns:
    """im2col with index arrays and np.add.at, stride 1, no padding."""

    def __init__(self, C, O, kh, kw):
        self.params = [0.3 * rand(O, C, kh, kw), rand(O, seed=8)]
        self.grads = [np.zeros((O, C, kh, kw)), np.zeros(O)]

    def indices(self, H, W):
        C, kh, kw = self.params[0].shape[1:]
        c, u, v, i, j = np.ix_(range(C), range(kh), range(kw),
                               range(H - kh + 1), range(W - kw + 1))
        return c, u + i, v + j

    def forward(self, x):
        W, b = self.params
        self.x = x
        N, C, H, Wd = x.shape
        c, rows, columns = self.indices(H, Wd)
        self.cols = x[:, c, rows, columns].reshape(N, W[0].size, -1)
        out = W.reshape(len(W), -1) @ self.cols + b[:, None]
        return out.reshape(N, len(W), H - W.shape[2] + 1, Wd - W.shape[3] + 1)

    def backward(self, dout):
        W, b = self.params
        N, O = dout.shape[:2]
        d = dout.reshape(N, O, -1)
        self.grads[0] = np.einsum("nop,nkp->ok", d, self.cols).reshape(W.shape)
        self.grads[1] = d.sum(axis=(0, 2))
        dcols = W.reshape(O, -1).T @ d
        dx = np.zeros(self.x.shape)
        c, rows, columns = self.indices(*self.x.shape[2:])
        dcols = dcols.reshape(N, *W.shape[1:], *dout.shape[2:])
        np.add.at(dx, (slice(None), c, rows, columns), dcols)
        return dx


class ConvTaps(Layer):
    """A sum over the kernel's taps; stride and padding."""

    def __init__(self, C, O, k, stride=2, padding=1):
        self.weight = Parameter(0.3 * rand(O, C, k, k))
        self.bias = Parameter(rand(O, seed=9))
        self.k, self.stride, self.padding = k, stride, padding

    def forward(self, x):
        k, s, p = self.k, self.stride, self.padding
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        OH, OW = (padded.shape[2] - k) // s + 1, (padded.shape[3] - k) // s + 1
        y = self.bias.value[:, None, None]
        for u in range(k):
            for v in range(k):
                seen = padded[:, :, u:u + s * OH:s, v:v + s * OW:s]
                y = y + np.einsum("oc,nchw->nohw", self.weight.value[:, :, u, v], seen)
        self.remember(padded, y=y)
        return y

    def backward(self, dy):
        padded, = self.recall(dy)
        k, s, p = self.k, self.stride, self.padding
        OH, OW = dy.shape[2:]
        self.bias.grad += dy.sum(axis=(0, 2, 3))
        dpadded = np.zeros_like(padded)
        for u in range(k):
            for v in range(k):
                seen = padded[:, :, u:u + s * OH:s, v:v + s * OW:s]
                self.weight.grad[:, :, u, v] += np.einsum("nohw,nchw->oc", dy, seen)
                w = self.weight.value[:, :, u, v]
                dpadded[:, :, u:u + s * OH:s, v:v + s * OW:s] += np.einsum("oc,nohw->nchw", w, dy)
        H, W = padded.shape[2:]
        return dpadded[:, :, p:H - p, p:W - p]


class GroupConv1x1(Layer):
    """A pointwise convolution in groups."""

    def __init__(self, C, O, groups):
        self.groups = groups
        self.weight = Parameter(rand(groups, O // groups, C // groups))

    def forward(self, x):
        N, C, H, W = x.shape
        xg = x.reshape(N, self.groups, C // self.groups, H * W)
        y = (self.weight.value @ xg).reshape(N, -1, H, W)
        self.remember(xg, x.shape, y=y)
        return y

    def backward(self, dy):
        xg, shape = self.recall(dy)
        dyg = dy.reshape(shape[0], self.groups, -1, shape[2] * shape[3])
        dx = np.zeros_like(xg)
        for g in range(self.groups):
            self.weight.grad[g] += (dyg[:, g] @ xg[:, g].transpose(0, 2, 1)).sum(axis=0)
            dx[:, g] = self.weight.value[g].T @ dyg[:, g]
        return dx.reshape(shape)


class DepthwiseDilated:
    """One 3×3 filter a channel, its taps two pixels apart."""

    def __init__(self, channels, dilation=2):
        self.kernel, self.d = rand(channels, 3, 3), dilation
        self.grad_kernel = np.zeros_like(self.kernel)

    def forward(self, x):
        self.x, d = x, self.d
        H, W = x.shape[2] - 2 * d, x.shape[3] - 2 * d
        out = np.zeros(x.shape[:2] + (H, W), x.dtype)
        for u in range(3):
            for v in range(3):
                out += self.kernel[:, u, v, None, None] * x[:, :, u * d:u * d + H, v * d:v * d + W]
        return out

    def backward(self, g):
        d, (H, W) = self.d, g.shape[2:]
        self.grad_kernel = np.zeros_like(self.kernel)
        dx = np.zeros_like(self.x)
        for u in range(3):
            for v in range(3):
                window = (..., slice(u * d, u * d + H), slice(v * d, v * d + W))
                self.grad_kernel[:, u, v] = (g * self.x[window]).sum(axis=(0, 2, 3))
                dx[window] += g * self.kernel[:, u, v, None, None]
        return dx


# ── pooling, upsampling, moving pixels ───────────────────────────────────────────────


class MaxPool2x2:
    """By reshaping; the first of equal maxima wins."""

    def forward(self, x):
        N, C, H, W = x.shape
        self.shape = x.shape
        blocks = x.reshape(N, C, H // 2, 2, W // 2, 2).transpose(0, 1, 2, 4, 3, 5)
        self.blocks = blocks.reshape(N, C, H // 2, W // 2, 4)
        return self.blocks.max(axis=4)

    def backward(self, dout):
        N, C, H, W = self.shape
        best = self.blocks.argmax(axis=4)
        mask = np.arange(4) == best[..., None]
        d = (dout[..., None] * mask).reshape(N, C, H // 2, W // 2, 2, 2)
        return d.transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H, W)


class MaxPoolLoops:
    """3×3 windows two pixels apart: they overlap."""

    def __init__(self, k=3, stride=2):
        self.k, self.s = k, stride

    def forward(self, x):
        self.x, k, s = x, self.k, self.s
        N, C, H, W = x.shape
        out = np.empty((N, C, (H - k) // s + 1, (W - k) // s + 1), x.dtype)
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                out[:, :, i, j] = x[:, :, i * s:i * s + k, j * s:j * s + k].max(axis=(2, 3))
        return out

    def backward(self, dout):
        k, s = self.k, self.s
        N, C, Ho, Wo = dout.shape
        dx = np.zeros(self.x.shape, dout.dtype)
        for n in range(N):
            for c in range(C):
                for i in range(Ho):
                    for j in range(Wo):
                        window = self.x[n, c, i * s:i * s + k, j * s:j * s + k]
                        u, v = divmod(window.argmax(), k)
                        dx[n, c, i * s + u, j * s + v] += dout[n, c, i, j]
        return dx


class AveragePool(Layer):
    def __init__(self, kh, kw, stride):
        self.kh, self.kw, self.stride = kh, kw, stride

    def forward(self, x):
        s = self.stride
        OH, OW = (x.shape[2] - self.kh) // s + 1, (x.shape[3] - self.kw) // s + 1
        y = np.zeros(x.shape[:2] + (OH, OW), dtype=x.dtype)
        for i in range(OH):
            for j in range(OW):
                y[:, :, i, j] = x[:, :, i * s:i * s + self.kh, j * s:j * s + self.kw].mean((2, 3))
        self.remember(x.shape, y=y)
        return y

    def backward(self, dy):
        shape, = self.recall(dy)
        s, area = self.stride, self.kh * self.kw
        dx = np.zeros(shape, dtype=dy.dtype)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                share = dy[:, :, i, j, None, None] / area
                dx[:, :, i * s:i * s + self.kh, j * s:j * s + self.kw] += share
        return dx


class GlobalAverage:
    def forward(self, x):
        self.shape = x.shape
        return x.mean(axis=(2, 3))

    def backward(self, dout):
        N, C, H, W = self.shape
        dx = dout[:, :, None, None] / (H * W)
        return np.broadcast_to(dx, self.shape).copy()


class GlobalMax:
    def forward(self, x):
        N, C, H, W = x.shape
        self.shape = x.shape
        self.where = x.reshape(N, C, H * W).argmax(axis=2)
        return x.reshape(N, C, H * W).max(axis=2)

    def backward(self, dout):
        N, C, H, W = self.shape
        dx = np.zeros((N, C, H * W))
        n, c = np.ogrid[:N, :C]
        dx[n, c, self.where] = dout
        return dx.reshape(self.shape)


class Upsample:
    """Every pixel becomes 2×3 equal ones."""

    def forward(self, x):
        return x.repeat(2, axis=2).repeat(3, axis=3)

    def backward(self, dout):
        N, C, H, W = dout.shape
        return dout.reshape(N, C, H // 2, 2, W // 3, 3).sum(axis=(3, 5))


class PixelShuffle(Layer):
    """(N, C·r², H, W) → (N, C, r·H, r·W)."""

    def __init__(self, r):
        self.r = r

    def forward(self, x):
        r, (N, C, H, W) = self.r, x.shape
        y = x.reshape(N, C // r**2, r, r, H, W).transpose(0, 1, 4, 2, 5, 3)
        y = y.reshape(N, C // r**2, r * H, r * W)
        self.remember(y=y)
        return y

    def backward(self, dy):
        self.recall(dy)
        r, (N, C, H, W) = self.r, dy.shape
        dx = dy.reshape(N, C, H // r, r, W // r, r).transpose(0, 1, 3, 5, 2, 4)
        return dx.reshape(N, C * r**2, H // r, W // r)


class ReflectPad:
    """One pixel on every side, mirrored."""

    def forward(self, x):
        return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")

    def backward(self, dout):
        dx = dout[:, :, 1:-1, :].copy()
        dx[:, :, 1] += dout[:, :, 0]
        dx[:, :, -2] += dout[:, :, -1]
        inner = dx[..., 1:-1].copy()
        inner[..., 1] += dx[..., 0]
        inner[..., -2] += dx[..., -1]
        return inner


# ── activations ──────────────────────────────────────────────────────────────────────


class Rectifier:
    def forward(self, x):
        self.out = x * (x > 0)
        return self.out

    def backward(self, dout):
        return np.where(self.out > 0, dout, 0)


class LeakyReLU(Layer):
    def __init__(self, slope=0.1):
        self.slope = slope

    def forward(self, x):
        y = np.where(x > 0, x, self.slope * x)
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        return np.where(x > 0, dy, self.slope * dy)


class PReLU(Layer):
    """The slope of each channel is learned."""

    def __init__(self, channels):
        self.weight = Parameter(0.25 + 0.1 * rand(channels))

    def forward(self, x):
        a = self.weight.value[:, None, None]
        y = np.where(x > 0, x, a * x)
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        a = self.weight.value[:, None, None]
        self.weight.grad += (dy * np.where(x > 0, 0, x)).sum(axis=(0, 2, 3))
        return np.where(x > 0, dy, a * dy)


class GELU:
    """The approximation with tanh."""

    c = np.sqrt(2 / np.pi)

    def forward(self, x):
        self.x = x
        self.t = np.tanh(self.c * (x + 0.044715 * x**3))
        return 0.5 * x * (1 + self.t)

    def backward(self, dout):
        x, t = self.x, self.t
        inner = self.c * (1 + 3 * 0.044715 * x**2)
        return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * inner)


class ELU:
    def __init__(self, alpha=0.7):
        self.alpha = alpha

    def forward(self, x):
        self.x = x
        self.y = np.where(x > 0, x, self.alpha * (np.exp(np.where(x > 0, 0, x)) - 1))
        return self.y

    def backward(self, dout):
        slope = np.where(self.x > 0, 1, self.y + self.alpha)
        return dout * slope


class Softplus:
    def forward(self, x):
        self.x = x
        return np.log(1 + np.exp(x))

    def backward(self, dout):
        s = 1 / (1 + np.exp(-self.x))
        return dout * s


class Squash:
    """A sigmoid."""

    def forward(self, x):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dout):
        y = self.y
        return dout * y * (1 - y)


# ── losses ───────────────────────────────────────────────────────────────────────────


class Softmax:
    """Alone, without a loss, along the last axis."""

    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y = e / e.sum(axis=-1, keepdims=True)
        return self.y

    def backward(self, dout):
        inner = (dout * self.y).sum(axis=-1, keepdims=True)
        return self.y * (dout - inner)


class CrossEntropy:
    """Softmax and mean negative log-likelihood; labels are integers."""

    def forward(self, scores, labels):
        shifted = scores - scores.max(axis=1, keepdims=True)
        e = np.exp(shifted)
        self.probs = e / e.sum(axis=1, keepdims=True)
        self.labels = labels
        return -np.mean(np.log(self.probs[np.arange(len(labels)), labels]))

    def backward(self, dout=1.0):
        N = len(self.labels)
        dscores = self.probs.copy()
        dscores[np.arange(N), self.labels] -= 1
        return dout * dscores / N


class MeanSquares:
    """Mean squared distance of two arrays; gradients for both."""

    def forward(self, y, target):
        self.difference = y - target
        return (self.difference**2).mean()

    def backward(self, dout=1.0):
        d = 2 * dout * self.difference / self.difference.size
        return d, -d


# ── normalisation ────────────────────────────────────────────────────────────────────


class BatchNormSteps:
    """For rows (N, D), backward one node of the graph at a time."""

    def __init__(self, D, eps=1e-5):
        self.gamma, self.beta = 1 + 0.3 * rand(D), rand(D, seed=5)
        self.eps = eps

    def forward(self, x):
        self.mu = x.mean(axis=0)
        self.xmu = x - self.mu
        self.var = (self.xmu**2).mean(axis=0)
        self.sqrtvar = np.sqrt(self.var + self.eps)
        self.ivar = 1 / self.sqrtvar
        self.xhat = self.xmu * self.ivar
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        N = len(dout)
        self.dbeta = dout.sum(axis=0)
        self.dgamma = (dout * self.xhat).sum(axis=0)
        dxhat = dout * self.gamma
        divar = (dxhat * self.xmu).sum(axis=0)
        dxmu1 = dxhat * self.ivar
        dsqrtvar = -divar / self.sqrtvar**2
        dvar = 0.5 * dsqrtvar / self.sqrtvar
        dxmu2 = 2 * self.xmu * dvar / N
        dx1 = dxmu1 + dxmu2
        dmu = -dx1.sum(axis=0)
        return dx1 + dmu / N


class BatchNormImages(Layer):
    """For images, in the compact form."""

    def __init__(self, channels):
        self.weight = Parameter(1 + 0.2 * rand(channels))
        self.bias = Parameter(rand(channels, seed=5))

    def forward(self, x):
        mean = x.mean(axis=(0, 2, 3), keepdims=True)
        std = np.sqrt(((x - mean)**2).mean(axis=(0, 2, 3), keepdims=True) + 1e-5)
        xhat = (x - mean) / std
        y = self.weight.value[:, None, None] * xhat + self.bias.value[:, None, None]
        self.remember(xhat, std, y=y)
        return y

    def backward(self, dy):
        xhat, std = self.recall(dy)
        m = dy.size // dy.shape[1]
        db = dy.sum(axis=(0, 2, 3), keepdims=True)
        dg = (dy * xhat).sum(axis=(0, 2, 3), keepdims=True)
        self.bias.grad += db.ravel()
        self.weight.grad += dg.ravel()
        gamma = self.weight.value[:, None, None]
        return gamma / (m * std) * (m * dy - db - xhat * dg)


class LayerNorm:
    """Over the last axis of (N, D)."""

    def __init__(self, D):
        self.params = {"g": 1 + 0.3 * rand(D), "b": rand(D, seed=6)}
        self.grads = {}

    def forward(self, x):
        mu = x.mean(axis=1, keepdims=True)
        self.std = np.sqrt(((x - mu)**2).mean(axis=1, keepdims=True) + 1e-6)
        self.h = (x - mu) / self.std
        return self.params["g"] * self.h + self.params["b"]

    def backward(self, dout):
        self.grads["g"] = (dout * self.h).sum(axis=0)
        self.grads["b"] = dout.sum(axis=0)
        dh = dout * self.params["g"]
        mean1 = dh.mean(axis=1, keepdims=True)
        mean2 = (dh * self.h).mean(axis=1, keepdims=True)
        return (dh - mean1 - self.h * mean2) / self.std


class CaffeLRN:
    """Across channels, in loops, with α divided by n."""

    def __init__(self, n=5, alpha=0.4, beta=0.75, k=1.0):
        self.n, self.alpha, self.beta, self.k = n, alpha, beta, k

    def near(self, c, C):
        return range(max(0, c - self.n // 2), min(C, c + self.n // 2 + 1))

    def forward(self, x):
        self.x, C = x, x.shape[1]
        self.scale = np.empty_like(x)
        for c in range(C):
            self.scale[:, c] = self.k + self.alpha / self.n * sum(
                x[:, j]**2 for j in self.near(c, C))
        self.y = x * self.scale**-self.beta
        return self.y

    def backward(self, dy):
        C = dy.shape[1]
        dx = dy * self.scale**-self.beta
        factor = 2 * self.alpha * self.beta / self.n
        for c in range(C):
            total = sum(dy[:, j] * self.y[:, j] / self.scale[:, j] for j in self.near(c, C))
            dx[:, c] -= factor * self.x[:, c] * total
        return dx


class UnitLength:
    """Each row divided by its length."""

    def forward(self, x):
        self.length = np.sqrt((x * x).sum(axis=1, keepdims=True))
        self.y = x / self.length
        return self.y

    def backward(self, dout):
        along = (dout * self.y).sum(axis=1, keepdims=True)
        return (dout - self.y * along) / self.length


# ── dropout ──────────────────────────────────────────────────────────────────────────


class DropoutLayer:
    def __init__(self, p=0.4, seed=0):
        self.p, self.rng = p, np.random.default_rng(seed)

    def forward(self, x):
        keep = 1 - self.p
        self.mask = (self.rng.random(x.shape) < keep) / keep
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


class SpatialDropout(Layer):
    """Whole channels are dropped."""

    def __init__(self, p=0.5, seed=2):
        self.p, self.rng = p, np.random.default_rng(seed)

    def forward(self, x):
        kept = self.rng.random(x.shape[:2] + (1, 1)) >= self.p
        y = x * kept / (1 - self.p)
        self.remember(kept, y=y)
        return y

    def backward(self, dy):
        kept, = self.recall(dy)
        return dy * kept / (1 - self.p)


# ── blocks ───────────────────────────────────────────────────────────────────────────


class ResidualMLP:
    """y = x + W2 · relu(W1 · x)."""

    def __init__(self, D, hidden):
        self.W1, self.W2 = 0.5 * rand(D, hidden), 0.5 * rand(hidden, D, seed=5)

    def forward(self, x):
        self.x = x
        self.h = np.maximum(x @ self.W1, 0)
        return x + self.h @ self.W2

    def backward(self, dout):
        self.dW2 = self.h.T @ dout
        dh = dout @ self.W2.T
        dh = dh * (self.h > 0)
        self.dW1 = self.x.T @ dh
        return dout + dh @ self.W1.T


class TwoBranches(Layer):
    """Two convolutions of the library side by side, and the input itself: a small Inception."""

    def __init__(self, C):
        self.a = Conv2d(C, 2, 1, rng=0)
        self.b = Conv2d(C, 4, 3, padding=1, rng=1)

    def forward(self, x):
        return np.concatenate([self.a(x), self.b(x), x], axis=1)

    def backward(self, dy):
        da, db, dx = dy[:, :2], dy[:, 2:6], dy[:, 6:]
        return self.a.backward(da) + self.b.backward(db) + dx


class DenseStep(Layer):
    """y = [x, conv(relu(bn(x)))] of DenseNet."""

    def __init__(self, C, growth):
        self.norm = BatchNorm2d(C)
        self.conv = Conv2d(C, growth, 3, padding=1, rng=2)

    def forward(self, x):
        h = self.norm(x)
        new = self.conv(np.maximum(h, 0))
        y = np.concatenate([x, new], axis=1)
        self.remember(h > 0, x.shape[1], y=y)
        return y

    def backward(self, dy):
        positive, C = self.recall(dy)
        dold, dnew = dy[:, :C], dy[:, C:]
        dh = self.conv.backward(dnew) * positive
        return dold + self.norm.backward(dh)


class Excite:
    """Squeeze-and-excitation by hand: y = x · sigmoid(W2 · relu(W1 · mean(x)))."""

    def __init__(self, C, r):
        self.W1, self.W2 = rand(r, C), rand(C, r, seed=7)

    def forward(self, x):
        self.x = x
        self.z = x.mean(axis=(2, 3))
        self.h = np.maximum(self.z @ self.W1.T, 0)
        self.s = 1 / (1 + np.exp(-self.h @ self.W2.T))
        return x * self.s[:, :, None, None]

    def backward(self, dout):
        H, W = self.x.shape[2:]
        ds = (dout * self.x).sum(axis=(2, 3))
        da = ds * self.s * (1 - self.s)
        self.dW2 = da.T @ self.h
        dh = (da @ self.W2) * (self.h > 0)
        self.dW1 = dh.T @ self.z
        dz = dh @ self.W1
        dx = dout * self.s[:, :, None, None]
        return dx + dz[:, :, None, None] / (H * W)


class ScaleShift(Layer):
    """y = γ · x + β, a number of each for every channel."""

    def __init__(self, channels):
        self.gamma = Parameter(1 + 0.5 * rand(channels))
        self.beta = Parameter(rand(channels, seed=9))

    def forward(self, x):
        g, b = self.gamma.value[:, None, None], self.beta.value[:, None, None]
        y = g * x + b
        self.remember(x, y=y)
        return y

    def backward(self, dy):
        x, = self.recall(dy)
        self.gamma.grad += (dy * x).sum(axis=(0, 2, 3))
        self.beta.grad += dy.sum(axis=(0, 2, 3))
        return dy * self.gamma.value[:, None, None]


class BilinearPool:
    """The products of all pairs of channels, averaged over the pixels: (N, C, H, W) → (N, C, C)."""

    def forward(self, x):
        N, C, H, W = x.shape
        self.shape, self.flat = x.shape, x.reshape(N, C, H * W)
        return self.flat @ self.flat.transpose(0, 2, 1) / (H * W)

    def backward(self, dout):
        pixels = self.flat.shape[2]
        both = dout + dout.transpose(0, 2, 1)
        return (both @ self.flat / pixels).reshape(self.shape)


# ── the library's forward, a backward of one's own ───────────────────────────────────


class OwnConvBackward(Conv2d):
    """As loops over the output pixels; stride and padding, no dilation or groups."""

    def backward(self, dy):
        x, = self.recall(dy)
        w, (KH, KW) = self.weight.value, self.kernel_size
        (sh, sw), (ph, pw), _, _ = self.geometry
        padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
        for i in range(dy.shape[2]):
            for j in range(dy.shape[3]):
                here = (..., slice(i * sh, i * sh + KH), slice(j * sw, j * sw + KW))
                dw += np.einsum("no,ncuv->ocuv", dy[:, :, i, j], padded[here])
                dpadded[here] += np.einsum("no,ocuv->ncuv", dy[:, :, i, j], w)
        self.weight.grad += dw
        self.bias.grad += dy.sum((0, 2, 3))
        return dpadded[:, :, ph:ph + x.shape[2], pw:pw + x.shape[3]]


class OwnMaxBackward(MaxPool2d):
    """From the row that won, the pixel that won in it, and the window's corner."""

    def backward(self, dy):
        row_winner, winner, x_shape = self.recall(dy)
        (sh, sw), (ph, pw) = self.stride, self.padding
        dx = np.zeros(x_shape, dy.dtype)
        for n, c, i, j in np.ndindex(*dy.shape):
            u = winner[n, c, i, j]
            r = i * sh + u - ph
            v = row_winner[u % sh, n, c, i + u // sh, j]
            dx[n, c, r, j * sw + v - pw] += dy[n, c, i, j]
        return dx


class OwnNormBackward(BatchNorm2d):
    """By the three ways in which x reaches the loss."""

    def backward(self, dy):
        x, mean, inv_std, trained = self.recall(dy)
        x_hat = (x - mean[:, None, None]) * inv_std[:, None, None]
        self.bias.grad += dy.sum(axis=(0, 2, 3))
        self.weight.grad += (dy * x_hat).sum(axis=(0, 2, 3))
        dx_hat = dy * self.weight.value[:, None, None]
        if not trained:
            return dx_hat * inv_std[:, None, None]
        axes = {"axis": (0, 2, 3), "keepdims": True}
        through_mean = dx_hat.mean(**axes)
        through_variance = x_hat * (dx_hat * x_hat).mean(**axes)
        return (dx_hat - through_mean - through_variance) * inv_std[:, None, None]


class OwnLRNBackward(LocalResponseNorm):
    """With the window's sum by a loop over the channels."""

    def backward(self, db):
        a, s = self.recall(db)
        part = db * a * s**(-self.beta - 1)
        cross, C = np.zeros_like(a), a.shape[1]
        for i in range(C):
            for j in range(max(0, i - self.size // 2), min(C, i + (self.size + 1) // 2)):
                cross[:, j] += part[:, i]
        return db * s**-self.beta - 2 * self.alpha * self.beta * a * cross


ROWS = (rand(5, 6, seed=1),)
MAPS = (rand(2, 3, 6, 8, seed=1),)
SCORES = (rand(4, 6, seed=1), np.array([2, 0, 5, 1]))

#: (class, arguments, inputs): one setting of each.
RIGHT = {
    cls.__name__: (cls, arguments, inputs) for cls, arguments, inputs in (
        (Affine, (6, 4), ROWS), (FlatAffine, (144, 5), MAPS), (FullyConnected, (6, 4), ROWS),
        (ConvLoops, (4, 3, 3, 1, 1), MAPS), (ConvColumns, (3, 4, 3, 2), MAPS),
        (ConvTaps, (3, 5, 3), (rand(2, 3, 7, 9, seed=1),)),
        (GroupConv1x1, (6, 4, 2), (rand(3, 6, 4, 5, seed=1),)),
        (DepthwiseDilated, (3,), (rand(2, 3, 7, 8, seed=1),)),
        (MaxPool2x2, (), MAPS), (MaxPoolLoops, (), (rand(2, 3, 7, 9, seed=1),)),
        (AveragePool, (3, 2, 2), (rand(2, 3, 7, 8, seed=1),)),
        (GlobalAverage, (), MAPS), (GlobalMax, (), MAPS), (Upsample, (), MAPS),
        (PixelShuffle, (2,), (rand(2, 8, 3, 5, seed=1),)), (ReflectPad, (), MAPS),
        (Rectifier, (), MAPS), (LeakyReLU, (), MAPS), (PReLU, (3,), MAPS), (GELU, (), MAPS),
        (ELU, (), MAPS), (Softplus, (), MAPS), (Squash, (), ROWS), (Softmax, (), ROWS),
        (CrossEntropy, (), SCORES),
        (MeanSquares, (), (rand(4, 6, seed=1), rand(4, 6, seed=2))),
        (BatchNormSteps, (6,), ROWS), (BatchNormImages, (3,), MAPS), (LayerNorm, (6,), ROWS),
        (CaffeLRN, (), (rand(2, 8, 3, 4, seed=1),)), (UnitLength, (), ROWS),
        (DropoutLayer, (), MAPS), (SpatialDropout, (), (rand(4, 5, 3, 2, seed=1),)),
        (ResidualMLP, (6, 9), ROWS), (TwoBranches, (3,), MAPS), (DenseStep, (3, 2), MAPS),
        (Excite, (6, 4), (rand(3, 6, 4, 5, seed=1),)), (ScaleShift, (3,), MAPS),
        (BilinearPool, (), (rand(2, 4, 3, 5, seed=1),)),
        (OwnConvBackward, (3, 4, 3, 2, 1), (rand(2, 3, 6, 9, seed=1).astype(np.float32),)),
        (OwnMaxBackward, (3, 2, 1), (rand(2, 3, 6, 8, seed=1).astype(np.float32),)),
        (OwnNormBackward, (3,), (rand(4, 3, 5, 6, seed=1).astype(np.float32),)),
        (OwnLRNBackward, (5, 0.3), (rand(2, 8, 3, 4, seed=1).astype(np.float32),)),
    )
}
