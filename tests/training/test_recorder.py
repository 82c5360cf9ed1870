"""The recorder: the right numbers, no trace in the network, and through a checkpoint."""
import numpy as np
import pytest

from scratchnet import optim, training
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
)
from scratchnet.training.recorder import BINS, EDGES, PICKED, Recorder, measure

X = np.random.default_rng(0).random((4, 1, 6, 6), dtype=np.float32)
T = np.array([0, 1, 2, 0])


def network():
    rng = np.random.default_rng(1)
    return Sequential(conv=Conv2d(1, 3, 3, rng=rng), bn=BatchNorm2d(3), relu=ReLU(),
                      flatten=Flatten(), fc=Linear(48, 3, rng=rng))


def update(net, recorder, step, fail=False):
    """One update; returns the pieces that the recorder should have measured."""
    loss = SoftmaxCrossEntropy()
    net.zero_grad()
    with recorder.during(step):
        logits = net.forward(X)
        loss.forward(logits, T)
        dy = loss.backward()
        if fail:
            raise ZeroDivisionError
        net.backward(dy)
    for parameter in net.parameters():
        parameter.value -= 0.1 * parameter.grad
    return logits, dy, net.fc.weight.grad.copy(), net.fc.bias.grad.copy()


def rms(*arrays):
    return np.sqrt(np.mean(np.concatenate([a.ravel() for a in arrays]).astype(float) ** 2))


def test_the_three_quantities_of_the_last_layer():
    net = network()
    recorder = Recorder(net, every=1)
    y, dy, dw, db = update(net, recorder, 0)
    assert recorder.names == ["conv", "fc"]
    for what, arrays in (("y", [y]), ("dy", [dy]), ("grad", [dw, db])):
        assert recorder.rms(what).shape == (1, 2)
        assert recorder.rms(what)[0, 1] == pytest.approx(rms(*arrays), rel=1e-6)
        assert recorder.histograms(what)[0, 1].sum() == sum(a.size for a in arrays)


def test_bins_are_powers_of_four_with_zeros_below_and_nan_above():
    """On paper: 1, 3.9 in one bin, 4 in the next, −0.25 in the one before."""
    _, counts = measure([np.array([1, 3.9, 4, -0.25, 0, 1e-30, 1e30, np.nan], np.float32)])
    one = int(np.searchsorted(EDGES, 1.0, side="right"))
    assert EDGES[one - 1] == 1.0
    assert counts[[one - 1, one, one + 1]].tolist() == [1, 2, 1]
    assert counts[0] == 2 and counts[BINS - 1] == 2 and counts.sum() == 8


def test_tiny_gradients_do_not_underflow_and_large_arrays_are_sampled():
    size, counts = measure([np.full(100_000, 1e-30, np.float32)])
    assert size == pytest.approx(1e-30, rel=1e-5)
    assert PICKED / 2 < counts.sum() <= PICKED
    assert measure([np.array([3.0]), np.array([4.0, 0, 0])])[0] == 2.5


def test_only_every_kth_update_is_recorded_and_the_others_listen_to_nothing():
    net = network()
    recorder = Recorder(net, every=3)
    for step in range(8):
        with recorder.during(step):
            assert ("forward" in vars(net.conv)) == (step % 3 == 0)
        assert "forward" not in vars(net.conv) and "backward" not in vars(net.conv)
    recorder = Recorder(net, every=3)
    for step in range(8):
        update(net, recorder, step)
    assert recorder.steps.tolist() == [0, 3, 6]
    assert len(recorder) == 3


