"""GitHub's workflows: they have the form that GitHub expects, and call what exists."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMA = ["-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]

needs_schema = pytest.mark.skipif(
    find_spec("check_jsonschema") is None, reason="pip install check-jsonschema"
)
needs_linter = pytest.mark.skipif(
    shutil.which("actionlint") is None, reason="there is no actionlint here (its page: rhysd)"
)


def accepted(*command):
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
    return not ran.returncode, ran.stdout + ran.stderr


@needs_schema
def test_workflows_have_the_form_that_github_expects(tmp_path):
    fine, said = accepted(sys.executable, *SCHEMA, *WORKFLOWS)
    assert fine, said
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs:"))
    assert not accepted(sys.executable, *SCHEMA, wrong)[0]


@needs_linter
def test_actionlint_has_no_complaint():
    fine, said = accepted("actionlint", *WORKFLOWS)
    assert fine, said


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_runs_exists(path):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        assert job["timeout-minutes"] <= 180
        for step in job["steps"]:
            for target in re.findall(r"\bmake (\S+)", step.get("run", "")):
                assert target in targets, f"{path.name}: make {target}"
            for file in re.findall(r"(?:python|bash) ([\w./]+)", step.get("run", "")):
                assert (ROOT / file).is_file(), f"{path.name}: {file}"


def test_only_a_pushed_tag_publishes_and_without_a_stored_secret():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    release = yaml.safe_load(text)
    assert release[True] == {"push": {"tags": ["v*"]}}  # YAML reads "on" as true
    publish = release["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"} and publish["needs"] == "rehearse"
    assert "secrets." not in text
