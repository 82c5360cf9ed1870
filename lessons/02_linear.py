# %% [markdown]
# # Linear layers and softmax: a classifier with one layer
#
# Which digit is this? The simplest machine that learns to answer gives every pixel a weight for
# every digit, adds up, and says the digit with the largest sum. Nearly all the networks of these
# lessons end in this machine; what comes before it only prepares better numbers than pixels. So
# the questions are: what does it compute, how is it told that it was wrong, and what do its
# weights look like when it has learnt?
#
# Rumelhart, Hinton & Williams, "Learning representations by back-propagating errors", Nature
# 1986; the softmax: Bridle, "Probabilistic Interpretation of Feedforward Classification Network
# Outputs", 1990.

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from scratchnet import gradcheck, layers, naive, optim, training, visualize
from scratchnet.layers.softmax import softmax
from scratchnet.lesson import Lesson
from scratchnet.lesson.steps import steps

lesson = Lesson("linear")
_ = threadpool_limits(1, user_api="blas")       # matrices this small: a second thread only waits

# %% [markdown]
# ## 1. A linear layer: every output is a weighted sum of all inputs
#
# Let x have I numbers (the inputs) and y have O (the outputs). Output o has a weight w for each
# input, and a bias b, one number that is added whatever the input:
#
# $$y_o = b_o + \sum_i w_{oi} \cdot x_i$$
#
# The sign $\sum_i$ says: add up for all i. Images come in batches of N. Written one below the
# other they are a matrix x with N rows and I columns. The weights are a matrix W with O rows, one
# for each output, and I columns. Then all the sums of all images are one matrix product,
#
# $$y = x W^T + b$$
#
# where Wᵀ is W with rows and columns exchanged. The shapes tell it: (N × I) times (I × O) is
# N × O, and b, with O numbers, is added to each row.

# %%
rng = np.random.default_rng(0)
x = np.array([[1.0, 2.0, 3.0],
              [0.0, 1.0, -1.0]])            # N = 2 images of I = 3 numbers
W = np.array([[1.0, 0.0, -1.0],
              [2.0, 1.0, 0.0]])             # O = 2 outputs
b = np.array([10.0, 20.0])
y = x @ W.T + b
print(f"x {x.shape} · Wᵀ {W.T.shape} + b {b.shape} = y {y.shape}")
print(f"y of the first image, output 0: 1·1 + 2·0 + 3·(−1) + 10 = {y[0, 0]:.0f}")
print(f"y of the first image, output 1: 1·2 + 2·1 + 3·0 + 20 = {y[0, 1]:.0f}")
print("the same as plain loops give:", bool(np.allclose(y, naive.linear(x, W, b))))

# %% [markdown]
# ## 2. Its backward pass
#
# Backward is given dy, the slope of the loss L with respect to each y (lesson 1), and wants three
# things. Each follows from the sum above: the slope with respect to a factor is what it is
# multiplied by.
#
# **Weights.** The weight $w_{oi}$ occurs in y only at output o, once for each image n, and there it
# is multiplied by $x_{ni}$. Slopes of parallel paths add, so
#
# $$\frac{\partial L}{\partial w_{oi}} = \sum_n dy_{no} \cdot x_{ni} \qquad dW = dy^T x$$
#
# **Bias.** It occurs once for each image, with slope 1:
#
# $$\frac{\partial L}{\partial b_o} = \sum_n dy_{no}$$
#
# **Inputs.** The number x of image n and input i goes into all outputs of that image, beside the
# weight of each:
#
# $$\frac{\partial L}{\partial x_{ni}} = \sum_o dy_{no} \cdot w_{oi} \qquad dx = dy\, W$$
#
# Whoever forgets which factor is transposed can ask the shapes: dW must be O × I, and of dy (N × O)
# and x (N × I) only dyᵀx is. Note what the weights get: an input of 0 teaches its weight nothing.

# %%
dy = np.array([[1.0, 0.0],
               [0.5, -2.0]])
dW, db, dx = dy.T @ x, dy.sum(axis=0), dy @ W
print(f"dW = dyᵀx  {dW.shape}: {dW.tolist()}")
print(f"db         {db.shape}:   {db.tolist()}")
print(f"dx = dy W  {dx.shape}: {dx.tolist()}")

layer = layers.Linear(3, 2)
layer.weight.value, layer.bias.value = W.copy(), b.copy()
layer.zero_grad().forward(x)                # backward adds, so begin from 0
same = (np.allclose(layer.backward(dy), dx) and np.allclose(layer.weight.grad, dW)
        and np.allclose(layer.bias.grad, db))
