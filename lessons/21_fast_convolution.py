# %% [markdown]
# # Fast convolution: the same sum, thousands of times faster
#
# In AlexNet more than nine tenths of the multiply-accumulates are convolutions (lesson 6),
# so a network can be trained only as fast as its convolutions run. How can the same sum be had
# sooner? First by another order of its products, then by fewer of them. Here are the ideas, one by
# one. Each result must equal the definition's, and each time is what the clock says on the machine
# that runs the lesson. Yours will differ, so nothing below depends on a time.
#
# Chellapilla, Puri & Simard, "High Performance Convolutional Neural Networks for Document
# Processing", 2006, for the columns; Lavin & Gray, "Fast Algorithms for Convolutional Neural
# Networks", CVPR 2016, for Winograd.

# %%
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import Layer, Parameter, convolution, gradcheck, naive
from scratchnet.backend import threads
from scratchnet.backend.parallel import limited
from scratchnet.convolution import Geometry, im2col
from scratchnet.lesson import Lesson

lesson = Lesson("fast_convolution")
_ = threadpool_limits(1, user_api="blas")       # one core: methods are compared, not cores

# %% [markdown]
# ## 1. The definition, as loops
#
# A convolution with stride 1 and padding 1 (lesson 3) computes for image $n$, filter
# $o$ and place $i, j$
#
# $$y_{n,o,i,j} = \sum_c \sum_u \sum_v w_{o,c,u,v} \cdot x_{n,c,i+u-1,j+v-1}$$
#
# where $x$ is 0 outside the image. Written down as it stands, it is seven loops: over $n, o, i, j$
# for the outputs, over $c, u, v$ for each sum. `scratchnet.naive` has it like this. We count
# products: $N \cdot O \cdot H \cdot W \cdot C \cdot 3 \cdot 3$, one multiply-accumulate (MAC) each.

# %%
REPEATS = 7 if lesson.full else 3
SAME = Geometry(padding=(1, 1))
rng = np.random.default_rng(0)
speeds: dict[str, float] = {}               # million MACs a second, for the picture at the end


