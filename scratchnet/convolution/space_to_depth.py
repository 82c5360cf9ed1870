"""Space to depth — a convolution with stride s is one with stride 1 and s·s times the channels.

Pixels that lie s apart are seen by the same taps. So each s×s square of pixels becomes one pixel
with s·s channels, and the filter is regrouped likewise:

    X[n, c·s·s + a·s + e, i, j] = x[n, c, i·s + a − p, j·s + e − p]         a, e = 0 … s−1
    W[o, c·s·s + a·s + e, u, v] = w[o, c, u·s + a, v·s + e]                 0 beyond the kernel

    y = X ∗ W with stride 1, a kernel of ⌈KH/s⌉ × ⌈KW/s⌉, no padding

Nothing is computed, only renamed; but with stride 1 Winograd's algorithm is at hand, and rows are
copied whole. AlexNet's 11×11 with stride 4 on 3 channels becomes 3×3 on 48 channels, of which
winograd_rows saves half; a 3×3 with stride 2 becomes 2×2, with 16 taps of which 7 are zero.

dX and dW are those of the convolution with stride 1, and their numbers are put back to where X's
and W's came from.

Shapes:  x (N, C, H, W)   w (O, C/g, KH, KW)   y (N, O, OH, OW)
         X (N, C·s·s, OH + ⌈KH/s⌉ − 1, OW + ⌈KW/s⌉ − 1)
With strides that differ, s·s is their product. The name is TensorFlow's; the trick is that of many
who trained AlexNet on wide vectors.
"""
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratchnet.backend import empty, in_planes
from scratchnet.convolution import winograd_rows
from scratchnet.convolution.geometry import Geometry, inside, output_shape


def fits(w_shape: tuple, geometry: Geometry, dtype: Any) -> bool:
    """Whether this convolution can be computed so: strides above 1, no dilation, float32, and a
    kernel for winograd_rows."""
    return (max(geometry.stride) > 1 and geometry.dilation == (1, 1)
            and winograd_rows.fits(_regrouped(w_shape, geometry), Geometry(), dtype))


def pays(x_shape: tuple, w_shape: tuple, geometry: Geometry) -> bool:
    """Whether it is faster than im2col, as measured: where Winograd has something to save."""
    W_shape = _regrouped(w_shape, geometry)
    return min(W_shape[2:]) >= 3 and winograd_rows.pays(
        _regrouped(w_shape, geometry, x_shape), W_shape, geometry)


def forward(x: Any, w: Any, geometry: Geometry, b: Any = None) -> Any:
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i·s+u−p, j·s+v−p]."""
    X, W = _images(x, w.shape, geometry), _filters(w, geometry)
    return winograd_rows.forward(X, W, Geometry(groups=geometry.groups), b)


def backward_x(dy: Any, w: Any, x_shape: tuple, geometry: Geometry) -> Any:
    """dx from dX."""
    W, dx = _filters(w, geometry), empty(np, x_shape, np.float32)
    X_shape = _regrouped(w.shape, geometry, x_shape)
    dX = winograd_rows.backward_x(dy, W, X_shape, Geometry(groups=geometry.groups))
    dX = dX.reshape(*x_shape[:2], -1, *dX.shape[2:])
    places = list(_places(x_shape, dX.shape[3:], geometry))

    def put_back(n: slice, c: slice) -> None:
        dx[n, c] = 0                                    # pixels that no window sees
        for k, where, pixels in places:
            dx[n, c][pixels] = dX[n, c, k][where]

    in_planes(put_back, dx, 2)
    return dx


def backward_w(x: Any, dy: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """dw from dW."""
    X, (_, _, KH, KW), (sh, sw) = _images(x, w_shape, geometry), w_shape, geometry.stride
    dW = winograd_rows.backward_w(X, dy, _regrouped(w_shape, geometry),
                                  Geometry(groups=geometry.groups))
    dW = dW.reshape(*w_shape[:2], sh, sw, *dW.shape[2:]).transpose(0, 1, 4, 2, 5, 3)
    O, C, u, a, v, e = dW.shape
    return np.ascontiguousarray(dW.reshape(O, C, u * a, v * e)[:, :, :KH, :KW])


def _regrouped(w_shape: tuple, geometry: Geometry, x_shape: tuple | None = None) -> tuple:
    """The shape of W, or of X."""
    (O, C, *K), s = w_shape, geometry.stride
    K = [-(-k // step) for k, step in zip(K, s, strict=True)]
    if x_shape is None:
        return O, C * s[0] * s[1], *K
    OHW = output_shape(x_shape, w_shape, geometry)
    return x_shape[0], x_shape[1] * s[0] * s[1], *(o + k - 1 for o, k in zip(OHW, K, strict=True))


def _images(x: Any, w_shape: tuple, geometry: Geometry) -> Any:
    """X (N, C·s·s, …)."""
    X = empty(np, _regrouped(w_shape, geometry, x.shape), np.float32)
    by_channel = X.reshape(*x.shape[:2], -1, *X.shape[2:])
    places = list(_places(x.shape, X.shape[2:], geometry))

    def copy(n: slice, c: slice) -> None:
        by_channel[n, c] = 0                            # on the padding
        for k, where, pixels in places:
            by_channel[n, c, k][where] = x[n, c][pixels]

    in_planes(copy, x, 2)
    return X


def _filters(w: Any, geometry: Geometry) -> Any:
    """W (O, C·s·s, ⌈KH/s⌉, ⌈KW/s⌉)."""
    (O, C, KH, KW), (sh, sw) = w.shape, geometry.stride
    shape = _regrouped(w.shape, geometry)
    padded = np.zeros((O, C, shape[2] * sh, shape[3] * sw), np.float32)
    padded[:, :, :KH, :KW] = w
    padded = padded.reshape(O, C, shape[2], sh, shape[3], sw)
    return np.ascontiguousarray(padded.transpose(0, 1, 3, 5, 2, 4)).reshape(shape)


def _places(x_shape: tuple, size: tuple, geometry: Geometry) -> Iterator[tuple]:
    """Yield (a·s + e, index into X, index into x): which pixels become that channel, and where."""
    (sh, sw), (ph, pw) = geometry.stride, geometry.padding
    for a in range(sh):
        i, r = inside(a, 0, size[0], x_shape[2], sh, ph)
        for e in range(sw):
            j, q = inside(e, 0, size[1], x_shape[3], sw, pw)
            yield a * sw + e, (..., i, j), (..., r, q)
