"""`tools/notebooks.py`: execute, check with another seed, rename the repository."""

import base64
import io
import json
import os
import sys

import colab as colab_tool
import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image

CARD = "| you will learn | you need | minutes on 2 CPU cores |\n| --- | --- | --- |\n"
README = (
    "| [01 · A](notebooks/01_a.ipynb) | why? | about 9 |\n| [02](notebooks/02_b.ipynb) | 3 |\n"
)
BODY = """\
from tqdm import tqdm
print(seed)
for _ in tqdm(range(3)):
    pass
for _ in tqdm(iter("abc"), desc="no total"):
    pass
seed + 1"""
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
    write(tmp_path, BODY)
    return tmp_path


def write(root, source: str, name: str = "01_a") -> None:
    md, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [
        md(f"# 01 · A?\n\n{BADGE}\n\n{CARD}| a | b | about 9 |", id="title"),
        code("seed = 0", id="parameters", metadata={"tags": ["parameters"]}),
        code(source, id="body"),
    ]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    nbformat.write(book, root / "notebooks" / f"{name}.ipynb")


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


def test_run_keeps_warnings_and_passes_the_shell_by(tool, root, monkeypatch):
    monkeypatch.setenv("SEED", "5")
    write(
        root, "import os, warnings\nprint(os.environ.get('SEED', 0))\nwarnings.warn('mend me')"
    )
    assert tool.run([], root) == 0
    seen = [(o.name, o.text) for o in read(root).cells[-1].outputs]
    assert seen[0] == ("stdout", "0\n")
    assert seen[1][0] == "stderr" and "mend me" in seen[1][1]


@pytest.mark.parametrize("how", ["run", "check"])
def test_no_kernel_warns_of_unencrypted_talk(tool, root, tmp_path, capfd, how):
    status = tool.run([], root) if how == "run" else tool.check([], 1, tmp_path / "out", root)
    assert status == 0
    assert "encryption" not in capfd.readouterr().err


def test_without_bars(tool):
    bars = "\r  0%|          | 0/2 [00:00<?, ?it/s]\r100%|████| 2/2 [00:00<00:00, 9.1it/s]\n"
    assert tool.without_bars(bars + "UserWarning: 50% off\n") == "UserWarning: 50% off\n"
    assert tool.without_bars("\rlearn: 3it [00:00, 100.0it/s]\n") == ""


def test_a_large_picture_keeps_its_best_colours_and_a_small_one_all(tool):
    def decoded(picture):
        return Image.open(io.BytesIO(base64.b64decode(picture)))

    for side, mode in ((40, "RGB"), (400, "P")):
        shades = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(shades).save(file, "PNG")
        picture = base64.b64encode(file.getvalue()).decode()
        packed = decoded(tool.packed(picture))
        assert packed.mode == mode and packed.size == (side, side)
        assert mode == "P" or (np.asarray(packed) == shades).all()


def test_run_gives_the_install_cell_its_one_text(tool, root):
    book = read(root)
    book.cells.insert(1, nbformat.v4.new_code_cell("old words", id="install"))
    tool.set_install(book, root)
    assert book.cells[1].source == tool.INSTALL.format(slug="me/mine")
    compile(TransformerManager().transform_cell(book.cells[1].source), "install", "exec")
    assert max(map(len, book.cells[1].source.splitlines())) <= 88


def test_a_failing_notebook_is_left_as_it_was(tool, root, capsys):
    write(root, "1 / 0")
    before = (root / "notebooks" / "01_a.ipynb").read_bytes()
    assert tool.run([], root) == 1
    assert (root / "notebooks" / "01_a.ipynb").read_bytes() == before
    message = capsys.readouterr().err
    assert "'body' failed" in message and "ZeroDivisionError" in message


def test_what_was_edited_meanwhile_is_kept(tool, root, capsys):
    write(root, "open('01_a.ipynb', 'a').write(' ')")  # the kernel's folder is the notebook's
    edited = (root / "notebooks" / "01_a.ipynb").read_text() + " "
    assert tool.run([], root) == 1
    assert (root / "notebooks" / "01_a.ipynb").read_text() == edited
    assert "changed it meanwhile" in capsys.readouterr().err


def test_check_injects_the_seed_and_reports(tool, root, capsys):
    out = root / "out"
    assert tool.check([], seed=7, out=out, root=root) == 0
    assert "7\n" in (out / "01_a.ipynb").read_text().replace("\\n", "\n")
    assert json.loads((out / "report.json").read_text())["seed"] == 7
    assert "seconds  budget  peak MB" in capsys.readouterr().out


def test_check_names_the_notebook_that_fails_and_goes_on(tool, root, capsys):
    write(root, "assert seed == 0, 'only for the seed it was written with'")
    write(root, "seed", name="02_b")
    assert tool.check([], seed=7, out=root / "out", root=root) == 1
    assert "01_a with seed 7" in capsys.readouterr().err
    report = json.loads((root / "out" / "report.json").read_text())
    assert "only for the seed" in report["01_a"]["error"] and not report["02_b"]["error"]