print("as the library's layer has it:", same)
report = gradcheck.check(layers.Linear(7, 5, rng=0), rng.standard_normal((4, 7)))
print(report)

# %% [markdown]
# ## 3. Softmax: from scores to probabilities
#
# The C outputs of the last layer are called logits, z: one score for each class, any number,
# large or small. To say how sure it is, the machine turns them into numbers between 0 and 1 that
# add up to 1. The exponential makes them positive, the division makes the sum 1:
#
# $$p_c = \frac{e^{z_c}}{\sum_k e^{z_k}}$$
#
# (e = 2.718…; k runs over all classes.) Only differences count: if all scores are raised by the
# same number a, every $e^z$ is multiplied by $e^a$, and it cancels. This is used to keep $e^z$ from
# overflowing, from becoming too large for the computer: the largest score is subtracted first.

# %%
z = np.array([[2.0, 1.0, -1.0]])
p = softmax(z)
print("z:", z[0], " e^z:", np.exp(z[0]).round(3), " sum:", np.exp(z).sum().round(3))
print("p:", p[0].round(3), " sum:", p.sum().round(3))
shift_same = bool(np.allclose(softmax(z + 1000), p))
print("z + 1000 gives the same:", shift_same)
with np.errstate(over="ignore"):
    print("without subtracting, e^1002 is", np.exp(1002.0))

# %% [markdown]
# ## 4. Cross-entropy: how surprised are we?
#
# The loss looks at one probability only, that of the true class t. If it is 1 there is no
# surprise, and the loss is 0; the smaller it is, the larger the loss, without end:
#
# $$L = -\log p_t = \log \left( \sum_k e^{z_k} \right) - z_t$$
#
# (log is the natural logarithm; the second form is the first with the softmax put in.) A
# machine that guesses among ten classes has p = 1/10 and L = log 10 = 2.30. For a batch, L is
# the mean over its N images.
#
# Now the backward pass. Which way should each score move? Take the slope of both terms for a
# class c. For the first, the slope of log s is 1/s, so the chain rule gives 1 over the sum, times
# the slope of the sum. Only its term $e^{z_c}$ depends on $z_c$, and its slope is itself: together
#
# $$\frac{\partial}{\partial z_c} \log \left( \sum_k e^{z_k} \right) =
# \frac{e^{z_c}}{\sum_k e^{z_k}} = p_c$$
#
# The second, z of t, has slope 1 if c is t and 0 otherwise. Write this as a row with a single
# 1, at the true class: onehot. So
#
# $$\frac{\partial L}{\partial z_c} = p_c - \mathrm{onehot}_c$$
#
# What was said, minus what is true. Every wrong class is pushed down by the probability that
# it was given, the true one is pulled up by what it lacks, and the row adds up to 0. In a batch
# it is divided by N, because L is a mean.

# %%
labels = np.array([1])
loss = layers.SoftmaxCrossEntropy()
L = loss.forward(z, labels)
dz = loss.backward()
onehot = np.array([[0.0, 1.0, 0.0]])
print(f"L = −log {p[0, 1]:.3f} = {L:.3f}")
print(f"p         {p[0].round(3)}")
print(f"onehot    {onehot[0]}")
print(f"dz        {dz[0].round(3)}, sum {abs(dz.sum()):.0e}")
h = 1e-6
for c in range(3):
    step = h * np.eye(3)[[c]]               # h at class c, 0 elsewhere
    slope = (loss.forward(z + step, labels) - loss.forward(z - step, labels)) / (2 * h)
    print(f"measured for class {c}: {slope:+.6f}")
loss_report = gradcheck.check(layers.SoftmaxCrossEntropy(), rng.standard_normal((4, 5)),
                              np.array([0, 4, 2, 2]))
print(loss_report)

# %% [markdown]
# ## 5. The machine
#
# The 1,797 handwritten digits that ship with scratchnet are 8×8 pixels of one channel (one number
# for each pixel). They come in three parts: those to train on, some to look at meanwhile
# (validation), and the held-out ones (test), which only the last number is measured with.
#
# Flatten puts the 64 pixels in a row; it has nothing to learn. The table shows the shape of each
# output, the parameters (weights + biases), the multiply-accumulates (MACs: products w · x that
# are added to a sum, for one image), and the gradient check of lesson 1.

# %%
digits = lesson.load("digits", size=8)
shape = digits.train.images.shape[1:]
pixels, classes = int(np.prod(shape)), int(digits.train.labels.max()) + 1
print(f"{len(digits.train.labels)} to train on, {len(digits.validation.labels)} for validation, "
      f"{len(digits.test.labels)} held out")
