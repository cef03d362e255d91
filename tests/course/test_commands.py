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
        }


def test_exit_codes(grades):
    full, none, broken = grades.values()
    assert report.exit_code([full], 1.0) == 0
    assert report.exit_code([full, none], 0.5) == 1
    assert report.exit_code([full, broken], 0.5) == report.exit_code([], 1.0) == 2


def test_gradescope_and_classroom(grades):
    for name, grade in grades.items():
        found = json.loads(report.as_gradescope([grade]))
        assert found["score"] == sum(t["score"] for t in found["tests"]) == grade.points
        assert {"name", "score", "max_score", "output"} <= set().union(*found["tests"] or [{
            "name": 0, "score": 0, "max_score": 0, "output": 0}])  # fmt: skip
        classroom = json.loads(report.as_classroom([grade]))
        wanted = {"full": "pass", "none": "fail", "broken": "error"}[name]
        assert classroom["status"] == wanted and classroom["version"] == 1


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