@pytest.mark.parametrize(("answer", "status"), [("x + x", 0), ("x + 3", 1)])
def test_check_fills_in_the_worked_solutions(tool, root, answer, status, capsys):
    """The second answer is right for the blank's own case and wrong in general."""
    book = read(root)
    md, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    folded = f"```python\ndef double(x):\n    return {answer}\n```"
    book.cells += [
        code("def double(x):\n    ...", id="try-double"),
        code("print('ok: yes' if double(4) == 8 else 'no')", id="try-double-check"),
        md(folded, id="try-double-solution"),
    ]
    nbformat.write(book, root / "notebooks" / "01_a.ipynb")
    assert tool.check([], seed=7, out=root / "out", root=root) == status
    assert ("the worked solution does not pass" in capsys.readouterr().err) == bool(status)
    assert read(root).cells[3].source.endswith("...")  # the notebook itself is untouched


def test_check_tries_the_corners_of_what_is_explored(tool, root):
    write(
        root,
        "from matplotlib.figure import Figure\n"
        "from caufvae_lite.notebook import explore\n"
        "def draw(a):\n    assert a < 3 or len(kept) > 0\n    return Figure()\n"
        "kept = []\n"
        "explore(draw, 'Lines with low, middle and high slopes, side by side.', a=[1, 2, 3])",
    )
    assert tool.check([], seed=7, out=root / "out", root=root) == 1
    error = json.loads((root / "out" / "report.json").read_text())["01_a"]["error"]
    assert "draw fails at {'a': 3}" in error


def test_check_forgives_a_stall_and_no_more(tool, root, monkeypatch, capsys):
    monkeypatch.setattr(tool, "BUDGET", 0.001)
    assert tool.check([], seed=7, out=root / "out", root=root) == 1
    assert "over 5 times its budget" in capsys.readouterr().err


def test_command_line_explains_what_was_wrong(tool, capsys):
    assert tool.main(["run", "99"]) == 2
    assert tool.main(["slug", "nonsense"]) == 2
    message = capsys.readouterr().err
    assert "'99'" in message and "01_flows" in message and "owner/name" in message


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


def test_no_file_of_the_project_keeps_its_old_slug(tool):
    """In whatever form an address has it: a new form is a new pattern in `renamed`."""
    old = tool.current_slug()
    owner, name = old.split("/")
    places = tool.texts()
    assert {"README.md", "requirements.txt", "site.yml"} <= {path.name for path in places}
    for path in places:
        text = tool.renamed(path.read_text("utf-8"), old, "you/yours")
        assert old not in text and f"{owner}.github.io" not in text, path
        assert f"{owner}%2F{name}" not in text, path


@pytest.mark.parametrize(
    ("seconds", "text"), [(10, "under 1"), (50, "about 1"), (89, "about 1"), (150, "about 2")]
)
def test_minutes(tool, seconds, text):
    assert tool.minutes(seconds) == text


# ----------------------------------------------------------------------------------- colab


@pytest.fixture(scope="module")
def colab():
    """``tools/colab.py``, which is no part of the package."""
    return colab_tool


def test_the_install_cell_may_only_add_our_package(colab):
    before = {**colab.pins(), "torch": "2.13.0"}
    after = {**before, "caufvae-lite": "0.1.0"}
    assert colab.complaints(before, after) == []
    assert colab.complaints(before, before) == ["the install cell did not install caufvae-lite"]
    (changed,) = colab.complaints(before, {**after, "torch": "2.14.0"})
    assert changed == "the install cell changed torch: 2.13.0 before, 2.14.0 after"
    (added,) = colab.complaints(before, {**after, "zuko": "1.6.0"})
    assert "zuko: absent before" in added
    lost = {name: version for name, version in after.items() if name != "numpy"}
    assert len(colab.complaints(before, lost)) == 2  # changed, and not as pinned


def test_colab_pins_are_exact_and_leave_torch_and_setuptools_out(colab):
    pins = colab.pins()
    assert {"matplotlib", "ipywidgets", "scikit-learn", "tqdm"} <= pins.keys()
    assert ("numpy" in pins) == (sys.version_info < (3, 13))
    assert not {"torch", "setuptools"} & pins.keys()
    assert colab.torch_pin().startswith("torch==") and "+" not in colab.torch_pin()


def test_colab_runs_the_install_cell_as_the_notebook_has_it(colab, tool, root):
    book = read(root)
    book.cells.insert(1, nbformat.v4.new_code_cell("%pip install mine", id="install"))
    nbformat.write(book, root / "notebooks" / "01_a.ipynb")
    (cell,) = colab.install_cell(root / "notebooks" / "01_a.ipynb").cells
    assert cell.source == "%pip install mine"