net = layers.Sequential(flatten=layers.Flatten(),
                        linear=layers.Linear(pixels, classes, rng=0))
table = steps(net, shape)

# %% [markdown]
# ## 6. Training it, by hand
#
# Downhill means: subtract from each parameter its slope, times a small number, the learning
# rate. Each update looks at a batch of 32 images in random order; an epoch is once through all of
# them. The error is the part of the images that get a wrong answer. That is the whole of training
# (SGD, stochastic gradient descent: stochastic means at random), so here it is in ten lines:

# %%
images, truth = digits.train
net.linear.weight.value *= 0.1              # begin nearly undecided
rng, rate, epochs, losses = np.random.default_rng(0), 0.5, 30, []
for epoch in range(epochs):
    order = rng.permutation(len(images))
    batches = np.split(order, range(32, len(order), 32))
    for batch in batches:
        losses.append(float(loss.forward(net.forward(images[batch]), truth[batch])))
        net.zero_grad().backward(loss.backward())
        for parameter in net.parameters():
            parameter.value -= rate * parameter.grad
    if epoch in (0, 1, 4, 9, 29):           # the rest only prints
        validation_loss, validation_error = training.evaluate(net, *digits.validation)
        print(f"epoch {epoch + 1:2d}: training loss "
              f"{np.mean(losses[-len(batches):]):.3f}, validation loss {validation_loss:.3f}, "
              f"validation error {validation_error:.1%}")
print(f"the loss of the very first batch: {losses[0]:.2f}; guessing: {np.log(classes):.2f}")

# %% [markdown]
# (At first the training loss is the larger one: it is the mean over the epoch, during which the
# weights improve.) Was this one run lucky? The surface that it goes down has a single valley (the
# cross-entropy of a linear layer is convex), so other beginnings should lead to the same place.
# Several seeds, which draw other weights and another order, with the library's loop, and the
# held-out digits:

# %%
test_errors = []
for seed in range(10 if lesson.full else 3):
    other = layers.Sequential(layers.Flatten(), layers.Linear(pixels, classes, rng=seed))
    lesson.replace(other, images[:32])      # by your own layers, if you gave some: --with
    training.fit(other, digits.train, digits.validation, optim.SGD(other.parameters(), lr=0.5),
                 epochs=epochs, batch_size=32, rng=seed, progress=False, loss=lesson.loss)
    test_errors.append(training.evaluate(other, *digits.test)[1])
by_hand = training.evaluate(net, *digits.test)[1]
print(f"by hand: {by_hand:.1%} of the held-out images wrong; {len(test_errors)} others: "
      f"{', '.join(f'{error:.1%}' for error in test_errors)}")

# %% [markdown]
# ## 7. What it has learnt
#
# Each class has one weight for each pixel, so its row of W is a picture. Blue pixels speak for
# the class, red ones against it.

# %%
weights = net.linear.weight.value.reshape(classes, *shape).mean(axis=1)     # mean: of channels
size = float(abs(weights).max())
shown = min(classes, 10)
figure = Figure(figsize=(8, 3.6), layout="constrained")
for c, axes in zip(range(shown), figure.subplots(2, 5).flat, strict=False):
    drawn = axes.imshow(weights[c], cmap="RdBu", vmin=-size, vmax=size)
    axes.set(title=f"class {c}", xticks=[], yticks=[])
figure.colorbar(drawn, ax=figure.axes, shrink=0.8, label="weight")
lesson.save(figure, "weights",
            alt="The weights of each class as a picture of 8×8 pixels: blue where ink speaks for "
                "the digit, red where it speaks against it.")
if shape == (1, 8, 8):
    middle = weights[0, 3:5, 3:5].mean()
    print(f"for a 0, the four pixels in the middle weigh {middle:.2f} on average: ink there "
          f"speaks {'against' if middle < 0 else 'for'} a 0")

# %% [markdown]
# They are no pictures of digits. A weight is not how often a pixel has ink in a class, but how far
# it tells this class from the nine others. So ink in the middle speaks against a 0.
#
# ## 8. How it decides
#
# The answer is the class with the largest score; softmax does not change which one is the
# largest, it only says how sure. Follow the held-out image whose true class gets the smallest
# probability. The score of a class is its bias and a sum over pixels, weight times ink; this
# sum can be drawn before it is added up. Between two classes the differences of the
# weights decide: blue pixels pulled towards the true class, red ones towards its rival.

