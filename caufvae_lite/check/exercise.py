"""What an exercise is: what it asks for, how it is tried, and what a right answer gives.

An `Exercise` computes its right answers; none is stored. `judge` compares what came out with
them, case by case, and stops at the first that is wrong, so that the feedback is about one
thing. It is the same for the visible checks and for the grade, which use different seeds.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from caufvae_lite.check.properties import difference, short
from caufvae_lite.check.values import Other
from caufvae_lite.check.variants import Variant

Arguments = tuple[Any, ...] | None
Reference = Callable[..., Any]
Call = Callable[[str, Arguments, Sequence[int]], tuple]
Property = Callable[[Variant, tuple, Any], str]
CHECK_SEED = 1
ATTEMPT = "not attempted yet"


@dataclass(frozen=True)
class Exercise:
    """One blank.

    Attributes:
        id: the id of its cell, assignment first: ``"02-mask"``.
        answer: the name that the cell defines, a function or a value.
        reference: ``reference(variant, *arguments)`` computes the right answer.
        cases: ``cases(variant, rng)`` gives the arguments to try; None for a value.
        suspects: wrong answers that are often given, as functions like ``reference``, each with
            what it reveals. An answer that equals one is told so.
        properties: further tests; ``property(variant, arguments, answer)`` says what is wrong,
            or "".
        gradient: also compare the gradients by these arguments.
        uses: exercises whose answers this one may call.
        varies: a right answer for one year is wrong in another.
    """

    id: str
    title: str
    answer: str
    points: int
    budget: tuple[int, int, str]
    reference: Reference
    hint: str
    cases: Callable[[Variant, np.random.Generator], Iterable[tuple]] | None = None
    suspects: dict[str, Reference] = field(default_factory=dict)
    properties: tuple[Property, ...] = ()
    gradient: tuple[int, ...] = ()
    uses: tuple[str, ...] = ()
    varies: bool = False
    tolerance: float = 1e-4

    @property
    def assignment(self) -> str:
        return self.id[:2]

    def arguments(self) -> list[str]:
        """The names of what it is given, for people to read."""
        found = inspect.signature(self.reference).parameters.values()
        return [p.name for p in found if p.default is p.empty][1:]

    def says(self) -> str:
        """The line above its blank."""
        lines, minutes, level = self.budget
        points = "1 point" if self.points == 1 else f"{self.points} points"
        return f"*{points} · about {lines} lines · about {minutes} minutes · {level}*"


@dataclass(frozen=True)
class Verdict:
    """What an exercise earned, and why."""

    id: str
    points: int
    possible: int
    status: str  # right, wrong, not attempted, missing, failed
    reason: str
    tried: str = ""
    got: str = ""
    expected: str = ""
    hint: str = ""


def judge(exercise: Exercise, call: Call, variant: Variant, seed: int) -> Verdict:
    """Try an answer on fresh cases. ``call(name, arguments, gradients)`` asks for it."""

    def verdict(status: str, reason: str, **more: str) -> Verdict:
        earned = exercise.points if status == "right" else 0
        hint = "" if status == "right" else exercise.hint
        return Verdict(exercise.id, earned, exercise.points, status, reason, hint=hint, **more)

    rng = np.random.default_rng([seed, *exercise.id.encode()])
    every = [None] if exercise.cases is None else list(exercise.cases(variant, rng))
    for arguments in every:
        kind, *rest = call(exercise.answer, arguments, exercise.gradient)
        tried = _said(exercise, arguments)
        if kind == "undefined":
            return verdict("not attempted", f"{ATTEMPT}: {exercise.answer} is not defined")
        if kind == "raised":
            return verdict("failed", f"it raised {rest[0]}", tried=tried)
        got = rest[0] if rest else None
        gradients = ()
        if exercise.gradient and isinstance(got, dict):
            got, gradients = got["value"], got["gradients"]
        if got is None or (isinstance(got, Other) and got.kind == "ellipsis"):
            return verdict("not attempted", ATTEMPT)
        reason, wanted = _wrong(exercise, variant, arguments or (), got)
        if reason:
            reason = _mistake(exercise, variant, every, call) or reason
        if not reason and exercise.gradient:
            reason = _wrong_gradient(exercise, variant, arguments or (), gradients)
        if reason:
            shown = {"got": short(got), "expected": short(wanted)}
            if exercise.cases is None:  # whoever fails once need not be told the answer
                reason = re.sub(r" is \S+ and should be \S+$", " is not right", reason)
                shown["expected"] = ""
            return verdict("wrong", reason, tried=tried, **shown)
    return verdict("right", "right on every case")


def _wrong(exercise: Exercise, variant: Variant, arguments: tuple, got: Any) -> tuple[str, Any]:
    """What is wrong with an answer, or ""; and the right one."""
    wanted = plain(exercise.reference(variant, *arguments))
    reason = difference(got, wanted, exercise.tolerance)
    for test in exercise.properties:  # what is broken says more than which number differs
        with contextlib.suppress(TypeError, ValueError, IndexError):  # of another shape
            reason = test(variant, arguments, got) or reason
    return reason, wanted


def _mistake(exercise: Exercise, variant: Variant, every: list, call: Call) -> str:
    """The known mistake that explains the answers to all cases, or ""."""
    left = dict(exercise.suspects)
    for arguments in every:
        if not left:
            break
        kind, *rest = call(exercise.answer, arguments, ())
        if kind != "value":
            return ""
        for what, suspect in list(left.items()):
            said = None
            with contextlib.suppress(Exception):  # a mistake that cannot be made here
                said = plain(suspect(variant, *(arguments or ())))
            if said is None or difference(rest[0], said, exercise.tolerance, shapes=True):
                del left[what]
    return next(iter(left), "")


def _wrong_gradient(exercise: Exercise, variant: Variant, arguments: tuple, got: Any) -> str:
    changed = list(arguments)
    for k in exercise.gradient:
        changed[k] = arguments[k].clone().requires_grad_()
    value = exercise.reference(variant, *changed)
    parts = value if isinstance(value, tuple | list) else (value,)
    sum(p.sum() for p in parts).backward()
    names = exercise.arguments()
    for k, one in zip_longest(exercise.gradient, got):
        if k is None or one is None:
            return (
                "the values are right, and no gradient arrives at "
                f"{names[k or 0]}: was something detached, or computed without autograd?"
            )
        found = difference(one, plain(changed[k].grad), 1e-3)
        if found:
            return f"the values are right and the gradient by {names[k]} is not: {found}"
    return ""


def plain(value: Any) -> Any:
    """Tensors as NumPy arrays, lists as tuples: what an answer looks like on arrival."""
    if hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    if isinstance(value, list | tuple):
        return tuple(plain(v) for v in value)
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def _said(exercise: Exercise, arguments: tuple | None) -> str:
    if arguments is None:
        return exercise.answer
    pairs = zip(exercise.arguments(), arguments, strict=True)
    return f"{exercise.answer}({', '.join(f'{n} = {short(a)}' for n, a in pairs)})"
