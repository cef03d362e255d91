"""What right looks like, as a picture, and beside it what the student's answer gives.

`picture` draws one example of an exercise. Before there is an answer the second panel is empty;
an answer that fails leaves it empty, too, and the check says why.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from caufvae_lite.check.exercise import plain
from caufvae_lite.check.practice import known
from caufvae_lite.check.variants import THIS_YEAR, Variant, variant
from caufvae_lite.notebook import show
from caufvae_lite.plots.lessons import COLOURS, matrix_panel, panels_in_a_row

Draw = Callable[[Axes, Variant, tuple, Any], None]


def picture(exercise_id: str, answer: Any, year: int = THIS_YEAR) -> None:
    """Draw the right answer to an example, and the student's beside it.

    Raises:
        ValueError: there is no such exercise.
    """
    if os.environ.get("CAUFVAE_GRADING"):
        return
    exercise, numbers = known(exercise_id), variant(year)
    draw, arguments, says = _spec(exercise_id, numbers)
    figure, (left, right) = panels_in_a_row(2, 3.1, 2.7)
    draw(left, numbers, arguments, plain(exercise.reference(numbers, *arguments)))
    left.set_title("right")
    copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
    try:
        draw(right, numbers, arguments, plain(answer(*copies)))
        right.set(xlim=left.get_xlim(), ylim=left.get_ylim(), title="yours")
    except Exception:  # unanswered, or of another shape
        right.clear()
        right.set(xticks=[], yticks=[], title="yours: nothing to draw yet")
    show(figure, f"Left what the right answer gives, right what yours gives: {says}.")


def _spec(exercise_id: str, v: Variant) -> tuple[Draw, tuple, str]:
    """How its picture is drawn, of which arguments, and what is to be seen."""
    from caufvae_lite.check.tasks.a01 import kept_columns
    from caufvae_lite.check.tasks.a02 import walk
    from caufvae_lite.check.values import Laws, Net

    rng = np.random.default_rng(3)
    grid = torch.cartesian_prod(*[torch.linspace(-1.6, 1.6, 6).double()] * 2)
    order = torch.arange(5).flip(0).roll(2).tolist()
    chain = torch.zeros(4, 4, dtype=torch.bool)
    chain[[0, 1, 2], [1, 2, 3]] = True
    if exercise_id == "02-do":
        graph, noise = v["graph"], torch.from_numpy(rng.normal(size=(4, 4)))
        laws = Laws.draw(graph, rng)
        before = walk(v, noise, graph, laws)[0].numpy()

        def changes(ax: Axes, v: Variant, arguments: tuple, got: Any) -> None:
            table = np.round(got - before, 2) + 0.0
            rows = [f"row {k}" for k in range(4)]
            matrix_panel(ax, table, "", rows, graph.nodes)

        says = f"what do({v['middle']}) changes, and nothing elsewhere"
        return changes, (noise, graph, laws, {v["middle"]: v["set_to"]}), says
    kept = len(kept_columns(v, 2))
    rows = torch.from_numpy(rng.normal(size=(60, 2)))
    return {
        "01-stretch": (curve, (torch.linspace(-3, 3, 200).double(),), "the density"),
        "01-coupling": (arrows, (grid, Net.draw(rng, kept, 2 - kept, True)),
                        "points move along one axis only, by what the other axis says"),
        "02-mask": (names_by_names, (v["graph"],), "a table of who may read whom"),
        "04-turn": (arrows, (grid, 25.0 if "degrees" in v["turn"] else 0.44),
                    "every point turns about the middle by the same angle"),
        "04-law": (two_noises, _two_causes(), "effects of noises 1 and -1: they cross"),
        "06-labels": (chosen, (rows, 12), "rows that lie far from each other, numbered"),
        "07-order": (numbers_by_numbers, (order,), f"the arrows of the order {order}"),
        "07-gates": (stems, (torch.linspace(0, 1.2, 13).double(), 1.0),
                     "gates before (pale) and after they have paid"),
        "07-ancestors": (numbers_by_numbers, (chain,), "the table for a chain of four"),
    }[exercise_id]  # fmt: skip


def _two_causes() -> tuple[torch.Tensor, torch.Tensor]:
    cause = torch.linspace(-2, 2, 81).double().repeat(2)
    return cause, torch.ones(162).double() * torch.tensor([1.0, -1.0]).repeat_interleave(81)


def curve(ax: Axes, v: Variant, arguments: tuple, got: Any) -> None:
    noise = arguments[0].numpy()
    a, b, c = v["stretch"]
    bell = np.exp(-(noise**2) / 2) / np.sqrt(2 * np.pi)
    ax.plot(noise, bell, ":", color=COLOURS["noise"], label="noise")
    density = np.exp(np.broadcast_to(got, noise.shape))
    ax.plot(a * noise + b * np.tanh(c * noise), density, color=COLOURS["factor"], label="z")
    ax.legend(fontsize=8)


def arrows(ax: Axes, v: Variant, arguments: tuple, got: Any) -> None:
    start = arguments[0].numpy()
    end = got[0] if isinstance(got, tuple) else got
    for one, other in zip(start, end, strict=True):
        ax.plot(*zip(one, other, strict=True), color="0.75", lw=1)
    ax.plot(*start.T, ".", ms=4, color=COLOURS["noise"])
    ax.plot(*end.T, ".", ms=5, color=COLOURS["factor"])
    ax.set(xlabel="column 0", ylabel="column 1")


def names_by_names(ax: Axes, v: Variant, arguments: tuple, got: Any) -> None:
    nodes = v["graph"].nodes
    matrix_panel(ax, np.reshape(got, (len(nodes), -1)), "", nodes, nodes)


def numbers_by_numbers(ax: Axes, v: Variant, arguments: tuple, got: Any) -> None:
    names = [str(i) for i in range(len(got))]
    matrix_panel(ax, got, "", names, names)


def two_noises(ax: Axes, v: Variant, arguments: tuple, got: Any) -> None:
    cause, noise = (a.numpy() for a in arguments)
    for sign, role in ((1, "noise"), (-1, "factor")):
        some = noise == sign
        ax.plot(cause[some], got[some], ".", ms=3, color=COLOURS[role], label=f"ε = {sign}")
    ax.axvline(v["law"][2], color="0.6", lw=1, ls="--")
    ax.set(xlabel="cause", ylabel="effect")
    ax.legend(fontsize=8)


def chosen(ax: Axes, v: Variant, arguments: tuple, got: Any) -> None:
    points = arguments[0].numpy()
    ax.plot(*points.T, ".", ms=4, color="0.75")
    for k, row in enumerate(got):
        x, y = points[int(row)]
        ax.text(x, y, str(k + 1), ha="center", va="center", weight="bold",
                color=COLOURS["posterior"], fontsize=9)  # fmt: skip


def stems(ax: Axes, v: Variant, arguments: tuple, got: Any) -> None:
    places = np.arange(len(arguments[0]))
    ax.bar(places, arguments[0].numpy(), color="0.85")
    ax.bar(places, np.asarray(got), color=COLOURS["posterior"], width=0.4)
    ax.axhline(0, color="0.4", lw=0.8)
    ax.set(xlabel="gate")
