"""Transfer learning — keep what a network has learned to see, and teach it other names for it.

    net = weights.load(models.resnet18(num_classes=5), "resnet18.npz", skip_head=True)

Its first layers find edges, later ones textures and parts, and all of that is of use for other
images, too; only the last layer, the head, speaks of the classes. So there are two ways on:

    freeze the body, train on       every step runs the whole network, forwards and backwards;
                                    the images may be varied, and more be thawed later
    compute the features once       what enters the head is the same in every epoch, because
                                    nothing before it changes: one forward, and then seconds

    replace_head(net, 5)            fresh weights for five classes, where there are others
    freeze(net); unfreeze(net, "fc")                                the first way
    train_head(net, features(net, images), labels)                  the second

Donahue et al., "DeCAF: A Deep Convolutional Activation Feature for Generic Visual Recognition",
ICML 2014; Yosinski et al., "How Transferable Are Features in Deep Neural Networks?", NIPS 2014.
"""
import difflib
from collections.abc import Iterator

import numpy as np

from scratchnet.backend import device_of, to_device, to_host
from scratchnet.convolution import whole
from scratchnet.layer import Layer, Parameter
from scratchnet.layers import Conv2d, Graph, Linear, Sequential, SoftmaxCrossEntropy
from scratchnet.models import GoogLeNet
from scratchnet.optim import SGD
from scratchnet.training.metrics import predict

CHAINS = (Sequential.forward, GoogLeNet.forward)    # each layer's output is the next one's input


# ── freezing ─────────────────────────────────────────────────────────────────────────


def freeze(model: Layer, *names: str) -> Layer:
    """Make parts of `model` fixed functions; returns the model.

    A part is named as in state_dict: "features", "features.0", "fc.bias" (and what is inside
    it); without names it is everything. Two things make a function fixed. Its parameters have
    `frozen = True`, and optimizers pass them over: no step, no weight decay. And its layers stay
    in evaluation mode, whatever train() says. Otherwise batch norm would go on to normalise by
    each batch, and to move its running averages towards the new images, and dropout to silence
    numbers: what comes out would change though no weight does. state_dict() stays as it was.

    Gradients still pass through to what lies before. Raises ValueError for a name that is not
    there, with the nearest ones; nothing is frozen then.
    """
    return _set_frozen(model, names, True)


def unfreeze(model: Layer, *names: str) -> Layer:
    """Let parts of `model` (without names: all of it) learn again; returns the model.

    What holds such a part is then no fixed function either, and thaws: but not its other parts.
    The layers follow the next train(). Raises ValueError as freeze does.
    """
    return _set_frozen(model, names, False)


def _set_frozen(model: Layer, names: tuple[str, ...], frozen: bool) -> Layer:
    what = "freeze" if frozen else "unfreeze"
    if not isinstance(model, Layer):
        raise ValueError(f"{what} expects a network, and then names of its parts; got "
                         f"{type(model).__name__}")
    layers = list(model._walk(""))
    parameters = [(f"{prefix}.{name}" if prefix else name, parameter) for prefix, layer in layers
                  for name, parameter in layer._attributes(Parameter)]
    known = [name for name, _ in layers[1:] + parameters]
    for name in names:
        if not isinstance(name, str) or not any(_inside(own, name) for own in known):
            near = difflib.get_close_matches(str(name), known, n=3, cutoff=0)
            raise ValueError(f"{what}: {model} has no part {name!r}; the nearest names are "
                             f"{', '.join(map(repr, near))}. named_layers() lists them all")
    for own, layer in layers:
        if not names or any(_inside(own, name) for name in names):
            layer.frozen = frozen
            if frozen:
                layer.training = False
        elif not frozen and any(not own or _inside(name, own) for name in names):
            layer.frozen = False                        # it holds what thaws
    for own, parameter in parameters:
        if not names or any(_inside(own, name) for name in names):
            parameter.frozen = frozen
    return model


def _inside(name: str, prefix: str) -> bool:
    """Is `name` that part, or in it? Names are cut at dots: "conv10" is not in "conv1"."""
    return name == prefix or name.startswith(f"{prefix}.")


