"""The scoreboard as a reader sees it: columns, and bold for the best and the tied."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from caufvae_lite.studies.results import mean_and_interval, tied_with_best

__all__ = ["CAUSAL", "COST", "EFFECTS", "REPRESENTATION", "in_world", "markdown", "values_of"]

ENOUGH = 5  # seeds, to say who is best


@dataclass(frozen=True)
class Column:
    """One number of the scoreboard, made of a run's values of one measure."""

    title: str
    measure: str
    over: str = "mean"  # of the values; or "min", "max"
    asked: str = "nothing"  # was set; or "a cause", or "an effect": which questions count
    higher: bool | None = True  # is more better? None for a cost, which competes with nobody
    digits: int = 3  # after the point
    margin: float = 0.01  # of a mean from the best, to be bold as well if not told apart

    def of(self, run: pd.DataFrame) -> float:
        """The number; NaN where the run's rows have none.

        A cause is a factor that has effects, so whatever ``latent r2`` was asked about. It is
        not counted among its own effects. An effect has none. Its ``image r2`` is its own, and
        the other scores are of what it must leave alone.
        """
        cause, factor = run["cause"], run["factor"]
        causes = cause[(run["measure"] == "latent r2") & cause.isin(factor)]
        asked = cause == ""
        if self.asked == "a cause":
            asked = cause.isin(causes) & (factor != cause)
        elif self.asked == "an effect":
            asked = cause.isin(factor) & ~cause.isin(causes) & (cause != "")
        return run["value"][asked & (run["measure"] == self.measure)].agg(self.over)


CAUSAL = (
    Column("factors, worst R²", "r2", "min"),
    Column("do(), worst R² in latents", "latent r2", "min", asked="a cause"),
    Column("do(), worst R² as drawn", "image r2", "min", asked="a cause"),
    Column("what-if picture, dB", "psnr", "min", asked="a cause", digits=1, margin=1.0),
    Column("leakage, sd", "drift", "max", asked="a cause", higher=False, margin=0.02),
)
EFFECTS = (
    Column("do(effect), worst R² as drawn", "image r2", "min", asked="an effect"),
    Column("drift, sd", "drift", "max", asked="an effect", higher=False, margin=0.02),
    Column("in support, share of rows", "in support", "min", asked="an effect", higher=None),
    Column(
        "drift there, sd", "in support drift", "max", asked="an effect", higher=False,
        margin=0.02,
    ),
)  # fmt: skip
REPRESENTATION = (
    Column("MCC", "mcc"),
    Column("DCI: D", "dci disentanglement"),
    Column("C", "dci completeness"),
    Column("I", "dci informativeness"),
    Column("MIC", "mic"),
    Column("TIC", "tic"),
)
COST = (
    Column("seconds an epoch", "seconds an epoch", higher=None, digits=1),
    Column("parameters", "parameters", higher=None, digits=0),
    Column("peak memory, MB", "peak memory", higher=None, digits=0),
)


def in_world(rows: pd.DataFrame, world: str, order: Sequence[str] = ()) -> pd.DataFrame:
    """A results table's rows of one world; models in the given order come first."""
    rows = rows[rows["world"] == world]
    models = dict.fromkeys((*order, *rows["model"]))
    return pd.concat([rows[rows["model"] == model] for model in models])


def values_of(rows: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The column's number of each run, seeds below each other, models side by side, or NaN."""
    runs = rows.groupby(["model", "seed"], sort=False)[["cause", "measure", "factor", "value"]]
    return runs.apply(column.of).unstack("model")[list(rows["model"].unique())]


def markdown(
    rows: pd.DataFrame, columns: Sequence[Column], references: Sequence[str] = ()
) -> str:
    """One world's rows as a Markdown table: mean ± half a 95 % interval over seeds.

    Bold: the best mean of a column, and every mean within its margin of the best that a
    paired t test over seeds (Holm-corrected) does not tell from it. With fewer than
    ``ENOUGH`` seeds nothing is bold. A cell over fewer seeds than its row says how many.
    ``references`` are rows that compete with nobody.
    """
    seeds = rows.groupby("model", sort=False)["seed"].nunique()
    header = ["model", *(column.title for column in columns)]
    lines = {model: [model] for model in seeds.index}
    for column in columns:
        values = values_of(rows, column)
        best = _best(values.drop(columns=list(references), errors="ignore"), column)
        for model, line in lines.items():
            text = _cell(values[model].dropna(), seeds[model], column)
            line.append(f"**{text}**" if model in best else text)
    table = [header, ["---"] * len(header), *lines.values()]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


def _best(values: pd.DataFrame, column: Column) -> set[str]:
    """The models in bold."""
    values = values.dropna(axis=1, how="all")
    if column.higher is None or values.empty:
        return set()
    means = values.mean()
    best = means.idxmax() if column.higher else means.idxmin()
    if values[best].count() < ENOUGH:
        return set()
    near = set(means.index[(means - means[best]).abs() <= column.margin])
    return near & tied_with_best(values, column.higher)


def _cell(values: pd.Series, seeds: int, column: Column) -> str:
    if values.empty:
        return "–"
    mean, half = mean_and_interval(values)
    text = f"{mean:,.{column.digits}f}"
    if column.higher is not None and not np.isnan(half):
        text += f" ± {half:.{column.digits}f}"
    return text + (f" (n = {len(values)})" if len(values) < seeds else "")
