# %% [markdown]
# # ZFNet: a way to look inside, and what it changed
#
# AlexNet won in 2012, and nobody could say what its filters had learnt. The first layer can be
# drawn, since its weights are small colour pictures. From the second layer on a weight belongs to
# a channel that is no colour, and a picture of it says nothing. Without a way to see, a better
# network can only be found by trial and error.
#
# Zeiler and Fergus made a way: take a single activation (a number that a layer puts out) and
# follow it back to the pixels that made it. With it they looked at AlexNet, saw two faults in its
# first layers, and mended them. Networks of this line won the contest of 2013.
#
# Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.

# %%
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from threadpoolctl import threadpool_limits

from scratchnet import layers, models, no_grad, optim, summary, training, visualize
from scratchnet.layers.max_unpool import switches
from scratchnet.lesson import Lesson, steps, what_changed
from scratchnet.visualize.occlusion import occlusion

lesson = Lesson("zfnet")
_ = threadpool_limits(1, user_api="blas")       # small matrices: a second thread only waits

# %% [markdown]
# ## 1. The network
#
# It is AlexNet (lesson 6) with another beginning, without the groups, and with pooling before
# normalisation. The columns are those of lesson 6, and the check again sees small images. A "·"
# stands for nothing to count.

# %%
rows = {row.name: row for row in steps(models.zfnet(rng=0), (3, 224, 224))}

# %% [markdown]
# ## 2. The way back, by hand
#
# A feature map is computed by three kinds of steps. The *deconvnet* answers each with a step back:
#
# - **max pooling** keeps the largest number of each window and forgets where it was. On the way
#   up we note the place, called the *switch*. On the way down the number returns to that place,
#   and the other pixels of the window are 0. This is *unpooling*;
# - **ReLU** sets negative numbers to 0. On the way down the same is done to the signal that comes
#   down;
# - **convolution** makes each output from a patch. On the way down each number paints the filter,
#   times itself, onto that patch, and where patches overlap, they add. This is the *transposed
#   convolution*.
#
# (Local normalisation has no step back: it is passed over.)
#
# Here are all three on an image of 6×6 pixels. The filter of 3×3 likes a vertical line: its middle
# column is 2, the columns beside it −1. In the image there are a bright line and a faint one.

# %%
image = np.zeros((1, 1, 6, 6))
image[0, 0, 1:4, 4] = 1.0                   # a line, bright
image[0, 0, 3:6, 1] = 0.5                   # another one, faint
line = layers.Conv2d(1, 1, 3, rng=0)
line.weight.value = np.array([[[[-1.0, 2.0, -1.0]] * 3]])
line.bias.value = np.zeros(1)
pool = layers.MaxPool2d(2)

responses = line.forward(image)                                 # 4×4
rectified = layers.ReLU().forward(responses)
pooled, places = switches(pool, rectified)                      # 2×2, and where they came from
print(f"the filter's responses:\n{responses[0, 0]}")
print("after ReLU and 2×2 pooling:", pooled[0, 0].tolist())
print("switches (pixel r·4 + q of the 4×4 map):", places[0, 0].tolist())

# %% [markdown]
# Now back. Of the four numbers only the largest is kept, so that we see what *it* came from. It
# goes to its switch, passes the ReLU unchanged because it is positive, and paints the filter.

# %%
single = np.where(pooled == pooled.max(), pooled, 0)
unpooled = layers.MaxUnpool2d((4, 4)).forward(single, places)
paint = layers.ConvTranspose2d(1, 1, 3, bias=False)
paint.weight.value = line.weight.value
back = paint.forward(np.maximum(unpooled, 0))

by_library = visualize.descend(         # the same way down, from channel 0 of the layer "pool"
    layers.Sequential(conv=line, relu=layers.ReLU(), pool=pool), image, "pool", 0)[-1][1]
print(f"the reconstruction:\n{back[0, 0].astype(int)}")
print("equal to visualize.descend:", bool(np.allclose(back, by_library)))

