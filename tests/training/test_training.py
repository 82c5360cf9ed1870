"""The loop, the plateau schedule, the metrics, and what they say of bad data."""
import numpy as np
import pytest
import strict_cupy

from scratchnet import data, models, optim, training
from scratchnet.backend import device_of
from scratchnet.layers import Dropout, Linear, ReLU, Sequential, SoftmaxCrossEntropy


def two_clusters(n=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    return (rng.standard_normal((n, 3)) + 3 * labels[:, None]).astype(np.float32), labels


def fit(net=None, train=None, validation=None, epochs=5, lr=0.05, **options):
    net = net or Sequential(Linear(3, 8, rng=0), ReLU(), Dropout(0.2, rng=0), Linear(8, 2, rng=1))
    sgd = optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    return net, training.fit(net, two_clusters() if train is None else train,
                             validation or two_clusters(seed=1), sgd, epochs=epochs,
                             batch_size=16, rng=0, progress=False, **options)


def test_learns_and_reports_each_epoch():
    net, history = fit(epochs=12)
    assert len(history) == 12
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    assert history[-1].validation_error < 0.1
    assert not net.training


def test_same_seed_same_run():
    assert fit()[1] == fit()[1]


def test_every_image_once_an_epoch_and_transform_sees_the_batch():
    seen = []

    def spy(images, rng):
        assert isinstance(rng, np.random.Generator)
        seen.append(images)
        return images

    images, _ = two_clusters()
    fit(epochs=2, transform=spy)
    assert [len(batch) for batch in seen] == 2 * [16, 16, 16, 12]
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    for epoch in (first, second):
        assert np.array_equal(np.sort(epoch, axis=0), np.sort(images, axis=0))
    assert not np.array_equal(first, second)


def test_small_alexnet_learns_a_batch_of_digits():
    digits = data.load_digits(32)
    batch = digits.train.images[:64] - digits.train.images.mean(axis=0), digits.train.labels[:64]
    net = models.alexnet_small(rng=0)
    sgd = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    history = training.fit(net, batch, batch, sgd, epochs=150, batch_size=64, rng=0,
                           progress=False)
    assert history[-1].validation_error == 0
    assert history[-1].validation_loss < 0.05


def test_fit_stops_when_the_schedule_is_done():
    _, history = fit(epochs=50, schedule=training.Plateau(patience=1, drops=1))
    assert len(history) < 50
    assert min(e.lr for e in history) == pytest.approx(0.005)


def test_top_k_by_hand():
    logits = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    labels = np.array([0, 1, 2])
    assert [training.top_k(logits, labels, k) for k in (1, 2, 3)] == pytest.approx([1/3, 2/3, 1])
    with pytest.raises(ValueError, match="k must be from 1 to 3.*got 5"):
        training.top_k(logits, labels, 5)


def test_confusion_matrix_by_hand():
    matrix = training.confusion_matrix(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 0]), 2)
    assert matrix.tolist() == [[2, 1], [0, 1]]


def test_predict_restores_nothing_it_should_not():
    net = Sequential(Dropout(0.5, rng=0), Linear(3, 2, rng=0))
    images, labels = two_clusters()
    a = training.predict(net, images, batch_size=7)
    assert np.array_equal(a, training.predict(net, images, batch_size=7))
    assert a.shape == (60, 2)
    loss, error = training.evaluate(net, images, labels)
    assert loss > 0 and error == pytest.approx(1 - training.top_k(a, labels, 1))


def spoilt(value, at=5):
    images, labels = two_clusters()
    images[at, 1] = value
    return images, labels


IMAGES, LABELS = two_clusters()


@pytest.mark.parametrize("options, message", [
    ({"train": spoilt(np.nan)}, "1 of the training images hold NaN or infinity, the first at "
                                "position 5: remove or repair"),
    ({"train": spoilt(np.inf)}, "training images hold NaN or infinity"),
    ({"validation": spoilt(np.nan)}, "validation images hold NaN or infinity"),
    ({"train": (IMAGES, LABELS[:-1])}, r"training labels must be 60 integers.*shape \(59,\)"),
    ({"train": (IMAGES, LABELS.astype(float))}, "labels must be 60 integers.*got float64"),
    ({"train": (IMAGES, LABELS + 1)}, "training labels must be integers from 0 to 1, .*got 2 at"),
    ({"train": (IMAGES, LABELS - 1)}, "integers from 0 to 1, .*got -1 at"),
    ({"train": (IMAGES.tolist(), LABELS)}, "images must be a NumPy array; got list"),
    ({"train": ((IMAGES * 99).astype(np.int32), LABELS)}, "floating-point numbers.*got int32"),
    ({"train": (IMAGES[:0], LABELS[:0])}, r"got float32, shape \(0, 3\)"),
    ({"epochs": 0}, "epochs must be an integer ≥ 1; got 0"),
])
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        fit(**options)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_is_one_clear_error():
    with pytest.raises(RuntimeError, match="(?s)the loss became .* in epoch .*smaller learning"):
        fit(lr=1e6, epochs=50)


