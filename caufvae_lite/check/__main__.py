"""The command line: ``python -m caufvae_lite.check grade | progress | release``.

``grade`` judges submissions (exit status 0: enough points, 1: too few, 2: not all could be
graded). ``progress`` tells those who learn alone how far they are. ``release`` generates what
students get, and the solutions, from the sources.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from caufvae_lite.check.build import write
from caufvae_lite.check.exercise import CHECK_SEED
from caufvae_lite.check.limits import Limits
from caufvae_lite.check.variants import THIS_YEAR

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
    grade.add_argument("--seed-file", type=Path, help="holds the seed of the cases, a number")
    grade.add_argument("--need", type=float, default=1.0, help="share of points for status 0")
    grade.add_argument("--cell-seconds", type=float, default=Limits.cell_seconds)
    grade.add_argument("--memory-mb", type=int, default=Limits.memory_mb)
    progress = commands.add_parser("progress", help="how far your own notebooks are")
    progress.add_argument("folder", nargs="?", type=Path, default=COURSE / "release")
    release = commands.add_parser("release", help="generate release and solutions")
    release.add_argument("--out", type=Path, default=COURSE)
    release.add_argument("--nbgrader", type=Path, help="a folder for nbgrader's course, too")
    for command in (grade, progress, release):
        command.add_argument("--year", type=int, default=THIS_YEAR)
        command.add_argument("--source", type=Path, default=COURSE / "source")
    chosen = parser.parse_args(arguments)
    return {"grade": _grade, "progress": _progress, "release": _release}[chosen.command](chosen)


def _files(places: list[Path]) -> list[Path]:
    return [f for p in places for f in (sorted(p.rglob("*.ipynb")) if p.is_dir() else [p])]


def _grade(chosen: argparse.Namespace) -> int:
    from caufvae_lite.check import grade, report

    seed = secrets.randbits(31)
    if chosen.seed_file:  # a file, because everybody may read a command line
        seed = int(chosen.seed_file.read_text())
    limits = Limits(cell_seconds=chosen.cell_seconds, memory_mb=chosen.memory_mb)
    with grade.Grader(chosen.source, seed, chosen.year, limits) as grader:
        grades = grade.grade_all(grader, _files(chosen.submissions))
    text = report.FORMATS[chosen.format](grades)
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text + "\n", "utf-8")
    else:
        print(text)
    print(f"{len(grades)} submissions, year {chosen.year}, seed {seed}", file=sys.stderr)
    return report.exit_code(grades, chosen.need)


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
