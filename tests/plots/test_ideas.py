"""The pictures of ideas show what they claim to: equal slabs, lit paths, cut arrows."""

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from caufvae_lite import CausalGraph, plots
from caufvae_lite.notebook import figures

GRID = np.linspace(-4, 4, 4001)
BELL = np.exp(-0.5 * GRID**2) / np.sqrt(2 * np.pi)
AXIS = np.linspace(-2, 2, 21)
SQUARES = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0), indexing="ij"), -1)
LONE = CausalGraph(["alone"])
CHAIN = CausalGraph(["a", "b_c", "d"], [("a", "b_c"), ("b_c", "d")])
PAST = CausalGraph(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")])
EYE = np.eye(3, dtype=bool)

FIGURES = {
    "mass": lambda: plots.moving_mass(GRID, BELL, 2 * GRID, BELL / 2),
    "mass in place": lambda: plots.mass_in_place(GRID, BELL, 2 * GRID, BELL / 2, (-5, 5)),
    "squares": lambda: plots.stretched_squares(SQUARES, 2 * SQUARES, (0, 1)),
    "one density": lambda: plots.densities({"a": np.ones(441)}, AXIS, [(0, 0)]),
    "densities": lambda: plots.densities(
        {"a": np.ones(441), "b": torch.ones(441)}, AXIS, np.empty((0, 2)), marks={"A": (0, 1)}
    ),
    "records": lambda: plots.records([(0, 1)], {"A": (0, 1)}, ("x", "y"), (-2, 2)),
    "cloud": lambda: plots.coloured_cloud(torch.zeros(3, 2), torch.arange(3), (-1, 1)),
    "cloud of one group": lambda: plots.coloured_cloud([(0, 1)], [0], (-1, 1)),
    "network": lambda: plots.masked_network([EYE, EYE], [["1", "2", "3"]] * 3, 0),
    "timings": lambda: plots.timings([1, 10], {"a": [1e-3, 2e-3], "b": [1e-3, np.nan]}, "d"),
    "smooth": lambda: plots.smooth_distributions({k: AXIS for k in "abcd"}, "x"),
    "graph": lambda: plots.causal_graph(CHAIN, do=["d"]),
    "graph of one": lambda: plots.causal_graph(LONE),
    "graph with a bend": lambda: plots.causal_graph(PAST),
    "graph and matrices": lambda: plots.graph_and_matrices(
        CHAIN, {"J": np.eye(3)}, CHAIN.nodes
    ),
    "graph and four matrices": lambda: plots.graph_and_matrices(
        CHAIN, {k: np.eye(3) for k in "wxyz"}, CHAIN.nodes
    ),
    "walk": lambda: plots.graph_walk(CHAIN, {"a": 1.0}, ["a"], ["b_c"], ["a"]),
    "one case": lambda: plots.one_case(
        {"a": [1.0, -1.0]}, ["x", "y"], (-2, 2), ["data"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    figure.canvas.draw()


@pytest.mark.parametrize("stretch", [1.0, 2.0])
def test_a_slab_holds_a_tenth_and_keeps_its_colour_on_both_sides(stretch):
    figure = plots.moving_mass(GRID, BELL, stretch * GRID, BELL / stretch)
    _, left, below, _ = figure.axes
    for one, other in zip(below.collections, left.collections, strict=True):
        assert (one.get_facecolor() == other.get_facecolor()).all()
        noise = one.get_paths()[0].vertices[:, 0]
        factor = other.get_paths()[0].vertices[:, 1]
        assert factor.min() == pytest.approx(stretch * noise.min())
        rows = (noise.min() <= GRID) & (noise.max() >= GRID)
        assert np.trapezoid(BELL[rows], GRID[rows]) == pytest.approx(0.1, abs=0.002)
    assert len({tuple(c.get_facecolor()[0]) for c in below.collections}) == 10


def test_the_marked_square_has_its_area_written_on_both_sides():
    figure = plots.stretched_squares(SQUARES, 2 * SQUARES, (0, 1))
    assert [ax.get_title().split()[-1] for ax in figure.axes] == ["1.00", "4.00"]


def test_only_what_reaches_the_lit_output_is_lit():
    first = np.array([[1, 0], [1, 1]], dtype=bool)  # hidden unit 1 reads both inputs
    last = np.eye(2, dtype=bool)
    figure = plots.masked_network([first, last], [["z1", "z2"], ["1", "2"], ["s1", "s2"]], 0)
    lit = [t.get_text() for t in figure.axes[0].texts if t.get_color() == "white"]
    assert lit == ["z1", "1", "s1"]


def test_labels_of_lines_that_end_together_stay_apart():
    seconds = {name: [1e-3, 1e-2 + 1e-6 * k] for k, name in enumerate("abc")}
    figure = plots.timings([1, 10], seconds, "d")
    heights = sorted(np.log10(t.xy[1]) for t in figure.axes[0].texts)
    assert np.diff(heights).min() > 0.05


def test_a_walk_writes_only_what_is_known():
    figure = plots.graph_walk(CHAIN, {"a": -1.0, "b_c": 2.0, "d": 3.0}, ["a", "b_c"])
    words = {t.get_text() for t in figure.axes[0].texts if t.get_text()}
    assert words == {"a\n−1.00", "b c\n2.00", "d\n?"}


def test_arrows_into_what_is_set_are_dotted():
    figure = plots.causal_graph(CHAIN, do=["d"])
    arrows = [t.arrow_patch for t in figure.axes[0].texts if not t.get_text()]
    solid = [a.get_linestyle() in ("-", "solid") for a in arrows]
    assert solid == [True, False]


def test_an_arrow_bows_around_the_boxes_between():
    figure = plots.causal_graph(PAST)
    bends = [
        t.arrow_patch.get_connectionstyle().rad
        for t in figure.axes[0].texts
        if not t.get_text()
    ]
    assert any(bends)
    assert not any(
        a.arrow_patch.get_connectionstyle().rad
        for a in plots.causal_graph(CHAIN).axes[0].texts
        if not a.get_text()
    )


def test_arrows_have_heads_as_in_a_file_that_matplotlib_saves():
    """An arrow drawn before its boxes are placed ends under them, and has lost its head."""
    graph, saved = CausalGraph(["a", "b"], [("a", "b")]), io.BytesIO()
    plots.causal_graph(graph).savefig(saved, dpi=figures.DPI * figures.SHARP, facecolor="white")
    shown = Image.open(io.BytesIO(figures._png(plots.causal_graph(graph))))
    expected = np.asarray(Image.open(saved).convert("RGB"), int)
    np.testing.assert_allclose(np.asarray(shown, int), expected, atol=2)
