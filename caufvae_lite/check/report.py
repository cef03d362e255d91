"""Grades for people and for other programs: a table, JSON, Gradescope, GitHub Classroom."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from caufvae_lite.check.grade import Grade
from caufvae_lite.check.tasks import exercises


def summary(grade: Grade) -> str:
    """A grade in a line."""
    if grade.error:
        return f"not graded: {grade.error}"
    by_hand = f"{sum(grade.by_hand.values())} points are read by a person, with the rubric"
    if not grade.verdicts:
        return by_hand
    return f"{grade.points} of {grade.possible} points; {by_hand}"


def as_dict(grade: Grade) -> dict:
    return {
        "submission": grade.path.name,
        "assignment": grade.assignment,
        "points": grade.points,
        "possible": grade.possible,
        "error": grade.error,
        "messages": grade.messages,
        "to be read by a person": grade.by_hand,
        "exercises": [vars(v) for v in grade.verdicts],
        "seconds": round(grade.seconds, 2),
        "kept from": grade.walls,
    }


def as_json(grades: Sequence[Grade]) -> str:
    return json.dumps([as_dict(g) for g in grades], indent=2, ensure_ascii=False)


def as_table(grades: Sequence[Grade]) -> str:
    return "\n\n".join(map(_table, grades))


def _table(grade: Grade) -> str:
    lines = [f"{grade.path.name}: {summary(grade)}"]
    for v in grade.verdicts:
        title = exercises(grade.assignment)[v.id].title
        lines.append(f"  {v.points}/{v.possible}  {v.id:<14} {title}: {v.reason}")
        for what, text in (("tried", v.tried), ("came out", v.got), ("expected", v.expected)):
            if text:
                lines.append(f"{'':23}{what:<9} {text}")
        if v.hint and v.status in ("wrong", "failed"):
            lines.append(f"{'':23}{'hint':<9} {v.hint}")
    lines += [f"  note: {message}" for message in grade.messages]
    for name, points in grade.by_hand.items():
        lines.append(f"  ?/{points}  {name:<14} is read by a person")
    return "\n".join(lines)


def as_gradescope(grades: Sequence[Grade]) -> str:
    """``results.json`` for one submission, as Gradescope's autograder reads it."""
    (grade,) = grades
    tests = [
        {
            "name": v.id, "score": v.points, "max_score": v.possible,
            "status": "passed" if v.status == "right" else "failed",
            "output": "\n".join(filter(None, (v.reason, v.tried, v.got, v.expected, v.hint))),
            "visibility": "visible",
        }
        for v in grade.verdicts
    ]  # fmt: skip
    found = {"score": grade.points, "output": "\n".join([summary(grade), *grade.messages])}
    found["tests"] = tests
    return json.dumps(found | {"execution_time": round(grade.seconds)}, indent=2)


def as_classroom(grades: Sequence[Grade]) -> str:
    """The result that GitHub Classroom's autograding reporter reads, for one submission."""
    (grade,) = grades
    tests = [
        {
            "name": v.id, "status": "pass" if v.status == "right" else "fail",
            "score": v.points, "message": v.reason, "test_code": "", "filename": "",
            "line_no": 0, "duration": 0,
        }
        for v in grade.verdicts
    ]  # fmt: skip
    full = grade.points == grade.possible
    status = "error" if grade.error else "pass" if full else "fail"
    found = {"version": 1, "status": status, "max_score": grade.possible, "tests": tests}
    return json.dumps(found, indent=2)


FORMATS: dict[str, Callable[[Sequence[Grade]], str]] = {
    "table": as_table, "json": as_json, "gradescope": as_gradescope, "classroom": as_classroom,
}  # fmt: skip


def exit_code(grades: Sequence[Grade], need: float) -> int:
    """0: all have the share ``need`` of their points; 1: some have not; 2: not all graded."""
    if any(g.error for g in grades) or not grades:
        return 2
    return int(any(g.points < need * g.possible for g in grades))


def progress(grades: Sequence[Grade]) -> str:
    """Assignments, and a mark for every exercise: ● right, ◐ tried, ○ open."""
    marks = {"right": "●", "not attempted": "○", "missing": "○"}
    lines = []
    for g in grades:
        shown = "".join(marks.get(v.status, "◐") for v in g.verdicts) or g.error
        lines.append(f"{g.path.stem:<26} {g.points:>3} of {g.possible:<3} {shown}")
    total, possible = sum(g.points for g in grades), sum(g.possible for g in grades)
    return "\n".join([*lines, f"{'all':<26} {total:>3} of {possible}"])
