"""Studies: distinct runs, settings that are part of a run's identity, and stored tables."""

import json

import pytest

from caufvae_lite.studies.base import Study
from caufvae_lite.studies.registry import STUDIES
from caufvae_lite.studies.results import COLUMNS, append, done, read_results
from caufvae_lite.worlds.examination import Score

every = pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)


@every
def test_runs_are_distinct_and_their_settings_are_json(study):
    keys = study.keys(range(3))
    assert len(set(keys)) == len(keys) > 0
    for key in keys:
        json.dumps(study.configuration(key))


@every
def test_the_digest_tells_runs_apart(study):
    keys = study.keys(range(2))
    assert len({study.digest(key) for key in keys}) == len(keys)


@every
def test_the_stored_table_is_complete_and_computed_with_todays_settings(study):
    assert study.missing(study.path, range(study.seeds)) == []
    with study.path.open() as file:
        assert tuple(file.readline().strip().split(",")) == COLUMNS


@every
def test_the_stored_table_holds_nothing_else(study):
    assert set(done(study.path)) == set(study.keys(range(study.seeds)))
    names = ["model", "world", "seed", "cause", "measure", "factor"]
    assert not read_results(study.path).duplicated(names).any()


def test_what_is_missing_follows_the_settings(tmp_path):
    settings = {"epochs": 1}
    study = Study(
        "toy",
        lambda seeds: [("m", "w", s) for s in seeds],
        lambda key: {**settings, "seed": key[2]},
        lambda key: [Score("", "score", "", 1.0)],
    )
    path = tmp_path / "toy.csv"
    append(path, study.rows(("m", "w", 0)))
    assert study.missing(path, range(2)) == [("m", "w", 1)]
    settings["epochs"] = 2
    assert study.missing(path, range(2)) == [("m", "w", 0), ("m", "w", 1)]


def test_the_digest_follows_every_setting_and_not_their_order():
    settings = {0: {"lr": 0.1, "graph": [("a", "b")]}, 1: {"graph": [("a", "b")], "lr": 0.1}}
    settings[2] = {**settings[0], "lr": 0.2}
    study = Study("toy", lambda _: [], lambda key: settings[key[2]], lambda _: [])
    same, reordered, other = (study.digest(("m", "w", seed)) for seed in range(3))
    assert same == reordered != other


def test_a_runs_rows_say_how_it_was_computed():
    compute = lambda key: [Score("", "score", "", 1.0)]  # noqa: E731
    rows = Study("toy", lambda _: [], lambda key: {}, compute).rows(("m", "w", 0))
    assert tuple(rows.columns) == COLUMNS and (rows != "").loc[0, "version":].all()
