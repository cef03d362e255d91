"""The results table: resumable, whole, shared, and honest about its seeds."""

import multiprocessing

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caufvae_lite.studies import results
from caufvae_lite.worlds.examination import Score


def run(seed, measures="m", value=0.5, configuration="a"):
    """The rows of one run, one a letter of ``measures``."""
    scores = [Score("lamp", measure, "", value) for measure in measures]
    return results.rows_of(("SCM prior", "pendulum", seed), scores, {}, configuration)


def test_appended_runs_are_read_back_and_known_as_done(tmp_path):
    path = tmp_path / "core.csv"
    for seed in (0, 1):
        results.append(path, run(seed))
    assert list(results.read_results(path)["seed"]) == [0, 1]
    assert results.done(path) == {("SCM prior", "pendulum", s): "a" for s in (0, 1)}
    assert not list(tmp_path.glob("*.partial"))


def test_a_score_keeps_its_cause_measure_and_factor(tmp_path):
    path = tmp_path / "core.csv"
    scores = [Score("a+b", "latent r2", "c", 0.25), Score("", "psnr", "", float("nan"))]
    results.append(path, results.rows_of(("m", "w", 3), scores, {"seconds": 1.5}))
    found = results.read_results(path)
    assert tuple(found.columns) == results.COLUMNS
    both = [Score(*row) for row in found[list(Score._fields)].itertuples(index=False)]
    assert both[0] == scores[0]
    assert both[1][:3] == scores[1][:3] and np.isnan(both[1].value)


def test_a_run_with_other_settings_gives_way_and_others_stay(tmp_path):
    path = tmp_path / "core.csv"
    for seed in (0, 1):
        results.append(path, run(seed, "xy"))
    results.append(path, run(0, "x", 0.9, "b"))
    rows = results.read_results(path)[["seed", "measure", "value"]]
    assert rows.to_numpy().tolist() == [[1, "x", 0.5], [1, "y", 0.5], [0, "x", 0.9]]


def test_adding_a_run_leaves_the_text_of_the_others_as_it_is(tmp_path):
    path = tmp_path / "core.csv"
    results.append(path, run(0, "xy", 0.1 + 0.2))
    before = path.read_text()
    results.append(path, run(1))
    assert path.read_text().startswith(before)


def _write(path, seeds, together):
    together.wait()
    for seed in seeds:
        results.append(path, run(seed, "xyz"))


def test_two_writers_lose_nothing(tmp_path):
    path = tmp_path / "core.csv"
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    writers = [
        context.Process(target=_write, args=(path, range(k, 60, 2), together)) for k in (0, 1)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = results.read_results(path)
    assert sorted(zip(rows["seed"], rows["measure"], strict=True)) == [
        (seed, measure) for seed in range(60) for measure in "xyz"
    ]


def test_a_writer_killed_half_way_leaves_the_table_whole(tmp_path, monkeypatch):
    path = tmp_path / "core.csv"
    results.append(path, run(0))
    before = path.read_bytes()

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        results.append(path, run(1))
    assert path.read_bytes() == before


def test_seeds_stand_below_each_other_and_models_keep_their_order():
    rows = pd.DataFrame(
        [("z", 1, "r2", 0.1), ("a", 1, "r2", 0.2), ("z", 0, "r2", 0.3), ("z", 0, "mcc", 9.0)],
        columns=["model", "seed", "measure", "value"],
    )
    wide = results.over_seeds(rows, measure="r2")
    assert list(wide.columns) == ["z", "a"] and list(wide.index) == [0, 1]
    assert wide.loc[0, "z"] == 0.3 and np.isnan(wide.loc[0, "a"])
    with pytest.raises(ValueError, match="duplicate"):  # two scores of one run
        results.over_seeds(rows)


def test_interval_is_students():
    mean, half = results.mean_and_interval([1.0, 2.0, 3.0])
    assert mean == pytest.approx(2)
    assert half == pytest.approx(4.303 / 3**0.5, rel=1e-3)  # t(0.975, 2) = 4.303


def test_ties_are_a_paired_t_test_with_holms_correction():
    rng = np.random.default_rng(0)
    best = rng.normal(1, 0.1, 5)
    near, far, between = best - 0.001, best - 0.5, best - 0.03
    table = {
        name: dict(enumerate(values + rng.normal(0, 0.01, 5)))
        for name, values in
        {"best": best, "near": near, "far": far, "between": between}.items()
    }  # fmt: skip
    winner = max(table, key=lambda m: np.mean(list(table[m].values())))
    gaps = {m: [table[winner][s] - v[s] for s in range(5)] for m, v in table.items()}
    p = {m: stats.ttest_1samp(g, 0).pvalue for m, g in gaps.items() if m != winner}
    worse, stopped = set(), False
    for k, m in enumerate(sorted(p, key=p.get)):  # Holm, by hand
        stopped |= p[m] > 0.05 / (3 - k)
        if not stopped:
            worse.add(m)
    assert results.tied_with_best(pd.DataFrame(table)) == set(table) - worse
    assert worse == {"far", "between"} and winner != "far"


def test_holm_lets_a_gap_pass_that_alone_would_be_told_apart():
    """One p of .03: told apart among two models, tied among four."""
    gaps = np.array([0.02, 0.05, 0.03, 0.001, 0.04])
    assert 0.01 < stats.ttest_1samp(gaps, 0).pvalue < 0.05 / 1
    best = {s: 1.0 for s in range(5)}
    near = {s: 1.0 - g for s, g in enumerate(gaps)}
    same = {s: 1.0 - 0.01 * (-1) ** s for s in range(5)}
    assert results.tied_with_best(pd.DataFrame({"best": best, "near": near})) == {"best"}
    crowd = pd.DataFrame({"best": best, "near": near, "a": same, "b": same})
    assert "near" in results.tied_with_best(crowd)


def test_ties_know_which_way_is_better_and_what_equal_means():
    table = pd.DataFrame({"a": [1.0, 1.1], "b": [1.0, 1.1], "c": [5.0, 5.1]})
    assert results.tied_with_best(table, higher=False) == {"a", "b"}
    assert results.tied_with_best(table) == {"c"}
    assert results.tied_with_best(pd.DataFrame({"only": [1.0]})) == {"only"}


def test_seconds_and_memory_are_those_of_the_work():
    work = lambda: np.ones((64, 1024, 1024)).sum()  # noqa: E731 - half a GB
    _, small = results.timed(lambda: 1)
    _, large = results.timed(work)
    assert float(large["memory_mb"]) > float(small["memory_mb"]) + 400
    _, again = results.timed(lambda: 1)
    assert float(again["memory_mb"]) < float(
        large["memory_mb"]
    )  # an earlier peak does not count
