"""The three products are in step with their source, and each exercise says what it should."""

import json
import re

import pytest
from course import COURSE, EVERY, SOURCE, made, source_of

import notebooks
from caufvae_lite.check.build import product, text_of, write
from caufvae_lite.check.tasks import TITLES, exercises

NAMES = sorted(path.stem for path in SOURCE.glob("*.ipynb"))


def test_there_are_seven_assignments_and_a_final_project():
    assert [*(f"{n}_{t}" for n, t in TITLES.items()), "final_project"] == NAMES
    assert len(EVERY) >= 32


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["release", "solutions"])
def test_what_is_committed_is_what_the_source_gives(name, kind):
    wanted = text_of(product(SOURCE / f"{name}.ipynb").books[kind])
    assert (COURSE / kind / f"{name}.ipynb").read_text("utf-8") == wanted, "run: make course"


def test_another_year_is_another_course(tmp_path):
    files = write(SOURCE, tmp_path, 2027, tmp_path / "nbgrader")
    assert len(files) == 3 * len(NAMES)
    for path in files:
        text = path.read_text("utf-8")
        assert "{{" not in text and json.loads(text)["nbformat"] == 4
    assert made("02", 2027).books["release"] != made("02").books["release"]


@pytest.mark.parametrize("number", TITLES)
def test_every_exercise_has_its_cells(number):
    release, solutions = (made(number).books[k] for k in ("release", "solutions"))
    for name, exercise in exercises(number).items():
        text = source_of(release, f"{name}-text")
        assert exercise.says() in text and text.count("<details>") == 2, name
        assert exercise.title in text
        blank, right = source_of(release, name), source_of(solutions, name)
        assert "..." in blank and "SOLUTION" not in blank + right
        written = len(right.splitlines()) - len(blank.splitlines()) + 1
        assert written <= exercise.budget[0] + 3, (name, written)
        assert "**Why.**" in source_of(solutions, f"{name}-why")
        assert f'check("{name}"' in source_of(release, f"{name}-check")
    assert not [c["id"] for c in release["cells"] if c["id"].endswith(("-why", "-rubric"))]


@pytest.mark.parametrize("number", TITLES)
def test_a_written_question_has_a_rubric_and_no_answer_in_the_release(number):
    release, solutions = (made(number).books[k] for k in ("release", "solutions"))
    assert source_of(release, f"{number}-written") == "*Your answer here.*"
    assert source_of(solutions, f"{number}-written-rubric").startswith("**Rubric.**")


@pytest.mark.parametrize("name", NAMES)
def test_install_cell_and_links(name):
    book = product(SOURCE / f"{name}.ipynb").books["release"]
    install = notebooks.INSTALL.format(slug=notebooks.current_slug())
    assert source_of(book, "install") == install
    assert f"/assignments/release/{name}.ipynb)" in source_of(book, "title")
    for cell in book["cells"]:
        for target in re.findall(r"\]\((?!http)([^)\s#]+)", cell["source"]):
            if cell["cell_type"] == "markdown":
                assert (COURSE / "release" / target).exists(), target


def test_ids_are_nbgraders():
    for number in TITLES:
        for cell in made(number).books["nbgrader"]["cells"]:
            grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id", cell["id"])
            assert grade_id == cell["id"]
