"""Would the notebooks run in Colab? ``python tools/colab.py`` asks without Colab.

It builds an environment with Colab's versions (``constraints/colab.txt``, torch from the
build at hand), builds our wheel, runs the notebooks' own install cell there, proves that no
package that was there changed version, and then runs notebooks 01, 02 and 05 on the
*installed* wheel, far from the checkout.
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

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "colab"
PINS = ROOT / "constraints" / "colab.txt"
NOTEBOOKS = ("01_flows", "02_causal_masking", "05_interventions")
PYTHON = BUILD / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"


def torch_pin() -> str:
    """The torch that runs here, without the suffix of its build."""
    return f"torch=={metadata.version('torch').partition('+')[0]}"


def build_environment() -> None:
    """Colab's versions in ``build/colab/venv``; kept while the pins stay the same."""
    stamp, wanted = BUILD / "pins.txt", f"{torch_pin()}\n{PINS.read_text()}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    shutil.rmtree(BUILD / "venv", ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", BUILD / "venv"], check=True)
    install = [str(PYTHON), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, torch_pin(), "-r", str(PINS)], check=True)
    stamp.write_text(wanted)


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
    return {
        p["name"].lower().replace("_", "-"): p["version"] for p in json.loads(listed.stdout)
    }


def canonical(name: str) -> str:
    """A package's name as the index has it."""
    return name.lower().replace("_", "-")


def pins() -> dict[str, str]:
    """Name → version, from ``constraints/colab.txt``."""
    lines = [line for line in PINS.read_text().splitlines() if "==" in line]
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonical(name): version for name, version in pairs}


def execute(book: nbformat.NotebookNode, folder: Path, name: str, wheel: Path) -> None:
    """Run a notebook in the environment's own kernel, in ``folder``."""
    path = folder / f"{name}.ipynb"
    nbformat.write(book, path)
    environment = {**os.environ, "CAUFVAE_SOURCE": str(wheel), "CAUFVAE_SLIDERS": "1"}
    environment.pop("PYTHONPATH", None)
    environment["JUPYTER_PATH"] = str(BUILD / "venv" / "share" / "jupyter")
    code = (
        "import nbformat, sys\n"
        "from nbclient import NotebookClient\n"
        "book = nbformat.read(sys.argv[1], as_version=4)\n"
        "NotebookClient(book, timeout=900, kernel_name='python3').execute()\n"
    )
    subprocess.run([PYTHON, "-c", code, path], check=True, cwd=folder, env=environment)


def install_cell(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook of the install cell alone, and of a look at what it brought."""
    cell = next(c for c in book.cells if c.id == "install")
    look = nbformat.v4.new_code_cell(
        "import caufvae_lite, sys\nassert caufvae_lite.__file__.startswith(sys.prefix)"
    )
    return nbformat.v4.new_notebook(cells=[cell, look])


def main() -> int:
    started = time.perf_counter()
    BUILD.mkdir(parents=True, exist_ok=True)
    build_environment()
    print(f"Colab's versions: ready after {time.perf_counter() - started:.0f} s", flush=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "uninstall", "-y", "--quiet", "caufvae-lite"], check=True)
    wheel, before = build_wheel(), packages()
    books = {
        path.stem: nbformat.read(path, as_version=4)
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        if path.stem in NOTEBOOKS
    }
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = Path(elsewhere)
        execute(install_cell(next(iter(books.values()))), folder, "install", wheel)
        after = packages()
        names = before.keys() | after.keys()
        changed = {name for name in names if before.get(name) != after.get(name)}
        unlike = {n: after.get(n) for n, version in pins().items() if after.get(n) != version}
        if changed != {"caufvae-lite"} or unlike:
            print(f"The install cell changed {changed}; unpinned: {unlike}", file=sys.stderr)
            return 1
        print(f"the install cell added caufvae-lite and changed none of {len(before)} packages")
        for name, book in books.items():
            since = time.perf_counter()
            try:
                execute(book, folder, name, wheel)
            except subprocess.CalledProcessError:
                print(f"{name} fails with Colab's versions, see above.", file=sys.stderr)
                return 1
            print(f"{name}: runs, {time.perf_counter() - since:.0f} s", flush=True)
    print(f"ok, {time.perf_counter() - started:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