def seconds(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """The shortest of some runs: whatever else the machine does can only make it longer."""
    work()                                  # the first one fetches memory
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def macs(x: np.ndarray, w: np.ndarray) -> int:
    """N·O·H·W·C·KH·KW, for stride 1 and "same" padding; w is (O, C, KH, KW)."""
    return x.shape[0] * x.shape[2] * x.shape[3] * w.size


x = rng.standard_normal((1, 4, 10, 10)).astype(np.float32)
w = rng.standard_normal((4, 4, 3, 3)).astype(np.float32)
by_loops = naive.conv2d(x, w, padding=(1, 1))
t = seconds(lambda: naive.conv2d(x, w, padding=(1, 1)), repeats=1)
speeds["loops in Python"] = macs(x, w) / t / 1e6
print(f"1·4·10·10·4·3·3 = {macs(x, w):,} MACs in {t:.3f} s: "
      f"{speeds['loops in Python']:.2f} million a second")
print(f"At this speed AlexNet's 724 million MACs take "
      f"{724 / speeds['loops in Python'] / 60:.0f} minutes for one image, forwards only.")

# %% [markdown]
# The processor can do thousands of millions a second, as the next sections show. But for each
# product Python looks up names and types, makes a number object, and throws it away again. The
# remedy is to hand over many products at once.
#
# ## 2. im2col: every patch becomes a column
#
# One output is a dot product between a filter and a patch of the image. Many dot products
# between many filters and many patches are a matrix product, and for these there are
# libraries (BLAS) that have been tuned for decades. So: copy each patch into a column, flatten
# each filter into a row (lesson 3, with a small example). A column has
# $C \cdot 3 \cdot 3$ numbers, and there are $N \cdot H \cdot W$ columns. Nine shifted copies of the
# padded image fill them, one for each place $u, v$ in the kernel (a *tap*).


# %%
def patches(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) → the columns, (C·9, N·H·W), for a 3×3 kernel with padding 1."""
    N, C, H, W = x.shape
    padded = np.pad(x.transpose(1, 0, 2, 3), ((0, 0), (0, 0), (1, 1), (1, 1)))
    columns = np.empty((C, 3, 3, N, H, W), dtype=x.dtype)
    for u, v in np.ndindex(3, 3):
        columns[:, u, v] = padded[:, :, u:u + H, v:v + W]
    return columns.reshape(C * 9, -1)


def by_columns(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The convolution as one matrix product, the columns of all images at once."""
    N, _, H, W = x.shape
    y = w.reshape(len(w), -1) @ patches(x)
    return y.reshape(len(w), N, H, W).transpose(1, 0, 2, 3)


columns_right = bool(np.allclose(by_columns(x, w), by_loops, atol=1e-4))
print("equal to the loops:", columns_right)

X = rng.standard_normal((64, 32, 32, 32)).astype(np.float32)        # a batch of real size
W3 = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
t = seconds(lambda: by_columns(X, W3))
speeds["im2col, all at once"] = macs(X, W3) / t / 1e6
print(f"{macs(X, W3):,} MACs in {t:.3f} s: {speeds['im2col, all at once']:,.0f} million a second, "
      f"{speeds['im2col, all at once'] / speeds['loops in Python']:,.0f} times the loops")
print(f"The batch holds {X.nbytes / 2**20:.0f} MiB, its columns {9 * X.nbytes / 2**20:.0f} MiB: "
      f"each pixel is copied nine times.")

# %% [markdown]
# Backward is two more products, $dW = dy \cdot \mathrm{columns}^T$ and
# $d\mathrm{columns} = W^T \cdot dy$, and the way back through the copying (col2im); lesson
# "convolution" derives them. So a fast matrix product serves all three.
#
# ## 3. Tiles: keep the columns where the processor can reach them
#
# Main memory is slow, and a processor keeps a small copy of what it used last: the caches, some
# tens of kilobytes to some megabytes. Columns of many megabytes are written to memory, and
# fetched again for the product. If instead we take a few images at a time (a *tile*), copy,
# multiply, and use the same buffer again, the columns need not leave the cache. No product changes,
# only their order. How many images at a time are best?


# %%
def by_tiles(x: np.ndarray, w: np.ndarray, images: int) -> np.ndarray:
    """The same, `images` images at a time, their columns in one buffer."""
    N, C, H, W = x.shape
    rows, y = w.reshape(len(w), -1), np.empty((N, len(w), H, W), dtype=x.dtype)
    padded = np.zeros((C, images, H + 2, W + 2), dtype=x.dtype)     # its border stays 0
    columns = np.empty((C, 3, 3, images, H, W), dtype=x.dtype)
    for n in range(0, N, images):
        padded[:, :, 1:-1, 1:-1] = x[n:n + images].transpose(1, 0, 2, 3)
        for u, v in np.ndindex(3, 3):
            columns[:, u, v] = padded[:, :, u:u + H, v:v + W]
        tile = rows @ columns.reshape(C * 9, -1)
        y[n:n + images] = tile.reshape(-1, images, H, W).transpose(1, 0, 2, 3)
    return y


reference = im2col.forward(X, W3, SAME)             # the library's file, which is tiled too
counts = (1, 2, 4, 8, 16, 32, 64)
tile_speed = {}
for count in counts:
    t = seconds(lambda n=count: by_tiles(X, W3, n))
    tile_speed[count] = macs(X, W3) / t / 1e6
    print(f"{count:2d} images, {count * 9 * X[0].nbytes / 2**20:5.1f} MiB of columns: "
          f"{tile_speed[count]:7,.0f} million MACs a second")
tiles_right = all(np.allclose(y, by_columns(X, W3), atol=1e-2)
                  for y in (by_tiles(X, W3, 1), by_tiles(X, W3, 8), reference))
speeds["im2col, best tile"] = max(tile_speed.values())
with limited(1):
    t = seconds(lambda: im2col.forward(X, W3, SAME))
speeds["scratchnet's im2col"] = macs(X, W3) / t / 1e6
print(f"equal to all at once and to scratchnet.convolution.im2col: {tiles_right}; that file, with "
      f"tiles of {im2col.CPU_TILE / 2**20:.0f} MiB: {macs(X, W3) / t / 1e6:,.0f} million")

figure = Figure(figsize=(8, 2.9), layout="constrained")
axes = figure.subplots()
axes.semilogx([n * 9 * X[0].nbytes / 2**20 for n in counts], list(tile_speed.values()), "o-",
              base=2, color="tab:blue")
axes.axvline(im2col.CPU_TILE / 2**20, color="tab:orange", linestyle="--")
axes.text(im2col.CPU_TILE / 2**20 * 1.06, 0.06, "scratchnet's tile", color="tab:orange",
          transform=axes.get_xaxis_transform())
axes.set(xlabel="MiB of columns at once", ylabel="million MACs a second", ylim=(0, None),
         title="The same products, in tiles of different size")
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "tiles", alt="Speed against the size of the columns that exist at once, on "
            "this machine; a dashed line marks the size that the library uses.")

