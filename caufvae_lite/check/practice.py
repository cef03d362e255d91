"""What students call in the notebook: `check` tries an answer and teaches, `passed` guards.

These checks run beside the student's code, so they are practice. The grade asks the same of
other cases, in another process (`grade`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caufvae_lite.check.exercise import CHECK_SEED, Exercise, Verdict, judge
from caufvae_lite.check.values import unpack
from caufvae_lite.check.variants import THIS_YEAR, variant

RESULTS: dict[str, Verdict] = {}
FAILED: Counter[str] = Counter()  # so many times in a row
HINT_AFTER = 3  # failures; before that the hints are folded in the text


class Points(int):
    """A number that a notebook does not print as the result of its cell."""

    def _ipython_display_(self) -> None:
        pass


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
        return Points(0)  # the grader judges elsewhere
    exercise = known(exercise_id)
    changed: list[int] = []
    verdict = judge(exercise, local(answer, changed), variant(year), CHECK_SEED)
    RESULTS[exercise_id] = verdict
    right = verdict.status in ("right", "not attempted")
    FAILED[exercise_id] = 0 if right else FAILED[exercise_id] + 1
    print(told(exercise, verdict, hint=FAILED[exercise_id] >= HINT_AFTER))
    for k in sorted(set(changed)):
        name = exercise.arguments()[k]
        print(f"  note      it changes {name} itself: whoever uses {name} later sees that")
    return Points(verdict.points)


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


def local(answer: Any, changed: list[int] | None = None) -> Any:
    """Calls an answer in this process; what it returns looks as it does to the grader.

    The answer works on copies of tensors. ``changed`` collects which of them it has altered.
    """
    from caufvae_lite.check import child

    def call(name: str, arguments: Any, wanted: Sequence[int] = ()) -> tuple:
        given = arguments and [a.clone() if isinstance(a, Tensor) else a for a in arguments]
        message = child.answer({name: answer}, name, given, wanted)
        for k, (one, other) in enumerate(zip(given or (), arguments or (), strict=True)):
            if changed is not None and isinstance(other, Tensor) and not _equal(one, other):
                changed.append(k)
        head = int.from_bytes(message[:8], "little")
        return unpack(message[16 : 16 + head], message[16 + head :], tensors=False)

    return call


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.nan_to_num(1e9), other.nan_to_num(1e9))


def told(exercise: Exercise, verdict: Verdict, hint: bool = True) -> str:
    """The feedback: what was tried, what came out, what was expected, and perhaps a hint."""
    if verdict.status == "right":
        return f"ok: {exercise.title} · {verdict.points} of {verdict.possible} points"
    if verdict.status == "not attempted":
        return f"{exercise.id}: {verdict.reason} · 0 of {verdict.possible} points"
    lines = [f"{exercise.id}: not right yet. {verdict.reason}"]
    for what, text in (
        ("tried", verdict.tried),
        ("came out", verdict.got),
        ("expected", verdict.expected),
        ("hint", verdict.hint if hint else "two are folded in the text above"),
    ):
        if text:
            lines.append(f"  {what:<9} {text}")
    return "\n".join(lines)
