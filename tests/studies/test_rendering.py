"""Tables for readers: what is bold, what is missing, what is only a cost."""

import pytest

from caufvae_lite.studies import rendering, results, scoreboard
from caufvae_lite.studies.rendering import Column

SCORE = Column("score", lambda run: run["score"])
LEAK = Column("leak", lambda run: run["leak"], higher=False, digits=1)
COST = Column("cost", lambda run: run["seconds"], higher=None, digits=0)


def runs():
    return {
        "good": {s: {"score": 0.9 + 0.001 * s, "leak": 0.1, "seconds": 1234.0}
                 for s in range(5)},
        "even": {s: {"score": 0.901 + 0.001 * (s % 3), "leak": 0.5 + 0.1 * s, "seconds": 2.0}
                 for s in range(5)},
        "bad": {s: {"score": 0.1 + 0.002 * s, "seconds": 1.0} for s in range(5)},
    }  # fmt: skip


def cells(table):
    return {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
        for line in table.splitlines()[2:]
    }


def test_best_and_tied_are_bold_and_the_worse_is_not():
    found = cells(rendering.markdown(runs(), [SCORE]))
    assert found["good"][0].startswith("**0.902") and found["even"][0].startswith("**0.902")
    assert found["bad"][0].startswith("0.104 ±")


def test_less_can_be_better_and_what_is_missing_is_a_dash():
    found = cells(rendering.markdown(runs(), [LEAK]))
    assert found["good"][0] == "**0.1 ± 0.0**"
    assert "**" not in found["even"][0] and found["bad"][0] == "–"


def test_who_is_not_told_apart_but_far_away_is_not_bold():
    wild = {s: {"score": v} for s, v in enumerate((0.9, 0.9, 0.9, 0.9, -5.0))}
    found = cells(rendering.markdown({**runs(), "wild": wild}, [SCORE]))
    assert "**" in found["good"][0] and "**" not in found["wild"][0]


def test_who_is_close_but_told_apart_is_not_bold():
    behind = {s: {"score": 0.897 + 0.001 * s + 1e-5 * (-1) ** s} for s in range(5)}
    found = cells(rendering.markdown({"good": runs()["good"], "behind": behind}, [SCORE]))
    assert "**" in found["good"][0] and "**" not in found["behind"][0]


def test_with_few_seeds_nobody_is_best():
    few = {m: {s: run for s, run in seeds.items() if s < 3} for m, seeds in runs().items()}
    assert "**" not in rendering.markdown(few, [SCORE])


def test_a_seed_without_a_score_is_left_out_and_said():
    holed = runs()
    holed["good"][4]["score"] = float("nan")
    assert "(n = 4)" in cells(rendering.markdown(holed, [SCORE]))["good"][0]


@pytest.mark.parametrize("world", scoreboard.WORLDS)
def test_the_stored_board_renders(world):
    stored = rendering.runs_of(
        results.read_results(scoreboard.STUDY.path),
        world,
        [scoreboard.TRUTH, *scoreboard.RECIPES],
    )
    causal = cells(rendering.markdown(stored, rendering.CAUSAL))
    assert set(causal[scoreboard.TRUTH]) == {"–"} and "–" not in causal[scoreboard.MAIN]
    scores = cells(rendering.markdown(stored, rendering.REPRESENTATION, [scoreboard.TRUTH]))
    assert "–" not in scores[scoreboard.TRUTH] and "**" not in "".join(scores[scoreboard.TRUTH])


def test_a_cost_competes_with_nobody():
    found = cells(rendering.markdown(runs(), [COST]))
    assert found["good"] == ["1,234"] and found["bad"] == ["1"]


def test_a_reference_never_wins():
    found = cells(rendering.markdown(runs(), [SCORE], references=["good", "even"]))
    assert "**" in found["bad"][0] and "**" not in found["good"][0]


def test_columns_take_the_worst_over_single_causes():
    """A chain x → y → z with a bystander w; several do() at once, and leaves, do not count."""
    run = {
        "do(x) latent r2/y": 0.9, "do(x) latent r2/z": 0.2, "do(y) latent r2/z": 0.8,
        "do(x+w) latent r2/y": 0.0,
        "do(x) image r2/x": 0.1, "do(x) image r2/y": 0.6, "do(y) image r2/z": 0.7,
        "do(z) image r2/z": -1.0,
        "do(x) drift/w": 0.1, "do(y) drift/x": 0.3, "do(z) drift/x": 0.9,
        "do(y) in support drift/x": 0.8,
        "do(x) psnr": 30.0, "do(y) psnr": 20.0, "do(x+w) psnr": 9.0, "do(y) psnr/copy": 5.0,
        "r2/x": 0.5, "r2/y": 0.4, "mic/x": 0.25, "mic/y": 0.75,
    }  # fmt: skip
    columns = {c.title: c for c in (*rendering.CAUSAL, *rendering.REPRESENTATION)}
    assert columns["do(), worst R² in latents"].of(run) == 0.2
    assert columns["do(), worst R² as drawn"].of(run) == 0.6
    assert columns["factors, worst R²"].of(run) == 0.4
    assert columns["leakage, sd"].of(run) == 0.3
    assert columns["what-if picture, dB"].of(run) == 20.0
    assert columns["MIC"].of(run) == 0.5


def test_a_run_without_the_numbers_has_no_column():
    for column in (*rendering.CAUSAL, *rendering.REPRESENTATION):
        with pytest.raises(KeyError):
            column.of({"something/else": 1.0})


def test_rows_become_runs_in_the_order_asked_for():
    row = {"model": "m", "world": "w", "seed": 1, "metric": "a", "value": 2.0}
    rows = [row, {**row, "world": "other"}, {**row, "model": "first", "metric": "b"}]
    found = rendering.runs_of(rows, "w", order=["first", "absent"])
    assert found == {"first": {1: {"b": 2.0}}, "m": {1: {"a": 2.0}}}
    assert list(found) == ["first", "m"]
    assert rendering.values_of(found, SCORE) == {}
