"""`tools/notebooks.py`: execute, check with another seed, rename the repository."""

import json
import os

import nbformat
import pytest

CARD = "| you will learn | you need | minutes on 2 CPU cores |\n| --- | --- | --- |\n"
README = (
    "| [01 · A](notebooks/01_a.ipynb) | why? | about 9 |\n| [02](notebooks/02_b.ipynb) | 3 |\n"
)
BADGE = "[![c](x)](https://colab.research.google.com/github/me/mine/blob/main/n.ipynb)"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Whatever the tools set in the environment is undone."""
    for name in ("SEED", "CAUFVAE_SLIDERS", "CAUFVAE_CORNERS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


@pytest.fixture
def root(tmp_path):
    """A project of one notebook."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\n[project.urls]\nRepository = "https://github.com/me/mine"\n'
    )
    write(tmp_path, "import sys\nprint(seed)\nprint('a bar', file=sys.stderr)\nseed + 1")
    return tmp_path


def write(root, source: str) -> None:
    md, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [
        md(f"# 01 · A?\n\n{BADGE}\n\n{CARD}| a | b | about 9 |", id="title"),
        code("seed = 0", id="parameters", metadata={"tags": ["parameters"]}),
        code(source, id="body"),
    ]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    nbformat.write(book, root / "notebooks" / "01_a.ipynb")


def read(root):
    return nbformat.read(root / "notebooks" / "01_a.ipynb", as_version=4)


def test_run_writes_outputs_minutes_and_cost(tool, root):
    assert tool.run([], root) == 0
    book = read(root)
    body = next(c for c in book.cells if c.id == "body")
    kinds = [(o.output_type, o.get("name")) for o in body.outputs]
    assert kinds == [("stream", "stdout"), ("execute_result", None)]  # the bar is gone
    assert "| under 1 |" in book.cells[0].source
    assert (root / "README.md").read_text().startswith(README[:40])
    assert "| why? | under 1 |" in (root / "README.md").read_text()
    assert "(notebooks/02_b.ipynb) | 3 |" in (root / "README.md").read_text()
    cost = json.loads((root / "notebooks" / "measured.json").read_text())["01_a"]
    assert cost["seconds"] >= 0 and cost["peak_mb"] > 10
    first = (root / "notebooks" / "01_a.ipynb").read_bytes()
    assert tool.run(["01"], root) == 0
    assert (root / "notebooks" / "01_a.ipynb").read_bytes() == first


def test_a_failing_notebook_is_left_as_it_was(tool, root, capsys):
    write(root, "1 / 0")
    before = (root / "notebooks" / "01_a.ipynb").read_bytes()
    assert tool.run([], root) == 1
    assert (root / "notebooks" / "01_a.ipynb").read_bytes() == before
    message = capsys.readouterr().err
    assert "'body' failed" in message and "ZeroDivisionError" in message


def test_check_injects_the_seed_and_reports(tool, root, capsys):
    out = root / "out"
    assert tool.check([], seed=7, out=out, root=root) == 0
    assert "7\n" in (out / "01_a.ipynb").read_text().replace("\\n", "\n")
    assert json.loads((out / "report.json").read_text())["seed"] == 7
    assert "seconds  budget  peak MB" in capsys.readouterr().out
    write(root, "assert seed == 0, 'only for the seed it was written with'")
    assert tool.check([], seed=7, out=out, root=root) == 1
    assert "01_a with seed 7" in capsys.readouterr().err


def test_unknown_notebook_is_named(tool, root):
    with pytest.raises(ValueError, match=r"'09'.*01_a"):
        tool.named(["09"], root)


def test_slug_is_renamed_everywhere_and_twice_is_once(tool, root):
    (root / "CITATION.cff").write_text("repository-code: https://github.com/me/mine-too\n")
    changed = {path.name for path in tool.rename("you/yours", root)}
    assert changed == {"pyproject.toml", "01_a.ipynb"}  # mine-too is another repository
    assert tool.current_slug(root) == "you/yours"
    assert "github/you/yours/blob" in (root / "notebooks" / "01_a.ipynb").read_text()
    assert tool.rename("you/yours", root) == []
    for bad in ("yours", "https://github.com/you/yours", "you/yours/", "you/ yours"):
        with pytest.raises(ValueError, match="owner/name"):
            tool.rename(bad, root)


@pytest.mark.parametrize(
    ("seconds", "text"), [(10, "under 1"), (50, "about 1"), (89, "about 1"), (150, "about 2")]
)
def test_minutes(tool, seconds, text):
    assert tool.minutes(seconds) == text
