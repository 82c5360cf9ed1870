# %% [markdown]
# # Gradients: what they are, and how to check them
#
# A network learns by going downhill. Its loss, one number that says how wrong its answers are,
# depends on thousands of weights; the gradient says for each of them whether the loss rises
# or falls when the weight is raised, and how fast. Here every gradient is worked out with paper
# and pencil and written into a method called `backward`. People make mistakes at that. A wrong
# gradient raises no error: the network learns all the same, only worse, and nobody notices.
# So this lesson has two questions: what is a gradient, and how can one know that it is right?
#
# Rumelhart, Hinton & Williams, "Learning representations by back-propagating errors", Nature
# 1986. Squire & Trapp, "Using Complex Variables to Estimate Derivatives of Real Functions",
# SIAM Review 1998.

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, layers, optim, training
from scratchnet.lesson import Lesson

lesson = Lesson("gradients")
_ = threadpool_limits(1, user_api="blas")       # matrices this small: a second thread only waits

# %% [markdown]
# ## 1. The slope as a limit
#
# Move x by a small step h and see how far f moves. The slope between the two points is
#
# $$\frac{f(x + h) - f(x)}{h}$$
#
# and the derivative f′(x) is what this tends to as h becomes small. For f(x) = x² it can be
# worked out: ((x + h)² − x²) / h = (2xh + h²) / h = 2x + h. As h goes to 0, 2x is left.

# %%
at = 3.0
for h in (1.0, 0.1, 0.01, 0.001):
    slope = ((at + h) ** 2 - at ** 2) / h
    print(f"h = {h:5.3f}: the slope of x² between {at:.0f} and {at + h:.3f} is {slope:.4f}")

# %% [markdown]
# A function of several numbers has a slope for each: hold all the others still and move one.
# That is the partial derivative, written $\partial f / \partial x$ to say that there are others.
# All of them together are the gradient. For a loss L and weights w it has the shape of w: one
# slope for each weight. Going downhill is to change each weight against its slope: a little less
# weight where the slope is positive, a little more where it is negative.
#
# ## 2. The chain rule, by hand
#
# A network is a chain: the output of a layer is the input of the next. Take the shortest
# chain that learns: one weight w, one input x, the answer u, and the loss L, the square of how
# far u is from the target t.
#
# $$u = w \cdot x \qquad L = (u - t)^2$$
#
# Raise w a little: u rises x times as much. Raise u a little: L rises 2(u − t) times as much. So
# L rises 2(u − t) · x times as much as w. That is the chain rule: slopes along a chain multiply.
#
# $$\frac{\partial L}{\partial w} = \frac{\partial L}{\partial u} \cdot
# \frac{\partial u}{\partial w} = 2 (u - t) \cdot x$$

# %%
w, x, t = 2.0, 3.0, 5.0
u = w * x
loss = (u - t) ** 2
dL_du = 2 * (u - t)
dL_dw = dL_du * x
print(f"forward:  u = {w:.0f}·{x:.0f} = {u:.0f},  L = ({u:.0f} − {t:.0f})² = {loss:.0f}")
print(f"backward: ∂L/∂u = 2·({u:.0f} − {t:.0f}) = {dL_du:.0f},  "
      f"∂L/∂w = {dL_du:.0f}·{x:.0f} = {dL_dw:.0f}")
h = 1e-6
measured = (((w + h) * x - t) ** 2 - loss) / h
print(f"measured with h = {h:.0e}: {measured:.5f}")
lower = ((w - 0.05 * dL_dw) * x - t) ** 2    # 0.05: a small step, chosen freely
print(f"one step downhill, w − 0.05·{dL_dw:.0f} = {w - 0.05 * dL_dw:.1f}: L = {lower:.2f}")

# %% [markdown]
# What if a number is used twice? Then it moves L along two paths, and both movements count:
# slopes along a chain multiply, slopes of parallel paths add. In f = a · b with a = b = x, one
# path has the slope b = x and the other a = x; together 2x, as it must be for x². A layer, too,
# may be used twice. That is why every layer *adds* to the gradients of its weights and never puts
# a new value in their place.
#
# ## 3. Backward: multiply dy by the local slope
#
# A layer does not know what comes after it, and need not. It is handed one array, dy, the
# slope of L with respect to each of its outputs y. It multiplies dy by its own slope, and returns
# dx, the slope of L with respect to each of its inputs. That is the dy of the layer below. So dy
# and dx are names of arrays: short for ∂L/∂y and ∂L/∂x, with the shapes of y and x.
#
# $$dx = \frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} \cdot
# \frac{\partial y}{\partial x} = dy \cdot \mathrm{slope}$$
#
# Forward keeps what the slope will need. Here are two layers that work number by number, and a
# chain of them: y = tanh(x)². The slope of a² is 2a. tanh is p/q with p = eˣ − e⁻ˣ and
# q = eˣ + e⁻ˣ. The slope of p is q and that of q is p, so the slope of p/q is
# (q · q − p · p) / q² = 1 − tanh².


