import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression

from caufvae_lite.metrics import disentanglement
from caufvae_lite.metrics.disentanglement import (
    assignment,
    dci,
    disentanglement_completeness,
    mcc,
    r2_matrix,
)

ALL = [r2_matrix, assignment, mcc, dci]
HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2


@pytest.fixture
def few_trees(monkeypatch):
    """A smaller forest, for what is true of any forest."""
    monkeypatch.setattr(disentanglement, "TREES", 20)


def tables(seed, n=60, d_factors=3, d_codes=3):
    """Codes that mix the factors at random, with some bending and noise."""
    random = np.random.default_rng(seed)
    factors = random.normal(3, [1, 5, 0.1, 2][:d_factors], (n, d_factors))
    mixed = factors @ random.normal(size=(d_factors, d_codes))
    return factors, mixed + random.normal(size=mixed.shape) + 0.1 * mixed**2


@given(seed=st.integers(0, 10_000), d_codes=st.integers(1, 4))
def test_r2_matrix_is_that_of_scikit_learns_lines(seed, d_codes):
    factors, codes = tables(seed, d_codes=d_codes)
    found = r2_matrix(factors, codes)
    assert found.shape == (3, d_codes)
    for i, j in np.ndindex(found.shape):
        x, y = codes[:, [j]], factors[:, i]
        assert found[i, j] == pytest.approx(LinearRegression().fit(x, y).score(x, y))


@given(seed=st.integers(0, 10_000), d=st.integers(1, 4), more=st.integers(0, 2))
def test_mcc_is_the_best_of_all_assignments_of_scipys_correlations(seed, d, more):
    factors, codes = tables(seed, d_factors=d, d_codes=d + more)
    mean = {
        chosen: np.mean(
            [abs(stats.pearsonr(factors[:, i], codes[:, j])[0]) for i, j in enumerate(chosen)]
        )
        for chosen in itertools.permutations(range(d + more), d)
    }
    assert mcc(factors, codes) == pytest.approx(max(mean.values()))
    assert assignment(factors, codes) == max(mean, key=mean.get)


def test_the_best_assignment_is_not_the_greedy_one():
    random = np.random.default_rng(0)
    a, b, c = np.linalg.qr(random.normal(size=(200, 3)) - 0.0)[0].T
    factors = np.stack([a, a + 0.5 * b], 1)
    codes = np.stack([a + 0.2 * b, b + 0.1 * c], 1)
    similarity = np.abs(np.corrcoef(factors.T, codes.T)[:2, 2:])
    assert similarity.argmax(1).tolist() == [0, 0]  # both want the first code
    assert assignment(factors, codes) == (0, 1)


def test_more_codes_than_factors():
    random = np.random.default_rng(0)
    factors = random.normal(size=(100, 2))
    codes = random.normal(size=(100, 5))
    codes[:, 3], codes[:, 0] = -7 * factors[:, 0] + 2, factors[:, 1]
    assert assignment(factors, codes) == (3, 0)
    assert mcc(factors, codes) == pytest.approx(1)
    for score in (assignment, mcc):
        with pytest.raises(ValueError, match="5 factors need as many codes, got 2"):
            score(codes, factors)


def test_a_monotone_bend_is_not_forgiven():
    x = np.random.default_rng(0).normal(size=(300, 1))
    assert mcc(x, np.exp(3 * x)) < 0.6


@given(seed=st.integers(0, 10_000), order=st.permutations(range(4)))
def test_order_scale_shift_and_sign_of_the_codes_do_not_matter(seed, order):
    factors, codes = tables(seed, d_codes=4)
    other = codes[:, order] * [3, -0.1, 1e4, -1] + [0, 5, -2, 1]
    expected = r2_matrix(factors, codes)[:, order]
    np.testing.assert_allclose(r2_matrix(factors, other), expected, atol=1e-9)
    assert mcc(factors, other) == pytest.approx(mcc(factors, codes))
    assert [order[j] for j in assignment(factors, other)] == list(assignment(factors, codes))


def test_a_constant_code_scores_zero():
    factors, codes = tables(0)
    codes[:, 1] = 0.1
    assert (r2_matrix(factors, codes)[:, 1] == 0).all()
    assert mcc(factors[:, :1], codes[:, [1]]) == 0


