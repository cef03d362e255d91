import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score

from caufvae_lite.metrics import composition, drift, mae, noise_kept_ratio, psnr, r2


def arrays(seed, n=12, d=3):
    random = np.random.default_rng(seed)
    truth = random.normal(3, [1, 5, 0.1], (n, d))
    return truth, truth + random.normal(0, 0.5, (n, d))


@given(seed=st.integers(0, 10_000))
def test_r2_and_mae_are_scikit_learns(seed):
    truth, prediction = arrays(seed)
    expected = r2_score(truth, prediction, multioutput="raw_values")
    np.testing.assert_allclose(r2(truth, prediction), expected)
    expected = mean_absolute_error(truth, prediction, multioutput="raw_values")
    np.testing.assert_allclose(mae(truth, prediction), expected)
    assert r2(truth[:, 0], prediction[:, 0]) == pytest.approx(
        r2_score(truth[:, 0], prediction[:, 0])
    )


def test_r2_by_hand():
    assert r2([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]) == 1
    assert r2([0.0, 1.0, 2.0], [1.0, 1.0, 1.0]) == 0
    assert r2([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]) == pytest.approx(-0.5)  # a shift is an error
    assert r2([0.0, 2.0], [2.0, 0.0]) == pytest.approx(-3)


def test_one_column_is_a_float_and_several_are_an_array():
    truth, prediction = arrays(0)
    for score in (r2, mae):
        assert isinstance(score(truth[:, 0], prediction[:, 0]), float)
        assert score(truth, prediction).shape == (3,)
        as_torch = score(torch.as_tensor(truth), torch.as_tensor(prediction))
        np.testing.assert_array_equal(as_torch, score(truth, prediction))


def test_a_missing_prediction_cannot_pass_unseen():
    truth, prediction = arrays(0)
    prediction[4, 1] = math.nan
    for score in (r2, mae):
        assert np.isnan(score(truth, prediction)).tolist() == [False, True, False]


def test_a_constant_truth_has_no_r2():
    with pytest.raises(ValueError, match="constant"):
        r2([[1.0, 2.0], [1.0, 3.0]], [[1.0, 2.0], [1.0, 3.0]])


@pytest.mark.parametrize("score", [r2, mae, psnr])
def test_shapes_must_agree_and_hold_something(score):
    with pytest.raises(ValueError, match=r"\(3,\).*\(3, 1\)"):
        score(np.arange(3.0), np.arange(3.0)[:, None])
    with pytest.raises(ValueError, match="empty"):
        score([], [])


@pytest.mark.parametrize(("off", "decibels"), [(1.0, 0.0), (0.1, 20.0), (0.01, 40.0)])
def test_psnr_of_a_constant_error(off, decibels):
    truth = np.zeros((2, 3, 4, 4))
    assert psnr(truth, truth + off) == pytest.approx(decibels, abs=1e-4)


def test_psnr_pools_the_error_before_the_logarithm():
    truth, image = np.zeros((2, 1, 1, 2)), np.zeros((2, 1, 1, 2))
    image[0, 0, 0, 0] = 0.2
    assert psnr(truth, image) == pytest.approx(10 * math.log10(1 / 0.01), abs=1e-4)
    assert psnr(truth, truth) == math.inf


def test_drift_by_hand():
    before = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    after = before + np.array([[3.0, 0.0], [4.0, 0.0], [0.0, 0.0]])
    found = drift(before, after, scale=[2.0, 5.0])
    np.testing.assert_allclose(found, [math.sqrt((9 + 16) / 3) / 2, 0])


def test_drift_leaves_missing_shapes_out_of_that_factor_alone():
    before = np.array([[1.0, 1.0], [math.nan, 1.0], [1.0, 1.0]])
    after = np.array([[2.0, 1.0], [1.0, 1.0], [math.nan, 4.0]])
    np.testing.assert_allclose(drift(before, after, [1.0, 1.0]), [1.0, math.sqrt(3)])


def test_noise_kept_ratio_by_hand():
    truth = np.zeros((2, 2))
    kept = np.array([[1.0, 2.0], [-1.0, -2.0]])
    redrawn = np.array([[4.0, 1.0], [4.0, -3.0]])
    np.testing.assert_allclose(noise_kept_ratio(truth, kept, redrawn), [0.25, 1.0])


def test_composition_compares_every_cycle_with_the_original():
    images = np.array([[0.8, 0.4]])
    found = composition(lambda x: x / 2, images, cycles=3)
    np.testing.assert_allclose(found, [0.3, 0.45, 0.525])
    assert composition(lambda x: x, images, cycles=2) == [0, 0]