lost = np.zeros_like(unpooled)              # without switches: to each window's upper left corner
lost[:, :, ::2, ::2] = single
blind = paint.forward(lost)
moved = (int(back[0, 0].argmax()) % 6, int(blind[0, 0].argmax()) % 6)
print(f"The line is in column 4. With switches it is painted in column {moved[0]}, "
      f"without in column {moved[1]}.")

figure = Figure(figsize=(8, 5.4), layout="constrained")
shown = (("image", image), ("after ReLU", rectified), ("pooled: the largest", single),
         ("unpooled", unpooled), ("reconstruction", back), ("without switches", blind))
for axes, (title, values) in zip(figure.subplots(2, 3).flat, shown, strict=True):
    most = abs(values).max()
    axes.imshow(values[0, 0], cmap="RdBu_r", vmin=-most, vmax=most)
    for (r, q), v in np.ndenumerate(values[0, 0]):
        axes.text(q, r, f"{v:g}", ha="center", va="center", fontsize=10,
                  color="white" if abs(v) > 0.6 * most else "black")
    axes.set_title(title, fontsize=11)
    axes.set(xticks=[], yticks=[])
lesson.save(figure, "by_hand", alt="Six small grids of numbers: a line in an image, its way up to "
            "one pooled number, and its way back; without switches the line is a column too far "
            "to the left.")

# %% [markdown]
# ## 3. Is this the gradient?
#
# Nearly. In lesson 3 the convolution of a row of numbers was a matrix A, and its backward pass dx =
# Aᵀ dy. With three weights a, b, c, pixel $x_3$ stands in three outputs, each time with another
# weight:
#
# $$y_1 = a x_1 + b x_2 + c x_3 \qquad y_2 = a x_2 + b x_3 + c x_4 \qquad
# y_3 = a x_3 + b x_4 + c x_5$$
#
# $$\frac{\partial L}{\partial x_3} = c \cdot dy_1 + b \cdot dy_2 + a \cdot dy_3$$
#
# Output 1 paints c onto pixel 3, output 2 paints b, output 3 paints a. So the backward pass of a
# convolution *is* the transposed convolution. Unpooling likewise is the backward pass of max
# pooling (lesson 4): the winner of a window has slope 1, the others 0.
#
# Only ReLU differs (and normalisation, which has a gradient). The gradient passes where the number
# on the way *up* was positive; the deconvnet passes where the signal on the way *down* is. A third
# rule, guided backpropagation, asks for both.

# %%
up, down = np.array([-1.0, 2.0, 3.0, -4.0]), np.array([5.0, -6.0, 7.0, -8.0])
relu = layers.ReLU()
relu.forward(up)
gradient = relu.backward(down)
deconvnet = np.maximum(down, 0)
guided = gradient * (down > 0)
for name, values in (("x on the way up", up), ("signal from above", down),
                     ("gradient", gradient), ("deconvnet", deconvnet), ("guided", guided)):
    print(f"{name:18s}" + "".join(f"{v + 0.0:5.0f}" for v in values))      # + 0.0: no "-0"
paint_is_backward = line.backward(unpooled)
print("painting equals the convolution's backward:", bool(np.allclose(paint_is_backward, back)))

# %% [markdown]
# ## 4. A small ZFNet, trained
#
# The pictures are drawn shapes (discs, stars, arrows, …) in any colour, size and place. The network
# has ZFNet's order of layers for images of 32×32; it is narrower, has one fully connected layer
# less, and pools twice, not three times. The recipe is that of lesson 4,
# with the rate 0.02 and batches of 32.

# %%
sets = lesson.load("shapes", size=32, train=1300, validation=50, test=300, difficulty=0.1)
middle = sets.train.images[:].mean(axis=0)
train, test = (((part.images[:] - middle).astype(np.float32), part.labels)
               for part in (sets.train, sets.test))
classes = int(train[1].max()) + 1
drawn = not hasattr(sets, "source")         # the shapes, not the reader's own data


