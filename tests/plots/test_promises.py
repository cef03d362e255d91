"""The figures of notebook 04 show what they are given, and nothing is silently left out."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from caufvae_lite import plots

GRID = np.linspace(-2, 2, 21)
CLOUD = (GRID, GRID**2)
SEEDS = {"as assumed": [0.9, 0.95], "unread": [np.nan, np.nan], "low": [-5.0, -6.0]}

FIGURES = {
    "rank": lambda: plots.same_rank(
        GRID, {"a": np.ones(21), "b": torch.ones(21)}, {"a": 0.5, "b": 1.0}, "y"
    ),
    "cloud": lambda: plots.same_cloud(
        {"a": CLOUD, "b": CLOUD}, (1, 1), -1, {"a": 0.0, "b": 1.0}, {"a": 0.1, "b": 0.2}
    ),
    "one law": lambda: plots.same_cloud({"a": CLOUD}, (1, 1), -1, {"a": 0.0}, {"a": 0.1}),
    "objections": lambda: plots.objections(
        GRID, {"p": {"turn": GRID, "twist": GRID}, "q": {"turn": GRID}}, "x", "y"
    ),
    "environments": lambda: plots.environments(
        {"a": np.ones((30, 2)) * np.arange(30)[:, None], "b": torch.randn(30, 2)},
        np.arange(30) % 6,
    ),
    "broken": lambda: plots.broken({"p": SEEDS}, {"p": -1}, reference="as assumed"),
    "broken, plain": lambda: plots.broken({"p": SEEDS, "q": SEEDS}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    figure.canvas.draw()


def test_a_row_without_scores_says_so_and_a_low_one_has_its_number():
    figure = plots.broken({"p": SEEDS}, {"p": -1})
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["cannot be measured", "\N{MINUS SIGN}5.5"]


def test_the_reference_line_is_named_and_every_seed_is_a_point():
    figure = plots.broken({"p": {"as assumed": [0.9, 0.95]}}, reference="as assumed")
    assert [t.get_text() for t in figure.legends[0].texts] == ["as assumed"]
    points, line = figure.axes[0].lines
    assert points.get_xdata().tolist() == [0.9, 0.95]
    assert line.get_xdata() == pytest.approx([0.925, 0.925])


def test_both_lines_are_seen_where_they_coincide():
    """The lower one is at least twice as broad as the one on top of it."""
    figure = plots.objections(GRID, {"p": {"turn": 0 * GRID, "twist": 0 * GRID}}, "x", "y")
    below, above, _ = figure.axes[0].lines
    assert below.get_linewidth() > 2 * above.get_linewidth()


def test_clouds_share_one_scale():
    figure = plots.environments({"wide": 9 * np.eye(2), "narrow": np.eye(2)}, [0, 1])
    assert len({ax.get_xlim() + ax.get_ylim() for ax in figure.axes}) == 1
