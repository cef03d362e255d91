"""What the course's tests share: its notebooks, submissions made of them, wrong answers."""

import copy
import json
from functools import cache
from pathlib import Path

from caufvae_lite.check.build import product
from caufvae_lite.check.tasks import TITLES, exercises
from caufvae_lite.check.variants import THIS_YEAR, fill, texts, variant

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "notebooks" / "assignments"
SOURCE = COURSE / "source"
WRONG = ROOT / "tests" / "course" / "wrong_answers.txt"
EVERY = [i for number in TITLES for i in exercises(number)]
LAST_YEAR = THIS_YEAR - 1


@cache
def made(number, year=THIS_YEAR):
    return product(SOURCE / f"{number}_{TITLES[number]}.ipynb", year)


def solved(number, changes=None, year=THIS_YEAR):
    """The worked solutions as a notebook, with other sources for some cells."""
    book = copy.deepcopy(made(number, year).books["solutions"])
    for cell in book["cells"]:
        cell["source"] = (changes or {}).get(cell["id"], cell["source"])
    return book


def source_of(book, cell_id):
    return next(c["source"] for c in book["cells"] if c["id"] == cell_id)


def write(book, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(book if isinstance(book, str) else json.dumps(book), "utf-8")
    return path


@cache
def wrong_answers():
    """``[(exercise, source of its cell, what it reveals), …]``."""
    words, found = texts(variant()), []
    for line in WRONG.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        parts = [p.strip() for p in line.replace("\\|", "\0").split(" | ")]
        if len(parts) == 3:  # an empty replacement
            parts.insert(2, "")
        name, old, new, reveals = (p.replace("\0", "|").strip("| ") for p in parts)
        right = source = source_of(solved(name[:2]), name)
        for one, other in zip(old.split(";;"), new.split(";;"), strict=True):
            one, other = (fill(x.strip(), words).replace("\\n", "\n") for x in (one, other))
            assert one in source, f"{name}: the solution has no {one!r}"
            source = source.replace(one, other)
        assert source != right, line
        found.append((name, source, reveals))
    return found


def run_here(book, may_fail=""):
    """Run a notebook's code cells in this process, one after the other; its names."""
    names = {"__name__": "__main__"}
    for cell in book["cells"]:
        if cell["cell_type"] == "code" and cell["id"] != "install":
            try:
                exec(compile(cell["source"], cell["id"], "exec"), names)
            except Exception:
                if cell["id"] != may_fail:
                    raise
    return names
