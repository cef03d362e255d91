"""The scoreboard as a reader sees it: columns, and bold for the best and the tied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from caufvae_lite.studies.results import mean_and_interval, tied_with_best

__all__ = ["CAUSAL", "COST", "REPRESENTATION", "Column", "in_world", "markdown", "values_of"]

ENOUGH = 5  # seeds, to say who is best


@dataclass(frozen=True)
class Column:
    """One number of the scoreboard, made of a run's scores.

    Args:
        title: what stands above it.
        of: from a run's table, with columns ``cause, measure, factor, value``, to the number;
            NaN where the run has none.
        higher: is more better? None for a cost, which competes with nobody.
        digits: after the point.
        margin: how far a mean may lie from the best and still be bold, if not told apart.
    """

    title: str
    of: Callable[[pd.DataFrame], float]
    higher: bool | None = True
    digits: int = 3
    margin: float = 0.01


def _with_nothing_set(run: pd.DataFrame, measure: str) -> pd.Series:
    """A measure's values over factors, where nothing was set."""
    return run["value"][(run["measure"] == measure) & (run["cause"] == "")]


def _after_one_do(run: pd.DataFrame, measure: str) -> pd.Series:
    """A measure's values over the questions that set one cause, and it alone.

    A cause is a factor that has effects, so whatever ``latent r2`` was asked about. The
    factor that was set is not counted among its own effects.
    """
    causes = run["cause"][(run["measure"] == "latent r2") & run["cause"].isin(run["factor"])]
    asked = run["cause"].isin(causes) & (run["factor"] != run["cause"])
    return run["value"][asked & (run["measure"] == measure)]


def mean(measure: str) -> Callable[[pd.DataFrame], float]:
    """The mean over factors, where nothing was set."""
    return lambda run: _with_nothing_set(run, measure).mean()


CAUSAL = (
    Column("factors, worst R²", lambda run: _with_nothing_set(run, "r2").min()),
    Column("do(), worst R² in latents", lambda run: _after_one_do(run, "latent r2").min()),
    Column("do(), worst R² as drawn", lambda run: _after_one_do(run, "image r2").min()),
    Column("what-if picture, dB", lambda run: _after_one_do(run, "psnr").min(), True, 1, 1.0),
    Column("leakage, sd", lambda run: _after_one_do(run, "drift").max(), False, 3, 0.02),
)
REPRESENTATION = (
    Column("MCC", mean("mcc")),
    Column("DCI: D", mean("dci disentanglement")),
    Column("C", mean("dci completeness")),
    Column("I", mean("dci informativeness")),
    Column("MIC", mean("mic")),
    Column("TIC", mean("tic")),
)
COST = (
    Column("seconds an epoch", mean("seconds an epoch"), None, 1),
    Column("parameters", mean("parameters"), None, 0),
    Column("peak memory, MB", mean("peak memory"), None, 0),
)


def in_world(rows: pd.DataFrame, world: str, order: Sequence[str] = ()) -> pd.DataFrame:
    """A results table's rows of one world; models in the given order come first."""
    rows = rows[rows["world"] == world]
    names = dict.fromkeys((*order, *rows["model"]))
    place = {model: k for k, model in enumerate(names)}
    return rows.sort_values("model", key=lambda models: models.map(place), kind="stable")


def values_of(rows: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The column's number of each run: seeds below each other, models side by side.

    NaN where a run has no such number.
    """
    parts = rows.groupby(["model", "seed"], sort=False)[["cause", "measure", "factor", "value"]]
    values = {run: column.of(part) for run, part in parts}
    index = pd.MultiIndex.from_tuples(values, names=["model", "seed"])
    wide = pd.Series(list(values.values()), index, dtype=float).unstack("model")
    return wide[list(rows["model"].unique())]


def _bold(values: pd.DataFrame, column: Column) -> set[str]:
    means = values.mean()
    best = means.idxmax() if column.higher else means.idxmin()
    if values[best].count() < ENOUGH:
        return set()
    near = set(means.index[(means - means[best]).abs() <= column.margin])
    return near & tied_with_best(values, bool(column.higher))


def markdown(
    rows: pd.DataFrame, columns: Sequence[Column], references: Sequence[str] = ()
) -> str:
    """One world's rows as a Markdown table: mean ± half a 95 % interval over seeds.

    Bold: the best mean of a column, and every mean within its margin of the best that a
    paired t test over seeds (Holm-corrected) does not tell from it. With fewer than
    ``ENOUGH`` seeds nothing is bold. A cell over fewer seeds than its row says how many.
    ``references`` are rows that compete with nobody.
    """
    table = pd.DataFrame(index=rows["model"].unique())
    seeds = rows.groupby("model")["seed"].nunique()
    for column in columns:
        values = values_of(rows, column)
        racing = values.drop(columns=list(references), errors="ignore").dropna(
            axis=1, how="all"
        )
        best = _bold(racing, column) if column.higher is not None and racing.size else set()
        for model in table.index:
            text = _cell(values[model].dropna(), seeds[model], column)
            table.loc[model, column.title] = f"**{text}**" if model in best else text
    lines = [
        ["model", *table.columns],
        ["---"] * (1 + len(columns)),
        *table.reset_index().values,
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(values: pd.Series, seeds: int, column: Column) -> str:
    if values.empty:
        return "–"
    mean, half = mean_and_interval(values)
    text = f"{mean:,.{column.digits}f}"
    if column.higher is not None and not np.isnan(half):
        text += f" ± {half:.{column.digits}f}"
    return text + (f" (n = {len(values)})" if len(values) < seeds else "")
