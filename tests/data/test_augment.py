"""Transforms: what each does by hand, one draw an image, and what it refuses."""
import colorsys

import numpy as np
import pytest

from scratchnet.data import (
    CentreCrop,
    ColourJitter,
    Compose,
    Cutout,
    Normalise,
    PCAColour,
    RandomCrop,
    RandomReflection,
    RandomResizedCrop,
    RandomShift,
    ScaleJitter,
    augment,
    random_shift,
)
from scratchnet.data.augment import resize_bilinear


def pictures(N=12, C=3, H=20, W=20, seed=0):
    return np.random.default_rng(seed).random((N, C, H, W), dtype=np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


COLOURS = PCAColour(np.array([0.2, 0.02, 0.005]), np.eye(3))
RANDOM = [RandomCrop(12), RandomCrop(20, padding=4), RandomResizedCrop(9), ScaleJitter(12, 14, 28),
          RandomShift(3), RandomReflection(), Cutout(7), COLOURS, ColourJitter(),
          Compose([RandomCrop(16), RandomReflection(), ColourJitter()])]
ALL = [*RANDOM, Normalise(np.full((3, 1, 1), 0.5), 0.25)]


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_same_generator_same_images_and_nothing_given_is_changed(transform):
    images = pictures()
    before = images.copy()
    a, b = transform(images, rng(5)), transform(images, rng(5))
    assert np.array_equal(a, b) and np.array_equal(images, before)
    assert a.dtype == np.float32 and a.ndim == 4 and len(a) == 12
    a[...] = 7                                          # its own memory
    assert np.array_equal(images, before)


@pytest.mark.parametrize("transform", RANDOM, ids=lambda t: type(t).__name__)
def test_equal_images_are_varied_independently(transform):
    varied = transform(pictures(1).repeat(40, axis=0), rng())
    different = np.unique(varied.reshape(40, -1), axis=0)
    assert len(different) >= (2 if isinstance(transform, RandomReflection) else 15)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_double_precision_is_kept(transform):
    assert transform(pictures().astype(np.float64), rng()).dtype == np.float64


@pytest.mark.parametrize("transform", [t for t in ALL if t is not COLOURS],
                         ids=lambda t: type(t).__name__)
def test_numbers_from_0_to_1_stay_there(transform):
    if isinstance(transform, Normalise):
        transform = Normalise(np.zeros((3, 1, 1)))
    varied = transform(pictures(200), rng())
    assert varied.min() >= 0 and varied.max() <= 1


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_prints_as_it_is_constructed(transform):
    again = eval(repr(transform), vars(augment))
    assert type(again) is type(transform) and repr(again) == repr(transform)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("images, message", [
    (np.zeros((2, 3, 20, 20), dtype=np.uint8), "floating point; got uint8: convert bytes"),
    (np.zeros((3, 20, 20), dtype=np.float32), r"got \(3, 20, 20\)"),
    ([[1.0]], "got list"),
])
def test_refuses_what_is_no_batch_of_images(transform, images, message):
    with pytest.raises(ValueError, match=message):
        transform(images, rng())


# ── places and sizes ─────────────────────────────────────────────────────────────────

def test_random_crops_are_parts_at_every_position():
    images = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6).repeat(400, axis=0)
    crops = RandomCrop(4)(images, rng())
    seen = set()
    for crop in crops:
        top, left = divmod(int(crop[0, 0, 0]), 6)
        assert np.array_equal(crop[0], images[0, 0, top:top + 4, left:left + 4])
        seen.add((top, left))
    assert seen == {(i, j) for i in range(3) for j in range(3)}


def test_padded_crops_shift_zeros_in():
    images = np.ones((300, 1, 4, 4), dtype=np.float32)
    crops = RandomCrop(4, padding=1)(images, rng())
    sums = {int(s) for s in crops.sum(axis=(1, 2, 3))}
    assert sums == {16, 12, 9}                          # not moved, along one axis, along both


