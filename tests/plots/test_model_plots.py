"""The figures of notebook 03: the lit way, the posterior over the prior, the knob."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from caufvae_lite import CausalGraph, Pendulum, plots
from caufvae_lite.plots.model import STEPS

GRAPH = CausalGraph(["a_b", "c", "d"], [("a_b", "c"), ("c", "d")])
PICTURES = [np.zeros((3, 8, 8)), np.ones((3, 8, 8))]
READ, ANSWERED = [1.0, 2.0, 3.0], [1.0, -5.0, 7.25]
GRID = np.linspace(-2, 2, 21)


def way(lit="", do=None):
    do = {"c": -5.0} if do is None else do
    return plots.picture_to_picture(GRAPH, PICTURES, [READ, ANSWERED], np.zeros(3), do, lit)


def written(figure):
    return [text.get_text() for text in figure.axes[0].texts]


FIGURES = {
    "whole way": way,
    "reconstruction": lambda: way(do={}),
    "grey pictures": lambda: plots.picture_to_picture(
        GRAPH, [p[:1] for p in PICTURES], [READ, READ], np.zeros(3)
    ),
    **{step: lambda step=step: way(step) for step in STEPS},
    "posteriors": lambda: plots.posteriors_and_prior(
        np.zeros((5, 2)), np.ones((5, 2)), ["a_b", "c"]
    ),
    "residuals": lambda: plots.residuals(
        np.eye(3), np.zeros((3, 3)), GRAPH.nodes, dict.fromkeys(GRAPH.nodes, "m")
    ),
    "mosaics": lambda: plots.mosaics({"a": np.zeros((9, 3, 8, 8)), "b": np.ones((8, 1, 8, 8))}),
    "price": lambda: plots.kl_against_scale(GRID, {"a": GRID**2, "b": GRID**2 + 1}, "s", "KL"),
    "marked": lambda: plots.truth_outlined(
        {"a": np.zeros((2, 3, 16, 16))}, [[0, 80, 5, 9], [0, 100, 5, 9]], ["one", "two"]
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    figure.canvas.draw()


def test_numbers_appear_when_their_step_has_come():
    """The answer is unknown in abduction; action knows what was set, prediction the rest."""
    assert {"−5.0", "7.2"}.isdisjoint(written(way("abduction")))
    assert "−5.0" in written(way("action")) and "7.2" not in written(way("action"))
    assert {"−5.0", "7.2"} <= set(written(way("prediction")))


def test_a_step_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="abduction"):
        way("deduction")


def test_the_marks_are_where_the_world_draws_sun_and_shadow():
    """On the true picture the ring's centre is the sun's, and the bar has the shadow's ends."""
    world = Pendulum(image_size=64)
    factors = world.sample(1, seed=3).factors
    picture = world.render(factors)
    ax = plots.truth_outlined({"truth": picture}, factors).axes[0]
    ring, (bar,) = ax.patches[-1], ax.lines
    assert np.isclose(
        (ring.center[0] + 0.5) * 20 / 64, 10 + 10 / np.tan(np.deg2rad(float(factors[0, 1])))
    )
    black = np.flatnonzero((picture[0].sum(0) < 0.3).numpy()[-2])
    assert abs(bar.get_xdata()[0] + 0.5 - black.min()) <= 1
    assert abs(bar.get_xdata()[1] + 0.5 - (black.max() + 1)) <= 1
