"""What differs from one year's course to the next: stories, graphs and numbers.

Everything follows from the year by a seeded draw. A source notebook names a value in double
braces, ``{{low}}``; `fill` puts it there.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from caufvae_lite.graph import CausalGraph

Variant = dict[str, Any]
THIS_YEAR = 2026
STORIES = (
    ("garden", ("growth", "rain", "soil", "sprinkler")),
    ("bakery", ("crust", "heat", "dough", "yeast")),
    ("river", ("turbines", "snow", "level", "gate")),
    ("greenhouse", ("fruit", "sun", "warmth", "blinds")),
    ("harbour", ("catch", "wind", "waves", "boats")),
)


def variant(year: int = THIS_YEAR) -> Variant:
    """The values of a year, by name."""
    rng = np.random.default_rng([year, 15])

    def pick(low: float, high: float, places: int = 1) -> float:
        return round(float(rng.uniform(low, high)), places)

    story, names = STORIES[year % len(STORIES)]
    last, root, middle, side = names
    edges = [(root, side), (root, middle), (side, middle), (middle, last)]
    if rng.random() < 0.5:
        edges[1] = (side, last)
    graph = CausalGraph(names, edges)
    slopes = {edge: pick(0.5, 1.9) * float(rng.choice([-1, 1])) for edge in edges}
    day = {name: pick(-2, 2) for name in names}
    found: Variant = {
        "year": year,
        "story": story,
        "graph": graph,
        "slopes": slopes,
        "day": day,
    }
    found |= {"last": last, "root": root, "middle": middle, "side": side}
    found |= {"low": -float(rng.integers(2, 7)), "high": float(rng.integers(1, 4))}
    found |= {"stretch": (pick(0.5, 1.5), pick(0.4, 2.2), pick(0.6, 2.6))}
    found |= {"set_to": pick(-1.5, 1.5, 2), "supervision": float(rng.integers(5, 60))}
    found |= {"label_weight": pick(1.5, 8), "level": float(rng.choice([0.5, 0.8, 0.9]))}
    found |= {"first_row": int(rng.integers(3, 40)), "errors": pick(0.6, 2.4)}
    found |= {"law": (pick(0.5, 2), pick(0.3, 1.2), pick(-0.8, 0.8))}
    found |= {"ladder": (*tuple(pick(0.4, 1.9) for _ in range(3)), pick(1, 2), pick(-2, -1))}
    found |= {"person": tuple(pick(-2, 2) for _ in range(2)), "price": pick(0.1, 0.4, 2)}
    return found


def texts(found: Variant) -> dict[str, str]:
    """The variant as words for `fill`: numbers, the graph's edges and equations, tables."""
    graph, slopes, day = found["graph"], found["slopes"], found["day"]
    words = {k: _word(v) for k, v in found.items() if not isinstance(v, dict | tuple)}
    for name in ("stretch", "law", "ladder", "person"):
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
    return words


def _word(value: Any) -> str:
    return repr(value) if isinstance(value, float | int) else str(value)


def fill(text: str, words: dict[str, str]) -> str:
    """``{{name}}`` replaced by the year's value. Raises KeyError for a name that is none."""
    return re.sub(r"\{\{([\w:-]+)\}\}", lambda m: words[m[1]], text)
