"""The results file: resumable, whole, shared, and honest about its seeds."""

import multiprocessing

import numpy as np
import pytest
from scipy import stats

from caufvae_lite.studies import results


def row(seed: int, metric: str = "m", value: float = 0.5, configuration: str = "a") -> dict:
    return dict.fromkeys(results.COLUMNS, "") | {
        "model": "SCM prior", "world": "pendulum", "seed": seed, "metric": metric,
        "value": value, "configuration": configuration,
    }  # fmt: skip


def test_appended_runs_are_read_back_and_known_as_done(tmp_path):
    path = tmp_path / "core.csv"
    for seed in (0, 1):
        results.append(path, [row(seed)])
    assert [r["seed"] for r in results.read_results(path)] == [0, 1]
    assert results.done(path) == {("SCM prior", "pendulum", s): "a" for s in (0, 1)}
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_with_other_settings_gives_way_and_others_stay(tmp_path):
    path = tmp_path / "core.csv"
    for seed in (0, 1):
        results.append(path, [row(seed, m) for m in "xy"])
    results.append(path, [row(0, "x", 0.9, "b")])
    rows = results.read_results(path)
    assert [(r["seed"], r["metric"], r["value"]) for r in rows] == [
        (1, "x", 0.5), (1, "y", 0.5), (0, "x", 0.9),
    ]  # fmt: skip


def _write(path, seeds, together):
    together.wait()
    for seed in seeds:
        results.append(path, [row(seed, m) for m in "xyz"])


def test_two_writers_lose_nothing(tmp_path):
    path = tmp_path / "core.csv"
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    writers = [
        context.Process(target=_write, args=(path, range(k, 120, 2), together)) for k in (0, 1)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = results.read_results(path)
    assert sorted((r["seed"], r["metric"]) for r in rows) == [
        (s, m) for s in range(120) for m in "xyz"
    ]


def test_a_writer_killed_half_way_leaves_the_table_whole(tmp_path, monkeypatch):
    path = tmp_path / "core.csv"
    results.append(path, [row(0)])
    before = path.read_bytes()

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        results.append(path, [row(1)])
    assert path.read_bytes() == before


def test_the_digest_follows_every_setting():
    base = {"lr": 0.1, "graph": [("a", "b")]}
    assert results.digest_of(base) == results.digest_of(dict(reversed(base.items())))
    assert results.digest_of(base) != results.digest_of({**base, "lr": 0.2})


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
    assert results.tied_with_best(table) == set(table) - worse
    assert worse == {"far", "between"} and winner != "far"


def test_holm_lets_a_gap_pass_that_alone_would_be_told_apart():
    """One p of .03: told apart among two models, tied among four."""
    gaps = np.array([0.02, 0.05, 0.03, 0.001, 0.04])
    assert 0.01 < stats.ttest_1samp(gaps, 0).pvalue < 0.05 / 1
    best = {s: 1.0 for s in range(5)}
    near = {s: 1.0 - g for s, g in enumerate(gaps)}
    same = {s: 1.0 - 0.01 * (-1) ** s for s in range(5)}
    assert results.tied_with_best({"best": best, "near": near}) == {"best"}
    crowd = {"best": best, "near": near, "a": same, "b": same}
    assert "near" in results.tied_with_best(crowd)


def test_ties_know_which_way_is_better_and_what_equal_means():
    table = {"a": {0: 1.0, 1: 1.1}, "b": {0: 1.0, 1: 1.1}, "c": {0: 5.0, 1: 5.1}}
    assert results.tied_with_best(table, higher=False) == {"a", "b"}
    assert results.tied_with_best(table) == {"c"}
    assert results.tied_with_best({"only": {0: 1.0}}) == {"only"}


def test_seconds_and_memory_are_those_of_the_work():
    work = lambda: np.ones((64, 1024, 1024)).sum()  # noqa: E731 - half a GB
    _, small = results.timed(lambda: 1)
    _, large = results.timed(work)
    assert float(large["memory_mb"]) > float(small["memory_mb"]) + 400
    _, again = results.timed(lambda: 1)
    assert float(again["memory_mb"]) < float(
        large["memory_mb"]
    )  # an earlier peak does not count