# %% [markdown]
# ## 4. Winograd: fewer products
#
# So far each method computed every product of the definition, but some can be saved. Take one
# dimension first: four pixels $d_0 … d_3$, a filter of three taps $g_0, g_1, g_2$, and two
# outputs,
#
# $$y_0 = d_0 g_0 + d_1 g_1 + d_2 g_2, \qquad y_1 = d_1 g_0 + d_2 g_1 + d_3 g_2$$
#
# That is six products. The two rows share $d_1$ and $d_2$, and four products are enough:
#
# $$m_1 = (d_0 - d_2) \cdot g_0, \qquad m_2 = (d_1 + d_2) \cdot \frac{g_0 + g_1 + g_2}{2}$$
#
# $$m_3 = (d_2 - d_1) \cdot \frac{g_0 - g_1 + g_2}{2}, \qquad m_4 = (d_1 - d_3) \cdot g_2$$
#
# $$y_0 = m_1 + m_2 + m_3, \qquad y_1 = m_2 - m_3 - m_4$$
#
# Why is that right? Multiply out $m_2$ and $m_3$. Half of the terms cancel in the sum, and the
# other half in the difference:
#
# $$m_2 + m_3 = d_2 (g_0 + g_2) + d_1 g_1, \qquad m_2 - m_3 = d_1 (g_0 + g_2) + d_2 g_1$$
#
# Adding $m_1 = d_0 g_0 - d_2 g_0$ to the first leaves $d_0 g_0 + d_1 g_1 + d_2 g_2$. Subtracting
# $m_4 = d_1 g_2 - d_3 g_2$ from the second leaves $d_1 g_0 + d_2 g_1 + d_3 g_2$. Each $m$ is a sum
# of pixels times a sum of taps. Write the sums of pixels as the rows of a matrix $B^T$, those of
# taps as $G$, and the last step as $A^T$ (this lesson's code has all three). With $\odot$ for the
# product number by number,
#
# $$y = A^T [(G g) \odot (B^T d)]$$
#
# In two dimensions the same is done to the rows and then to the columns. A tile $d$ is now 4×4
# pixels of one channel; with a filter $g$ of 3×3 it gives 2×2 outputs:
#
# $$Y = A^T [(G g G^T) \odot (B^T d B)] A$$
#
# The definition needs 4 outputs · 9 = 36 products; here there are 4 · 4 = 16, or 2.25 times fewer.
# This is called F(2×2, 3×3) (Winograd, 1980; for networks Lavin & Gray).

# %%
BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
AT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])

d = np.array([[1, 2, 0, 1], [3, 1, 2, 0], [0, 2, 1, 1], [1, 0, 2, 3]])
g = np.array([[1, 0, -1], [2, 1, 0], [0, 1, 1]])
U, V = G @ g @ G.T, BT @ d @ BT.T
M = U * V + 0.0                     # the only products that count: 16; + 0.0 makes −0 to 0
Y = AT @ M @ AT.T
direct = np.array([[np.sum(d[i:i + 3, j:j + 3] * g) for j in (0, 1)] for i in (0, 1)])
print("G g Gᵀ ⊙ Bᵀ d B:", *(" ".join(f"{v:6.2f}" for v in row) for row in M), sep="\n    ")
print("2×2 outputs:", Y.ravel(), "  by the definition:", direct.ravel())
print(f"products: {direct.size}·{g.size} = {direct.size * g.size} by the definition, {M.size} here")

