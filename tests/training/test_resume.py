"""A run that was stopped, anywhere, goes on as if it had not been: bit for bit."""
import json
import warnings

import numpy as np
import pytest

from scratchnet import optim, training
from scratchnet.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from scratchnet.training.trainer import Trainer

EPOCHS, BATCHES = 5, 3


def pictures(n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, n)
    images = rng.standard_normal((n, 1, 6, 6)) + 0.4 * labels[:, None, None, None]
    return images.astype(np.float32), labels


TRAIN = pictures(44, seed=0)
VALIDATION = pictures(30, seed=1)[0], np.random.default_rng(2).integers(0, 7, 30)   # a plateau


def noisy(images, rng):
    return images + 0.3 * rng.standard_normal(images.shape, dtype=np.float32)


def trainer(seed=0):
    """A small run that has everything whose state could be forgotten."""
    rng = np.random.default_rng(seed)
    net = Sequential(conv=Conv2d(1, 4, 3, padding=1, rng=rng), norm=BatchNorm2d(4), relu=ReLU(),
                     pool=MaxPool2d(2), flat=Flatten(), drop=Dropout(0.3, rng=rng),
                     fc=Linear(36, 7, rng=seed))
    sgd = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.001)
    return Trainer(net, TRAIN, sgd, batch_size=16, rng=seed + 1, transform=noisy,
                   schedule=training.Plateau(patience=1, factor=3, drops=1), workers=seed % 2,
                   average=optim.MovingAverage(net, decay=0.8))


def through_a_file(state):
    """What a checkpoint makes of it: arrays stay, facts go through JSON."""
    arrays, facts = state
    return ({name: array.copy() for name, array in arrays.items()},
            json.loads(json.dumps(facts, default=lambda array: array.tolist())))


def look(run):
    with run.average.in_place():
        run.finish_epoch(run.look(*VALIDATION))


def go_on(run, saved=None):
    """Train to the end; `saved` collects the state after every update and every epoch."""
    while run.epoch < EPOCHS and not run.done:
        for _ in run.updates():
            if saved is not None:
                saved.append(through_a_file(run.state()))
        look(run)
        if saved is not None:
            saved.append(through_a_file(run.state()))
    return run.state()


def differences(one, other):
    """The names of all that is not the same to the last bit."""
    (arrays, facts), (others, other_facts) = through_a_file(one), through_a_file(other)
    return ([name for name in arrays.keys() | others.keys()
             if name not in arrays or name not in others
             or arrays[name].dtype != others[name].dtype
             or arrays[name].tobytes() != others[name].tobytes()]
            + [name for name in facts if json.dumps(facts[name]) != json.dumps(other_facts[name])])


@pytest.fixture(scope="module")
def whole():
    """(the end of the run that was never interrupted, its state at every moment)."""
    saved = []
    return go_on(trainer(), saved), saved


def test_the_run_has_something_to_lose(whole):
    """Plateau drops the rate and then says that it is enough; so both are in the comparison."""
    end, saved = whole
    _, facts = end
    assert len({epoch[0] for epoch in facts["history"]}) == 2
    assert facts["done"]
    assert 3 <= facts["epoch"] < EPOCHS
    assert len(saved) == facts["epoch"] * (BATCHES + 1)


def test_resumed_at_every_batch_it_ends_as_if_uninterrupted(whole):
    end, saved = whole
    for state in saved:
        run = trainer(seed=7)           # other weights, masks, orders: nothing is right by chance
        assert run.restore(*through_a_file(state)) == []
        assert differences(go_on(run), end) == []


ITEMS = ("model", "optimizer", "average", "schedule", "epoch", "batch", "order", "seed",
         "generators", "sums", "history", "best", "done")


@pytest.mark.parametrize("item", ITEMS)
def test_leaving_out_any_one_item_of_the_state_is_noticed(whole, item):
    """The state of a fresh run takes the item's place; from some moment the end is another."""
    end, saved = whole
    noticed = 0
    for arrays, facts in saved:
        run = trainer(seed=7)
        fresh_arrays, fresh_facts = through_a_file(run.state())
        arrays = {name: array for name, array in arrays.items()
                  if name.partition(".")[0] != item}
        arrays |= {name: array for name, array in fresh_arrays.items()
                   if name.partition(".")[0] == item}
        facts = facts | {item: fresh_facts[item]} if item in fresh_facts else facts
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                run.restore(arrays, facts)
                noticed += differences(go_on(run), end) != []
            except (ValueError, IndexError, ZeroDivisionError):
                noticed += 1
    assert noticed