# %%
class Square:
    """y = x²."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return x * x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * 2 * self.x


class Tanh:
    """y = tanh(x)."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * (1 - self.y * self.y)


x = np.array([-1.0, 0.2, 0.5])
tanh, square = Tanh(), Square()
y = square.forward(tanh.forward(x))         # upwards
da = square.backward(np.ones(3))            # downwards: dy = 1, as if L were the sum of y
dx = tanh.backward(da)
a = np.tanh(x)
print(f"x            {x}")
print(f"a = tanh(x)  {a.round(4)}    y = a²  {y.round(4)}")
print(f"da = 1 · 2a  {da.round(4)}    dx      {dx.round(4)}")
by_hand = 2 * a * (1 - a * a)
print("as by hand, 2·tanh(x)·(1 − tanh²(x)):", bool(np.allclose(dx, by_hand)))

# %% [markdown]
# ## 4. Measuring a slope: too large a step, too small a step
#
# A gradient can be checked without knowing how it was derived: move the input, run forward, and
# see how far the output moves. But h cannot be 0. How small should it be?
#
# A smooth function near x is a sum of powers of h (its Taylor series):
# f(x + h) = f + h f′ + h² f″/2 + h³ f‴/6 + … The slope towards one side is therefore
#
# $$\frac{f(x + h) - f(x)}{h} = f' + \frac{h}{2} f'' + \ldots$$
#
# wrong by about h. The other way, f(x − h) = f − h f′ + h² f″/2 − h³ f‴/6 + … In the
# difference of the two, f and f″ cancel, so that the slope between both sides is
#
# $$\frac{f(x + h) - f(x - h)}{2h} = f' + \frac{h^2}{6} f''' + \ldots$$
#
# wrong by about h². So h should be small. But a computer keeps sixteen digits. If h is 10⁻¹²,
# f(x + h) and f(x) agree in the first twelve, these cancel in the difference, and about four
# digits are left: an error of about 10⁻¹⁶ / h. As h becomes smaller, one error falls and the
# other rises.
#
# There is a third way, the complex step. Let i be the number with i² = −1. In the same sum of
# powers, put ih for h:
#
# $$f(x + ih) = f + ih f' - \frac{h^2}{2} f'' - \frac{i h^3}{6} f''' + \ldots$$
#
# The imaginary part (what stands beside i), divided by h, is f′ − h² f‴/6 + …: f′, up to h².
# Nothing is subtracted, so nothing cancels, and h can be 10⁻³⁰. Here are all three for
# f(x) = eˣ · sin x at x = 1; the error is relative, the difference divided by the true slope.


# %%
def f(x: complex) -> complex:
    """eˣ · sin x, whose derivative is eˣ · (sin x + cos x)."""
    return np.exp(x) * np.sin(x)


true = np.exp(1.0) * (np.sin(1.0) + np.cos(1.0))
h = 10.0 ** -np.arange(0, 20.5, 0.5)        # two steps for each power of ten: h[6] is 10⁻³
ways = {"one side": (f(1.0 + h) - f(1.0)) / h,
        "both sides": (f(1.0 + h) - f(1.0 - h)) / (2 * h),
        "complex step": f(1.0 + 1j * h).imag / h}
errors = {name: np.maximum(abs(value - true) / true, 1e-16)     # a logarithm cannot show 0
          for name, value in ways.items()}
for name, error in errors.items():
    best = int(np.argmin(error))
    print(f"{name:13s} best error {error[best]:.0e}; with h = 1e-03: {error[6]:.0e}, "
          f"1e-08: {error[16]:.0e}, 1e-16: {error[32]:.0e}")

figure = Figure(figsize=(8, 3.6), layout="constrained")
axes = figure.subplots()
for (name, error), style in zip(errors.items(), ("o-", "s-", "^-"), strict=True):
    axes.loglog(h, error, style, markersize=4, label=name)
