"""The committed notebooks keep the house rules, and the rules can be broken."""

import json
from pathlib import Path

import nbformat
import notebook_rules as rules
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


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
    file = ROOT / "notebooks" / "measured.json"
    measured = json.loads(file.read_text()) if file.is_file() else {}
    assert path.stem in measured, f"not measured yet: make notebooks NB={path.stem}"
    text = tool.minutes(measured[path.stem]["seconds"])
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
        "try-double": code("def double(x):\n    ...  # one line"),
        "try-double-check": code(
            "if tried(double(3)):\n    assert double(3) == 6\n    print('ok: it doubles')",
            outputs=[
                nbformat.v4.new_output("stream", name="stdout", text="not tried yet: …\n")
            ],
        ),
        "try-double-solution": md(
            "<details>\n<summary>Solution</summary>\n\n```python\ndef double(x):\n"
            "    return 2 * x\n```\n\nTwice is two times.\n</details>"
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


def source(name: str, new: str):
    """A breakage: the cell ``name`` gets other words."""
    return lambda cells: cells[name].update(source=new)


def replace(name: str, old: str, new: str):
    """A breakage: in the cell ``name``, ``old`` becomes ``new``."""
    return lambda cells: cells[name].update(source=cells[name].source.replace(old, new))


def output(kind: str, **fields):
    """A breakage: the check has another output."""
    return lambda cells: cells["check"].outputs.append(nbformat.v4.new_output(kind, **fields))


MARK = "# NBVAL_CHECK_OUTPUT\n"
QUESTION = "<details><summary>Why?</summary>\n\nBecause.\n</details>\n"
VIEW = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "VBox()"}

