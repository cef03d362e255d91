"""The command line: ``python -m caufvae_lite.check grade | nbgrader | progress | release``.

``grade`` judges submissions (exit status 0: enough points, 1: too few, 2: not all could be
graded). ``nbgrader`` does so for a course folder of nbgrader and fills its gradebook.
``progress`` tells those who learn alone how far they are. ``release`` generates what
students get, and the solutions, from the sources.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from caufvae_lite.check.build import write
from caufvae_lite.check.exercise import CHECK_SEED
from caufvae_lite.check.limits import Limits
from caufvae_lite.check.variants import THIS_YEAR

if TYPE_CHECKING:
    from caufvae_lite.check.grade import Grader

COURSE = Path(__file__).resolve().parents[2] / "notebooks" / "assignments"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m caufvae_lite.check", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    grade = commands.add_parser("grade", help="judge submissions")
    grade.add_argument(
        "submissions", nargs="+", type=Path, help="notebooks, or folders of them"
    )
    grade.add_argument(
        "--format", choices=("table", "json", "gradescope", "classroom"), default="table"
    )
    grade.add_argument("--out", type=Path, help="a file for the result, instead of the screen")
    grade.add_argument("--need", type=float, default=1.0, help="share of points for status 0")
    nbgrader = commands.add_parser("nbgrader", help="judge what nbgrader has collected")
    nbgrader.add_argument("course", type=Path, help="with submitted/ and gradebook.db")
    nbgrader.add_argument("--assignment", default="*", help="its folder's name, if not all")
    nbgrader.add_argument("--db", default="", help="the gradebook's URL, if it lies elsewhere")
    for command in (grade, nbgrader):
        command.add_argument("--seed-file", type=Path, help="holds the seed of the cases")
        command.add_argument("--cell-seconds", type=float, default=Limits.cell_seconds)
        command.add_argument("--memory-mb", type=int, default=Limits.memory_mb)
    progress = commands.add_parser("progress", help="how far your own notebooks are")
    progress.add_argument("folder", nargs="?", type=Path, default=COURSE / "release")
    release = commands.add_parser("release", help="generate release and solutions")
    release.add_argument("--out", type=Path, default=COURSE)
    release.add_argument("--nbgrader", type=Path, help="a folder for nbgrader's course, too")
    for command in (grade, nbgrader, progress, release):
        command.add_argument("--year", type=int, default=THIS_YEAR)
        command.add_argument("--source", type=Path, default=COURSE / "source")
    chosen = parser.parse_args(arguments)
    does = {"grade": _grade, "nbgrader": _nbgrader, "progress": _progress, "release": _release}
    return does[chosen.command](chosen)


def _files(places: list[Path]) -> list[Path]:
    return [f for p in places for f in (sorted(p.rglob("*.ipynb")) if p.is_dir() else [p])]


def _grader(chosen: argparse.Namespace) -> Grader:
    from caufvae_lite.check.grade import Grader

    seed = secrets.randbits(31)
    if chosen.seed_file:  # a file, because everybody may read a command line
        seed = int(chosen.seed_file.read_text())
    limits = Limits(cell_seconds=chosen.cell_seconds, memory_mb=chosen.memory_mb)
    return Grader(chosen.source, seed, chosen.year, limits)


def _grade(chosen: argparse.Namespace) -> int:
    from caufvae_lite.check import grade, report

    with _grader(chosen) as grader:
        grades = grade.grade_all(grader, _files(chosen.submissions))
    text = report.FORMATS[chosen.format](grades)
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text + "\n", "utf-8")
    else:
        print(text)
    said = f"{len(grades)} submissions, year {chosen.year}, seed {grader.seed}"
    print(said, file=sys.stderr)
    return report.exit_code(grades, chosen.need)


def _nbgrader(chosen: argparse.Namespace) -> int:
    from caufvae_lite.check import gradebook, report

    with gradebook.open_gradebook(chosen.course, chosen.db) as book, _grader(chosen) as grader:
        grades = gradebook.grade_course(grader, chosen.course, book, chosen.assignment)
    for grade in grades:
        student = grade.path.parts[-3]
        print(f"{student:<20} {grade.path.name}: {report.summary(grade)}")
    return report.exit_code(grades, 0.0)


def _progress(chosen: argparse.Namespace) -> int:
    from caufvae_lite.check import grade, report

    with grade.Grader(chosen.source, CHECK_SEED, chosen.year) as grader:
        files = [f for f in _files([chosen.folder]) if f.stem[:2].isdigit()]
        print(report.progress(grade.grade_all(grader, files)))
    return 0


def _release(chosen: argparse.Namespace) -> int:
    for path in write(chosen.source, chosen.out, chosen.year, chosen.nbgrader):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