axes.invert_xaxis()
axes.set(xlabel="step h (small steps on the right)", ylabel="relative error")
axes.annotate("the step is too large", (10 ** -2.5, 2e-2), fontsize=9)
axes.annotate("digits cancel", (10 ** -10.5, 2e-2), fontsize=9)
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="center right")
lesson.save(figure, "error_curve",
            alt="Relative error against the step: differences fall, then rise as digits cancel; "
                "the complex step falls and stays at rounding.")

# %% [markdown]
# Differences have a best step, and even there they lose digits: about half of the sixteen when
# taken to one side, a quarter or a third to both. The complex step needs only be small enough.
# It asks one thing of the code: that it computes with complex numbers as the formula says. An
# absolute value or a `.real` drops the imaginary part, and the slope with it:

# %%
dropped = float(np.abs(1.0 + 1e-30j).imag / 1e-30)
print(f"complex step through abs(x) at x = 1: {dropped:.0f}; the slope there is 1")

# %% [markdown]
# So a check should do both: the complex step for its digits, differences as a second opinion.
#
# ## 5. Kinks and ties
#
# ReLU, max(x, 0), lets positive numbers through and turns all others to 0. At x = 0 it has a
# kink: the slope is 0 on the left, 1 on the right, and the limit of section 1 does not exist. A
# difference across the kink makes up a number that is neither:

# %%
relu = layers.ReLU()
h = 1e-4
for at in (-1.0, -0.5 * h, 0.0, 0.5 * h, 1.0):
    below, here, above = relu.forward(np.array([at - h, at, at + h]))
    backward = relu.backward(np.ones(3))[1]         # of the three slopes the one in the middle
    print(f"x = {at:8.5f}: left {(here - below) / h:.2f}, right {(above - here) / h:.2f}, "
          f"both sides {(above - below) / (2 * h):.2f}; backward says {backward:.0f}")

# %% [markdown]
# At the kink any slope from the left one to the right one is as good as another (a
# subgradient); the library takes 0. What is *not* valid lies outside. The maximum of two numbers
# has such a kink where they are equal, a tie: raise one and the maximum rises with it, lower it
# and nothing happens. But raise both by h, and the maximum rises by h: their two slopes must add
# up to 1. This layer hands dy to every number that equals the maximum:


# %%
class GreedyMax:
    """The largest number of each row; backward gives dy to all that are equal to it."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x, self.y = x, x.max(axis=1)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy[:, None] * (self.x == self.y[:, None])


greedy = GreedyMax()
greedy.forward(np.array([[2.0, 2.0, 1.0]]))
tied = greedy.backward(np.ones(1))
print(f"dx for the row 2, 2, 1: {tied[0]}; both raised: slope {tied.sum():.0f}, but it is 1")

# %% [markdown]
# With random numbers nothing ties and this layer passes. But after a ReLU many numbers are 0,
# and digits on a black background are full of ties. A check must try equal numbers too.
#
# ## 6. A check for any layer
#
# A layer has many outputs and many inputs. Two random choices make one number of each:
#
# - dy is random, and the loss is L = ⟨dy, y⟩, every output times its number of dy, added up. Its
#   gradient with respect to x is exactly what `backward(dy)` should return. (With dy = 1,
#   mistakes that cancel in the sum would pass.)
# - a random direction d, of the shape of x. Move x to x + h d: each number of x moves by h times
#   its number of d, and L by its slope times that. So along d the slope of L is ⟨dx, d⟩, if dx is
#   right. It is measured as in section 4. If a single number of dx is wrong, the two differ.
#
# `gradcheck.check` does this for every input and every weight. It then asks what one such
# measurement cannot show: does backward write into an array of others, does it add, is it right
# where numbers tie? Here are our Tanh, our GreedyMax, and a Tanh in which a square was forgotten.


# %%
class HastyTanh(layers.Tanh):
    """tanh; in backward someone forgot to square."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        y, = self.recall(dy)                # what the library's Tanh kept in forward
        return dy * (1 - y)


x = np.random.default_rng(0).standard_normal((4, 3))
reports = {layer: gradcheck.check(layer(), x) for layer in (Square, Tanh, GreedyMax, HastyTanh)}
for layer in (Tanh, GreedyMax, HastyTanh):
    print(f"{reports[layer]}\n")