def small_zfnet(rng: np.random.Generator) -> layers.Sequential:
    """ZFNet's layers for 32×32 images, narrow."""
    return layers.Sequential(
        conv1=layers.Conv2d(middle.shape[0], 16, 5, stride=2, padding=2, rng=rng),  # 16 × 16 × 16
        relu1=layers.ReLU(),
        pool1=layers.MaxPool2d(3, stride=2, padding=1),                             # 16 × 8 × 8
        norm1=layers.LocalResponseNorm(),
        conv2=layers.Conv2d(16, 32, 5, padding=2, rng=rng),                         # 32 × 8 × 8
        relu2=layers.ReLU(),
        norm2=layers.LocalResponseNorm(),
        conv3=layers.Conv2d(32, 48, 3, padding=1, rng=rng),
        relu3=layers.ReLU(),
        conv4=layers.Conv2d(48, 48, 3, padding=1, rng=rng),
        relu4=layers.ReLU(),
        conv5=layers.Conv2d(48, 32, 3, padding=1, rng=rng),                         # 32 × 8 × 8
        relu5=layers.ReLU(),
        pool5=layers.MaxPool2d(3, stride=2),                                        # 32 × 3 × 3
        flatten=layers.Flatten(),
        fc6=layers.Linear(32 * 9, 128, rng=rng),
        relu6=layers.ReLU(),
        drop6=layers.Dropout(0.5, rng=rng),
        fc8=layers.Linear(128, classes, rng=rng),
    )


net = small_zfnet(np.random.default_rng(0))
lesson.replace(net, train[0][:32])          # by your own layers, if you gave some
epochs = 16 if lesson.full else 8
history = training.fit(net, train, test, optim.SGD(net.parameters(), 0.02, 0.9, 5e-4), epochs, 32,
                       training.WarmUp(training.Cosine(epochs), epochs=1), rng=0, progress=False,
                       clip=5.0, loss=lesson.loss)
error = history[-1].validation_error
print(f"{epochs} epochs; error on {len(test[1])} pictures it has not seen: {error:.1%}")

# %% [markdown]
# ## 5. What a feature responds to
#
# A feature is one channel of a layer, after its ReLU. Take the nine test pictures that excite it
# most, go down from the strongest activation of each, and show the reconstruction beside the patch
# that the activation can see. Shown are the two features of each layer with the largest mean.


# %%
def liveliest(layer: str, count: int = 2) -> list[int]:
    """The features of a layer with the largest mean activation."""
    with no_grad():
        x = test[0]
        for name, f in net.eval().children():
            x = f.forward(x)
            if name == layer:
                break
    return [int(i) for i in x.mean(axis=(0, 2, 3)).argsort()[::-1][:count]]


chosen = {layer: liveliest(layer) for layer in ("relu1", "relu3", "relu5")}
lesson.save(visualize.deconvnet_figure(net, test[0], chosen), "features",
            alt="For two features each of relu1, relu3 and relu5: nine reconstructions and the "
            "nine patches they come from; the patches grow with the layer, from edges to shapes.")
table = {row.name: row for row in summary(net, middle.shape).rows}
for layer in chosen:
    side = table[layer].receptive_field[0]
    print(f"{layer}: an activation can see {side:.0f}×{side:.0f} pixels")

# %% [markdown]
# The first layer sees 5×5 pixels: an edge or a colour. Its nine reconstructions are alike, because
# below it there is nothing but its own filter to paint. Deeper, an activation can see the whole
# picture (sizes above 32 reach beyond it), but its reconstruction is strong only in one part of
# it, often along an outline. The nine pictures of a feature need not be of one class.
#
# Two warnings. A reconstruction shows a pattern in *this* image that excites the feature; it is not
# the feature. And with the filters of a network that has learnt nothing one gets edges, too (not
# shown here): look at what differs between features, not at how much it resembles the image.

