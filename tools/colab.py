"""Would the notebooks run in Colab? ``python tools/colab.py [03 … | assignments | all]`` asks.

It builds an environment with Colab's versions (``constraints/colab.txt``, torch from the
build at hand), builds our wheel, runs the notebooks' own install cell there, proves that no
package that was there changed version, and then runs the notebooks on the *installed* wheel,
far from the checkout: 01, 02 and 05 if none is named, lessons and assignments for ``all``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import nbformat
from packaging.requirements import Requirement

from notebooks import named

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "colab"
PINS = ROOT / "constraints" / "colab.txt"
DEFAULT = ("01", "02", "05")
BUDGET = 300  # seconds on two quiet cores, for the default
SHOWN = ("torch", "numpy", "matplotlib", "ipython", "ipywidgets")
STAMP = BUILD / "pins.txt"  # what the environment was built from
PYTHON = BUILD / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"


def torch_pin() -> str:
    """The torch that runs here, without the suffix of its build."""
    return f"torch=={metadata.version('torch').partition('+')[0]}"


def build_environment() -> None:
    """Colab's versions in ``build/colab/venv``; kept while the pins stay the same."""
    wanted = f"{sys.version}\n{torch_pin()}\n{PINS.read_text()}"
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    STAMP.unlink(missing_ok=True)
    shutil.rmtree(BUILD / "venv", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", BUILD / "venv"], check=True)
    install = [str(PYTHON), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, torch_pin(), "-r", str(PINS)], check=True)
    STAMP.write_text(wanted)


def build_wheel() -> Path:
    """Our wheel, as ``pip`` would build it from the repository."""
    folder = BUILD / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def packages() -> dict[str, str]:
    """Name → version of everything in the environment."""
    listed = subprocess.run(
        [PYTHON, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {canonical(p["name"]): p["version"] for p in json.loads(listed.stdout)}


def canonical(name: str) -> str:
    """A package's name as the index has it."""
    return name.lower().replace("_", "-")


def pins() -> dict[str, str]:
    """Name → version, from ``constraints/colab.txt``, of what is pinned for this Python."""
    lines = [line for line in PINS.read_text().splitlines() if not line.startswith("#")]
    ours = [r for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate()]
    exact = {canonical(r.name): str(r.specifier) for r in ours}
    return {name: v.removeprefix("==") for name, v in exact.items() if v.startswith("==")}


def complaints(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What the install cell did besides adding our package, and what is not as pinned."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, "absent"), after.get(name, "absent")
        if old != new and name != "caufvae-lite":
            found.append(f"the install cell changed {name}: {old} before, {new} after")
    if "caufvae-lite" not in after:
        found.append("the install cell did not install caufvae-lite")
    for name, version in pins().items():
        if after.get(name) != version:
            found.append(f"{name} is {after.get(name, 'absent')}, Colab has {version}")
    return found


def execute(book: nbformat.NotebookNode, folder: Path, name: str, wheel: Path) -> bool:
    """Run a notebook in the environment's own kernel, in ``folder``; did it succeed?

    A last cell asserts that the package came from the environment, not from a checkout.
    """
    look = "import caufvae_lite, sys\nassert caufvae_lite.__file__.startswith(sys.prefix)"
    book.cells.append(nbformat.v4.new_code_cell(look))
    nbformat.write(book, folder / f"{name}.ipynb")
    environment = {**os.environ, "CAUFVAE_SOURCE": str(wheel), "CAUFVAE_SLIDERS": "1"}
    environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # ipykernel's debugger is talkative
    environment.pop("PYTHONPATH", None)
    environment["JUPYTER_PATH"] = str(BUILD / "venv" / "share" / "jupyter")
    code = (
        "import nbformat, sys\n"
        "from nbclient import NotebookClient\n"
        "book = nbformat.read(sys.argv[1], as_version=4)\n"
        "NotebookClient(book, timeout=900, kernel_name='python3').execute()\n"
    )
    command: list[str | Path] = [PYTHON, "-c", code, folder / f"{name}.ipynb"]
    return subprocess.run(command, cwd=folder, env=environment).returncode == 0


def chosen(words: list[str]) -> list[Path]:
    """The notebooks that ``words`` name; ``all`` is every lesson and every assignment."""
    course = sorted((ROOT / "notebooks/assignments/release").glob("*.ipynb"))
    if words == ["assignments"]:
        return course
    return named([]) + course if words == ["all"] else named(words or [*DEFAULT])


def install_cell(path: Path) -> nbformat.NotebookNode:
    """A notebook of the install cell alone."""
    cells = nbformat.read(path, as_version=4).cells
    return nbformat.v4.new_notebook(cells=[c for c in cells if c.id == "install"])


def install(path: Path, folder: Path) -> Path:
    """Run the install cell of the notebook at ``path``; the wheel that it installed.

    Raises:
        RuntimeError: the cell fails, or did more than add our package.
    """
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "uninstall", "-y", "-qq", "caufvae-lite"], check=True)
    wheel, before = build_wheel(), packages()
    if not execute(install_cell(path), folder, "install", wheel):
        raise RuntimeError("The install cell fails with Colab's versions, see above.")
    found = complaints(before, after := packages())
    if found:
        STAMP.unlink(missing_ok=True)  # the next run starts from a clean environment
        raise RuntimeError("\n".join(found))
    print(
        f"the install cell added caufvae-lite {after['caufvae-lite']}, changed none of "
        f"{len(before)} packages; {len(pins())} pins hold: "
        + ", ".join(f"{name} {after[name]}" for name in SHOWN),
        flush=True,
    )
    return wheel


def main(words: list[str]) -> int:
    started = time.perf_counter()
    paths = chosen(words)
    BUILD.mkdir(parents=True, exist_ok=True)
    build_environment()
    print(f"Colab's versions: ready after {time.perf_counter() - started:.0f} s", flush=True)
    failed = []
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = Path(elsewhere)
        try:
            wheel = install(paths[0], folder)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
        for path in paths:
            since, name = time.perf_counter(), f"{path.parent.name}/{path.stem}"
            good = execute(nbformat.read(path, as_version=4), folder, path.stem, wheel)
            verdict = "runs" if good else "FAILS, see above"
            print(f"{name}: {verdict}, {time.perf_counter() - since:.0f} s", flush=True)
            failed += [] if good else [name]
    budget = "" if words else f"; the budget is {BUDGET} s"
    print(f"{len(paths) - len(failed)} of {len(paths)} notebooks run, "
          f"{time.perf_counter() - started:.0f} s in all{budget}")  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
