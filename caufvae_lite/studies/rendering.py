"""The scoreboard as a reader sees it: columns, bold for the best and the tied, costs.

`board` computes the runs; this turns their rows into tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from caufvae_lite.studies.results import mean_and_interval, tied_with_best

ENOUGH = 5  # seeds, to say who is best
Runs = dict[str, dict[int, dict[str, float]]]  # {model: {seed: {metric: value}}}


@dataclass(frozen=True)
class Column:
    """One number of the board, made of a run's metrics.

    Args:
        title: what stands above it.
        of: from a run's metrics to the number; KeyError where the run has none.
        higher: is more better? None for a cost, which competes with nobody.
        digits: after the point.
        margin: how far a mean may lie from the best and still be bold, if not told apart.
    """

    title: str
    of: Callable[[Mapping[str, float]], float]
    higher: bool | None = True
    digits: int = 3
    margin: float = 0.01


ONE_DO = re.compile(r"do\((?P<cause>[^)+]+)\) (?P<metric>[^/]+)(/(?P<factor>.+))?")


def _of(run: Mapping[str, float], metric: str) -> dict[tuple[str, str], float]:
    """``{(cause, factor): value}`` of the questions that set one cause, and it alone.

    A cause is what has effects, so whatever is scored by ``latent r2``.

    Raises:
        KeyError: the run holds no such number.
    """
    asked = {key: match for key in run if (match := ONE_DO.fullmatch(key))}
    causes = {m["cause"] for m in asked.values() if m["metric"] == "latent r2"}
    found = {
        (m["cause"], m["factor"]): run[key]
        for key, m in asked.items()
        if m["metric"] == metric and m["cause"] in causes and m["factor"] != m["cause"]
    }
    if not found:
        raise KeyError(metric)
    return found


def _worst_do(metric: str) -> Callable[[Mapping[str, float]], float]:
    """The worst effect of any cause."""
    return lambda run: min(_of(run, metric).values())


def _leakage(run: Mapping[str, float]) -> float:
    return max(_of(run, "drift").values())


def _picture(run: Mapping[str, float]) -> float:
    copied = "copy"  # psnr/copy is what returning the input would get
    return min(value for (_, what), value in _of(run, "psnr").items() if what != copied)


def _factors(run: Mapping[str, float], kind: str) -> list[float]:
    """``kind/FACTOR`` of every factor."""
    found = [value for key, value in run.items() if key.startswith(f"{kind}/")]
    if not found:
        raise KeyError(kind)
    return found


def _mean(run: Mapping[str, float], kind: str) -> float:
    return float(np.mean(_factors(run, kind)))


CAUSAL = (
    Column("factors, worst R²", lambda r: min(_factors(r, "r2"))),
    Column("do(), worst R² in latents", _worst_do("latent r2")),
    Column("do(), worst R² as drawn", _worst_do("image r2")),
    Column("what-if picture, dB", _picture, digits=1, margin=1.0),
    Column("leakage, sd", _leakage, False, 3, 0.02),
)
REPRESENTATION = (
    Column("MCC", lambda r: r["mcc"]),
    Column("DCI: D", lambda r: r["dci/disentanglement"]),
    Column("C", lambda r: r["dci/completeness"]),
    Column("I", lambda r: r["dci/informativeness"]),
    Column("MIC", lambda r: _mean(r, "mic")),
    Column("TIC", lambda r: _mean(r, "tic")),
)
COST = (
    Column("seconds an epoch", lambda r: r["seconds an epoch"], None, 1),
    Column("parameters", lambda r: r["parameters"], None, 0),
    Column("peak memory, MB", lambda r: r["peak memory"], None, 0),
)


def runs_of(rows: Iterable[Mapping], world: str, order: Sequence[str] = ()) -> Runs:
    """A results table's rows of one world, run by run.

    Models in the given order come first.
    """
    rows = list(rows)
    present = {row["model"] for row in rows if row["world"] == world}
    runs: Runs = {model: {} for model in order if model in present}
    for row in rows:
        if row["world"] == world:
            run = runs.setdefault(row["model"], {}).setdefault(row["seed"], {})
            run[row["metric"]] = row["value"]
    return runs


def values_of(runs: Runs, column: Column) -> dict[str, dict[int, float]]:
    """``{model: {seed: value}}``; without models that lack the metrics, and without NaN."""
    table: dict[str, dict[int, float]] = {}
    for model, seeds in runs.items():
        try:
            found = {seed: float(column.of(run)) for seed, run in seeds.items()}
        except KeyError:
            continue
        found = {seed: v for seed, v in found.items() if not np.isnan(v)}
        if found:
            table[model] = found
    return table


def mean_of(values: Mapping[int, float]) -> float:
    """The mean over seeds."""
    return float(np.mean(list(values.values())))


def _bold(racing: Mapping[str, Mapping[int, float]], column: Column) -> set[str]:
    means = {model: mean_of(values) for model, values in racing.items()}
    best = (max if column.higher else min)(means, key=lambda model: means[model])
    if len(racing[best]) < ENOUGH:
        return set()
    near = {m for m, mean in means.items() if abs(mean - means[best]) <= column.margin}
    return near & tied_with_best(racing, bool(column.higher))


def markdown(runs: Runs, columns: Sequence[Column], references: Sequence[str] = ()) -> str:
    """The board as a Markdown table: mean ± half a 95 % interval over seeds.

    Bold: the best mean of a column, and every mean within its margin of the best that a
    paired t test over seeds (Holm-corrected) does not tell from it. With fewer than
    ``ENOUGH`` seeds nothing is bold. A cell over fewer seeds than its row says how many.
    ``references`` are rows that compete with nobody.
    """
    lines = [
        "| model | " + " | ".join(c.title for c in columns) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    cells: dict[str, list[str]] = {model: [] for model in runs}
    for column in columns:
        table = values_of(runs, column)
        racing = {m: v for m, v in table.items() if m not in references}
        best = _bold(racing, column) if column.higher is not None and racing else set()
        for model in runs:
            if model not in table:
                cells[model].append("–")
                continue
            mean, half = mean_and_interval(list(table[model].values()))
            text = f"{mean:,.{column.digits}f}"
            if column.higher is not None and not np.isnan(half):
                text += f" ± {half:.{column.digits}f}"
            if len(table[model]) < len(runs[model]):
                text += f" (n = {len(table[model])})"
            cells[model].append(f"**{text}**" if model in best else text)
    for model, row in cells.items():
        lines.append(f"| {model} | " + " | ".join(row) + " |")
    return "\n".join(lines)
