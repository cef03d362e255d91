"""Few labels: every model has the same rows, the same repeats, and a search of its own."""

import pandas as pd
import pytest

from caufvae_lite.data import labelled_rows
from caufvae_lite.studies import few_labels, rendering, scoreboard, search
from caufvae_lite.worlds.examination import Score


@pytest.mark.parametrize("share", few_labels.SHARES)
def test_all_models_get_the_share_and_its_rows_again(share, monkeypatch):
    seen, world = [], few_labels.WORLDS[0]
    monkeypatch.setattr(scoreboard, "fit", lambda model, rows, **options: seen.append(options))
    monkeypatch.setattr(few_labels, "examine", lambda *arguments: [])
    for model in few_labels.RECIPES if share == few_labels.SEARCHED else few_labels.EVERY_SHARE:
        few_labels.compute((few_labels.name_of(model, share), world, 3))
    assert all(options == seen[0] for options in seen)
    assert seen[0]["label_fraction"] == few_labels.SHARES[share] and seen[0]["seed"] == 3
    assert seen[0]["labelled"] == few_labels.LABELLED
    assert seen[0]["epochs"] == scoreboard.EPOCHS


CONTROLS = few_labels.EVERY_SHARE[1:]


def test_every_share_is_asked_of_our_model_and_of_the_controls():
    assert few_labels.EVERY_SHARE[0] == scoreboard.SEMI
    assert all(name.startswith("control") for name in CONTROLS)


def test_controls_were_searched_as_hard():
    trials = {model: len(recipe.trials) for model, recipe in few_labels.RECIPES.items()}
    assert set(trials.values()) == {7}
    assert search.SEED not in range(few_labels.STUDY.seeds)


def test_only_the_controls_go_without_the_bound():
    weights = {
        m: recipe.options.get("kl_weight", 1) for m, recipe in few_labels.RECIPES.items()
    }
    assert {m for m, weight in weights.items() if weight == 0} == set(CONTROLS)
    assert all(weights[m] == 1 for m in weights.keys() - set(CONTROLS))


def test_rows_are_counted_and_seeds_are_in_order():
    def stored(model, values):
        table = {"world": "pendulum-32", "model": model, "cause": "", "measure": "r2"}
        worst = pd.DataFrame({"seed": range(len(values)), "factor": "a", "value": values})
        best = worst.assign(factor="b", value=1.0)
        return pd.concat([worst, best]).assign(**table)

    few = stored(few_labels.name_of(scoreboard.SEMI, "1 %"), (0.1, 0.2))
    board = stored(scoreboard.SEMI, (0.3, 0.4))
    found = few_labels.by_rows(few, board, "pendulum-32", rendering.CAUSAL[0])
    assert found[scoreboard.SEMI] == {55: [0.1, 0.2], 5481: [0.3, 0.4]}
    _, rows, _ = scoreboard.data_of("pendulum-32")
    assert labelled_rows(len(rows), 0.01, seed=0).sum() == 55 and len(rows) == 5481
    assert found.keys() == set(few_labels.EVERY_SHARE)
    assert not any(found[m] for m in CONTROLS)


def test_the_search_leaves_labels_to_as_many_rows_as_the_study(monkeypatch):
    seen = {}
    monkeypatch.setattr(scoreboard, "fit", lambda model, rows, **options: seen.update(options))
    name = next(name for name, (_, few) in search.trials().items() if few)
    monkeypatch.setattr(search, "alignment", lambda model, rows: [Score("", "r2", "a", 0.5)])
    monkeypatch.setattr(search.Examination, "set_causes", lambda self, names: [])
    assert search.compute((name, search.WORLD, search.SEED))[-1].value == 0.5
    assert seen["label_fraction"] == few_labels.SHARES[few_labels.SEARCHED]
    assert seen["labelled"] == few_labels.LABELLED