def test_crops_larger_than_the_images_are_refused():
    with pytest.raises(ValueError, match="of at least 32×32 pixels; got .*store larger images"):
        RandomCrop(32)(pictures(), rng())
    assert RandomCrop(28, padding=4)(pictures(), rng()).shape == (12, 3, 28, 28)


def coordinates(N, H, W):
    """Pictures whose two channels are each pixel's y and x."""
    y, x = np.mgrid[:H, :W].astype(np.float64)
    return np.stack([y, x])[None].repeat(N, axis=0)


def spans(crops):
    """(height, width) of what is seen, in pixels of the picture; crops of `coordinates`."""
    size = crops.shape[-1]
    middle = slice(size // 4, 3 * size // 4)            # the border may repeat
    return (np.diff(crops[:, 0, middle, size // 2], axis=1).mean(axis=1) * size,
            np.diff(crops[:, 1, size // 2, middle], axis=1).mean(axis=1) * size)


@pytest.mark.parametrize("H, W", [(60, 60), (50, 60)])
def test_resized_crops_have_areas_and_proportions_of_their_ranges(H, W):
    height, width = spans(RandomResizedCrop(40)(coordinates(3000, H, W), rng()))
    area, aspect = height * width / (H * W), width / height
    assert area.min() > 0.0799 and area.max() < 1.0001
    assert aspect.min() > 0.7499 and aspect.max() < 1.3334
    assert abs(np.sort(area) - np.linspace(0.08, 1, 3000)).max() < 0.04     # evenly spread
    small = area < 0.4                                  # where every proportion fits
    assert abs(np.log(aspect[small]).mean()) < 0.02
    assert height.max() <= H + 1e-9 and width.max() <= W + 1e-9


def test_a_crop_that_fits_nowhere_is_made_smaller():
    height, width = spans(RandomResizedCrop(40, area=(1, 1))(coordinates(5, 40, 100), rng()))
    np.testing.assert_allclose(height, 40)
    np.testing.assert_allclose(width, 40 * 4 / 3)


def test_scale_jitter_sees_size_over_s_of_the_image():
    height, width = spans(ScaleJitter(32, 32, 64)(coordinates(2000, 64, 64), rng()))
    np.testing.assert_allclose(height, width)
    S = 32 * 64 / height
    np.testing.assert_allclose(S, S.round(), atol=1e-6)
    assert set(S.round().astype(int)) == set(range(32, 65))


def test_scale_jitter_at_the_size_of_a_crop_is_the_image_resized():
    images = pictures(4, H=30, W=30)
    whole_image = np.tile([0.0, 0, 30, 30], (4, 1))
    np.testing.assert_array_equal(ScaleJitter(12, 12, 12)(images, rng()),
                                  resize_bilinear(images, whole_image, 12))


def test_random_shift_as_a_class():
    images = pictures()
    assert np.array_equal(RandomShift(2)(images, rng(3)), random_shift(images, rng(3), pixels=2))


def test_reflection_mirrors_left_and_right_with_its_probability():
    images = pictures(2000, 1, 2, 3)
    varied = RandomReflection(0.3)(images, rng())
    mirrored = (varied == images[..., ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (varied == images).all(axis=(1, 2, 3))).all()
    assert abs(mirrored.mean() - 0.3) < 0.04
    assert np.array_equal(RandomReflection(1)(images, rng()), images[..., ::-1])
    assert np.array_equal(RandomReflection(0)(images, rng()), images)


def test_cutout_zeroes_one_square_around_any_pixel():
    varied = Cutout(3)(np.ones((2000, 2, 5, 6), dtype=np.float32), rng())
    counts = np.zeros(10)
    for image in varied:
        rows, columns = np.nonzero(image[0] == 0)
        h, w = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == h * w and h in (2, 3) and w in (2, 3)       # cut by the border
        assert np.array_equal(image[0], image[1])
        counts[h * w] += 1
    assert abs(counts[9] / 2000 - (3 / 5) * (4 / 6)) < 0.05


@pytest.mark.parametrize("size", [5, 11, 24])
def test_resizing_is_pytorchs(size):
    torch = pytest.importorskip("torch")
    images = pictures(2, 3, 11, 11)
    ours = resize_bilinear(images, np.tile([0.0, 0, 11, 11], (2, 1)), size)
    theirs = torch.nn.functional.interpolate(torch.from_numpy(images), (size, size),
                                             mode="bilinear", align_corners=False)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


def test_resizing_boxes_is_pytorchs_grid_sample():
    torch = pytest.importorskip("torch")
    images = pictures(5, 2, 13, 17)
    boxes = np.array([[0, 0, 13, 17], [2.3, 4.1, 5.5, 7.7], [7, 9, 6, 8], [0.2, 0.4, 12.5, 3.3],
                      [1, 1, 2, 2]])
    at = (np.arange(9) + 0.5) / 9
    y = (boxes[:, :1] + at * boxes[:, 2:3]) * 2 / 13 - 1            # −1 … 1 from edge to edge
    x = (boxes[:, 1:2] + at * boxes[:, 3:]) * 2 / 17 - 1
    grid = np.stack(np.broadcast_arrays(x[:, None, :], y[:, :, None]), axis=-1)
    theirs = torch.nn.functional.grid_sample(
        torch.from_numpy(images), torch.from_numpy(grid.astype(np.float32)), mode="bilinear",
        padding_mode="border", align_corners=False)
    np.testing.assert_allclose(resize_bilinear(images, boxes, 9), theirs.numpy(), atol=1e-5)


def test_resizing_a_row_by_hand():
    """Two pixels 0 and 1 to four: their middles lie at −¼, ¼, ¾ and 1¼ of the old ones."""
    images = np.array([[0.0, 1.0], [0.0, 1.0]])[None, None]
    resized = resize_bilinear(images, np.array([[0.0, 0, 2, 2]]), 4)
    np.testing.assert_allclose(resized[0, 0], [[0, 0.25, 0.75, 1]] * 4)


# ── colours and numbers ──────────────────────────────────────────────────────────────

class Fixed:
    """A generator whose draws are known."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def normal(self, mean, std, shape):
        return np.array(self.draws.pop(0)).reshape(shape)

    def uniform(self, low, high, shape):
        draw = self.draws.pop(0)
        assert low <= draw <= high
        return np.full(shape, draw)


def test_pca_by_hand():
    """Pixels (½ ± 0.3, ½ ± 0.3, ½), half of each: the covariance is 0.09 in the first four
    entries, so λ₁ = 0.18 along (1, 1, 0)/√2 and λ₂ = λ₃ = 0. With α₁ = 0.1, 0.018 is added
    along p₁, which is 0.018/√2 = 0.01273 to red and to green."""
    images = np.full((1, 3, 1, 2), 0.5, dtype=np.float32)
    images[0, :2, 0] = [0.2, 0.8]
    colours = PCAColour.of(images)
    np.testing.assert_allclose(colours.eigenvalues, [0.18, 0, 0], atol=1e-6)
    np.testing.assert_allclose(colours.eigenvectors[:, 0], [0.5**0.5, 0.5**0.5, 0], atol=1e-6)
    varied = colours(images, Fixed([0.1, 5, -3]))
    np.testing.assert_allclose((varied - images)[0, :, 0], [[0.01273] * 2] * 2 + [[0, 0]],
                               atol=1e-5)


def test_pca_shifts_have_the_covariance_of_the_formula():
    images = pictures(300)
    images[:, 1] = 0.8 * images[:, 0] + 0.2 * images[:, 1]
    colours = PCAColour.of(images, std=0.1)
    pixels = images.swapaxes(0, 1).reshape(3, -1)
    P, lam = colours.eigenvectors, colours.eigenvalues
    np.testing.assert_allclose(P * lam @ P.T, np.cov(pixels), atol=1e-5)
    zeros = np.zeros((20000, 3, 1, 1), dtype=np.float32)
    shifts = colours(zeros, rng())[:, :, 0, 0]
    np.testing.assert_allclose(np.cov(shifts.T), 0.01 * P * lam**2 @ P.T, atol=3e-6)


class Lazy:
    """Bytes that are read when they are asked for."""

    def __init__(self, images):
        self.images, self.shape, self.dtype, self.most = images, images.shape, images.dtype, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        self.most = max(self.most, len(rows))
        return self.images[rows]


def test_statistics_of_bytes_that_are_read_when_asked(monkeypatch):
    monkeypatch.setattr(augment, "AT_ONCE", 3 * 20 * 20 * 7)
    stored = (pictures(50) * 255).astype(np.uint8)
    lazy, plain = Lazy(stored), stored.astype(np.float32) / 255
    np.testing.assert_allclose(PCAColour.of(lazy).eigenvalues, PCAColour.of(plain).eigenvalues,
                               rtol=1e-5)
    np.testing.assert_allclose(Normalise.of(lazy, "pixel").mean, plain.mean(axis=0), rtol=1e-5)
    assert lazy.most == 7
    monkeypatch.setattr(augment, "SAMPLE", 25)          # then every second one
    np.testing.assert_allclose(Normalise.of(lazy, "pixel").mean, plain[::2].mean(axis=0),
                               rtol=1e-5)


def test_normalise_by_hand_and_of_images():
    images = np.array([[[[0.0, 0.5]], [[0.25, 0.25]]], [[[1.0, 0.5]], [[0.25, 0.75]]]], np.float32)
    channel = Normalise.of(images, "channel")           # (N, C, H, W) = (2, 2, 1, 2)
    np.testing.assert_allclose(channel.mean[:, 0, 0], [0.5, 0.375])
    np.testing.assert_allclose(channel.std[:, 0, 0], [0.125**0.5, 0.1875**0.5 / 2], rtol=1e-5)
    pixel = Normalise.of(images, "pixel")
    np.testing.assert_allclose(pixel.mean, [[[0.5, 0.5]], [[0.25, 0.5]]])
    np.testing.assert_allclose(pixel.std[:, 0, 0], [0.125**0.5, 0.03125**0.5], rtol=1e-5)
    for normalise in (channel, pixel):
        normal = normalise(images)
        np.testing.assert_allclose(normal.mean(axis=(0, 2, 3)), 0, atol=1e-6)
        np.testing.assert_allclose(normal.std(axis=(0, 2, 3)), 1, rtol=1e-5)


def test_a_channel_that_never_varies_becomes_zero():
    images = pictures()
    images[:, 1] = 0.3
    normal = Normalise.of(images)(images)
    np.testing.assert_allclose(normal[:, 1], 0, atol=1e-6)


def test_normalise_refuses_other_sizes_and_channels():
    with pytest.raises(ValueError, match="expects images of 20×20 pixels.*before what changes"):
        Normalise.of(pictures(), "pixel")(pictures(H=16, W=16))
    with pytest.raises(ValueError, match=r"expects images \(N, 3, H, W\)"):
        Normalise.of(pictures())(pictures(C=1))


def test_brightness_and_contrast_by_hand():
    """0.2 and 0.6, plus 0.1: 0.3 and 0.7, mean 0.5; twice as far from it: 0.1 and 0.9."""
    image = np.array([0.2, 0.6], dtype=np.float32).reshape(1, 1, 1, 2).repeat(3, axis=1)
    jitter = ColourJitter(0.2, (0.5, 3), (0.5, 2))
    np.testing.assert_allclose(jitter(image, Fixed(0.1, 2, 1))[0, 0, 0], [0.1, 0.9], atol=1e-6)
    np.testing.assert_allclose(jitter(image, Fixed(0.1, 3, 1))[0, 0, 0], [0, 1], atol=1e-6)
    other = np.full_like(image, 0.7)        # each channel of each image has a mean of its own
    other[:, 1] = 0.4
    both = jitter(np.concatenate([image, other]), Fixed(0.1, 2, 1))
    np.testing.assert_allclose(both[0, 0, 0], [0.1, 0.9], atol=1e-6)
    np.testing.assert_allclose(both[1], other[0] + 0.1, atol=1e-6)


@pytest.mark.parametrize("factor", [0, 0.4, 1, 1.7, 30])
def test_saturation_is_that_of_hsv(factor):
    images = pictures(1, H=8, W=8)
    images[0, :, 0, 0], images[0, :, 0, 1] = 0, 0.5             # black and grey have none
    images[0, :, 0, 2] = 1, 0, 0                                # red has all of it
    varied = ColourJitter(0, (1, 1), (0, 30))(images, Fixed(0, 1, factor))
    for old, new in zip(images[0].reshape(3, -1).T, varied[0].reshape(3, -1).T, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*map(float, old))
        np.testing.assert_allclose(new, colorsys.hsv_to_rgb(h, min(1, factor * s), v), atol=1e-6)


def test_colour_jitter_refuses_normalised_images():
    normal = Normalise.of(pictures())(pictures())
    with pytest.raises(ValueError, match="expects images from 0 to 1.*before Normalise"):
        ColourJitter()(normal, rng())
    with pytest.raises(ValueError, match=r"expects images \(N, 3, H, W\)"):
        ColourJitter()(pictures(C=1), rng())


# ── together ─────────────────────────────────────────────────────────────────────────

def test_compose_runs_its_list_in_order():
    transforms = [Normalise(np.full((3, 1, 1), 0.5)), RandomCrop(24, padding=4), CentreCrop(20)]
    images, generator = pictures(), rng(1)
    by_hand = images
    for transform in transforms:
        by_hand = transform(by_hand, generator)
    assert np.array_equal(Compose(transforms)(images, rng(1)), by_hand)


def test_compose_prints_one_a_line():
    assert repr(Compose([RandomCrop(8), Compose([RandomReflection()])])) == (
        "Compose([\n    RandomCrop(size=8, padding=0),\n    Compose([\n"
        "        RandomReflection(p=0.5),\n    ]),\n])")
    assert repr(Compose([])) == "Compose([])"


@pytest.mark.parametrize("make, message", [
    (lambda: RandomCrop(0), "RandomCrop: size must be an integer ≥ 1; got 0"),
    (lambda: RandomCrop(8, padding=-1), "padding must be an integer ≥ 0; got -1"),
    (lambda: RandomResizedCrop(8, area=(0, 1)), "shares of the area above 0"),
    (lambda: RandomResizedCrop(8, area=(0.5, 2)), "shares of the area above 0 and up to 1"),
    (lambda: RandomResizedCrop(8, aspect=(2, 1)), r"aspect must be a pair .*got \(2, 1\)"),
    (lambda: ScaleJitter(32, 16, 64), "smallest must be an integer ≥ 32; got 16"),
    (lambda: ScaleJitter(32, 48, 40), "largest must be an integer ≥ 48; got 40"),
    (lambda: RandomReflection(1.5), "p must be a probability.*got 1.5"),
    (lambda: RandomShift(-1), "pixels must be an integer ≥ 0"),
    (lambda: Cutout(2.5), "side must be an integer ≥ 1; got 2.5"),
    (lambda: PCAColour([1, 2], np.eye(3)), r"got \(2,\), \(3, 3\)"),
    (lambda: PCAColour([1, 2, 3], np.eye(3), std=-1), "std must be a number ≥ 0"),
    (lambda: PCAColour.of(np.zeros((0, 3, 4, 4))), "N ≥ 1, to measure"),
    (lambda: ColourJitter(brightness=2), "brightness must be from 0 to 1"),
    (lambda: ColourJitter(contrast=1), "contrast must be a pair"),
    (lambda: Normalise(0.5), r"expects a mean \(C, 1, 1\)"),
    (lambda: Normalise(np.zeros((3, 1, 1)), 0), "above 0"),
    (lambda: Normalise(np.zeros((3, 1, 1)), np.ones((1, 1, 1))), "a number or like it"),
    (lambda: Normalise.of(pictures(), per="image"), 'must be "pixel" or "channel"'),
    (lambda: Compose([RandomCrop]), "Compose expects transforms"),
    (lambda: Compose([3]), "Compose expects transforms.*got 3"),
])
def test_wrong_constants(make, message):
    with pytest.raises(ValueError, match=message):
        make()
