"""The committed notebooks keep the house rules."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
TAGS = {"parameters"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request):
    book = nbformat.read(request.param, as_version=4)
    book.path = request.param
    return book


def code_cells(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_cells_have_readable_unique_ids(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", i) for i in ids)


def test_tags_are_of_the_vocabulary(notebook):
    assert {t for c in notebook.cells for t in c.metadata.get("tags", [])} <= TAGS


def test_cells_are_short(notebook):
    for cell in code_cells(notebook):
        lines = cell.source.splitlines()
        assert len(lines) <= 25, cell.id
        assert max(map(len, lines), default=0) <= 88, cell.id
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not cell.source.startswith("# "):
            prose = re.sub(r"<details>|</details>|\|", "", cell.source)
            assert len(prose.split()) <= 150, cell.id


def test_code_parses(notebook):
    for cell in code_cells(notebook):
        ast.parse(cell.source)


def test_outputs_come_from_one_clean_run(notebook):
    cells = code_cells(notebook)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            assert not (output.output_type == "stream" and output.name == "stderr"), cell.id


def test_compared_cells_assert_and_say_ok(notebook):
    compared = [c for c in code_cells(notebook) if "NBVAL_CHECK_OUTPUT" in c.source]
    assert compared
    for cell in compared:
        text = "".join(o.text for o in cell.outputs)
        assert "assert" in cell.source and text.startswith("ok: "), cell.id


def test_every_figure_has_a_sentence(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output["data"]["text/plain"]
                assert len(alt.split()) >= 8 and alt.endswith("."), cell.id


def test_file_is_small_and_names_no_machine(notebook):
    text = notebook.path.read_text()
    assert len(text) <= 1_500_000
    assert "widgets" not in notebook.metadata
    assert not re.search(r"/(root|home|tmp|Users|usr)/", text)


def test_links_to_other_files_resolve(notebook):
    for cell in notebook.cells:
        for target in re.findall(r"\]\(([\w./-]+\.ipynb)\)", cell.source):
            assert (notebook.path.parent / target).is_file(), target