# %% [markdown]
# The worst error of a right gradient is near 10⁻¹⁶, the rounding of a computer. A wrong one is
# off in its first digits, so there is no doubt where to draw the line. And the check says why: it
# multiplies, swaps and drops terms until it finds a mistake that gives these same wrong numbers.
# GreedyMax has the right numbers wherever nothing ties, and is found out where something does.
#
# ## 7. A wrong gradient learns, too
#
# How bad is the missing square? A network with two tanh in it reads 8×8 digits. It is trained
# with the right backward and with the wrong one, from several seeds, which draw other weights and
# another order of the images. How training works is in the next lesson; here these words will do:
# an epoch is once through all training images, and the test error is the part of other images,
# kept aside, that get a wrong answer.


# %%
digits = lesson.load("digits", size=8)
channels, rows, columns = digits.train.images.shape[1:]
inputs, classes = channels * rows * columns, int(digits.train.labels.max()) + 1


def train(unit: type, seed: int) -> tuple[list[float], float]:
    """Train with these units; return the loss of each epoch, and the test error."""
    rng = np.random.default_rng(seed)
    net = layers.Sequential(layers.Flatten(), layers.Linear(inputs, 32, rng=rng), unit(),
                            layers.Linear(32, 32, rng=rng), unit(),
                            layers.Linear(32, classes, rng=rng))
    history = training.fit(net, digits.train, digits.validation,
                           optim.SGD(net.parameters(), lr=0.05, momentum=0.9),
                           epochs=6, batch_size=32, rng=seed, progress=False)
    return [epoch.train_loss for epoch in history], training.evaluate(net, *digits.test)[1]


seeds = range(10 if lesson.full else 5)
runs = {name: [train(unit, seed) for seed in seeds]
        for name, unit in (("right", layers.Tanh), ("wrong", HastyTanh))}
test_errors = {name: [error for _, error in run] for name, run in runs.items()}
for name, run in test_errors.items():
    print(f"{name} backward: test error {np.mean(run):5.1%}   "
          f"({'  '.join(f'{e:.1%}' for e in run)})")

figure = Figure(figsize=(8, 3.2), layout="constrained")
axes = figure.subplots()
for name, color in (("right", "tab:blue"), ("wrong", "tab:orange")):
    for seed, (losses, _) in enumerate(runs[name]):
        axes.plot(range(1, len(losses) + 1), losses, "o-", color=color, markersize=3,
                  label=f"{name} backward" if seed == 0 else None)
axes.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
lesson.save(figure, "right_and_wrong",
            alt="Training loss over six epochs, several seeds each: it falls with both gradients, "
                "and stays higher with the wrong one.")

# %% [markdown]
# The loss falls either way: 1 − y and 1 − y² are both positive, so at each tanh the wrong slope has
# the right sign. How much worse it becomes depends on the network and its settings. But whoever
# sees only the orange curves sees a network that learns, and may blame the data. Only a check
# tells.
#
# ## What we have seen
#
# - A derivative is the limit of a slope; slopes along a chain multiply, parallel ones add.
# - Backward gets dy, multiplies it by the local slope, and returns dx.
# - Differences are wrong by about h or h² where h is large, by 10⁻¹⁶ / h where it is small; the
#   complex step has no such choice to make, but needs code that keeps imaginary parts.
# - At a kink any slope between the two sides is valid, and none beyond.
# - A wrong gradient learns all the same, and worse; a right one passes to fifteen digits.
#
# ## Exercises
#
# - `scratchnet exercise start relu`: a layer with a kink, and your first backward;
# - `scratchnet exercise start sigmoid_tanh`: two curves and their slopes;
# - `scratchnet exercise start hunt_relu`: a layer that looks right. Write the test that shows
#   that it is not;
# - `scratchnet exercise start hunt_stale`: another one.

# %%
assert dL_dw == 6 and abs(measured - dL_dw) < 1e-4 and lower < loss
assert np.allclose(dx, by_hand)
assert 1e-11 < errors["one side"].min() < 1e-6 and 1e-13 < errors["both sides"].min() < 1e-8
assert errors["complex step"][-1] < 1e-14 < 1e-3 < errors["one side"][-1]
assert dropped == 0 and tied.sum() == 2
assert reports[Square].passed and reports[Tanh].passed
assert reports[GreedyMax].verdict == reports[HastyTanh].verdict == "wrong"
assert "1 − y²" in reports[HastyTanh].causes[0].says
if digits.train.images.shape[1:] == (1, 8, 8) and classes == 10:
    assert np.mean(test_errors["wrong"]) > np.mean(test_errors["right"]) + 0.03
    assert max(test_errors["wrong"]) < 0.7, "the wrong gradient learnt nothing"
lesson.end()