# ── the head ─────────────────────────────────────────────────────────────────────────


def replace_head(model: Layer, num_classes: int,
                 rng: int | np.random.Generator | None = None) -> Layer:
    """Give `model` a fresh head, for `num_classes` classes; returns the model.

    The head is the last layer, in the order of state_dict, that holds a table of weights. A Linear
    or Conv2d becomes one of the same kind, with weights drawn as those of a new layer, not
    frozen; its dtype and device stay. The last table of each auxiliary classifier (GoogLeNet's; a
    part of the model whose name begins with "aux") is replaced, too. The parameters are new
    objects: make the optimizer after this.

    Raises ValueError for other kinds of head, and for one that is followed by a layer with arrays
    of its own (LeNet-5's codes), which would not fit. The model is then as it was.
    """
    whole(num_classes, "replace_head: num_classes")
    heads = list(_heads(model))
    for name, head, after in heads:
        if type(head) not in (Linear, Conv2d):
            raise ValueError(f"replace_head: the head of {model} is {name}, {head}: only a Linear "
                             f"or a Conv2d can be made anew. Put a layer for {num_classes} "
                             f"classes there yourself")
        for other, layer in after:
            if [*layer._attributes(Parameter), *layer._buffers()]:
                raise ValueError(f"replace_head: after {name}, {head}, comes {other}, {layer}, "
                                 f"with arrays of its own: a head of another size would not fit "
                                 f"it. Build the network for {num_classes} classes instead")
        if type(head) is Conv2d and num_classes % head.geometry.groups:
            raise ValueError(f"replace_head: {name}, {head}, has {head.geometry.groups} groups, "
                             f"which must divide num_classes; got {num_classes}")
    rng = np.random.default_rng(rng)
    for name, head, _ in heads:
        old = head.weight.value
        fresh = _like(head, num_classes, rng).astype(old.dtype).to(device_of(old))
        head.__dict__.pop("_memory", None)
        vars(head).update(vars(fresh))          # the same object, wherever it is held
        unfreeze(model, *[name] if name else [])
    return model


def _like(head: Linear | Conv2d, num_classes: int, rng: np.random.Generator) -> Linear | Conv2d:
    bias = head.bias is not None
    if isinstance(head, Linear):
        return Linear(head.in_features, num_classes, bias, rng=rng)
    return Conv2d(head.in_channels, num_classes, head.kernel_size, *head.geometry, bias, rng=rng,
                  algorithm=head.algorithm)


def _heads(model: Layer) -> Iterator[tuple[str, Layer, list[tuple[str, Layer]]]]:
    """Yield (name, layer, the named layers after it): the head, then the auxiliary ones."""
    if not isinstance(model, Layer):
        raise ValueError(f"expected a network; got {type(model).__name__}")
    parts: dict[str, list] = {"": []}
    for name, layer in model.named_layers():
        first = name.split(".")[0]
        parts.setdefault(first if first.startswith("aux") else "", []).append((name, layer))
    for part, layers in parts.items():
        tables = [i for i, (_, layer) in enumerate(layers)
                  if any(p.value.ndim > 1 for _, p in layer._attributes(Parameter))]
        if tables:
            yield *layers[tables[-1]], layers[tables[-1] + 1:]
        elif not part:
            raise ValueError(f"{model} has no head: no layer of it holds a table of weights")


# ── features ─────────────────────────────────────────────────────────────────────────


def features(model: Layer, images: np.ndarray, batch_size: int = 128) -> np.ndarray:
    """Return what enters the head of `model` for each image, (N, …), on the host.

    It is the input of the last layer, in the order of state_dict, that holds a table of weights:
    (N, 512) for resnet18, (N, 1024, 5, 5) for nin, whose head is a convolution. Computed in
    evaluation mode, in which the model is left. Raises ValueError if a forward does not run the
    head once a batch.
    """
    name, head, _ = next(_heads(model))
    forward, seen = head.forward, []

    def listen(x: np.ndarray) -> np.ndarray:
        seen.append(to_host(x))
        return forward(x)

    own = vars(head).get("forward")             # somebody else may be listening, too
    head.forward = listen
    try:
        predict(model, images, batch_size)
    finally:
        del head.forward
        if own is not None:
            head.forward = own
    if sum(map(len, seen)) != len(images):
        raise ValueError(f"features: {model} should run its head {name}, {head}, once for each of "
                         f"the {len(images)} images; it ran for {sum(map(len, seen))}")
    return np.concatenate(seen)


