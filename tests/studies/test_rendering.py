"""Tables for readers: what is bold, what is missing, what is only a cost."""

import numpy as np
import pandas as pd
import pytest

from caufvae_lite.studies import rendering, results, scoreboard
from caufvae_lite.studies.rendering import Column

SCORE = Column("score", "score")
LEAK = Column("leak", "leak", higher=False, digits=1)
COST = Column("cost", "seconds", higher=None, digits=0)


def rows_of(runs):
    """``{model: {measure: values by seed}}`` as a results table's rows."""
    rows = [
        (model, "w", seed, "", measure, "", value)
        for model, measures in runs.items()
        for measure, values in measures.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=list(results.COLUMNS[:7]))


def runs():
    return {
        "good": {"score": [0.9 + 0.001 * s for s in range(5)], "leak": [0.1] * 5,
                 "seconds": [1234.0] * 5},
        "even": {"score": [0.901 + 0.001 * (s % 3) for s in range(5)],
                 "leak": [0.5 + 0.1 * s for s in range(5)], "seconds": [2.0] * 5},
        "bad": {"score": [0.1 + 0.002 * s for s in range(5)], "seconds": [1.0] * 5},
    }  # fmt: skip


def cells(table):
    return {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
        for line in table.splitlines()[2:]
    }


def test_best_and_tied_are_bold_and_the_worse_is_not():
    found = cells(rendering.markdown(rows_of(runs()), [SCORE]))
    assert found["good"][0].startswith("**0.902") and found["even"][0].startswith("**0.902")
    assert found["bad"][0].startswith("0.104 ±")


def test_less_can_be_better_and_what_is_missing_is_a_dash():
    found = cells(rendering.markdown(rows_of(runs()), [LEAK]))
    assert found["good"][0] == "**0.1 ± 0.0**"
    assert "**" not in found["even"][0] and found["bad"][0] == "–"


def test_who_is_not_told_apart_but_far_away_is_not_bold():
    wild = {"score": [0.9, 0.9, 0.9, 0.9, -5.0]}
    found = cells(rendering.markdown(rows_of({**runs(), "wild": wild}), [SCORE]))
    assert "**" in found["good"][0] and "**" not in found["wild"][0]


def test_who_is_close_but_told_apart_is_not_bold():
    behind = {"score": [0.897 + 0.001 * s + 1e-5 * (-1) ** s for s in range(5)]}
    rows = rows_of({"good": runs()["good"], "behind": behind})
    found = cells(rendering.markdown(rows, [SCORE]))
    assert "**" in found["good"][0] and "**" not in found["behind"][0]


def test_with_few_seeds_nobody_is_best():
    rows = rows_of(runs())
    assert "**" not in rendering.markdown(rows[rows["seed"] < 3], [SCORE])


def test_a_seed_without_a_score_is_left_out_and_said():
    holed = runs()
    holed["good"]["score"][4] = float("nan")
    assert "(n = 4)" in cells(rendering.markdown(rows_of(holed), [SCORE]))["good"][0]


@pytest.mark.parametrize("world", scoreboard.WORLDS)
def test_the_stored_board_renders(world):
    stored = rendering.in_world(
        results.read_results(scoreboard.STUDY.path),
        world,
        [scoreboard.TRUTH, *scoreboard.RECIPES],
    )
    causal = cells(rendering.markdown(stored, rendering.CAUSAL))
    assert set(causal[scoreboard.TRUTH]) == {"–"} and "–" not in causal[scoreboard.MAIN]
    scores = cells(rendering.markdown(stored, rendering.REPRESENTATION, [scoreboard.TRUTH]))
    assert "–" not in scores[scoreboard.TRUTH] and "**" not in "".join(scores[scoreboard.TRUTH])


def test_a_cost_competes_with_nobody():
    found = cells(rendering.markdown(rows_of(runs()), [COST]))
    assert found["good"] == ["1,234"] and found["bad"] == ["1"]


def test_a_reference_never_wins():
    found = cells(rendering.markdown(rows_of(runs()), [SCORE], references=["good", "even"]))
    assert "**" in found["bad"][0] and "**" not in found["good"][0]


CHAIN = pd.DataFrame(
    [
        ("x", "latent r2", "y", 0.9), ("x", "latent r2", "z", 0.2),
        ("y", "latent r2", "z", 0.8), ("x+w", "latent r2", "y", 0.0),
        ("x", "image r2", "x", 0.1), ("x", "image r2", "y", 0.6), ("y", "image r2", "z", 0.7),
        ("z", "image r2", "z", -1.0),
        ("x", "drift", "w", 0.1), ("y", "drift", "x", 0.3), ("z", "drift", "x", 0.9),
        ("y", "in support drift", "x", 0.8),
        ("z", "in support", "", 0.6), ("z", "in support drift", "x", 0.2),
        ("z", "in support drift", "y", 0.1), ("x+z", "image r2", "z", -5.0),
        ("x", "psnr", "", 30.0), ("y", "psnr", "", 20.0), ("x+w", "psnr", "", 9.0),
        ("y", "psnr copy", "", 5.0), ("", "psnr", "", 2.0),
        ("", "r2", "x", 0.5), ("", "r2", "y", 0.4),
        ("", "mic", "x", 0.25), ("", "mic", "y", 0.75),
    ],
    columns=["cause", "measure", "factor", "value"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("title", "number"),
    [
        ("do(), worst R² in latents", 0.2),
        ("do(), worst R² as drawn", 0.6),
        ("factors, worst R²", 0.4),
        ("leakage, sd", 0.3),
        ("what-if picture, dB", 20.0),
        ("MIC", 0.5),
        ("do(effect), worst R² as drawn", -1.0),
        ("drift, sd", 0.9),
        ("in support, share of rows", 0.6),
        ("drift there, sd", 0.2),
    ],
)
def test_columns_take_the_worst_over_single_causes(title, number):
    """A chain x → y → z with a bystander w; causes and leaves are asked apart, and several
    do() at once do not count."""
    tables = rendering.CAUSAL, rendering.EFFECTS, rendering.REPRESENTATION
    columns = {c.title: c for table in tables for c in table}
    assert columns[title].of(CHAIN) == number


def test_a_run_without_the_numbers_has_none():
    run = CHAIN.assign(measure="something else")
    for column in (*rendering.CAUSAL, *rendering.EFFECTS, *rendering.REPRESENTATION):
        assert np.isnan(column.of(run))


def test_a_worlds_models_come_in_the_order_asked_for():
    rows = rows_of({"m": {"a": [1.0, 2.0]}, "first": {"a": [3.0]}, "n": {"a": [4.0]}})
    rows.loc[rows["model"] == "n", "world"] = "other"
    found = rendering.in_world(rows, "w", order=["first", "absent"])
    assert list(found["model"]) == ["first", "m", "m"]
    assert list(found["seed"]) == [0, 0, 1]