BREAKAGES = [
    ("exercises", lambda c: c["try-double-check"].update(id="elsewhere")),
    ("exercises", source("try-double", "def double(x):\n    return 2 * x")),
    ("exercises", replace("try-double-check", "tried(", "print(")),
    ("exercises", replace("try-double-check", "assert ", "")),
    ("exercises", lambda c: c["try-double-check"].outputs[0].update(text="ok: it doubles\n")),
    ("exercises", replace("try-double-solution", "Twice is two times.\n", "")),
    ("exercises", replace("try-double-solution", "```python", "```")),
    ("ids", lambda c: c["check"].update(id="Cell 5")),
    ("ids", lambda c: c["check"].update(id="figure")),
    ("ids", lambda c: c["setup"].update(id="start")),
    ("ids", lambda c: c["recap"].update(id="summary")),
    ("tags", lambda c: c["check"].metadata.update(tags=["slow"])),
    ("tags", lambda c: c["parameters"].metadata.update(tags=[])),
    ("badge", replace("title", "01_flows", "02_flows")),
    ("badge", replace("title", "github/", "github/someone-")),
    ("install_cell", source("install", "%pip install caufvae-lite")),
    ("card", replace("title", "about 2", "two")),
    ("card", replace("title", "**A promise.**", "A promise.")),
    ("card", replace("title", "# 01 · A question?", "# Flows")),
    ("card", replace("title", "you need", "needs")),
    ("length", source("setup", "\n".join(["x = 1"] * 26))),
    ("length", source("setup", "class A:\n" + "\n".join(["    x = 1"] * 40))),
    ("length", source("setup", "x = " + "1" * 90)),
    ("length", source("recap", "## Recap\n" + "word " * 210)),
    ("one_thing", source("check", MARK + "print('ok: no')")),
    ("one_thing", source("check", "print('never compared')")),
    ("one_thing", lambda c: c["check"].outputs[0].update(text="fine\n")),
    ("one_thing", source("figure", "def f(): ...\n\nshow(f())")),
    ("one_thing", source("figure", "class A: ...\n\nexplore(A, '', a=[1, 2])")),
    ("figures", lambda c: c["figure"].outputs[0].data.update({"text/plain": "<Figure>"})),
    ("figures", lambda c: c["figure"].outputs[0].data.pop("text/plain")),
    ("figures", lambda c: c["check"].update(outputs=2 * c["figure"].outputs)),
    ("outputs", lambda c: c["check"].outputs[0].update(name="stderr")),
    ("outputs", lambda c: c["setup"].update(execution_count=9)),
    ("outputs", lambda c: c["setup"].update(execution_count=None)),
    ("outputs", output("error", ename="E", evalue="", traceback=[])),
    ("outputs", output("display_data", data=VIEW)),
    ("portable", source("setup", "open('/Users/me/data.csv')")),
    ("portable", source("setup", r"open(r'C:\data.csv')")),
    ("portable", source("setup", "import requests")),
    ("portable", source("setup", "urllib.request.urlretrieve(where)")),
    ("portable", source("setup", "!wget somewhere")),
    ("portable", output("stream", name="stdout", text="saved /tmp/x.png\n")),
    ("portable", output("execute_result", data={"text/plain": "PosixPath('/Users/x')"})),
    ("portable", output("stream", name="stdout", text="x" * 1_500_000)),
    ("headings", source("recap", "#### Recap\n")),
    ("headings", source("recap", "# Recap\n")),
    ("headings", replace("title", "# 01", "## 01")),
    ("links", source("references", "[next](99_nowhere.ipynb)")),
    ("links", source("references", "[up](#no-such-heading)")),
    ("links", source("references", "[there](../README.md#no-such-heading)")),
    ("links", source("references", "[this]()")),
    ("links", source("references", '<img src="nowhere.png">')),
    ("links", source("references", "[paper](https://arxiv.org/abs/23040.9010)")),
    ("links", source("references", "a bare http://github.com/you/yours")),
    ("links", source("references", "https://shop.example.com/flows")),
    ("references", source("recap", "Notebook 99 shows it.")),
    ("references", source("recap", "See notebooks 01 and 98.")),
    ("references", source("recap", "Section 7 shows it.")),
    ("ending", source("recap", "## Recap\n* Only this.")),
    ("ending", source("recap", "## In short\n" + "* A thing.\n" * 5)),
    ("ending", source("questions", "## Test yourself")),
    ("ending", source("questions", "## Test yourself\n" + QUESTION * 6)),
    ("ending", source("questions", "## Test yourself\n" + QUESTION * 3 + "<details>")),
    ("ending", source("questions", "## Test yourself\n" + QUESTION.replace("Why?", "") * 3)),
    ("ending", source("questions", "## Test yourself\n" + QUESTION.replace("\n\n", "\n") * 3)),
    ("ending", source("references", "## References")),
]


def test_every_rule_has_a_breakage():
    assert {rule.__name__ for rule in rules.RULES} == {name for name, _ in BREAKAGES}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_has_no_complaints(rule, house):
    assert list(rule(good(house), "01_flows", **house)) == []


@pytest.mark.parametrize(("rule", "breakage"), BREAKAGES)
def test_rule_sees_its_breakage(rule, breakage, house):
    book = good(house)
    breakage({cell.id: cell for cell in book.cells})
    assert list(getattr(rules, rule)(book, "01_flows", **house))


def test_saved_widget_state_is_seen(house):
    book = good(house)
    book.metadata["widgets"] = {}
    assert list(rules.outputs(book, "01_flows", **house))


def test_links_that_lead_somewhere_are_fine(house):
    book = good(house)
    book.cells[-1].source = (
        "## References\n\n[up](#recap) [notation](../README.md#notation) "
        "[2304.09010](https://arxiv.org/abs/2304.09010), https://doi.org/10.1000/x(1), "
        "[next](02_causal_masking.ipynb)"
    )
    assert list(rules.links(book, "01_flows", **house)) == []


def test_a_class_may_be_longer(house):
    book = good(house)
    book.cells[3].source = "class A:\n" + "\n".join(["    x = 1"] * 39)
    assert list(rules.length(book, "01_flows", **house)) == []
