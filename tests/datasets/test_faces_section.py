"""Notebook 08's section on faces, which needs a reader's copy of CelebA, on an invented one."""

from pathlib import Path

import celeba_files as files
import nbformat
import torch


def run_section(root: str) -> tuple[dict, list]:
    """Execute the cells ``faces-…``: their variables, and the figures that they show."""
    path = Path(__file__).parents[2] / "notebooks" / "08_real_images.ipynb"
    cells = {c.id: c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"}
    figures, space = [], {"seed": 0, "celeba_root": root, "device": torch.device("cpu")}
    imports = [s for s in cells["setup"].splitlines() if s.startswith(("import", "from"))]
    exec("\n".join(imports), space)
    space["show"] = lambda figure, alt: figures.append((figure, alt))
    for name, source in cells.items():
        if name.startswith("faces-"):
            exec(compile(source, name, "exec"), space)
    return space, figures


def test_the_section_runs_on_a_copy(tmp_path, capsys):
    files.write_tables(tmp_path, 120)
    files.write_zip(tmp_path, files.pictures_of(120))
    space, figures = run_section(str(tmp_path))
    assert len(figures) == 2
    assert set(space["faces"]) == {"train", "test"} and len(space["judges"]) >= 4
    for value in (0, 1):
        done = space["face_model"].counterfactual(space["eight"], {"Smiling": float(value)})
        assert torch.allclose(done.images.cpu(), space["face_rows"][f"do(Smiling = {value})"])
    assert "Smiling" in capsys.readouterr().out


def test_without_a_copy_it_says_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space, figures = run_section("")
    assert "CelebA is not complete" in capsys.readouterr().out
    assert len(figures) == 1 and space["face_model"] is None
