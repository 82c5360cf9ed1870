"""Sums over channels: exact in float32, near 0 and far from it, in one part and in many."""
import numpy as np
import pytest

from scratchnet.backend import channels, parallel


@pytest.fixture(params=[(1, None), (2, 3000)], ids=["whole", "parts"])
def cut(request, monkeypatch):
    threads, tile = request.param
    if tile:
        monkeypatch.setattr(parallel, "PLANES", tile)
        monkeypatch.setattr(parallel, "SMALL", 1)
    with parallel.limited(threads):
        yield


def images(mean, shape=(3, 4, 17, 19)):
    rng = np.random.default_rng(0)
    spread = np.array([1, 0.01, 30, 1])[:, None, None]
    return (spread * (rng.standard_normal(shape) + mean)).astype(np.float32)


@pytest.mark.parametrize("mean", [0, 3.9, 4.1, 1000])
def test_moments_are_exact_near_zero_and_far_from_it(cut, mean):
    """In float32 E[x²] − E[x]² has no digit left at a thousand deviations."""
    x = images(mean)
    exact = x.astype("float64")
    mu, var = channels.moments(x)
    assert mu.dtype == var.dtype == np.float32
    np.testing.assert_allclose(mu, exact.mean(axis=(0, 2, 3)), rtol=1e-6,
                               atol=1e-7 * exact.std(axis=(0, 2, 3)).max())
    np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("mean", [0, 3.9, 4.1, 1000])
def test_sums_are_exact_near_zero_and_far_from_it(cut, mean):
    x = images(mean)
    dy = np.random.default_rng(1).standard_normal(x.shape, dtype=np.float32)
    mu = x.mean(axis=(0, 2, 3), dtype="float64").astype(np.float32)
    inv_std = 1 / x.std(axis=(0, 2, 3))
    plain, products = channels.sums(dy, x, mu, inv_std)
    exact = (dy.astype("float64") * (x.astype("float64") - mu[:, None, None])).sum(axis=(0, 2, 3))
    scale = np.sqrt(x[:, 0].size)                       # of such a sum
    np.testing.assert_allclose(plain, dy.sum(axis=(0, 2, 3), dtype="float64"), atol=2e-6 * scale)
    np.testing.assert_allclose(products, exact * inv_std, atol=1e-5 * scale)


def test_a_second_pass_only_where_a_mean_is_far(monkeypatch):
    passes = []
    real = channels._sums
    monkeypatch.setattr(channels, "_sums", lambda *a: passes.append(len(a)) or real(*a))
    channels.moments(images(3))
    assert passes == [2]
    channels.moments(images(1000))
    assert passes == [2, 2, 3]


def test_nan_stays_and_a_constant_channel_has_no_variance():
    x = images(0)
    x[0, 1, 2, 3], x[:, 2] = np.nan, 7
    mu, var = channels.moments(x)
    assert np.isnan([mu[1], var[1]]).all() and mu[2] == 7 and var[2] == 0
    assert np.isfinite(np.delete([mu, var], 1, axis=1)).all()
