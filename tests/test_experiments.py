"""The results file: resumable, whole, and honest about its seeds."""

import pytest

from caufvae_lite import experiments


def row(seed: int) -> dict:
    return dict.fromkeys(experiments.COLUMNS, "") | {
        "model": "SCM prior", "world": "pendulum", "seed": seed, "metric": "m", "value": 0.5,
    }  # fmt: skip


def test_appended_runs_are_read_back_and_known_as_done(tmp_path):
    path = tmp_path / "core.csv"
    for seed in (0, 1):
        experiments.append(path, [row(seed)])
    assert [r["seed"] for r in experiments.read_results(path)] == [0, 1]
    assert experiments.done(path) == {("SCM prior", "pendulum", s) for s in (0, 1)}
    assert [p.name for p in tmp_path.iterdir()] == ["core.csv"]


def test_core_runs_are_distinct_and_cover_all_switches_on_both_worlds():
    runs = experiments.core_runs()
    names = {(r.model, r.world, r.seed) for r in runs}
    assert len(names) == len(runs)
    for switches in experiments.SWITCHES:
        for world in ("pendulum", "pendulum-noisy"):
            assert all((switches, world, seed) in names for seed in range(5))


def test_interval_is_students():
    mean, half = experiments.mean_and_interval([1.0, 2.0, 3.0])
    assert mean == pytest.approx(2)
    assert half == pytest.approx(4.303 / 3**0.5, rel=1e-3)  # t(0.975, 2) = 4.303


def test_block_split_holds_out_a_corner():
    _, train, test = experiments.data_of("pendulum-block", image_size=16)
    assert (test.factors[:, :2].amin(0) > train.factors[:, :2].quantile(0.5, 0)).all()


def test_unknown_world_is_named():
    with pytest.raises(ValueError, match="nowhere"):
        experiments.world_of("nowhere")
