"""One source, three products: ``release`` with blanks, ``solutions``, and nbgrader's source.

A source notebook is in nbgrader's format, with the year's values in double braces. A blank is
what stands between ``### BEGIN SOLUTION`` and ``### END SOLUTION``. Cells whose names end in
``-why`` or ``-rubric`` are for the solutions only.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caufvae_lite.check.exercise import Exercise, plain
from caufvae_lite.check.notebooks import Submission, cell_of
from caufvae_lite.check.properties import short
from caufvae_lite.check.tasks import exercises
from caufvae_lite.check.variants import THIS_YEAR, fill, texts, variant

BLANK = re.compile(r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION$", re.M | re.S)
MARKS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.M)
EXAMPLE_SEED = 7
WRITTEN_MINUTES = 8  # for an assignment's question that a person reads
ONLY_SOLUTIONS = ("-why", "-rubric")
CONFIG = """\
# nbgrader's settings for this course, written by `make course`.
c = get_config()
c.ClearSolutions.code_stub = {"python": "..."}
c.ClearSolutions.text_stub = "*Your answer here.*"
"""


@dataclass
class Product:
    """What a source gives: the cells of both notebooks, and the notebooks as JSON."""

    release: Submission
    solutions: Submission
    books: dict[str, dict]
    by_hand: dict[str, int]


def product(source: Path, year: int = THIS_YEAR) -> Product:
    """Fill in the year, then take the solutions out, or the marks around them."""
    book = json.loads(source.read_text("utf-8"))
    number = source.stem[:2]
    words = texts(variant(year)) | (_budgets(number, year) if number.isdigit() else {})
    for cell in book["cells"]:
        cell["source"] = fill("".join(cell["source"]), words)
    books = {kind: copy.deepcopy(book) for kind in ("nbgrader", "release", "solutions")}
    for kind in ("nbgrader", "release"):
        kept = [c for c in books[kind]["cells"] if not c["id"].endswith(ONLY_SOLUTIONS)]
        books[kind]["cells"] = kept if kind == "nbgrader" else [_blanked(c) for c in kept]
    for cell in books["solutions"]["cells"]:
        cell["source"] = MARKS.sub("", cell["source"]).rstrip()
    for kind, one in books.items():
        place = "solutions" if kind == "solutions" else "release"
        title = one["cells"][0]
        title["source"] = title["source"].replace("/source/", f"/{place}/")
    release, solutions = (
        Submission([cell_of(c, k) for k, c in enumerate(books[kind]["cells"], 1)])
        for kind in ("release", "solutions")
    )
    by_hand = {
        c["id"]: c["metadata"]["nbgrader"]["points"]
        for c in book["cells"]
        if c["cell_type"] == "markdown" and c["metadata"].get("nbgrader", {}).get("points")
    }
    return Product(release, solutions, books, by_hand)


def _blanked(cell: dict) -> dict:
    empty = r"\1..." if cell["cell_type"] == "code" else "*Your answer here.*"
    cell["source"] = BLANK.sub(empty, cell["source"])
    return cell


def _budgets(assignment: str, year: int) -> dict[str, str]:
    """What a source writes as ``{{budget:ID}}`` and ``{{example:ID}}``."""
    found = {}
    for exercise in exercises(assignment).values():
        found[f"budget:{exercise.id}"] = exercise.says()
        found[f"example:{exercise.id}"] = _example(exercise, year)
    every = exercises(assignment).values()
    found["count"] = f"{len(every)} exercises, {sum(e.points for e in every)} points"
    found["minutes"] = str(sum(e.budget[1] for e in every) + WRITTEN_MINUTES)
    return found


def _example(exercise: Exercise, year: int) -> str:
    """A small table of what right looks like, computed."""
    if exercise.cases is None:
        return ""
    numbers = variant(year)
    rng = np.random.default_rng([EXAMPLE_SEED, *exercise.id.encode()])
    arguments = next(iter(exercise.cases(numbers, rng)))
    pairs = zip(exercise.arguments(), arguments, strict=True)
    given = "<br>".join(f"`{name} = {short(a)}`" for name, a in pairs)
    right = f"`{short(plain(exercise.reference(numbers, *arguments)))}`"
    return f"| you are given | right is |\n| --- | --- |\n| {given} | {right} |"


def write(
    source: Path, out: Path, year: int = THIS_YEAR, nbgrader: Path | None = None
) -> list[Path]:
    """Write ``release`` and ``solutions`` under ``out``, and nbgrader's source; the files."""
    written = []
    for path in sorted(source.glob("*.ipynb")):
        for kind, book in product(path, year).books.items():
            place = out / kind / path.name
            if kind == "nbgrader":
                if nbgrader is None:
                    continue
                place = nbgrader / "source" / path.stem / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text_of(book), "utf-8")
            written.append(place)
    if nbgrader is not None:
        (nbgrader / "nbgrader_config.py").write_text(CONFIG)
    return written


def text_of(book: dict) -> str:
    """The notebook's file, as Jupyter writes it."""
    book = copy.deepcopy(book)
    for cell in book["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    return json.dumps(book, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