def test_the_list_of_items_is_complete(whole):
    (arrays, facts), _ = whole
    parts = {name.partition(".")[0] for name in arrays} | facts.keys()
    assert parts - {"format", "versions", "run"} == set(ITEMS)


@pytest.mark.parametrize("item", [*ITEMS, "format", "versions", "run"])
def test_a_file_that_lacks_an_item_is_refused(whole, item):
    _, saved = whole
    arrays, facts = saved[4]
    arrays = {name: array for name, array in arrays.items() if name.partition(".")[0] != item}
    facts = {name: fact for name, fact in facts.items() if name != item}
    run = trainer(seed=7)
    before = run.state()
    with pytest.raises(ValueError, match=item):
        run.restore(arrays, facts)
    assert differences(run.state(), before) == []


def test_saving_changes_nothing(whole):
    """The fixture saved at every moment; this run never."""
    end, _ = whole
    assert differences(go_on(trainer()), end) == []


@pytest.mark.parametrize("change, message", [
    ({"images": 45}, "images: 45 in the checkpoint, 44 here"),
    ({"batch size": 8}, "batch size: 8 in the checkpoint, 16 here"),
    ({"checksum of the labels": 1}, "checksum of the labels"),
    ({"optimizer": "Adam"}, "optimizer: Adam in the checkpoint, SGD here"),
    ({"optimizer's momentum": 0.1}, "momentum: 0.1 in the checkpoint, 0.9 here"),
    ({"learning rate": 5}, "learning rate: 5 in the checkpoint, 0.05 here"),
    ({"schedule": "Constant()"}, r"schedule: Constant\(\) in the checkpoint, Plateau\("),
    ({"clip": 2.0}, "clip: 2.0 in the checkpoint, None here"),
])
def test_the_state_of_another_run_is_refused(whole, change, message):
    _, saved = whole
    arrays, facts = saved[4]
    run = trainer(seed=7)
    before = run.state()
    with pytest.raises(ValueError, match=f"another run; nothing was loaded.*(?s:.*){message}"):
        run.restore(arrays, facts | {"run": facts["run"] | change})
    assert differences(run.state(), before) == []


def test_other_versions_are_told_and_loaded(whole):
    _, saved = whole
    arrays, facts = saved[4]
    notes = trainer().restore(arrays, facts | {"versions": facts["versions"] | {"NumPy": "1.0"}})
    assert [note[:21] for note in notes] == ["saved with NumPy 1.0,"]


@pytest.mark.parametrize("facts_or_order", [
    {"sums": "x"}, {"sums": [0, 0, 0]}, {"history": [[1, 2]]}, {"history": 5}, {"epoch": -1},
    {"epoch": 1.5}, {"epoch": True}, {"batch": 10**9}, {"batch": -1}, {"seed": "x"},
    {"seed": 2**64}, {"done": "x"}, {"best": None}, {"best": "low"}, {"schedule": None},
    {"schedule": {"best": None}}, {"schedule": {}}, {"generators": 3}, {"run": []},
    {"generators": {"drop.rng": {}, "the run": {}}}, {"versions": 1}, {"format": 0},
    {"generators": {"drop.rng": {"bit_generator": "PCG64", "state": {"state": -1, "inc": 2**200},
                                 "has_uint32": 0, "uinteger": 0}, "the run": None}},
    np.zeros(44, dtype=np.int64), np.arange(44) - 1, np.arange(44) + 10**6, np.arange(43),
    np.arange(44, dtype=np.float64), np.zeros((44, 1), dtype=np.int64),
], ids=str)
def test_facts_of_another_kind_are_refused_before_anything_changes(whole, facts_or_order):
    _, saved = whole
    arrays, facts = saved[4]
    if isinstance(facts_or_order, dict):
        facts, spoilt = facts | facts_or_order, next(iter(facts_or_order))
    else:
        arrays, spoilt = arrays | {"order": facts_or_order}, "order"
    run = trainer(seed=7)
    before = run.state()
    with pytest.raises(ValueError, match=f"not whole.*nothing was loaded.*wrong: {spoilt}$"):
        run.restore(arrays, facts)
    assert differences(run.state(), before) == []
