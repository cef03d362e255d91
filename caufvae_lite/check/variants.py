"""What differs from one year's course to the next: stories, graphs, numbers, conventions.

Everything follows from the year. A source notebook names a value in double braces, ``{{low}}``;
`fill` puts it there. Numbers go round by the golden ratio, so that they never stay for two
years, and conventions (`conventions.toml`) take turns.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from caufvae_lite.graph import CausalGraph

Variant = dict[str, Any]
THIS_YEAR = 2026
GOLDEN = (5**0.5 - 1) / 2
STORIES = (
    ("garden", ("growth", "rain", "soil", "sprinkler")),
    ("bakery", ("crust", "heat", "dough", "yeast")),
    ("river", ("turbines", "snow", "level", "gate")),
    ("greenhouse", ("fruit", "sun", "warmth", "blinds")),
    ("harbour", ("catch", "wind", "waves", "boats")),
)
RANGES = {  # the lowest, the highest, and how many places are written
    "gain": (0.35, 0.85, 2), "noise_std": (1.3, 2.4, 1), "temperature": (1.3, 2.6, 1),
    "tolerance": (0.05, 0.3, 2), "amount": (1.5, 4, 1), "power": (0.2, 0.8, 1),
    "threshold": (0.2, 1.1, 1), "set_to": (-1.5, 1.5, 2), "supervision": (5, 60, 0),
    "label_weight": (1.5, 8, 1), "level": (0.5, 0.95, 2), "errors": (0.6, 2.4, 1),
    "price": (0.1, 0.4, 2), "first_row": (3, 40, 0), "few": (3, 8, 0),
    "low": (-8, -5, 0), "high": (1, 4, 0),
}  # fmt: skip
WHOLE = ("first_row", "few")
SEVERAL = {
    "stretch": ((0.5, 1.5), (0.4, 2.2), (0.6, 2.6)),
    "law": ((0.5, 2), (0.3, 1.2), (-0.8, 0.8)),
    "ladder": ((0.4, 1.9), (0.4, 1.9), (0.4, 1.9), (1, 2)),
    "person": ((-2, 2), (-2, 2)),
}


@cache
def conventions() -> dict[str, list[dict]]:
    """Every agreement's options, in the order in which they take turns."""
    text = Path(__file__).with_name("conventions.toml").read_text("utf-8")
    return tomllib.loads(text)


def turn(name: str, year: int) -> dict:
    """The year's option of an agreement: its words by name; ``is`` says which it is."""
    options = conventions()[name]
    return options[(year - THIS_YEAR) % len(options)]


def number(name: str, year: int, low: float, high: float, places: int = 1) -> float:
    """The year's number of that name, far from the last year's."""
    share = (crc32(name.encode()) / 2**32 + GOLDEN * (year - THIS_YEAR)) % 1
    return round(low + (high - low) * share, places)


def variant(year: int = THIS_YEAR) -> Variant:
    """The values of a year, by name."""
    rng = np.random.default_rng([year, 15])
    story, names = STORIES[year % len(STORIES)]
    last, root, middle, side = names
    edges = [(root, side), (root, middle), (side, middle), (middle, last)]
    if rng.random() < 0.5:
        edges[1] = (side, last)
    signs = rng.choice([-1.0, 1.0], len(edges))
    found: Variant = {
        "year": year,
        "story": story,
        "graph": CausalGraph(names, edges),
        "slopes": {
            edge: number(f"slope{k}", year, 0.5, 1.9) * float(signs[k])
            for k, edge in enumerate(edges)
        },
        "day": {name: number(f"day{k}", year, -2, 2) for k, name in enumerate(names)},
    }
    found |= {"last": last, "root": root, "middle": middle, "side": side}
    for name, (low, high, places) in RANGES.items():
        found[name] = number(name, year, low, high, places)
        found[name] = int(found[name]) if name in WHOLE else found[name]
    for name, ranges in SEVERAL.items():
        found[name] = tuple(
            number(f"{name}{k}", year, *limits) for k, limits in enumerate(ranges)
        )
    return found | {name: turn(name, year)["is"] for name in conventions()}


def texts(found: Variant) -> dict[str, str]:
    """The variant as words for `fill`: numbers, equations, tables, the conventions' words."""
    graph, slopes, day = found["graph"], found["slopes"], found["day"]
    words = {k: _word(v) for k, v in found.items() if not isinstance(v, dict | tuple)}
    for name in SEVERAL:
        words |= {f"{name}{k}": _word(v) for k, v in enumerate(found[name])}
    words["nodes"] = str(list(graph.nodes))
    words["edges"] = str(list(graph.edges))
    words["arrows"] = ", ".join(f"{a} → {b}" for a, b in graph.edges)
    lines = []
    for name in graph.nodes:
        parts = [f"{slopes[p, name]:+.1f}·{p}" for p in graph.parents(name)]
        lines.append(f"    {name} = {' '.join([*parts, f'+ ε_{name}'])}".replace("= +", "= "))
    words["equations"] = "\n".join(lines)
    words["slopes"] = str(slopes)
    words["day_dict"] = str(day)
    words["day"] = ", ".join(f"{k} {v}" for k, v in day.items())
    for name in conventions():
        for key, word in turn(name, found["year"]).items():
            rows = enumerate(word) if isinstance(word, list) else [("", word)]
            words |= {f"{name}_{key}{k}": row.strip("\n") for k, row in rows}
    return words


def _word(value: Any) -> str:
    return repr(value) if isinstance(value, float | int) else str(value)


def fill(text: str, words: dict[str, str]) -> str:
    """``{{name}}`` replaced by the year's value. Raises KeyError for a name that is none.

    A value of several lines is indented like the line that names it.
    """

    def put(match: re.Match) -> str:
        before = text[: match.start()].rpartition("\n")[2]
        indent = before if not before.strip() else ""
        return words[match[1]].replace("\n", "\n" + indent)

    return re.sub(r"\{\{([\w:-]+)\}\}", put, text)