# %% [markdown]
# The transformations are additions, and not free. But with $C$ channels and $O$ filters a tile is
# transformed once for all filters, a filter once for all tiles, and the sum over the channels is
# taken *before* $A^T$. Only the 16 products are there for each pair of channel and filter, and
# for each of the 16 places they are one matrix product.


# %%
def winograd(x: np.ndarray, w: np.ndarray, images: int = 4) -> np.ndarray:
    """y of a 3×3 convolution with stride 1 and padding 1, `images` at a time; H and W even."""
    N, C, H, W = x.shape
    kind = np.result_type(x, w)
    bt, g, at = (matrix.astype(np.float32) for matrix in (BT, G, AT))
    U = np.einsum("ap,ocpq,bq->aboc", g, w, g, optimize=True)       # G w Gᵀ: (4, 4, O, C)
    U = np.ascontiguousarray(U).reshape(16, len(w), C)
    y = np.empty((N, len(w), H, W), dtype=kind)
    for start in range(0, N, images):
        part = x[start:start + images].transpose(1, 0, 2, 3)        # (C, n, H, W)
        padded = np.pad(part, ((0, 0), (0, 0), (1, 1), (1, 1)))
        n, h, v = part.shape[1], H // 2, W // 2
        # tiles[p, q]: pixel p, q of all tiles, which begin at every second row and column
        tiles = np.stack([padded[:, :, p:p + H:2, q:q + W:2] for p in range(4) for q in range(4)])
        D = bt @ tiles.reshape(4, -1)                               # rows of each tile
        D = bt @ D.reshape(4, 4, -1)                                # columns of each tile
        M = U @ D.reshape(16, C, -1)                                # the sum over channels
        Y = at @ (at @ M.reshape(4, -1)).reshape(2, 4, -1)          # (2, 2, …): Aᵀ M A
        Y = Y.reshape(2, 2, len(w), n, h, v).transpose(3, 2, 4, 0, 5, 1)
        y[start:start + images] = Y.reshape(n, len(w), H, W)
    return y


ours = winograd(X, W3)
exact = im2col.forward(X[:4].astype(np.float64), W3.astype(np.float64), SAME)
error = {name: float(abs(y[:4] - exact).max() / abs(exact).max())
         for name, y in (("im2col", reference), ("Winograd", ours))}
t = seconds(lambda: winograd(X, W3))
speeds["Winograd"] = macs(X, W3) / t / 1e6
print(f"largest error of float32, relative to the largest number: im2col {error['im2col']:.0e}, "
      f"Winograd {error['Winograd']:.0e}")
print(f"{speeds['Winograd']:,.0f} million MACs of the definition a second, by "
      f"{speeds['Winograd'] * 16 / 36:,.0f} million real ones")

# %% [markdown]
# Whether it is worth it is for the clock to say. The product is 2.25 times smaller, but the
# transformations move more numbers through memory, and written in NumPy as above each of them is a
# pass of its own. The rounding is of the usual size; larger tiles save more products and lose
# digits.
#
# ### Backward
#
# The gradient of the input is a convolution again. In the definition pixel $r, q$ meets tap $u, v$
# where $i + u - 1 = r$ and $j + v - 1 = q$, so at the place $i, j = r-u+1, q-v+1$. It collects the
# gradient of every output that it went into:
#
# $$dx_{n,c,r,q} = \sum_o \sum_u \sum_v w_{o,c,u,v} \cdot dy_{n,o,r-u+1,q-v+1}$$
#
# Write $u' = 2 - u$ and $v' = 2 - v$: then $dy$ is read at $r+u'-1, q+v'-1$, as in the definition
# of section 1. So $dx$ is the same convolution with the filter turned by 180° and $o$ and $c$
# swapped, and `winograd` computes it as it is. For $dw$ the columns serve.