@pytest.mark.parametrize("score", ALL)
def test_torch_is_the_same_as_numpy(score, few_trees):
    factors, codes = tables(0)
    as_torch = score(torch.as_tensor(factors), torch.as_tensor(codes))
    np.testing.assert_equal(as_torch, score(factors, codes))


@pytest.mark.parametrize("score", ALL)
def test_what_cannot_be_scored_says_why(score):
    factors, codes = tables(0)
    for value in (math.nan, math.inf):
        broken = codes.copy()
        broken[3, 1] = value
        with pytest.raises(ValueError, match="codes must be finite"):
            score(factors, broken)
        with pytest.raises(ValueError, match="factors must be finite"):
            score(broken, codes)
    with pytest.raises(ValueError, match=r"constant: \[1\]"):
        score(np.where([False, True, False], 0.1, factors), codes)
    with pytest.raises(ValueError, match="differ in rows"):
        score(factors, codes[1:])
    for wrong in (factors[:, 0], factors[:1], factors[:, :0], factors[None]):
        with pytest.raises(ValueError, match="factors must be"):
            score(wrong, codes)
        with pytest.raises(ValueError, match="codes must be"):
            score(factors, wrong)


# DCI: the arithmetic of importances, exactly


def test_entropies_by_hand():
    # codes × factors; the rows weigh 1, 2 and 1 of 4
    importance = [[0.5, 0.5, 0.0], [0.5, 0.0, 1.5], [0.0, 0.5, 0.5]]
    half = 1 - math.log(2) / math.log(3)
    quarter = 1 + (math.log(1 / 4) / 4 + 3 * math.log(3 / 4) / 4) / math.log(3)
    d, c = disentanglement_completeness(importance)
    assert d == pytest.approx((half + 2 * quarter + half) / 4)
    assert c == pytest.approx((half + half + quarter) / 3)


def test_the_base_of_each_logarithm():
    # 4 codes, 2 factors: rows are in bits, columns in units of 2 bits
    importance = np.array([[1, 1], [1, 1], [0, 0], [0, 0]]) / 2
    assert disentanglement_completeness(importance) == pytest.approx((0, 0.5))
    d, c = disentanglement_completeness(importance.T)
    assert (d, c) == pytest.approx((0.5, 0))


def test_codes_weigh_by_their_importance_and_dead_ones_nothing():
    alive = [[1.0, 0.0], [0.25, 0.25]]
    d, _ = disentanglement_completeness(alive)
    assert d == pytest.approx((1 * 1 + 0.5 * 0) / 1.5)
    assert disentanglement_completeness([*alive, [0.0, 0.0]])[0] == d
    assert disentanglement_completeness(np.zeros((3, 2))) == (0, 0)


def test_a_factor_that_no_code_tells_of_scores_zero():
    assert disentanglement_completeness([[1, 0], [0, 0]]) == (1, 0.5)


def test_one_factor_or_one_code():
    d, c = disentanglement_completeness([[0.5], [0.5]])
    assert (d, c) == pytest.approx((1, 0))
    assert disentanglement_completeness([[0.5, 0.5]]) == pytest.approx((0, 1))
    assert disentanglement_completeness([[2.0]]) == (1, 1)


# DCI: representations whose scores are known