def test_bad_plateau():
    with pytest.raises(ValueError, match="patience ≥ 1.*patience=0"):
        training.Plateau(patience=0)


def test_nan_logits_are_wrong_answers():
    logits = np.full((4, 3), np.nan)
    assert training.top_k(logits, np.arange(4) % 3, 1) == 0


def test_divergence_leaves_the_weights_as_they_were():
    net = Sequential(Linear(3, 2, rng=0))
    net[0].weight.value[...] = 3e38
    before = net.state_dict()
    with pytest.raises(RuntimeError, match="the loss became"), np.errstate(all="ignore"):
        fit(net, epochs=1)
    assert all(np.array_equal(before[k], v) for k, v in net.state_dict().items())


@pytest.mark.parametrize("options, message", [
    ({"transform": lambda images, rng: images * np.nan}, "transform must return images of finite"),
    ({"transform": lambda images, rng: images[:3]}, "transform must return 16 images"),
    ({"train": IMAGES}, r"training data must be a pair \(images, labels\); got ndarray"),
    ({"validation": (IMAGES, LABELS + 5)}, "validation labels .* from 0 to 1, .*got 5 at"),
])
def test_more_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        fit(**options)


def test_an_optimizer_of_another_model():
    with pytest.raises(ValueError, match="has none of this model's parameters"):
        training.fit(Linear(3, 2), two_clusters(), two_clusters(),
                     optim.SGD(Linear(3, 2).parameters(), lr=0.1), epochs=1, progress=False)


def test_predict_of_nothing():
    with pytest.raises(ValueError, match="at least one image and batch_size ≥ 1; got 0 images"):
        training.predict(Linear(3, 2), IMAGES[:0])
    with pytest.raises(ValueError, match="batch_size=0"):
        training.predict(Linear(3, 2), IMAGES, batch_size=0)


def test_trains_on_the_gpu_as_on_the_cpu():
    """The optimizer is made before the network moves, as a user may do it."""
    losses = {}
    for device in ("cpu", "gpu"):
        with strict_cupy.installed():
            net = Sequential(Linear(3, 8, rng=0), ReLU(), Dropout(0.2, rng=0), Linear(8, 2, rng=1))
            sgd = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
            net.to(device)
            history = training.fit(net, two_clusters(), two_clusters(seed=1), sgd, epochs=2,
                                   batch_size=16, rng=0, progress=False)
            losses[device] = [value for epoch in history for value in epoch]
            assert device_of(net[0].weight.value) == device
    assert losses["gpu"] == pytest.approx(losses["cpu"], rel=1e-5)


def test_the_losses_of_auxiliary_classifiers_count_0_3_each():
    digits = data.load_digits(32)
    few = digits.train.images[:16], digits.train.labels[:16]

    def without_dropout():
        net = models.googlenet_small(rng=0).train()
        for _, layer in net.named_layers():
            if isinstance(layer, Dropout):
                layer.p = 0.0
        return net

    trained = without_dropout()
    history = training.fit(trained, few, few, optim.SGD(trained.parameters(), lr=0.001), epochs=1,
                           batch_size=16, rng=0, progress=False)
    net, loss = without_dropout(), SoftmaxCrossEntropy()
    dys = []
    for logits, share in zip(net.forward(few[0]), (1, 0.3, 0.3), strict=True):
        value = loss.forward(logits, few[1])
        dys.append(share * loss.backward())
        if share == 1:
            assert abs(history[0].train_loss - value) < 1e-4        # the head's loss alone
    net.backward(*[dy.astype(np.float32) for dy in dys])
    for (name, p), q in zip(net.named_parameters(), trained.parameters(), strict=True):
        np.testing.assert_allclose(q.value, p.value - 0.001 * p.grad, rtol=1e-4, atol=1e-6,
                                   err_msg=name)