def test_recording_changes_no_bit_of_the_training():
    plain, recorded = network(), network()
    never, always = Recorder(plain, every=10**9), Recorder(recorded, every=1)
    for step in range(3):
        update(plain, never, step + 1)
        update(recorded, always, step)
    for a, b in zip(plain.state_dict().values(), recorded.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(never) == 0 and never.rms().shape == (0, 2)


def test_an_update_that_fails_is_not_recorded_and_leaves_no_listener():
    net = network()
    net.fc.forward = own = net.fc.forward                   # a method of its own stays
    recorder = Recorder(net, every=1)
    with pytest.raises(ZeroDivisionError):
        update(net, recorder, 0, fail=True)
    assert len(recorder) == 0
    assert "forward" not in vars(net.conv) and vars(net.fc)["forward"] is own


def test_names_are_in_the_order_in_which_layers_ran():
    net = network()
    recorder = Recorder(net, ["fc", "relu", "conv"], every=1)
    update(net, recorder, 0)
    assert recorder.names == ["conv", "relu", "fc"]
    assert np.isnan(recorder.rms("grad")[0]).tolist() == [False, True, False]
    assert not np.isnan(recorder.rms("dy")).any()


def test_the_state_goes_through_a_checkpoint():
    net = network()
    first = Recorder(net, every=2)
    for step in range(4):
        update(net, first, step)
    again = Recorder(net, every=2)
    again.load_state_dict(first.state_dict())
    for recorder in (first, again):
        with recorder.during(4):
            pass
    assert again.steps.tolist() == [0, 2, 4] and again.names == first.names
    for what in ("y", "dy", "grad"):
        np.testing.assert_array_equal(again.rms(what), first.rms(what))
        np.testing.assert_array_equal(again.histograms(what), first.histograms(what))
    empty = Recorder(net)
    empty.load_state_dict(Recorder(net).state_dict())
    assert len(empty) == 0
    again.load_state_dict({})
    assert len(again) == 0


def test_the_record_of_other_layers_is_refused_and_changes_nothing():
    net = network()
    recorder = Recorder(net, every=1)
    update(net, recorder, 0)
    state = recorder.state_dict()
    with pytest.raises(ValueError, match=r"of other layers \(conv, fc, …\); this Recorder listens"):
        Recorder(net, ["fc"]).load_state_dict(state)
    with pytest.raises(ValueError, match="not whole: counts missing or of another shape"):
        recorder.load_state_dict(state | {"counts": state["counts"][..., 1:]})
    assert len(recorder) == 1


@pytest.mark.parametrize("options, message", [
    ({"every": 0}, "every must be an integer ≥ 1; got 0"),
    ({"every": True}, "got True"),
    ({"layers": ["con"]}, "no layer 'con' in Sequential; the nearest are conv"),
    ({"layers": "conv"}, r"a list of names; got 'conv': use \['conv'\]"),
    ({"layers": []}, "has no layers to listen to"),
])
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        Recorder(network(), **options)


def test_an_unknown_quantity():
    with pytest.raises(ValueError, match="knows y, dy, grad; got 'dx'"):
        Recorder(network()).rms("dx")


# ── in training.fit ──────────────────────────────────────────────────────────────────


def fitted(epochs, record=True, every=2, clip=None, lr=0.1, **options):
    """(the network, its recorder) after a run of 3 updates an epoch."""
    net = network()
    recorder = Recorder(net, every=every) if record else None
    images = np.random.default_rng(5).random((12, 1, 6, 6), dtype=np.float32)
    training.fit(net, (images, np.arange(12) % 3), (images, np.arange(12) % 3),
                 optim.SGD(net.parameters(), lr=lr, momentum=0.9), epochs, batch_size=4, rng=0,
                 progress=False, clip=clip, record=recorder, **options)
    return net, recorder


def test_fit_records_every_kth_update_and_trains_the_same_network():
    net, recorder = fitted(3)
    plain, _ = fitted(3, record=False)
    assert recorder.steps.tolist() == [0, 2, 4, 6, 8]
    assert (recorder.rms("grad") > 0).all()
    for a, b in zip(net.state_dict().values(), plain.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_gradient_is_that_which_the_optimizer_gets():
    """Clipped to length 0.01, Σ grad² over all layers and batch norm is at most 0.01²."""
    _, recorder = fitted(1, every=1, clip=0.01)
    sizes = np.array([30, 147])                             # numbers in conv, in fc
    lengths = (sizes * recorder.rms("grad") ** 2).sum(axis=1) ** 0.5
    assert (lengths < 0.01 * 1.0001).all() and (lengths > 0.005).all()


def test_a_run_that_is_resumed_has_the_whole_record(tmp_path):
    _, whole = fitted(4)
    fitted(2, out=tmp_path)
    _, resumed = fitted(4, out=tmp_path, resume=True)
    assert resumed.steps.tolist() == whole.steps.tolist() == [0, 2, 4, 6, 8, 10]
    np.testing.assert_array_equal(resumed.rms("grad"), whole.rms("grad"))
    np.testing.assert_array_equal(resumed.histograms("y"), whole.histograms("y"))


def test_a_recorder_may_join_or_leave_a_run_when_it_is_resumed(tmp_path):
    fitted(2, out=tmp_path, record=False)
    _, joined = fitted(4, out=tmp_path, resume=True)
    assert joined.steps.tolist() == [6, 8, 10]
    fitted(5, out=tmp_path, resume=True, record=False)


def test_a_run_that_diverges_is_named_as_ever_and_leaves_no_listener():
    net = network()
    net.fc.weight.value[0] = 3e38                           # its sums overflow
    recorder = Recorder(net, every=1)
    with pytest.raises(RuntimeError, match="first layer whose output is not finite"), \
            np.errstate(all="ignore"):
        training.fit(net, (X, T), (X, T), optim.SGD(net.parameters(), lr=0.1), 1,
                     batch_size=4, rng=0, progress=False, record=recorder)
    assert len(recorder) == 0 and "forward" not in vars(net.conv)
