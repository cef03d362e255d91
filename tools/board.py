"""The scoreboard for the site: a table whose every number leads to the runs it was made of.

`table` is the scoreboard, which ``site.js`` sorts and filters. `computed` is the page behind
it: for each world and model the file, the settings, the line that computes a run anew, and the
number of every seed. Both are plain HTML, so they work without JavaScript.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

import pandas as pd

from caufvae_lite.studies import rendering, results
from caufvae_lite.studies import scoreboard as study
from notebooks import current_slug

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = (*rendering.CAUSAL, *rendering.REPRESENTATION[:1])
OVER = {"mean": "the mean", "min": "the smallest", "max": "the largest"}
ASKED = {"nothing": "nothing is set", "a cause": "a cause is set, over all its effects"}


@dataclass(frozen=True)
class Row:
    """A model in a world: its runs' rows, and each column's numbers by seed."""

    world: str
    model: str
    runs: pd.DataFrame
    numbers: list[pd.Series]

    @property
    def anchor(self) -> str:
        """Its place on the page `computed`."""
        name = f"{self.world} {self.model}".lower().replace("β", "beta")
        return re.sub(r"[^a-z0-9]+", "-", name).strip("-")


@cache
def rows() -> tuple[Row, ...]:
    """Every row of the scoreboard, world by world."""
    return tuple(_rows())


def _rows() -> Iterator[Row]:
    stored = results.read_results(study.STUDY.path)
    for world in dict.fromkeys(stored["world"]):
        part = rendering.in_world(stored, world, [study.TRUTH, *study.with_controls()])
        values = [rendering.values_of(part, column) for column in COLUMNS]
        for model in dict.fromkeys(part["model"]):
            numbers = [v[model].dropna() for v in values]
            yield Row(world, model, part[part["model"] == model], numbers)


def link(file: str, words: str) -> str:
    """A link to a file of the repository."""
    return f'<a href="https://github.com/{current_slug()}/blob/main/{file}">{escape(words)}</a>'


def defined_in(model: str) -> str:
    """The file that defines a model."""
    recipes = study.with_controls()
    made_by = recipes[model].model if model in recipes else study
    return Path(inspect.getfile(made_by)).resolve().relative_to(ROOT).as_posix()


# ------------------------------------------------------------------------------- the table


def table() -> str:
    """All means as an HTML table."""
    titles = ("world", "model", *(column.title for column in COLUMNS))
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = []
    for row in rows():
        name = link(defined_in(row.model), row.model)
        cells = "".join(_cell(row, k) for k in range(len(COLUMNS)))
        where = escape(row.world.removesuffix("-32"))
        body.append(f'<tr><td>{where}</td><th scope="row">{name}</th>{cells}</tr>')
    scores = sum(len(row.runs) for row in rows())
    note = f"{len(body)} rows, of {scores:,} scores in data/results/scoreboard.csv."
    return (
        f'<div class="board" data-note="{note}"><table class="board-table"><thead><tr>{head}'
        f"</tr></thead><tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )


def _cell(row: Row, k: int) -> str:
    """The mean over seeds with half a 95 % interval, and a link to what it is made of."""
    values, digits = row.numbers[k], COLUMNS[k].digits
    if values.empty:
        return "<td>–</td>"
    mean, half = results.mean_and_interval(values)
    spread = f" <small>± {half:.{digits}f}</small>" if half == half else ""
    text = f'<a href="computed.html#{row.anchor}-{k}">{mean:.{digits}f}{spread}</a>'
    return f'<td data-value="{mean:.6g}">{text}</td>'


# ----------------------------------------------------------------------- what computed it


def computed() -> str:
    """A section for every row: what computed its numbers, and the number of each seed."""
    return "\n".join(_section(row) for row in rows())


def _section(row: Row) -> str:
    seeds = sorted(set(row.runs["seed"]))
    settings = study.configuration((row.model, row.world, seeds[0]))
    shown = {key: value for key, value in settings.items() if key not in ("seed", "world")}
    once = f"STUDIES['scoreboard'].rows(({row.model!r}, {row.world!r}, {seeds[0]}))"
    where = [f"{what} {'/'.join(sorted(set(row.runs[what])))}" for what in ("torch", "cpu")]
    name, file = escape(row.model), defined_in(row.model)
    head = "".join(f'<th scope="col">seed {seed}</th>' for seed in seeds)
    body = "".join(_numbers(row, k, seeds) for k in range(len(COLUMNS)))
    return f"""\
<h2 id="{row.anchor}">{escape(row.world.removesuffix("-32"))}: {name}</h2>
<p>Model: {link(file, file)}. Settings: <code>{escape(json.dumps(shown, default=str))}</code>.
Computed with {escape(", ".join(where))}. One run anew: <code>{escape(once)}</code></p>
<div class="computed" tabindex="0" role="region" aria-label="{name}, seed by seed">
<table><thead><tr><th scope="col">number</th>{head}</tr></thead><tbody>{body}</tbody></table>
</div>"""


def _numbers(row: Row, k: int, seeds: list[int]) -> str:
    column, values = COLUMNS[k], row.numbers[k]
    made = f"{OVER[column.over]} of {column.measure}, where {ASKED[column.asked]}"
    cells = "".join(f"<td>{values[s]:.4g}</td>" if s in values else "<td>–</td>" for s in seeds)
    return (
        f'<tr id="{row.anchor}-{k}"><th scope="row">{escape(column.title)} '
        f"<small>{escape(made)}</small></th>{cells}</tr>"
    )