# %% [markdown]
# ## 6. Occlusion: what may not be hidden
#
# Does the network look at the object or at its surroundings? Cover a square of 12×12 pixels with
# grey (here 0, the mean image), ask for the probability of the right class, and move the square: 36
# places, 4 pixels apart. Nothing is differentiated, so it works for any function of an image. The
# picture shown is the one of the eight whose probability is lowest on average.

# %%
right = np.flatnonzero(training.predict(net, test[0]).argmax(axis=1) == test[1])[:8]
maps = [occlusion(net, test[0][n:n + 1], int(test[1][n]), size=12, stride=4, grey=0.0)
        for n in right]
at_corners = [found.p[[0, 0, -1, -1], [0, -1, 0, -1]].mean() for found in maps]
at_worst = [found.p.min() for found in maps]
print("probability of the right class, for eight pictures that are named rightly")
for name, values in (("nothing covered", [found.whole for found in maps]),
                     ("a corner covered (mean of four)", at_corners),
                     ("the worst place covered", at_worst)):
    print(f"{name:31s}" + "".join(f"{p:6.2f}" for p in values) + f"  mean {np.mean(values):.2f}")

n, found = min(zip(right, maps, strict=True), key=lambda one: one[1].p.mean())
x, drop = test[0][n:n + 1], found.drop()
r, q = np.unravel_index(found.p.argmin(), found.p.shape)

figure = Figure(figsize=(8, 2.8), layout="constrained")
one, two, three = figure.subplots(1, 3)
picture = np.clip(np.moveaxis(x[0] + middle, 0, -1), 0, None)
one.imshow(picture / max(picture.max(), 1), cmap="gray")
one.add_patch(Rectangle((found.lefts[q] - 0.5, found.tops[r] - 0.5), 12, 12, facecolor="0.5",
                        edgecolor="white"))
one.set_title("the square where it hurts most", fontsize=9)
figure.colorbar(two.imshow(found.p, cmap="viridis", vmin=0, vmax=1), ax=two, shrink=0.8)
two.set_title("probability, by the square's place", fontsize=9)
figure.colorbar(three.imshow(drop, cmap="RdBu_r", vmin=-abs(drop).max(), vmax=abs(drop).max()),
                ax=three, shrink=0.8)
three.set_title("what covering a pixel takes (red)", fontsize=9)
for axes in (one, two, three):
    axes.set(xticks=[], yticks=[])
lesson.save(figure, "occlusion", alt="A shape with a grey square on it, the probability of its "
            "class for each place of the square, and the loss of probability at each pixel.")

# %% [markdown]
# The least of 36 numbers is lower than the mean of four of them in any case; what counts is by how
# much. A corner takes little, some other square nearly all: the network looks at the object.
#
# ## 7. What the pictures changed
#
# In AlexNet's first layers Zeiler and Fergus saw two things. Some filters of conv1 had learnt
# nothing, and others answered to very fine or very coarse patterns, few to those between. And in
# conv2 there were patterns that no picture has: *aliasing*, from the stride of 4. Whoever looks at
# every fourth pixel only cannot tell a fine stripe from a coarse one. Take stripes of 5 pixels
# (from one bright middle to the next), look at every fourth pixel or every second one, and ask
# which wave the samples look like. (The Fourier transform, np.fft.rfft, says how much of each wave
# is in them.)

# %%
period, pixels = 5.0, np.arange(80)
wave = np.cos(2 * np.pi * pixels / period)
seen = {}
for stride in (1, 2, 4):
    samples = wave[::stride]
    peak = int(abs(np.fft.rfft(samples)).argmax())      # full waves in the samples
    seen[stride] = 80 / peak
    print(f"stride {stride}: {len(samples)} samples, {peak} waves in 80 pixels: "
          f"stripes of {seen[stride]:.0f} pixels")

