"""The command line, as docs/course.md has it, and what other graders read."""

import json

import pytest
from course import COURSE, SOURCE, made, solved, write

from caufvae_lite.check import report
from caufvae_lite.check.__main__ import main
from caufvae_lite.check.grade import Grader


@pytest.fixture(scope="module")
def grades(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handed-in")
    with Grader(SOURCE, seed=4) as grader:
        yield {
            "full": grader.grade(write(solved("02"), folder / "full.ipynb")),
            "none": grader.grade(write(made("02").books["release"], folder / "none.ipynb")),
            "broken": grader.grade(write("{", folder / "broken.ipynb")),
            "project": grader.grade(COURSE / "release" / "final_project.ipynb"),
        }


def test_exit_codes(grades):
    full, none, broken, _ = grades.values()
    assert report.exit_code([full], 1.0) == 0
    assert report.exit_code([full, none], 0.5) == 1
    assert report.exit_code([full, broken], 0.5) == report.exit_code([], 1.0) == 2


# https://gradescope-autograders.readthedocs.io/en/latest/specs/, "Output format"
GRADESCOPE = {
    "score": (int, float), "execution_time": (int, float), "output": str, "visibility": str,
    "stdout_visibility": str, "extra_data": dict, "tests": list,
}  # fmt: skip
GRADESCOPE_TEST = {
    "score": (int, float), "max_score": (int, float), "status": str, "name": str,
    "number": str, "output": str, "tags": list, "visibility": str, "extra_data": dict,
}  # fmt: skip
VISIBILITIES = {"hidden", "after_due_date", "after_published", "visible"}
# What github.com/classroom-resources/autograding-grading-reporter reads (src/main.js, and
# helpers/test-helpers.js): base64 of this in the environment's {RUNNER}_RESULTS.
CLASSROOM = {"version": int, "status": str, "max_score": int, "tests": list}
CLASSROOM_TEST = {
    "name": str, "status": str, "score": int, "message": str, "test_code": str,
    "filename": str, "line_no": int, "duration": (int, float),
}  # fmt: skip


def follows(found, documented):
    """Only documented fields, each of its kind."""
    assert set(found) <= set(documented), set(found) - set(documented)
    for key, value in found.items():
        assert isinstance(value, documented[key]), key
    return True


@pytest.mark.parametrize("name", ["full", "none", "broken", "project"])
def test_gradescope_reads_what_its_documentation_says(grades, name):
    found = json.loads(report.as_gradescope([grades[name]]))
    assert follows(found, GRADESCOPE) and "score" in found
    for test in found["tests"]:
        assert follows(test, GRADESCOPE_TEST)
        assert test["status"] in ("passed", "failed") and test["visibility"] in VISIBILITIES
    assert found["score"] == sum(t["score"] for t in found["tests"]) == grades[name].points


@pytest.mark.parametrize("name", ["full", "none", "broken", "project"])
def test_github_classrooms_reporter_finds_what_it_reads(grades, name):
    found = json.loads(report.as_classroom([grades[name]]))
    assert follows(found, CLASSROOM) and set(found) == set(CLASSROOM)
    wanted = {"full": "pass", "none": "fail", "broken": "error", "project": "pass"}[name]
    assert found["status"] == wanted and found["version"] == 1
    for test in found["tests"]:
        assert follows(test, CLASSROOM_TEST) and test["status"] in ("pass", "fail")
    assert sum(t["score"] for t in found["tests"]) == grades[name].points
    assert found["max_score"] == grades[name].possible


def test_the_final_project_is_read_by_a_person(grades):
    """And does not keep a folder that holds it from ending with status 0."""
    project = grades["project"]
    assert not project.error and sum(project.by_hand.values()) == 30
    assert report.exit_code([grades["full"], project], 1.0) == 0
    said = report.as_table([project])
    assert "30 points are read by a person" in said and "final-page" in said


def test_table_and_progress_name_every_exercise(grades):
    text = report.as_table(list(grades.values()))
    assert "02-mask" in text and "not attempted yet" in text and "not graded" in text
    assert "●●●●●●" in report.progress([grades["full"]])
    assert "○○○○○○" in report.progress([grades["none"]])


def test_commands_from_release_to_returned_feedback(tmp_path, capsys):
    assert main(["release", "--out", str(tmp_path), "--year", "2027"]) == 0
    handed_in = tmp_path / "solutions" / "04_identifiability.ipynb"
    (tmp_path / "seed.txt").write_text("77\n")
    out = tmp_path / "feedback" / "results.json"
    arguments = ["grade", str(handed_in), "--year", "2027", "--out", str(out)]
    seed = ["--seed-file", str(tmp_path / "seed.txt"), "--format", "json"]
    assert main([*arguments, *seed]) == 0
    assert json.loads(out.read_text())[0]["points"] > 0
    assert "seed 77" in capsys.readouterr().err


def test_progress_of_an_untouched_release(capsys):
    assert main(["progress", str(COURSE / "release" / "01_flows.ipynb")]) == 0
    assert "0 of 13" in capsys.readouterr().out