# %%
class WinogradConv(Layer):
    """A 3×3 convolution, stride 1, padding 1: y and dx by Winograd, dw by columns."""

    def __init__(self, in_channels: int, out_channels: int, rng: np.random.Generator):
        self.weight = Parameter(rng.standard_normal((out_channels, in_channels, 3, 3)))

    def forward(self, x: np.ndarray) -> np.ndarray:
        y = winograd(x, self.weight.value)
        self.remember(x, y=y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x, = self.recall(dy)
        w = self.weight.value
        self.weight.grad += im2col.backward_w(x, dy, w.shape, SAME)
        return winograd(dy, w[:, :, ::-1, ::-1].swapaxes(0, 1))


report = gradcheck.check(WinogradConv(3, 4, rng), rng.standard_normal((2, 3, 6, 8)))
print(report)

# %% [markdown]
# ### The library's
#
# Behind each of the four products above stands a point, 0, 1, −1 or ∞, at which two polynomials are
# multiplied by their values. `scratchnet/convolution/winograd.py` tells that, and goes further: six
# points, and so a tile of 6×6 pixels gives 4×4 outputs with 36 products where the definition needs
# 144, four times fewer (F(4×4, 3×3)). Its matrices hold factors up to 8, and so it rounds more.
# `winograd_rows.py` does the same along one axis only: half of the products, but whole rows are
# copied, no tiles. Both take a few images at a time, as in section 3. `Conv2d` chooses by the
# shapes; `convolution.forward(…, algorithm=…)` forces one. So far one core has worked; now all of
# them may, each on its part of the images, which pays where there is work enough and nobody else
# needs them.

# %%
chosen = convolution.choose(X, W3.shape, SAME).__name__.split(".")[-1]
print(f"for these shapes Conv2d takes {chosen}")
for name in ("winograd", "winograd_rows"):
    label, y = f"scratchnet's {name}", convolution.forward(X, W3, SAME, algorithm=name)
    error[label] = float(abs(y[:4] - exact).max() / abs(exact).max())
    with limited(1):
        t = seconds(lambda name=name: convolution.forward(X, W3, SAME, algorithm=name))
    speeds[label] = macs(X, W3) / t / 1e6
    print(f"{name:14s} error {error[label]:.0e}, {speeds[label]:,.0f} million MACs of the "
          f"definition a second")
t = seconds(lambda: convolution.forward(X, W3, SAME))
speeds["the same, all cores"] = macs(X, W3) / t / 1e6
print(f"{chosen} with {threads()} threads: {speeds['the same, all cores']:,.0f} million")

# %% [markdown]
# ### Other shapes
#
# Three more ways to bring a convolution to where products are fast. DenseNet's make 32 maps of 128:
# im2col would copy nine times 128 numbers for each pixel. `kn2row.py` copies nothing. It takes the
# sum over channels first, at every pixel, for each of the nine taps by itself, in one product; then
# it moves the nine results to where they belong, and adds them, nine times 32 numbers.
#
# AlexNet's first convolution looks at 11×11 pixels of 3 channels, 4 apart: `space_to_depth.py`
# makes one pixel with 48 channels of every 4×4, and then it is a 3×3 convolution with stride 1, for
# `winograd_rows`. And a depthwise convolution has no sum over channels, so no matrix product:
# `depthwise_strips.py` writes each filter up to sixteen times into a matrix that is zero elsewhere.
# It computes five to six times as much as it needs to, mostly with zeros; see whether that is
# faster than nine passes over memory.

# %%
def compare(name: str, plain: str, shape: tuple, filters: tuple, geometry: Geometry) -> None:
    """The same convolution by two algorithms: how far apart, and how long each takes."""
    x, w = (rng.standard_normal(size, dtype=np.float32) for size in (shape, filters))
    y, took = {}, {}
    for way in (plain, name):
        y[way] = convolution.forward(x, w, geometry, algorithm=way)
        took[way] = seconds(lambda way=way: convolution.forward(x, w, geometry, algorithm=way))
        print(f"{way:16s} {took[way] * 1e3:6.1f} ms")
    error[name] = float(abs(y[name] - y[plain]).max() / abs(y[plain]).max())


for question in [
        ("kn2row", "im2col", (8, 128, 28, 28), (32, 128, 3, 3), SAME),
        ("space_to_depth", "im2col", (8, 3, 227, 227), (64, 3, 11, 11), Geometry((4, 4))),
        ("depthwise_strips", "depthwise", (16, 192, 28, 28), (192, 1, 3, 3),
         Geometry(padding=(1, 1), groups=192))]:
    compare(*question)

# %% [markdown]
# ## 5. On a GPU
#
# A GPU is a processor with thousands of small arithmetic units and fast memory. `im2col.py` works
# there, too: the columns are copied by a kernel of ours, `kernels/columns.cu`, a thread for each
# channel of each patch, and the product is done by NVIDIA's library. The tile is larger, because
# a GPU wants few, large pieces of work.

# %%
if lesson.device == "gpu":
    import cupy
    X_gpu, W_gpu = cupy.asarray(X), cupy.asarray(W3)

    def on_gpu() -> Any:
        y = im2col.forward(X_gpu, W_gpu, SAME)
        cupy.cuda.Device().synchronize()            # it returns before it is done
        return y

    gpu_right = bool(np.allclose(on_gpu().get(), reference, rtol=1e-2, atol=0.2))
    t = seconds(on_gpu)
    speeds["im2col, GPU"] = macs(X, W3) / t / 1e6
    print(f"equal to the CPU's: {gpu_right}; {speeds['im2col, GPU']:,.0f} million MACs a second")
else:
    gpu_right = True
    print("No GPU is in use here: this step is left out, and the picture has one bar less.")

# %% [markdown]
# ## 6. All together

# %%
slowest = speeds["loops in Python"]
for name, speed in speeds.items():
    print(f"{name:26s} {speed:12,.2f} million MACs a second   ×{speed / slowest:,.0f}")

figure = Figure(figsize=(8, 3.2), layout="constrained")
axes = figure.subplots()
names = list(speeds)[::-1]
axes.barh(names, [speeds[name] for name in names], log=True, color="tab:blue")
for row, name in enumerate(names):
    axes.text(speeds[name] * 1.15, row, f"{speeds[name]:,.1f}", va="center")
axes.set(xlabel="million MACs of the definition a second", xlim=(slowest / 3, max(speeds.values())
                                                                 * 20),
         title="One convolution, several ways")
axes.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "ladder", alt="Bars on a logarithmic axis: the speed of each way to compute "
            "a convolution on this machine, from loops in Python upwards.")