# %%
logits = training.predict(net, digits.test.images)
p = softmax(logits)
n = int(np.argmin(p[np.arange(len(p)), digits.test.labels]))    # p of each true class
true_class = int(digits.test.labels[n])
rival = int(np.argmax(np.where(np.arange(classes) == true_class, -np.inf, logits[n])))
ink = digits.test.images[n]
pull = ((net.linear.weight.value[true_class] - net.linear.weight.value[rival])
        .reshape(shape) * ink)
bias = float(net.linear.bias.value[true_class] - net.linear.bias.value[rival])
apart = float(logits[n, true_class] - logits[n, rival])
print(f"a {true_class}: {p[n, true_class]:.1%} for {true_class}, {p[n, rival]:.1%} for {rival}")
print(f"pixels for {true_class}: {pull[pull > 0].sum():+.2f}, pixels for {rival}: "
      f"{pull[pull < 0].sum():+.2f}, biases: {bias:+.2f}; together {apart:+.2f}")

figure = Figure(figsize=(8, 2.6), layout="constrained")
left, centre, right = figure.subplots(1, 3, width_ratios=(1, 1.25, 1.6))
left.imshow(ink.mean(axis=0), cmap="gray")
left.set(title=f"a {true_class}", xticks=[], yticks=[])
span = float(abs(pull.sum(axis=0)).max())
drawn = centre.imshow(pull.sum(axis=0), cmap="RdBu", vmin=-span, vmax=span)
centre.set(title=f"for {true_class}, against {rival}", xlabel="difference of weights · ink",
           xticks=[], yticks=[])
figure.colorbar(drawn, ax=centre, shrink=0.8)
right.bar(range(classes), p[n], color=["tab:blue" if c == true_class else "tab:red"
                                       if c == rival else "lightgrey" for c in range(classes)])
right.set(title="probability", xlabel="class", xticks=range(shown), ylim=(0, 1))
right.spines[["top", "right"]].set_visible(False)
lesson.save(figure, "decision",
            alt="The digit it gets most wrong, what each pixel pulls towards the true class or its "
                "rival, and the probabilities of all classes.")

matrix = training.confusion_matrix(logits.argmax(axis=1), digits.test.labels, classes=classes)
lesson.save(visualize.confusion(matrix), "confusion",
            alt="Confusion matrix of the held-out digits: nearly all lie on the diagonal.")

# %% [markdown]
# ## 9. What it cannot do
#
# A pixel's weight is the same whatever the other pixels are, and it belongs to that place. Move the
# digits to the right by one pixel, and the weights meet other ink:

# %%
moved = np.zeros_like(digits.test.images)
moved[..., 1:] = digits.test.images[..., :-1]
moved_error = training.evaluate(net, moved, digits.test.labels)[1]
print(f"held-out images as they are: {by_hand:.1%} wrong; one pixel to the right: "
      f"{moved_error:.1%}")

# %% [markdown]
# To a person the moved digits are the same. A layer whose weights belong to no place is the
# subject of the next lesson.
#
# ## What we have seen
#
# - A linear layer is y = xWᵀ + b; backward is dW = dyᵀx, db = the sum of dy, dx = dyW.
# - Softmax makes probabilities of scores; cross-entropy is −log of that of the true class;
#   together their gradient is p − onehot.
# - One layer of 650 parameters, trained in ten lines, reads about 19 digits of 20.
# - Its weights say what tells a class from the others, pixel by pixel, and know nothing of moving.
#
# ## Exercises
#
# - `scratchnet exercise start linear`: the layer, forwards and backwards;
# - `scratchnet exercise start softmax`: the loss, without overflow;
# - `scratchnet exercise start sgd`: the update, with two additions that the exercise explains,
#   momentum and weight decay (lessons 3 and 4 use them).

# %%
assert y.tolist() == [[8.0, 24.0], [11.0, 21.0]] and same
assert report.passed and loss_report.passed
assert np.allclose(dz, softmax(z) - onehot) and abs(dz.sum()) < 1e-12 and shift_same
assert abs(float(pull.sum()) + bias - apart) < 1e-3
if shape == (1, 8, 8) and classes == 10:
    assert (table[-1].params, table[-1].macs) == (64 * 10 + 10, 640)
    assert abs(losses[0] - np.log(10)) < 0.3
    assert max(by_hand, *test_errors) < 0.1 and np.mean(losses[-len(batches):]) < 0.3
    assert middle < 0 and moved_error > by_hand + 0.2
lesson.end()
