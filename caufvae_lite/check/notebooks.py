"""Reading a submission: which cell is whose, and what is missing, doubled or out of place.

A cell is known by nbgrader's id, by its own id, by the one that Colab writes into its metadata,
or by its first line, ``# Exercise 02-mask``; whichever has survived.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGEST = 20_000_000  # bytes
MARK = re.compile(r"\A\s*# Exercise (\d\d-[\w-]+)")
PROJECT = re.compile(r"\A\s*# Final project")
OURS = (
    "-check",
    "-show",
    "-drawn",
    "install",
)  # cells that the grade neither runs nor believes


class NotANotebook(Exception):
    """The file cannot be read as a notebook; the text says why."""


@dataclass(frozen=True)
class Cell:
    name: str
    kind: str
    source: str
    tags: tuple[str, ...] = ()


@dataclass
class Submission:
    """A notebook's cells, and what was odd about it, each with the cell's name."""

    cells: list[Cell]
    messages: list[str] = field(default_factory=list)

    def named(self, name: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.name == name]

    @property
    def assignment(self) -> str:
        """``"02"`` or ``"final"``, by its cells' names; "" if none tells."""
        if any(PROJECT.match(c.source) or c.name.startswith("final-") for c in self.cells):
            return "final"
        found = Counter(c.name[:2] for c in self.cells if re.match(r"\d\d-", c.name))
        return found.most_common(1)[0][0] if found else ""


def read(path: Path) -> Submission:
    """Every cell with its name. Raises `NotANotebook` with the reason."""
    try:
        if path.stat().st_size > LARGEST:
            raise NotANotebook(f"it has more than {LARGEST:,} bytes")
        book = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NotANotebook(f"it is no notebook file ({type(error).__name__})") from None
    if not isinstance(book, dict) or not isinstance(book.get("cells"), list):
        raise NotANotebook("it has no cells: is it a notebook of format 4?")
    language = _inner(book, "metadata", "kernelspec").get("language", "python")
    if str(language).lower() != "python":
        raise NotANotebook(f"its kernel speaks {language!r}, and the course is in Python")
    return Submission([cell_of(c, k) for k, c in enumerate(book["cells"], 1)])


def _inner(found: Any, *keys: str) -> dict:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def cell_of(raw: Any, position: int) -> Cell:
    """A cell of the file's JSON, with the best of its names."""
    raw = raw if isinstance(raw, dict) else {}
    source = raw.get("source", "")
    source = "".join(map(str, source)) if isinstance(source, list) else str(source)
    metadata = _inner(raw, "metadata")
    mark = MARK.match(source)
    names = (
        mark[1] if mark else None,
        _inner(metadata, "nbgrader").get("grade_id"),
        raw.get("id"),
        metadata.get("id"),
    )
    known = [str(n) for n in names if n and re.fullmatch(r"[\w-]{1,60}", str(n))]
    tags = metadata.get("tags")
    tags = tuple(map(str, tags)) if isinstance(tags, list) else ()
    name = known[0] if known else f"cell {position}"
    return Cell(name, str(raw.get("cell_type")), source, tags)


def compare(submission: Submission, release: Submission) -> list[tuple[str, str]]:
    """The code cells to run, as (name, source), by the notebook's order; notes what is odd.

    The setup comes first, and is the release's where it is missing.
    """
    wanted = [c.name for c in release.cells if c.kind == "code" and not skipped(c.name)]
    code = [c for c in submission.cells if c.kind == "code" and not skipped(c.name)]
    seen = [c.name for c in code]
    notes = submission.messages
    for name in wanted:
        if name not in seen:
            notes.append(f"cell {name} is missing")
    for name, times in Counter(seen).items():
        if name in wanted and times > 1:
            notes.append(f"cell {name} is there {times} times: the last one counts")
    known = list(dict.fromkeys(n for n in seen if n in wanted))
    order = [n for n in wanted if n in known]
    for one, other in zip(known, order, strict=True):
        if one != other:
            notes.append(f"cell {one} stands where {other} was expected")
            break
    setups = [c.name for c in release.cells if c.kind == "code" and "setup" in c.name]
    first = [
        (c.name, c.source)
        for name in setups
        for c in (submission.named(name) or release.named(name))
    ]
    return first + [(c.name, c.source) for c in code if c.name not in setups]


def skipped(name: str) -> bool:
    """Is this one of our cells that only practice and show?"""
    return name.endswith(OURS)


def same(one: str, other: str) -> bool:
    """Equal but for spaces and empty lines."""
    return one.split() == other.split()