def independent(n=2000, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_a_permuted_scaled_copy_is_perfect():
    factors = independent()
    found = dci(factors, factors[:, [2, 0, 3, 1]] * [-3, 1, 1e3, 0.01])
    assert found == pytest.approx(dict.fromkeys(found, 1), abs=0.01)
    assert list(found) == ["disentanglement", "completeness", "informativeness"]


def test_a_rotation_that_mixes_all_equally_is_informative_and_nothing_else(few_trees):
    factors = independent()
    found = dci(factors, factors @ HADAMARD)
    assert found["disentanglement"] == pytest.approx(0, abs=0.02)
    assert found["completeness"] == pytest.approx(0, abs=0.02)
    assert found["informativeness"] > 0.85


def test_a_factor_split_over_two_codes_is_disentangled_and_incomplete(few_trees):
    halves = np.random.default_rng(0).uniform(size=(2000, 2))
    factors = np.stack([halves.sum(1), independent()[:, 0]], 1)
    found = dci(factors, np.stack([*halves.T, factors[:, 1]], 1))
    # shares ½, ½, 0 of the first factor and 0, 0, 1 of the second, to base 3
    assert found["completeness"] == pytest.approx((2 - math.log(2, 3)) / 2, abs=0.02)
    assert found["disentanglement"] == pytest.approx(1, abs=0.02)
    assert found["informativeness"] > 0.98


def test_one_code_for_two_factors_is_complete_and_entangled():
    # the code's first digit is one factor and its second the other
    factors = np.random.default_rng(0).integers(0, 4, (1200, 2)).astype(float)
    codes = np.stack([4 * factors[:, 0] + factors[:, 1], independent(1200)[:, 0]], 1)
    found = dci(factors, codes)
    assert found["completeness"] > 0.95 and found["informativeness"] > 0.95
    assert found["disentanglement"] < 0.05


def test_noise_says_nothing_and_that_is_not_clipped(few_trees):
    found = dci(independent(600), independent(600, seed=1))
    assert found["disentanglement"] < 0.05 and found["completeness"] < 0.05
    assert -0.3 < found["informativeness"] < 0


def test_dead_codes_change_nothing_but_the_base_of_completeness(few_trees):
    factors = independent(600, 2)
    dead = np.full((600, 2), 3.0)
    found = dci(factors, np.concatenate([factors, dead], 1))
    assert found == pytest.approx(dict.fromkeys(found, 1), abs=0.02)
    only_dead = dci(factors, dead)
    assert only_dead["disentanglement"] == only_dead["completeness"] == 0
    assert only_dead["informativeness"] == pytest.approx(0, abs=0.02)


def test_one_code_and_one_factor(few_trees):
    factors = independent(400, 2)
    assert dci(factors[:, :1], factors)["disentanglement"] == 1
    assert dci(factors, factors[:, :1])["completeness"] == pytest.approx(1)
    assert dci(factors[:, :1], factors[:, :1])["informativeness"] > 0.97


def test_dci_ignores_order_scale_shift_and_sign(few_trees):
    factors = independent(600)
    codes = factors @ (HADAMARD + 1.5 * np.eye(4)) + 0.3 * independent(600, seed=1)
    expected = dci(factors, codes)
    order = [2, 0, 3, 1]
    same = dci(factors, codes * [2, 8, 0.5, 0.25])
    assert same == pytest.approx(expected, abs=1e-6)
    other = codes[:, order] * [-3, 1, -1e3, 0.01] + [0, 1e9, -5, 0]
    assert dci(factors, other) == pytest.approx(expected, abs=0.02)
    assert 0.1 < expected["disentanglement"] < 0.9


def test_informativeness_is_of_rows_that_no_tree_has_seen(few_trees):
    factors = independent(800, 2)
    rows = np.random.default_rng(0).permutation(800)
    codes = factors.copy()
    codes[rows[400:]] = independent(400, 2, seed=9)  # right in training, nonsense held out
    found = dci(factors, codes)
    assert found["disentanglement"] > 0.98 and found["informativeness"] < -0.5
    codes = independent(800, 2, seed=9)
    codes[rows[400:]] = factors[rows[400:]]  # nonsense in training
    assert dci(factors, codes)["disentanglement"] < 0.1


def test_the_seed_draws_the_half_and_grows_the_trees(few_trees, monkeypatch):
    factors, codes = tables(0, n=200)
    assert dci(factors, codes) == dci(factors, codes, seed=0)
    expected = dci(factors, codes, seed=1)
    rows = [np.random.default_rng(seed).permutation(200) for seed in (0, 1)]
    moved = np.empty(200, int)
    moved[rows[0]] = rows[1]  # seed 0 now draws the half that seed 1 drew
    same_half = dci(factors[moved], codes[moved], seed=0)
    assert same_half != expected and same_half == pytest.approx(expected, abs=0.2)


def test_both_halves_need_factors_that_vary():
    factors, codes = tables(0)
    rows = np.random.default_rng(0).permutation(60)
    for half in (rows[:30], rows[30:]):
        constant = factors.copy()
        constant[half, 2] = 1
        with pytest.raises(ValueError, match=r"constant: \[2\]"):
            dci(constant, codes)
