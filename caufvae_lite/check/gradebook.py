"""Grades for nbgrader: it collects and shows, and the judging in between is done here.

nbgrader's own autograding runs a student's code beside the checks, and can be forged. This
takes the place of ``nbgrader autograde``: it reads ``submitted/STUDENT/ASSIGNMENT/*.ipynb``,
writes points and reasons into the gradebook, and puts a copy into ``autograded``, where
nbgrader's formgrader (for written questions) and ``generate_feedback`` look for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caufvae_lite.check.build import product
from caufvae_lite.check.grade import Grade, Grader
from caufvae_lite.check.notebooks import cell_of


def submitted(course: Path, assignment: str = "*") -> Iterator[tuple[str, str, Path]]:
    """``(student, assignment, file)`` of what nbgrader has collected."""
    for path in sorted(course.glob(f"submitted/*/{assignment}/*.ipynb")):
        yield path.parts[-3], path.parts[-2], path


def open_gradebook(course: Path, url: str = "") -> Any:
    """nbgrader's gradebook of a course folder. Raises ImportError where nbgrader is missing."""
    try:
        from nbgrader.api import Gradebook
    except ImportError:
        raise ImportError('nbgrader is missing: pip install "caufvae-lite[course]"') from None
    return Gradebook(url or f"sqlite:///{(course / 'gradebook.db').resolve()}")


def enter(gradebook: Any, student: str, assignment: str, grade: Grade, when: str = "") -> None:
    """Write one grade: points and reasons by machine, and what is left for a person.

    A score that a person has given stays. A submission that could not be graded gets no points
    by machine and is marked for a person, so that it is not taken for one that earned 0.

    Args:
        when: the time of the submission, as nbgrader writes it into ``timestamp.txt``.

    Raises:
        nbgrader.api.MissingEntry: ``nbgrader generate_assignment`` has not been run for it.
    """
    gradebook.find_assignment(assignment)
    gradebook.update_or_create_student(student)
    more = {"timestamp": when} if when else {}
    gradebook.update_or_create_submission(assignment, student, **more)
    place = (grade.path.stem, assignment, student)
    notebook = gradebook.find_notebook(grade.path.stem, assignment)
    cells = [cell.name for cell in (*notebook.grade_cells, *notebook.task_cells)]
    points = {f"{v.id}-check": v.points for v in grade.verdicts if not grade.error}
    for name in cells:
        found = gradebook.find_grade(name, *place)
        found.auto_score = points.get(name)
        found.needs_manual_grade = name not in points and found.manual_score is None
    for verdict in grade.verdicts:
        lines = (verdict.reason, verdict.tried, verdict.got, verdict.expected, verdict.hint)
        comment = gradebook.find_comment(verdict.id, *place)
        comment.auto_comment = "\n".join(filter(None, lines))
    gradebook.db.commit()


def autograded(course: Path, student: str, assignment: str, path: Path, source: dict) -> Path:
    """A copy for nbgrader, with nbgrader's marks of the source, whoever saved it."""
    marks = {c["id"]: c["metadata"].get("nbgrader") for c in source["cells"]}
    book, seen = json.loads(path.read_text("utf-8")), set()
    book["cells"] = [c for c in book["cells"] if isinstance(c, dict)]
    for cell in reversed(book["cells"]):  # of a cell that is there twice the last one counts
        metadata = dict(cell.get("metadata") or {})
        names = (cell_of(cell, 0).name, str(cell.get("id")), str(metadata.get("id")))
        name = next((n for n in names if n in marks), "")
        metadata.pop("nbgrader", None)
        if marks.get(name) and name not in seen:
            metadata["nbgrader"] = marks[name]
            seen.add(name)
        cell["metadata"] = metadata
    place = course / "autograded" / student / assignment / path.name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(book), "utf-8")
    return place


def grade_course(
    grader: Grader, course: Path, gradebook: Any, assignment: str = "*"
) -> list[Grade]:
    """Grade all that nbgrader has collected, and write it down; the grades."""
    grades = []
    for student, name, path in submitted(course, assignment):
        grade = grader.grade(path)
        stamp = path.with_name("timestamp.txt")
        enter(gradebook, student, name, grade, stamp.read_text() if stamp.exists() else "")
        if not grade.error:
            source = product(grader.source / f"{name}.ipynb", grader.year).books["nbgrader"]
            autograded(course, student, name, path, source)
        grades.append(grade)
    return grades