def train_head(model: Layer, train_features: np.ndarray, labels: np.ndarray, epochs: int = 50,
               lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0,
               batch_size: int = 128, rng: int | np.random.Generator | None = None) -> list[float]:
    """Train the head of `model`, and nothing else, on `features(model, images)`.

    SGD on the cross-entropy, in an order drawn anew from `rng` each epoch; what the network does
    after its head (NiN: the mean of each map) is done here, too. It takes the steps that training
    the network would, with everything before the head frozen. Auxiliary heads are not trained.
    Returns the mean loss of each epoch; the model is left in evaluation mode.

    Raises ValueError for a head that is frozen, data that do not fit, and a network that is not
    built of Sequential and Graph as far as the head, so that what comes after it is unknown;
    RuntimeError when the loss or the weights stop being numbers. The head is then as it was.
    """
    whole(epochs, "train_head: epochs")
    whole(batch_size, "train_head: batch_size")
    name, head, _ = next(_heads(model))
    for what, array in (("features", train_features), ("labels", labels)):
        if not isinstance(array, np.ndarray) or not len(array):
            raise ValueError(f"train_head: the {what} must be a NumPy array, one an image; got "
                             f"{array.shape if isinstance(array, np.ndarray) else type(array)}")
    if len(train_features) != len(labels):
        raise ValueError(f"train_head: got {len(train_features)} features and {len(labels)} "
                         f"labels: one an image, in the same order")
    if all(parameter.frozen for parameter in head.parameters()):
        raise ValueError(f"train_head: the head is frozen; unfreeze(model, {name!r}) first")
    rest = _after(model, head)
    chain, loss_function = Sequential(head, *rest), SoftmaxCrossEntropy()
    sgd = SGD(head.parameters(), lr, momentum, weight_decay)
    rng = np.random.default_rng(rng)
    device = device_of(head.parameters()[0].value)
    before, losses = head.state_dict(), []
    model.eval()
    try:
        for epoch in range(1, epochs + 1):
            order, total = rng.permutation(len(labels)), 0.0
            for start in range(0, len(order), batch_size):
                batch = order[start:start + batch_size]
                logits = chain.forward(to_device(train_features[batch], device))
                loss = float(loss_function.forward(logits, to_device(labels[batch], device)))
                sgd.zero_grad()
                chain.backward(loss_function.backward())
                sgd.step()
                total += loss * len(batch)
            weights = head.state_dict().values()            # the last step has no loss after it
            if not (np.isfinite(total) and all(np.isfinite(w).all() for w in weights)):
                raise RuntimeError(f"train_head: the loss or the weights became NaN or infinite in "
                                   f"epoch {epoch}. Try a smaller learning rate than {lr:g}")
            losses.append(total / len(order))
    except BaseException:                       # Ctrl-C, too
        head.load_state_dict(before)
        raise
    return losses


def _after(layer: Layer, head: Layer) -> list[Layer] | None:
    """The layers that run after `head` inside `layer`, in order; None if it is not inside."""
    if layer is head:
        return []
    for _, child in layer.children():
        inner = _after(child, head)
        if inner is None:
            continue
        if type(layer).forward in CHAINS and child in list(layer):
            return inner + layer[list(layer).index(child) + 1:]
        if isinstance(layer, Graph) and child is list(layer.children())[-1][1]:
            return inner                        # its last row is the output
        raise ValueError(f"train_head: what {layer} does with the output of {head} cannot be seen "
                         f"from outside. freeze the rest of the network, and train it with fit")
    return None