# %% [markdown]
# ## What we have seen
#
# - Loops in Python follow the definition, and are where to look when something is in doubt.
# - im2col copies patches into columns, so that one matrix product does the work. Nothing is saved
#   in products; they are only done all at once.
# - Tiles change the order once more, so that columns stay in the cache. The best size belongs
#   to the machine.
# - Winograd's F(2×2, 3×3) computes four outputs with 16 products in place of 36, and pays with
#   additions. The gradient of its input is itself, with the filter turned.
# - A count is the same everywhere; a time belongs to a machine and a program. Another layer with
#   fewer products, depthwise convolution, is in lesson 17.
#
# ## Exercises
#
# - `scratchnet exercise start convolution`: the definition
# - `scratchnet exercise start im2col`: every patch a column
# - `scratchnet exercise start col2im`: every copy returns to its pixel
# - `scratchnet exercise start conv2d`: the layer as a matrix product
# - `scratchnet exercise start hunt_col2im`: find the bug where windows overlap

# %%
assert columns_right and tiles_right and gpu_right
assert (direct == Y).all() and (direct.size * g.size, M.size) == (36, 16)
assert np.allclose(ours, reference, atol=1e-2) and max(error["im2col"], error["Winograd"]) < 1e-5
assert max(error.values()) < 5e-5 and len(error) == 7
assert report.passed, report
lesson.end()
