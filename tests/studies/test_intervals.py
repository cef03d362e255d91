"""The intervals study's ruler, on a model and rows for which the answer is known."""

import math

import pandas as pd
import pytest
import torch

from caufvae_lite import CauFVAE, Pendulum, posterior
from caufvae_lite.studies import intervals, noise, scoreboard


@pytest.fixture(scope="module")
def scores():
    """An untrained model, calibrated on rows that are drawn like those it is asked about."""
    world = Pendulum(image_size=16, noise=1.0)
    held_out, test = world.sample(600, seed=1), world.sample(600, seed=2)
    torch.manual_seed(0)
    model = CauFVAE(world.graph, (3, 16, 16)).eval()
    model.adopt_units(held_out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posterior, "STEPS", 5)
        model.calibrate(held_out)
    found = intervals.coverage(model, world, held_out, test)
    assert model.calibration is None
    return pd.DataFrame(found)


def test_factors_are_held_as_often_as_promised(scores):
    """Errors of the held-out and of the asked rows are exchangeable, whatever the model."""
    factors = scores[scores["cause"] == ""]
    for level in intervals.LEVELS:
        held = factors["value"][factors["measure"] == f"cover {level}"]
        p = level / 100  # both samples vary, and 200 draws make the ends of an interval
        slack = 4 * math.sqrt(p * (1 - p) * (1 / 600 + 1 / 600 + 1 / 200))
        assert len(held) == 4 and (held - p).abs().max() < slack, (level, held)


def test_a_calibrated_interval_is_about_as_wide_as_a_conformal_one(scores):
    factors = scores[scores["cause"] == ""].set_index("measure")["value"]
    assert factors["width 90"].between(0.5, 1.2).all()  # conformal ones are symmetric


def test_every_question_is_asked_of_effects_alone(scores):
    asked = scores[scores["cause"] != ""].groupby("cause")["factor"].unique()
    assert set(asked.index) == {"pendulum_angle", "light_angle"}
    assert all(set(effects) == {"shadow_length", "shadow_position"} for effects in asked)
    assert scores["value"].notna().all()


def test_raw_draws_are_the_posteriors_own(scores):
    raw = scores["measure"].str.startswith("raw ")
    assert raw.sum() == (~raw).sum()
    wide = scores[scores["measure"].str.contains("width 90")].set_index("measure")["value"]
    assert not torch.isclose(
        torch.tensor(wide["width 90"].to_numpy()), torch.tensor(wide["raw width 90"].to_numpy())
    ).any()


def test_levels_of_noise_are_gathered_from_both_tables():
    def row(world, seed, value, model=scoreboard.MAIN, cause="a", factor="a"):
        return {"world": world, "seed": seed, "value": value, "model": model, "cause": cause,
                "factor": factor, "measure": "image r2"}  # fmt: skip

    board = pd.DataFrame([
        row("pendulum-32", 0, 0.1), row("pendulum-noisy-32", 0, 0.9), row("water-32", 0, 9.0),
        row("pendulum-32", 0, 9.0, model="VAE"),
    ])  # fmt: skip
    ours = pd.DataFrame([
        row("pendulum-32, sigma 0.5", 0, 0.4), row("pendulum-32, sigma 0.5", 1, 0.5),
        row("pendulum-32, sigma 0.5", 1, 9.0, factor="b"),
    ])  # fmt: skip
    expected = {0.0: [0.1], 0.5: [0.4, 0.5], 1.5: [0.9]}
    assert noise.drawn_as_set(ours, board, "a") == expected


def test_levels_of_noise_differ_in_nothing_but_the_noise():
    runs = [noise.configuration((scoreboard.MAIN, world, 0)) for world in noise.WORLDS]
    board = scoreboard.configuration((scoreboard.MAIN, "pendulum-32", 0))
    for run, sigma in zip(runs, noise.SIGMAS, strict=True):
        assert {k for k in board if run[k] != board[k]} == {"world", "noise"}
        assert run["noise"] == sigma