figure = Figure(figsize=(8, 2.6), layout="constrained")
for axes, stride in zip(figure.subplots(2, 1, sharex=True), (2, 4), strict=True):
    fine = np.linspace(0, 60, 600)
    axes.plot(fine, np.cos(2 * np.pi * fine / period), color="0.75", linewidth=1)
    axes.plot(fine, np.cos(2 * np.pi * fine / seen[stride]), color="tab:orange", linewidth=1.5)
    axes.plot(pixels[:61:stride], wave[:61:stride], "o", color="tab:blue", markersize=4,
              clip_on=False)
    axes.set(ylabel=f"stride {stride}", yticks=[], xlim=(0, 60))
    axes.spines[["top", "right"]].set_visible(False)
axes.set_xlabel("pixel (grey: the stripes; dots: what is sampled; orange: the wave they look like)")
lesson.save(figure, "aliasing", alt="Stripes of five pixels sampled with stride 2 keep their "
            "period; with stride 4 the samples lie on a wave of twenty pixels.")

# %% [markdown]
# A sampled wave is kept only if there are more than two samples to its period. So stride 4 keeps
# periods above 8 pixels, stride 2 those above 4. (A filter of 11×11 can blur some of
# the fine stripes away before they are sampled; what it keeps of them, it keeps wrongly.)
#
# The cure is a conv1 of 7×7 with stride 2. It has fewer weights, but four times as many places.
# AlexNet and ZFNet have the same kinds of layers, so the table has only their sums:

# %%
alexnet, zfnet = what_changed("alexnet", "zfnet")
firsts = {name: next(row for row in table.rows if row.name == "conv1")
          for name, table in (("alexnet", alexnet), ("zfnet", zfnet))}
for (name, row), weights, places in zip(firsts.items(), ("11·11·3·96", "7·7·3·96"),
                                        ("55·55", "110·110"), strict=True):
    print(f"{name:8s} conv1: {weights} + 96 = {row.params:,} parameters, "
          f"{weights}·{places} = {row.macs:,} MACs")

# %% [markdown]
# The two accuracies cannot be compared. A crop is a piece of 224×224 pixels cut out of the larger
# photograph: AlexNet's number is of one crop, ZFNet's of the mean answer to ten, which gains some
# points for any network. The authors' own Table 2 compares alike: their copy of AlexNet has 40.5 %
# top-1 and 18.1 % top-5 error, this network 38.4 % and 16.5 %. Nor is that conv1's alone: conv2,
# conv4 and conv5 are no longer cut in two groups, which doubles their weights.

# %% [markdown]
# ## What we have seen
#
# - The deconvnet answers each step with one back: a maximum returns to its switch, a ReLU cuts the
#   signal that comes down, a convolution paints its filter.
# - But for ReLU (and normalisation) that is the backward pass, which a library has already.
# - Without switches the reconstruction is at the wrong place.
# - Deeper features see more of the image. Occlusion tells, without a derivative, where the network
#   looks.
# - Stride 4 takes stripes of 5 pixels for stripes of 20; stride 2 does not.
#
# ## Exercises
#
# - `scratchnet exercise start max_unpool`
# - `scratchnet exercise start lrn`
# - `scratchnet exercise start overlapping_pool`
# - Cover the pictures with squares of 6×6 instead of 12×12 (`occlusion(…, size=6)`). In which
#   pictures does a single square still halve the probability of the right class, and where does it
#   lie?

# %%
assert rows["conv1"].params == 14_208 and sum(row.params for row in rows.values()) == 62_357_608
assert np.allclose(back, by_library) and np.allclose(back, paint_is_backward)
assert moved == (4, 3)
assert (seen[2], seen[4]) == (5, 20)
assert firsts["zfnet"].params < firsts["alexnet"].params
assert firsts["zfnet"].macs > 1.5 * firsts["alexnet"].macs
if drawn:
    assert error < 0.25, f"expected three shapes in four right or more, got an error of {error:.1%}"
    assert np.mean(at_worst) < np.mean(at_corners) - 0.1, "a corner should hurt less"
lesson.end()
