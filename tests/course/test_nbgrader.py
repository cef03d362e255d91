"""Grades arrive in nbgrader's gradebook: a fake one everywhere, the real one where it is."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from course import SOURCE, made, solved, write

from caufvae_lite.check.__main__ import main
from caufvae_lite.check.build import write as generate
from caufvae_lite.check.grade import Grader
from caufvae_lite.check.gradebook import autograded, enter, grade_course, open_gradebook
from caufvae_lite.check.tasks import exercises

CHECKS = [f"{i}-check" for i in exercises("02")]
NAME = "02_causal_masking"


class FakeGradebook:
    """As much of nbgrader.api.Gradebook as we use, kept in dictionaries."""

    def __init__(self):
        self.grades, self.comments, self.db = {}, {}, MagicMock()
        self.find_assignment = self.update_or_create_student = MagicMock()
        self.update_or_create_submission = MagicMock()

    def find_notebook(self, name, assignment):
        cells = [SimpleNamespace(name=n) for n in [*CHECKS, "02-written"]]
        return SimpleNamespace(grade_cells=cells, task_cells=[])

    def find_grade(self, cell, notebook, assignment, student):
        empty = SimpleNamespace(auto_score=None, manual_score=None, needs_manual_grade=None)
        return self.grades.setdefault((student, cell), empty)

    def find_comment(self, cell, notebook, assignment, student):
        return self.comments.setdefault((student, cell), SimpleNamespace())


@pytest.fixture(scope="module")
def grader():
    with Grader(SOURCE, seed=9) as found:
        yield found


def handed_in(course):
    """A full, an untouched and a broken submission, as nbgrader collects them."""
    books = {"ann": solved("02"), "bob": made("02").books["release"], "cy": "{"}
    for student, book in books.items():
        write(book, course / "submitted" / student / NAME / f"{NAME}.ipynb")
    stamp = course / "submitted" / "ann" / NAME / "timestamp.txt"
    stamp.write_text("2026-10-01 10:00:00 UTC")


def test_points_and_reasons_reach_a_gradebook(grader, tmp_path):
    handed_in(tmp_path)
    book = FakeGradebook()
    book.grades["ann", "02-written"] = SimpleNamespace(manual_score=2.0)
    grades = grade_course(grader, tmp_path, book)
    assert [bool(g.error) for g in grades] == [False, False, True]
    points = {e.id + "-check": e.points for e in exercises("02").values()}
    for cell in CHECKS:
        assert book.grades["ann", cell].auto_score == points[cell]
        assert book.grades["bob", cell].auto_score == 0
        assert not book.grades["bob", cell].needs_manual_grade
        assert book.grades["cy", cell].auto_score is None  # which nobody takes for a 0
        assert book.grades["cy", cell].needs_manual_grade
    assert not book.grades["ann", "02-written"].needs_manual_grade  # a person has read it
    assert book.grades["bob", "02-written"].needs_manual_grade
    assert "not attempted yet" in book.comments["bob", "02-mask"].auto_comment
    assert (tmp_path / "autograded" / "ann" / NAME / f"{NAME}.ipynb").exists()
    assert not (tmp_path / "autograded" / "cy").exists()


def test_a_copy_has_nbgraders_marks_whatever_the_student_has_done_to_them(tmp_path):
    book = solved("02")
    for cell in book["cells"]:
        cell["metadata"] = {"id": cell.pop("id"), "nbgrader": {"grade_id": "mine"}}
    book["cells"].append(dict(book["cells"][-1]))
    path = write(book, tmp_path / f"{NAME}.ipynb")
    source = made("02").books["nbgrader"]
    copy = json.loads(autograded(tmp_path, "ann", NAME, path, source).read_text())
    marks = [c["metadata"]["nbgrader"] for c in copy["cells"] if "nbgrader" in c["metadata"]]
    wanted = [c["metadata"]["nbgrader"] for c in source["cells"] if "nbgrader" in c["metadata"]]
    assert marks == wanted


def test_nbgraders_source_gives_nothing_away():
    for number in ("01", "02", "07"):
        names = [c["id"] for c in made(number).books["nbgrader"]["cells"]]
        assert not [n for n in names if n.endswith(("-why", "-rubric"))]


def test_whoever_has_no_nbgrader_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbgrader.api", None)
    with pytest.raises(ImportError, match=r"caufvae-lite\[course\]"):
        open_gradebook(tmp_path)


def test_the_real_gradebook_from_source_to_export(tmp_path, capsys):
    """nbgrader's own commands, around ours; skipped where nbgrader is not installed."""
    api = pytest.importorskip("nbgrader.api")
    course = tmp_path / "course"
    generate(SOURCE, tmp_path, nbgrader=course)

    def nbgrader(*words):
        command = [sys.executable, "-m", "nbgrader", *words]
        place = os.path.dirname(sys.executable)  # noqa: PTH120
        environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}
        return subprocess.run(command, cwd=course, env=environment, check=True)

    nbgrader("generate_assignment", NAME)
    released = (course / "release" / NAME / f"{NAME}.ipynb").read_text("utf-8")
    assert "SOLUTION" not in released and "**Why.**" not in released
    handed_in(course)
    write(released, course / "submitted" / "bob" / NAME / f"{NAME}.ipynb")
    assert main(["nbgrader", str(course)]) == 2  # one cannot be graded, and the others are
    assert "not graded" in capsys.readouterr().out
    with api.Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        found = {s.student.id: s for s in book.assignment_submissions(NAME)}
        possible = sum(e.points for e in exercises("02").values())
        assert found["ann"].score == possible and found["ann"].max_score == possible + 2
        assert found["bob"].score == 0 and found["ann"].needs_manual_grade
        assert found["ann"].timestamp.year == 2026
        grade = book.find_grade("02-written", NAME, NAME, "ann")
        grade.manual_score, grade.needs_manual_grade = 2, False
        book.db.commit()
    assert main(["nbgrader", str(course), "--assignment", NAME]) == 2  # once more
    with api.Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        assert book.find_submission(NAME, "ann").score == possible + 2
    nbgrader("export")
    assert f"{possible + 2}.0" in (course / "grades.csv").read_text()


def test_an_assignment_that_nbgrader_does_not_know_is_an_error(grader, tmp_path):
    api = pytest.importorskip("nbgrader.api")
    path = write(solved("02"), tmp_path / f"{NAME}.ipynb")
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    with api.Gradebook(url) as book, pytest.raises(api.MissingEntry):
        enter(book, "ann", NAME, grader.grade(path))
