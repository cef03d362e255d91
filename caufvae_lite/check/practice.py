"""What students call in the notebook: `check` tries an answer and teaches, `passed` guards.

These checks run beside the student's code, so they are practice. The grade asks the same of
other cases, in another process (`grade`).
"""

from __future__ import annotations

import os
from typing import Any

from caufvae_lite.check.exercise import CHECK_SEED, Exercise, Verdict, judge
from caufvae_lite.check.values import unpack
from caufvae_lite.check.variants import THIS_YEAR, variant

RESULTS: dict[str, Verdict] = {}


def check(exercise_id: str, answer: Any, year: int = THIS_YEAR) -> int:
    """Try an answer on a few cases, print what came out, and return its points.

    Args:
        exercise_id: such as ``"02-mask"``.
        answer: the function, or the value, that the cell above defines.
        year: of the course; another year has other numbers.

    Raises:
        ValueError: there is no such exercise.
    """
    if os.environ.get("CAUFVAE_GRADING"):
        return 0  # the grader judges elsewhere
    exercise = known(exercise_id)
    verdict = judge(exercise, local(answer), variant(year), CHECK_SEED)
    RESULTS[exercise_id] = verdict
    print(told(exercise, verdict))
    return verdict.points


def passed(*exercise_ids: str) -> bool:
    """Have these exercises passed their checks? Prints what is still open.

    Guards the cells that build on an answer, so that an untouched notebook runs to its end.
    """
    still = [i for i in exercise_ids if i not in RESULTS or RESULTS[i].status != "right"]
    if still:
        print(f"waits for {', '.join(still)}")
    return not still


def known(exercise_id: str) -> Exercise:
    """The exercise of that id, or a ValueError."""
    from caufvae_lite.check.tasks import exercises

    found = exercises(exercise_id[:2])
    if exercise_id not in found:
        raise ValueError(f"There is no exercise {exercise_id!r}; there are {list(found)}.")
    return found[exercise_id]


def local(answer: Any) -> Any:
    """Calls an answer in this process; what it returns looks as it does to the grader."""
    from caufvae_lite.check import child

    def call(name: str, arguments: Any, wanted: int | None) -> tuple:
        message = child.answer({name: answer}, name, arguments, wanted)
        head = int.from_bytes(message[:8], "little")
        return unpack(message[16 : 16 + head], message[16 + head :], tensors=False)

    return call


def told(exercise: Exercise, verdict: Verdict) -> str:
    """The feedback: what was tried, what came out, what was expected, and one hint."""
    if verdict.status == "right":
        return f"ok: {exercise.title} · {verdict.points} of {verdict.possible} points"
    if verdict.status == "not attempted":
        return f"{exercise.id}: {verdict.reason} · 0 of {verdict.possible} points"
    lines = [f"{exercise.id}: not right yet. {verdict.reason}"]
    for what, text in (
        ("tried", verdict.tried),
        ("came out", verdict.got),
        ("expected", verdict.expected),
        ("hint", verdict.hint),
    ):
        if text:
            lines.append(f"  {what:<9} {text}")
    return "\n".join(lines)
