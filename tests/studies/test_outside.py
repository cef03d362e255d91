"""A model and a world from outside the package take part in the scoreboard like its own."""

import re
from pathlib import Path

import pandas as pd
import pytest

from caufvae_lite import CauFVAE
from caufvae_lite.baselines.recipe import LABELS, Recipe, grid
from caufvae_lite.studies import rendering, results, scoreboard, search

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_world.md"
NAME, WORLD = "no arrows", "garden-16"


class NoArrows(CauFVAE):
    """CauF-VAE over the graph without its edges: do() sets a factor and moves nothing else."""

    def __init__(self, graph, image_shape, **options):
        super().__init__(graph.without_edges(), image_shape, **options)


@pytest.fixture
def newcomers(monkeypatch):
    """The page's world, which the studies know by name, and the model above; little budget."""
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.S)[1], {"__name__": "page"})
    recipe = Recipe(NoArrows, LABELS, trials=grid(supervision=(60.0, 180.0)))
    monkeypatch.setitem(scoreboard.RECIPES, NAME, recipe)
    monkeypatch.setitem(scoreboard.WORLDS, WORLD, scoreboard.Entry("garden", seeds=2))
    monkeypatch.setattr(scoreboard, "IMAGE_SIZE", 16)
    monkeypatch.setattr(scoreboard, "EPOCHS", 1)
    monkeypatch.setattr(scoreboard, "TREE_ROWS", 100)


def test_a_new_model_and_a_new_world_are_missing_runs_and_nothing_else_is(newcomers):
    runs = scoreboard.STUDY.keys(range(5))
    assert {seed for _, world, seed in runs if world == WORLD} == {0, 1}
    for_all = [world for world, entry in scoreboard.WORLDS.items() if not entry.only]
    assert {(NAME, world) for world in for_all} <= {run[:2] for run in runs}
    new = {run for run in runs if run[0] == NAME or run[1] == WORLD}
    assert set(runs) - new == set(results.done(scoreboard.STUDY.path))
    assert {f"{NAME} [supervision=60]", f"{NAME} [supervision=180]"} <= set(search.trials())


def test_their_rows_are_computed_stored_and_rendered_as_all_others_are(newcomers, tmp_path):
    table = tmp_path / "scoreboard.csv"
    names = [NAME, scoreboard.MAIN]
    for name in names:
        results.append(table, scoreboard.STUDY.rows((name, WORLD, 0)))
    rows = results.read_results(table)
    assert results.done(table) == {
        (name, WORLD, 0): scoreboard.STUDY.digest((name, WORLD, 0)) for name in names
    }
    shown = rendering.markdown(rendering.in_world(rows, WORLD, names), rendering.CAUSAL)
    header, _, *lines = ([c.strip() for c in x.split("|")[1:-1]] for x in shown.splitlines())
    cells = pd.DataFrame(lines, columns=header).set_index("model").astype(float)
    assert list(cells.index) == names
    assert cells.loc[NAME, "do(), worst R² in latents"] < 0.1  # nothing moves
    kept = rows[(rows["model"] == NAME) & (rows["measure"] == "noise kept")]
    assert (kept["value"] == 1).all() and len(kept) > 0
