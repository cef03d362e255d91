"""The committed notebooks keep the house rules, and the rules can be broken."""

import copy
import importlib.util
import json
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rules = load(ROOT / "tests" / "notebook_rules.py")


@pytest.fixture(scope="module")
def house(tool):
    slug = tool.current_slug()
    return {"slug": slug, "install": tool.INSTALL.format(slug=slug)}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps(path, rule, house):
    complaints = list(rule(rules.read(path), path.stem, **house))
    assert not complaints, complaints


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_minutes_are_the_measured_ones(path, tool):
    measured = json.loads((ROOT / "notebooks" / "measured.json").read_text())[path.stem]
    text = tool.minutes(measured["seconds"])
    assert rules.read(path).cells[0].source.endswith(f"| {text} |")
    (row,) = [
        line
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith("|") and f"(notebooks/{path.name})" in line
    ]
    assert row.endswith(f"| {text} |")


# ------------------------------------------------- each rule, broken in a good notebook


def good(house) -> nbformat.NotebookNode:
    """The smallest notebook that keeps every rule."""
    md, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    url = rules.COLAB.format(slug=house["slug"], name="01_flows")
    badge = f"[![Open in Colab]({rules.BADGE})]({url})"
    answer = "<details><summary>Why?</summary>\n\nBecause.\n</details>\n"
    cells = {
        "title": md(
            f"# 01 · A question?\n\n{badge}\n\n**A promise.**\n\n{rules.CARD}\n"
            "| --- | --- | --- |\n| this | that | about 2 |"
        ),
        "install": code(house["install"]),
        "parameters": code("seed = 0", metadata={"tags": ["parameters"]}),
        "setup": code("import math"),
        "check": code(
            "# NBVAL_CHECK_OUTPUT\nassert math.pi > 3\nprint('ok: it is')",
            outputs=[nbformat.v4.new_output("stream", name="stdout", text="ok: it is\n")],
        ),
        "figure": code(
            "show(figure)",
            outputs=[
                nbformat.v4.new_output(
                    "display_data",
                    {"image/png": "", "text/plain": "A line that climbs to the upper right."},
                )
            ],
        ),
        "recap": md("## Recap\n\n" + "* A thing.\n" * 5),
        "questions": md("## Test yourself\n\n" + (answer + "\n") * 3),
        "references": md("## References and next\n\n[next](02_causal_masking.ipynb)"),
    }
    for name, cell in cells.items():
        cell.id = name
    count = 0
    for cell in cells.values():
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
    return nbformat.v4.new_notebook(cells=list(cells.values()))


BREAKAGES = {
    "ids": lambda c: c["check"].update(id="Cell 5"),
    "tags": lambda c: c["check"].metadata.update(tags=["slow"]),
    "badge": lambda c: c["title"].update(source=c["title"].source.replace("01_", "02_")),
    "install_cell": lambda c: c["install"].update(source="%pip install caufvae-lite"),
    "card": lambda c: c["title"].update(source=c["title"].source.replace("about 2", "two")),
    "length": lambda c: c["setup"].update(source="\n".join(["x = 1"] * 26)),
    "one_thing": lambda c: c["check"].update(source="# NBVAL_CHECK_OUTPUT\nprint('ok: no')"),
    "figures": lambda c: c["figure"].outputs[0].data.update({"text/plain": "<Figure>"}),
    "outputs": lambda c: c["check"].outputs[0].update(name="stderr"),
    "portable": lambda c: c["setup"].update(source="open('/home/me/data.csv')"),
    "headings": lambda c: c["recap"].update(source="#### Recap\n" + "* A thing.\n" * 5),
    "links": lambda c: c["references"].update(source="[next](99_nowhere.ipynb)"),
    "ending": lambda c: c["recap"].update(source="## Recap\n* Only this."),
}


def test_every_rule_has_a_breakage():
    assert {rule.__name__ for rule in rules.RULES} == set(BREAKAGES)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_rule_sees_its_breakage_and_nothing_else(rule, house):
    book = good(house)
    assert list(rule(book, "01_flows", **house)) == []
    broken = copy.deepcopy(book)
    BREAKAGES[rule.__name__]({cell.id: cell for cell in broken.cells})
    assert list(rule(broken, "01_flows", **house))


@pytest.mark.parametrize(
    ("rule", "breakage"),
    [
        ("length", lambda c: c["setup"].update(source="x = " + "1" * 90)),
        ("length", lambda c: c["recap"].update(source="## Recap\n" + "word " * 160)),
        ("one_thing", lambda c: c["figure"].update(source="def f(): ...\n\nshow(f())")),
        ("figures", lambda c: c["check"].update(outputs=2 * c["figure"].outputs)),
        ("outputs", lambda c: c["setup"].update(execution_count=9)),
        ("portable", lambda c: c["setup"].update(source="import requests")),
        ("ending", lambda c: c["questions"].update(source="## Test yourself")),
        ("tags", lambda c: c["parameters"].metadata.update(tags=[])),
    ],
)
def test_rule_sees_other_breakages_too(rule, breakage, house):
    book = good(house)
    breakage({cell.id: cell for cell in book.cells})
    assert list(getattr(rules, rule)(book, "01_flows", **house))
