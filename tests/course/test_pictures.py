"""Pictures of what right looks like: drawn for right answers, for none, and in other years."""

import pytest
from course import TITLES, made, run_here, solved, source_of
from matplotlib.figure import Figure

from caufvae_lite.check import pictures
from caufvae_lite.check.tasks import exercises

DRAWN = [
    c["id"].removesuffix("-drawn")
    for n in TITLES for c in made(n).books["release"]["cells"] if c["id"].endswith("-drawn")
]  # fmt: skip


@pytest.fixture
def shown(monkeypatch):
    found = []
    monkeypatch.setattr(pictures, "show", lambda figure, alt: found.append((figure, alt)))
    return found


def test_several_exercises_are_drawn_in_most_assignments():
    assert len(DRAWN) >= 10 and len({name[:2] for name in DRAWN}) >= 5


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("year", [2026, 2027])
def test_a_right_answer_looks_as_it_should(name, year, shown):
    book = solved(name[:2], year=year)
    kept = ("setup", *exercises(name[:2]))
    book["cells"] = [c for c in book["cells"] if c["id"] in kept]
    answer = run_here(book)[exercises(name[:2])[name].answer]
    pictures.picture(name, answer, year)
    ((figure, alt),) = shown
    assert isinstance(figure, Figure) and len(alt.split()) > 5
    left, right = figure.axes
    assert right.get_title() == "yours"
    assert len(left.get_children()) == len(right.get_children())


@pytest.mark.parametrize("name", DRAWN)
def test_no_answer_leaves_the_second_panel_empty(name, shown):
    for answer in (lambda *a: None, lambda *a: 1 / 0, None):
        pictures.picture(name, answer)
    assert [f.axes[1].get_title() for f, _ in shown] == ["yours: nothing to draw yet"] * 3


def test_a_grader_draws_nothing_and_an_unknown_exercise_is_an_error(shown, monkeypatch):
    with pytest.raises(ValueError, match="no exercise"):
        pictures.picture("01-nothing", None)
    monkeypatch.setenv("CAUFVAE_GRADING", "1")
    pictures.picture("02-mask", None)
    assert not shown


def test_a_notebook_draws_after_the_check():
    for name in DRAWN:
        answer = exercises(name[:2])[name].answer
        text = source_of(made(name[:2]).books["release"], f"{name}-drawn")
        assert text == f'picture("{name}", {answer}, year)'
