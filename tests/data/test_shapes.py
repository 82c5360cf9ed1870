"""Drawn objects: the same for the same seed, and told apart by nothing but their outline."""
import numpy as np
import pytest

from scratchnet.data import SHAPES, draw_shapes, load_shapes
from scratchnet.data.shapes import OUTLINES, TEXTURES, _unit


def draw(n=60, size=32, difficulty=0.5, seed=0):
    return draw_shapes(n, size, difficulty, np.random.default_rng(seed))


@pytest.mark.parametrize("difficulty", [0, 0.5, 1])
def test_shapes_types_and_range(difficulty):
    images, labels, masks = draw(40, 24, difficulty)
    assert images.shape == (40, 3, 24, 24) and images.dtype == np.float32
    assert labels.shape == (40,) and labels.dtype == np.int64
    assert masks.shape == (40, 24, 24) and masks.dtype == bool
    assert images.min() >= 0 and images.max() <= 1
    assert set(labels) <= set(range(10)) and len(set(labels)) > 5


def test_same_seed_same_pictures_and_another_seed_others():
    for a, b in zip(draw(), draw(), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(draw()[0], draw(seed=1)[0])


def test_more_pictures_begin_with_the_same_ones():
    few, many = draw(50), draw(100)         # 100 are drawn in several pieces
    for a, b in zip(few, many, strict=True):
        assert np.array_equal(a, b[:50])


def test_the_same_scene_at_every_size():
    _, labels, small = draw(60, 32)
    _, same, large = draw(60, 64)
    assert np.array_equal(labels, same)
    shrunk = large.reshape(60, 32, 2, 32, 2).mean(axis=(2, 4)) >= 0.5
    assert (small & shrunk).sum() > 0.9 * (small | shrunk).sum()


def test_parts_are_different_and_independent_of_each_others_sizes():
    shapes = load_shapes(16, train=30, validation=20, test=10, seed=4)
    assert [len(part.labels) for part in shapes] == [30, 20, 10]
    assert not np.array_equal(shapes.train.images[:10], shapes.test.images)
    again = load_shapes(16, train=5, validation=20, test=10, seed=4)
    assert np.array_equal(again.test.images, shapes.test.images)
    assert np.array_equal(again.train.images, shapes.train.images[:5])


def test_every_class_is_equally_likely():
    labels = draw(3000, 8)[1]
    assert (abs(np.bincount(labels, minlength=10) - 300) < 70).all()        # over 4 deviations


def features(images):
    """What a picture tells without its outline: the colours' means, spreads and extremes."""
    flat = images.reshape(*images.shape[:2], -1)
    return np.concatenate([flat.mean(axis=2), flat.std(axis=2), flat.min(axis=2),
                           flat.max(axis=2)], axis=1)


def nearest_mean_accuracy(x, labels, new_x, new_labels):
    means = np.stack([x[labels == k].mean(axis=0) for k in range(10)])
    answers = ((new_x[:, None] - means)**2).sum(axis=2).argmin(axis=1)
    return (answers == new_labels).mean()


def test_colours_do_not_tell_the_class():
    x, labels, masks = draw(4000, 16)
    new_x, new_labels, new_masks = draw(4000, 16, seed=1)
    for of in (lambda x, masks: x.mean(axis=(2, 3)),
               lambda x, masks: features(x),
               lambda x, masks: (x * masks[:, None]).sum(axis=(2, 3)) / np.maximum(
                   masks.sum(axis=(1, 2)), 1)[:, None]):
        accuracy = nearest_mean_accuracy(of(x, masks), labels, of(new_x, new_masks), new_labels)
        assert accuracy < 0.13                      # chance is 0.1, its standard deviation 0.005


def test_the_outline_tells_the_class():
    """The same simple rule on plain masks: what is drawn really belongs to the label."""
    _, labels, masks = draw(500, 24, 0)
    _, new_labels, new_masks = draw(500, 24, 0, seed=1)
    flat = [m.reshape(500, -1).astype(float) for m in (masks, new_masks)]
    assert nearest_mean_accuracy(flat[0], labels, flat[1], new_labels) > 0.9


def test_every_kind_has_the_same_area():
    _, labels, masks = draw(2000, 48, 0)
    areas = np.array([masks[labels == k].mean() for k in range(10)])
    np.testing.assert_allclose(areas, areas.mean(), rtol=0.04)


def test_areas_of_unit_outlines_by_hand():
    """A square of side 2 has area 4, the ring π(1 − 0.56²)."""
    scale = {outline.__name__: _unit(outline) for outline in OUTLINES}
    assert scale["_disc"] == pytest.approx(1, abs=2e-3)
    assert scale["_square"] == pytest.approx(np.sqrt(np.pi / 4), abs=2e-3)
    assert scale["_ring"] == pytest.approx(1 / np.sqrt(1 - 0.56**2), abs=2e-3)


@pytest.mark.parametrize("outline", OUTLINES, ids=SHAPES)
def test_distances_to_the_outline_grow_by_one_a_step(outline):
    """Near an outline, |∇d| = 1 (but for corners): else its edge would be blurred or jagged."""
    at = np.linspace(-1.6, 1.6, 321, dtype=np.float32)
    d = outline(*np.meshgrid(at, at))
    slope = np.hypot(*np.gradient(d, at[1] - at[0]))
    near = slope[abs(d) < 0.03]
    assert len(near) > 200
    assert abs(np.median(near) - 1) < 0.02
    assert (abs(near - 1) < 0.1).mean() > 0.85
    assert min(d[0].min(), d[-1].min(), d[:, 0].min(), d[:, -1].min()) > 0      # all of it is seen


@pytest.mark.parametrize("texture", TEXTURES)
def test_textures_stay_between_minus_one_and_one(texture):
    at = np.linspace(-9, 9, 101, dtype=np.float32)
    pattern = texture(*np.meshgrid(at, at))
    assert pattern.shape == (101, 101) and abs(pattern).max() <= 1


def test_plain_objects_are_in_the_middle_and_hard_ones_anywhere():
    spread = []
    for difficulty in (0, 1):
        _, _, masks = draw(300, 32, difficulty)
        masks = masks[masks.any(axis=(1, 2))]
        at = np.arange(32) - 15.5
        spread.append(((masks * at).sum(axis=(1, 2)) / masks.sum(axis=(1, 2))).std())
    assert spread[0] < 1 and spread[1] > 3


def test_nearly_every_object_is_visible():
    for difficulty, least in ((0, 1.0), (0.5, 1.0), (1, 0.98)):
        masks = draw(500, 32, difficulty)[2]
        assert (masks.sum(axis=(1, 2)) >= 20).mean() >= least


def test_difficulty_lowers_the_contrast():
    contrast = []
    for difficulty in (0, 0.5, 1):
        images, _, masks = draw(300, 32, difficulty)
        inside = (images * masks[:, None]).sum(axis=(2, 3)) / masks.sum(axis=(1, 2))[:, None]
        outside = (images * ~masks[:, None]).sum(axis=(2, 3)) / (~masks).sum(axis=(1, 2))[:, None]
        contrast.append(np.linalg.norm(inside - outside, axis=1).mean())
    assert contrast[0] > 1.2 * contrast[1] > 1.4 * contrast[2]


@pytest.mark.parametrize("options, message", [
    ({"n": 0}, "n, how many, must be an integer ≥ 1; got 0"),
    ({"n": 2.5}, "n, how many"),
    ({"size": 4}, "size must be an integer from 8 to 1024; got 4"),
    ({"size": True}, "size must be"),
    ({"difficulty": 1.5}, "difficulty must be from 0 .* to 1 .*; got 1.5"),
    ({"difficulty": float("nan")}, "difficulty must be"),
])
def test_wrong_numbers(options, message):
    with pytest.raises(ValueError, match=message):
        draw(**options)


def test_wrong_seed():
    with pytest.raises(ValueError, match="seed must be an integer ≥ 0; got -1"):
        load_shapes(seed=-1)
