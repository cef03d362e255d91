"""Downstream tasks: their labels, their sky, their references, their probes."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor

from caufvae_lite.metrics import r2
from caufvae_lite.studies import core, downstream
from caufvae_lite.worlds.pendulum import BLACK, FIREBRICK, ORANGE


def values(scores):
    return {score.measure: score.value for score in scores}


@pytest.fixture(scope="module")
def parts():
    return downstream.scenes_of(0)[2]


def test_the_label_from_everything_is_cdg_vaes(parts):
    _, rows, _ = core.data_of("pendulum-noisy", 16)
    light, angle, length, position = (
        (rows.factors[:, rows.graph.index(n)] - rows.factors[:, rows.graph.index(n)].mean())
        / rows.factors[:, rows.graph.index(n)].std()
        for n in ("light_angle", "pendulum_angle", "shadow_length", "shadow_position")
    )
    s = light - angle + 0.5 * length - 0.5 * position
    expected = 1 / (1 + np.exp(-(s + 2 * torch.sin(s)).double().numpy()))
    task, _ = downstream.labels_of(rows.factors, rows, seed=0)
    assert np.allclose(task.chance, expected, atol=1e-5)
    assert abs(task.y.mean() - expected.mean()) < 0.02


def test_the_sky_misleads_in_training_only(parts):
    train, test = parts["train"], parts["test"]
    for y, share in ((True, 0.8), (False, 0.2)):
        assert train.sky[train.everything.y == y].mean() == pytest.approx(share, abs=0.03)
        assert test.sky[test.everything.y == y].mean() == pytest.approx(0.5, abs=0.05)


def test_only_white_turns_blue(parts):
    _, rows, _ = core.data_of("pendulum-noisy", 32)
    train = parts["train"]
    blue = torch.from_numpy(train.sky)
    assert torch.equal(train.images[~blue], rows.images[~blue])
    corner = train.images[blue][:, :, 16, 0].float() / 255  # no shape is ever there
    assert torch.allclose(corner, torch.tensor(downstream.BLUE), atol=0.01)
    for colour in (BLACK, FIREBRICK, ORANGE):
        full = (255 * torch.tensor(colour)).round().view(1, 3, 1, 1)
        covered = ((rows.images[blue].float() - full).abs() < 2).all(1).nonzero()
        assert len(covered) > 1000  # the shapes are drawn as they were
        n, y, x = covered.T
        assert ((train.images[blue][n, :, y, x] - full[:, :, 0, 0]).abs() <= 6).all()


def test_the_shift_sets_the_length_and_nothing_else(parts):
    test, shift = parts["test"].factors, parts["shift"].factors
    others = [0, 1, 3]
    assert torch.equal(test[:, others], shift[:, others])
    assert torch.allclose(test[:, 2].sort().values, shift[:, 2].sort().values)


def test_accuracy_in_expectation_agrees_with_drawn_labels():
    rng = np.random.default_rng(0)
    chance = rng.uniform(size=200_000)
    task = downstream.Task(rng.uniform(size=200_000) < chance, chance)
    predicted = chance > 0.3
    assert task.accuracy(predicted) == pytest.approx((task.y == predicted).mean(), abs=0.005)


def lost(codes, truth):
    """1 − R² of each factor, read off ``codes`` by neighbours among other rows."""
    rows = np.random.default_rng(0).permutation(len(truth))
    codes, truth = codes[rows] / codes.std(0), truth[rows]
    half = len(codes) // 2
    near = KNeighborsRegressor(5, weights="distance").fit(codes[:half], truth[:half])
    return 1 - np.asarray(r2(truth[half:], near.predict(codes[half:])))


@pytest.mark.parametrize("name", ["linear mix", "nonlinear mix"])
def test_mixes_lose_nothing_and_every_latent_is_of_several_factors(parts, name):
    codes = downstream.reference(name, parts, 0)["train"]
    truth = downstream.reference("true factors", parts, 0)["train"]
    assert (lost(codes, truth) < lost(truth, truth) + 0.15).all()
    assert (np.abs(np.corrcoef(codes.T, truth.T)[:4, 4:]).max(1) < 0.98).all()


def test_the_linear_mix_is_a_rotation(parts):
    codes = downstream.reference("linear mix", parts, 0)["test"]
    truth = downstream.reference("true factors", parts, 0)["test"]
    assert np.allclose(np.linalg.norm(codes, axis=1), np.linalg.norm(truth, axis=1), rtol=1e-4)
    turn = np.linalg.lstsq(truth, codes, rcond=None)[0]
    assert np.allclose(truth @ turn, codes, atol=1e-4)
    assert np.allclose(turn @ turn.T, np.eye(4), atol=1e-4)


def test_whoever_sees_only_the_sky_is_misled_by_it(parts):
    sky = {k: np.stack([p.sky, p.sky], 1).astype(float) for k, p in parts.items()}
    scores = values(downstream.questions(sky, parts, seed=0))
    for kind in downstream.PROBES:
        assert scores[f"{kind} worst group"] == 0  # blue and y = 0: always wrong
        assert scores[f"{kind} all"] == pytest.approx(0.5, abs=0.06)


def test_whoever_reads_the_length_off_the_angles_is_caught_by_the_shift(parts):
    world, _, _ = core.data_of("pendulum-noisy", 16)
    implied = {k: world.law(p.factors)[:, :1].numpy() for k, p in parts.items()}
    told = {k: p.factors[:, 2:3].numpy() for k, p in parts.items()}
    by_law, by_bar = (values(downstream.questions(c, parts, seed=0)) for c in (implied, told))
    assert by_law["logistic length"] > 0.7
    assert by_law["logistic length shifted"] == pytest.approx(0.5, abs=0.05)
    assert by_bar["logistic length shifted"] == pytest.approx(
        by_bar["logistic length"], abs=0.01
    )


def test_bayes_rule_is_the_ceiling_of_every_average(parts):
    ceiling = values(downstream.bayes(parts))
    chance = parts["test"].everything.chance
    assert ceiling["mlp all"] == pytest.approx(np.maximum(chance, 1 - chance).mean())
    truth = downstream.reference("true factors", parts, 0)
    scores = values(downstream.questions(truth, parts, seed=0))
    for metric in ("logistic all", "mlp all", "logistic length", "mlp length shifted"):
        assert ceiling[metric] - 0.02 < scores[metric] <= ceiling[metric] + 1e-9
    few = scores["logistic 100 labels"]
    assert scores["logistic efficiency"] == pytest.approx(few / scores["logistic all"])


def test_few_labels_are_as_few_as_said_and_differ_by_draw(parts):
    a, b = (downstream.few_rows(parts["train"], 0, k) for k in (0, 1))
    assert len(set(a)) == downstream.FEW and set(a) != set(b)


def test_a_probe_of_nothing_is_no_better_than_the_larger_class(parts):
    rng = np.random.default_rng(0)
    y = parts["train"].everything.y
    noise = rng.normal(size=(len(y), 4))
    probe = downstream.probe("logistic", noise, y, seed=0)
    accuracy = (probe.predict(rng.normal(size=(len(y), 4))) == y).mean()
    assert accuracy == pytest.approx(max(y.mean(), 1 - y.mean()), abs=0.04)
