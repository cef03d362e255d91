"""The grade: the student's code runs in one process, and is judged in another.

Every cell runs once, in a process of the submission's own. Each exercise is then tried on cases
of a seed that the student does not know. Where an answer failed, whatever builds on it is tried
again with the worked solution in its place, so that one mistake costs its own points only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from tqdm import tqdm

from caufvae_lite.check.build import Product, product
from caufvae_lite.check.exercise import ATTEMPT, Exercise, Verdict, judge
from caufvae_lite.check.limits import Limits
from caufvae_lite.check.notebooks import NotANotebook, Submission, compare, read, same
from caufvae_lite.check.sandbox import Died, Student, Zygote
from caufvae_lite.check.tasks import TITLES, exercises
from caufvae_lite.check.variants import THIS_YEAR, variant

PROJECT = "final_project"  # which no machine judges


@dataclass
class Grade:
    """What a submission earned, exercise by exercise; ``error`` if it could not be graded.

    ``by_hand`` has the points of what a person reads; of the final project that is everything.

    ``seconds`` is the wall time of it all, ``own_seconds`` that of the student's code.
    """

    path: Path
    assignment: str = ""
    verdicts: list[Verdict] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    by_hand: dict[str, int] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    own_seconds: float = 0.0
    walls: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(v.points for v in self.verdicts)

    @property
    def possible(self) -> int:
        return sum(v.possible for v in self.verdicts)


@cache
def course(source: Path, assignment: str, year: int) -> Product:
    """The release and the worked solutions of an assignment, generated once."""
    return product(source / f"{assignment}_{TITLES[assignment]}.ipynb", year)


class Grader:
    """Grades one submission after another, with one warm process. Use it in a ``with``.

    Args:
        source: the folder of the source notebooks.
        seed: of the cases; keep it from the students until all is graded.
        year: of the course.
        limits: for each submission.
    """

    def __init__(
        self, source: Path, seed: int, year: int = THIS_YEAR, limits: Limits | None = None
    ):
        self.source, self.seed, self.year = source, seed, year
        self.limits = limits or Limits()
        self.zygote = Zygote()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.zygote.close()

    def grade(self, path: Path, assignment: str = "") -> Grade:
        """Grade a file. Whatever is wrong with it ends in the grade's ``error`` or messages."""
        began = time.perf_counter()
        found = Grade(path)
        try:
            submission = read(path)
            found.assignment = assignment or submission.assignment
            if found.assignment == "final":
                found.by_hand = product(self.source / f"{PROJECT}.ipynb", self.year).by_hand
            elif found.assignment in TITLES:
                self._judge(submission, found)
            else:
                raise NotANotebook("none of its cells is of an assignment")
        except NotANotebook as error:
            found.error = str(error)
        except OSError as error:
            found.error = f"the grader could not start its process: {error}"
        found.seconds = time.perf_counter() - began
        return found

    def _judge(self, submission: Submission, found: Grade) -> None:
        made = course(self.source, found.assignment, self.year)
        wanted = exercises(found.assignment)
        cells = compare(submission, made.release)
        found.messages, found.by_hand = submission.messages, made.by_hand
        blanks = {c.name: c.source for c in made.release.cells}
        verdicts = {
            i: _unanswered(e, submission)
            for i, e in wanted.items()
            if all(same(c.source, blanks[i]) for c in submission.named(i))
            and (submission.named(i) or not _defined_elsewhere(e, cells))
        }
        rest = [e for i, e in wanted.items() if i not in verdicts]
        verdicts |= self._run(cells, rest, found)
        bad = {i for i, v in verdicts.items() if v.status != "right"}
        again = [e for e in rest if e.id in bad and bad & set(e.uses)]
        if again:
            needed = bad & {i for e in again for i in e.uses}
            mended = {c.name: c.source for c in made.solutions.cells if c.name in needed}
            kept = [(n, s) for n, s in cells if n not in mended]
            at = max((k for k, (n, _) in enumerate(kept) if "setup" in n), default=-1) + 1
            kept[at:at] = list(mended.items())
            for i, verdict in self._run(kept, again, found, quiet=True).items():
                if verdict.status == "right":
                    reason = f"right, with the worked solution for {', '.join(sorted(needed))}"
                    verdicts[i] = replace(verdict, reason=reason)
        found.verdicts = [verdicts[i] for i in wanted]

    def _run(
        self,
        cells: Sequence[tuple[str, str]],
        asked: Sequence[Exercise],
        found: Grade,
        quiet: bool = False,
    ) -> dict[str, Verdict]:
        """Run the cells in a process of their own, and judge what it answers."""
        verdicts: dict[str, Verdict] = {}
        numbers = variant(self.year)
        if not asked:
            return verdicts
        with Student(self.zygote, cells, self.limits) as student:
            for exercise in asked:
                try:
                    verdict = judge(exercise, student.call, numbers, self.seed)
                except Died as death:
                    verdict = _nothing(exercise, "failed", str(death))
                except Exception as error:  # an answer so odd that judging it failed
                    verdict = _nothing(
                        exercise, "failed", f"its answer cannot be judged ({error!r:.100})"
                    )
                verdicts[exercise.id] = _with_cell(verdict, student.errors)
        found.own_seconds += student.own_seconds
        found.walls = student.walls
        if not quiet:
            found.messages += [f"cell {n}: {text}" for n, text in student.errors.items()]
        return verdicts


def _defined_elsewhere(exercise: Exercise, cells: Sequence[tuple[str, str]]) -> bool:
    starts = (f"def {exercise.answer}(", f"{exercise.answer} =")
    return any(line.startswith(starts) for _, source in cells for line in source.splitlines())


def _unanswered(exercise: Exercise, submission: Submission) -> Verdict:
    if submission.named(exercise.id):
        return _nothing(exercise, "not attempted", ATTEMPT)
    return _nothing(exercise, "missing", f"its cell, {exercise.id}, is missing")


def _nothing(exercise: Exercise, status: str, reason: str) -> Verdict:
    return Verdict(exercise.id, 0, exercise.points, status, reason, hint=exercise.hint)


def _with_cell(verdict: Verdict, errors: dict[str, str]) -> Verdict:
    """Where the exercise's own cell failed, that is the reason."""
    if verdict.status == "right" or verdict.id not in errors:
        return verdict
    reason = f"its cell, {verdict.id}, failed: {errors[verdict.id]}"
    return replace(verdict, status="failed", reason=reason)


def grade_all(grader: Grader, paths: Sequence[Path]) -> list[Grade]:
    """One grade for each file, in their order, whatever any of them does; shows progress."""
    bar = tqdm(paths, desc="grading", unit="submission", disable=len(paths) < 2)
    return [grader.grade(path) for path in bar]
