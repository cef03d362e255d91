"""Right answers get everything; wrong ones nothing, and cost nothing else."""

import os

import pytest
from course import (
    EVERY,
    LAST_YEAR,
    SOURCE,
    made,
    run_here,
    solved,
    source_of,
    write,
    wrong_answers,
)

from caufvae_lite.check.exercise import judge, plain
from caufvae_lite.check.grade import Grader
from caufvae_lite.check.practice import check, local
from caufvae_lite.check.tasks import TITLES, exercises
from caufvae_lite.check.variants import THIS_YEAR, variant

NIGHTLY = os.environ.get("CAUFVAE_NIGHTLY") == "1"
SEEDS = (11, 12, 13, 14, 15) if NIGHTLY else (11,)


@pytest.fixture(scope="module")
def grader():
    with Grader(SOURCE, seed=11) as found:
        yield found


@pytest.mark.parametrize("number", TITLES)
def test_worked_solutions_get_every_point(grader, number, tmp_path):
    found = grader.grade(write(solved(number), tmp_path / "one.ipynb"))
    assert found.points == found.possible > 0, found.verdicts
    assert not found.error and not found.messages


@pytest.mark.parametrize("number", TITLES)
def test_an_untouched_release_gets_none_and_says_why(grader, number, tmp_path):
    found = grader.grade(write(made(number).books["release"], tmp_path / "one.ipynb"))
    assert found.points == 0 and found.possible > 0 and not found.messages
    assert {v.status for v in found.verdicts} == {"not attempted"}


@pytest.mark.parametrize("number", TITLES)
def test_an_untouched_release_runs_to_its_end(number, capsys):
    run_here(made(number).books["release"])
    said = capsys.readouterr().out
    assert said.count("not attempted yet") == len(exercises(number))


def names_with(name, source, year=THIS_YEAR):
    """What the solutions' cells define, with one exercise's cell replaced."""
    book = solved(name[:2], {name: source}, year)
    kept = ("setup", *exercises(name[:2]))
    book["cells"] = [c for c in book["cells"] if c["id"].startswith("setup") or c["id"] in kept]
    return run_here(book, may_fail=name)


@pytest.mark.parametrize("name", EVERY)
def test_wrong_answers_get_nothing(name):
    """By the grade's own judge, in this process: at least three for each exercise."""
    exercise = exercises(name[:2])[name]
    wrong = [(source, why) for one, source, why in wrong_answers() if one == name]
    assert len(wrong) >= 3
    if exercise.varies:
        old = source_of(solved(name[:2], year=LAST_YEAR), name)
        wrong.append((old, "copied from somebody who took the course before"))
    for source, why in wrong:
        answer = names_with(name, source)[exercise.answer]
        for seed in (1, *SEEDS):
            found = judge(exercise, local(answer), variant(), seed)
            assert found.points == 0 and found.status != "right", why
            assert found.reason and found.hint


@pytest.mark.parametrize("name", EVERY)
def test_worked_solutions_and_the_judges_references_agree(name):
    """Both were written apart. Many seeds: no unlucky case may fail a right answer."""
    exercise = exercises(name[:2])[name]
    answer = names_with(name, source_of(solved(name[:2]), name))[exercise.answer]
    for seed in range(200 if NIGHTLY else 12):
        found = judge(exercise, local(answer), variant(), seed)
        assert found.status == "right", (seed, found)


SAMPLE = wrong_answers() if NIGHTLY else wrong_answers()[::4]


@pytest.mark.parametrize("k", range(len(SAMPLE)))
def test_a_wrong_answer_loses_its_own_points_only(grader, k, tmp_path):
    name, source, why = SAMPLE[k]
    path = write(solved(name[:2], {name: source}), tmp_path / "one.ipynb")
    found = {v.id: v for v in grader.grade(path).verdicts}
    assert found.pop(name).points == 0, why
    assert all(v.points == v.possible for v in found.values()), (why, found)


def varying(number, yes=True):
    return {i for i, e in exercises(number).items() if e.varies == yes}


@pytest.mark.parametrize("number", TITLES)
def test_last_years_solutions_fail_where_the_year_matters(number, tmp_path):
    path = write(solved(number, year=LAST_YEAR), tmp_path / "one.ipynb")
    with Grader(SOURCE, 3, THIS_YEAR) as grader:
        found = {v.id for v in grader.grade(path).verdicts if v.status == "right"}
    assert found == varying(number, yes=False)


def test_the_year_matters_in_most_exercises():
    assert sum(len(varying(number)) for number in TITLES) >= 35


YEARS = range(THIS_YEAR, THIS_YEAR + (8 if NIGHTLY else 2))


@pytest.mark.parametrize("name", [i for n in TITLES for i in sorted(varying(n))])
def test_a_cell_of_last_year_fails_in_this_years_notebook(name):
    """Also where everything around it is this year's; and the years after this one."""
    exercise = exercises(name[:2])[name]
    for year in YEARS:
        old = source_of(solved(name[:2], year=year - 1), name)
        answer = names_with(name, old, year).get(exercise.answer)
        assert judge(exercise, local(answer), variant(year), 3).points == 0, year


@pytest.mark.parametrize("year", [2027, 2031] if NIGHTLY else [2027])
def test_another_years_solutions_are_right_in_their_year(year, tmp_path):
    with Grader(SOURCE, 5, year) as grader:
        for number in TITLES:
            found = grader.grade(write(solved(number, year=year), tmp_path / "one.ipynb"))
            assert found.points == found.possible, (number, found.verdicts)


def test_feedback_tells_what_was_tried_and_what_came_out(capsys):
    for attempt in (1, 2, 3):
        assert check("02-mask", lambda graph: graph.adjacency) == 0
        said = capsys.readouterr().out
        for word in ("tried", "graph = ", "came out", "expected", "A mask says whom"):
            assert word in said
        assert ("Row i says" in said) == (attempt == 3)  # the hint comes after three failures
    with pytest.raises(ValueError, match="no exercise"):
        check("02-nothing", None)


def test_an_answer_in_place_is_right_and_the_student_is_told(capsys):
    def in_place(gates, step):
        return gates.sub_(step * variant()["price"]).clamp_(min=0)

    assert check("07-gates", in_place) == 2
    assert "it changes gates itself" in capsys.readouterr().out


def test_numbers_that_are_asked_for_are_not_given_away(capsys):
    assert check("05-three", [0.0, 0.0, 0.0]) == 0
    said = capsys.readouterr().out
    right = exercises("05")["05-three"].reference(variant())
    assert "is not right" in said and not any(f"{r:.2f}" in said for r in right)


def test_a_mistake_is_named_only_if_it_explains_every_case(capsys):
    """A chosen set is one of few numbers, so that some mistake always fits one case."""
    assert check("07-choose", lambda scores: len(scores) - 1) == 0
    assert "best mean always wants" not in capsys.readouterr().out
    assert check("07-choose", lambda scores: int(scores.mean(1).argmax())) == 0
    assert "best mean always wants" in capsys.readouterr().out


def test_a_broken_property_is_named():
    """Which number differs says less than what an intervention must not do."""
    exercise = exercises("02")["02-imagine"]

    def everything_moves(name, arguments, wanted):
        right = exercise.reference(variant(), *arguments)
        return ("value", plain(right) + 1.0)

    assert "cannot reach it" in judge(exercise, everything_moves, variant(), 5).reason
