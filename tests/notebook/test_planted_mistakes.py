"""Three classic mistakes, planted in a notebook's copy or in the package: it must go red.

A wrong sign in the log-determinant, a transposed mask, and a do() that forgets descendants
all train without complaint, so the notebooks' own checks have to catch them.
"""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
FLOWS, MASKING = "01_flows", "02_causal_masking"

# notebook, the cell that must fail, and what becomes what
IN_NOTEBOOK = {
    "wrong sign": (FLOWS, "affine-check", {"log_det = log_det + s": "log_det = log_det - s"}),
    "transposed mask": (
        MASKING,
        "mask-check",
        {"graph.adjacency.T[:, :, None]": "graph.adjacency[:, :, None]"},
    ),
    "do() forgets descendants": (
        MASKING,
        "package-equal",
        {
            "                if name in (do or {}):": "                if False:",
            "        return torch.stack(z, 1), bounded(raw)": "        for name in do or {}:\n"
            "            z[self.graph.index(name)] = z[0] * 0 + do[name]\n"
            "        return torch.stack(z, 1), bounded(raw)",
        },
    ),
}
IN_FLOW = {
    "wrong sign": (
        FLOWS,
        {"return factors, scales.sum(-1)": "return factors, -scales.sum(-1)"},
    ),
    "transposed mask": (
        MASKING,
        {"for p in graph.parents(n)]": "for p in graph.children(n)]"},
    ),
    "do() forgets descendants": (
        MASKING,
        {
            "            for i in fixed.keys() & set(generation):\n"
            "                values[i] = fixed[i]": "        for i in fixed:\n"
            "            values[i] = fixed[i]"
        },
    ),
}


def plant(text: str, mistakes: dict[str, str]) -> str:
    for right, wrong in mistakes.items():
        assert text.count(right) == 1, f"{right!r} is not there once: mend this test"
        text = text.replace(right, wrong)
    return text


def run(book, folder: Path) -> str:
    """The id of the cell that fails, or nothing."""
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    try:
        client.execute()
    except CellExecutionError:
        (failed,) = [
            cell.id
            for cell in book.cells
            if any(o.output_type == "error" for o in cell.get("outputs", []))
        ]
        return failed
    return ""


def short(book, last: str):
    """The code cells up to and with ``last``: what comes later takes longer."""
    ids = [cell.id for cell in book.cells]
    cells = book.cells[: ids.index(last) + 1]
    book.cells = [cell for cell in cells if cell.cell_type == "code"]
    return book


def read(name: str):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


@pytest.fixture(autouse=True)
def no_sliders(monkeypatch):
    monkeypatch.setenv("CAUFVAE_SLIDERS", "0")


@pytest.mark.parametrize("mistake", IN_NOTEBOOK)
def test_planted_in_the_notebook(mistake, tmp_path):
    name, where, mistakes = IN_NOTEBOOK[mistake]
    book = short(read(name), where)
    (cell,) = [c for c in book.cells if next(iter(mistakes)) in c.source]
    cell.source = plant(cell.source, mistakes)
    assert run(book, tmp_path) == where


@pytest.mark.parametrize("mistake", IN_FLOW)
def test_planted_in_the_package(mistake, tmp_path, monkeypatch):
    name, mistakes = IN_FLOW[mistake]
    package = tmp_path / "caufvae_lite"
    shutil.copytree(ROOT / "caufvae_lite", package)
    (package / "flow.py").write_text(plant((package / "flow.py").read_text(), mistakes))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run(short(read(name), "package-equal"), tmp_path) == "package-equal"


def test_nothing_planted_nothing_red(tmp_path):
    assert run(short(read(MASKING), "package-equal"), tmp_path) == ""
