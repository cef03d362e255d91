"""Execute, check and rewrite the notebooks: ``python tools/notebooks.py run | check | slug``.

``run`` executes them from fresh kernels and writes them back with their outputs, the one text
of the install cell, and the minutes that it took, in the card and in the README; ``check``
executes copies with another seed and with the exercises' worked solutions in their blanks, by
papermill, and reports seconds and memory beside the budgets; ``slug`` names the repository anew
in every badge and install cell.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import re
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image
from tqdm import tqdm
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent
CELL_TIMEOUT = 900  # seconds
BUDGET = 120  # seconds on two quiet cores, a notebook
SERIES_BUDGETS = {"01 to 05": 400, "all": 600}
EXACT = 50_000  # letters of base64: a picture up to this size keeps every colour
STALL = 5  # shared machines stall: only so many times the budget is a failure
# Cells and outputs travel encrypted between kernel and client; unencrypted, the kernel warns.
ENCRYPTED = Config({"KernelManager": {"transport_encryption": "auto"}})
SLUG = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
TEXTS = {".cff", ".html", ".ipynb", ".js", ".md", ".py", ".toml", ".txt", ".yml"}
OPEN = {".binder", ".ci", ".github"}  # hidden folders that are the project's
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
BAR = re.compile(r"\d+%\|.*\||\d+\S* \[\d\d:\d\d")  # a line of tqdm, with a total or without

INSTALL = """\
# On Colab this installs the package; what Colab already brings is left as it is.
import importlib.util
import os

if importlib.util.find_spec("caufvae_lite") is None:
    home = "git+https://github.com/{slug}"
    source = os.environ.get("CAUFVAE_SOURCE", home)
    %pip install --quiet --no-deps {{source}}
    needed = {{"accelerate", "networkx", "pandas", "safetensors", "sklearn", "tqdm"}}
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        %pip install --quiet {{" ".join(missing).replace("sklearn", "scikit-learn")}}"""


@dataclass
class Cost:
    """What running something took; ``peak_mb`` is of this process's children."""

    seconds: float = 0.0
    peak_mb: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    """Wall time, and the peak resident memory of child processes, sampled every 0.2 s."""
    cost, stop = Cost(), threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            resident = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    resident += child.memory_info().rss
                except psutil.Error:  # it has just ended
                    continue
            cost.peak_mb = max(cost.peak_mb, resident / 2**20)

    watcher, started = threading.Thread(target=watch, daemon=True), time.perf_counter()
    watcher.start()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - started
        stop.set()
        watcher.join()


def named(prefixes: list[str], root: Path = ROOT) -> list[Path]:
    """The notebooks whose names start with one of ``prefixes``; all if there is none.

    Raises:
        ValueError: nothing starts so.
    """
    every = sorted((root / "notebooks").glob("*.ipynb"))
    if not prefixes:
        return every
    found = []
    for prefix in prefixes:
        matching = [p for p in every if p.stem.startswith(Path(prefix).stem)]
        if not matching:
            raise ValueError(
                f"No notebook starts with {prefix!r}; there are {[p.stem for p in every]}."
            )
        found += [p for p in matching if p not in found]
    return found


def minutes(seconds: float) -> str:
    """How the cards put it."""
    return "under 1" if seconds < 45 else f"about {max(1, round(seconds / 60))}"


# ------------------------------------------------------------------------------------- run


def run(prefixes: list[str], root: Path = ROOT) -> int:
    """Execute in place. A notebook that fails is left as it was. Returns the exit status."""
    failed = 0
    for path in named(prefixes, root):
        before = path.read_bytes()
        book = nbformat.read(path, as_version=4)
        set_install(book, root)
        with measured() as cost:
            error = execute(book, path.parent, path.stem)
        if not error and path.read_bytes() != before:
            error = "somebody changed it meanwhile; run it again."
        if error:
            print(f"{path.name}: {error}\nThe file is left as it was.", file=sys.stderr)
            failed += 1
            continue
        clean(book)
        record(path.stem, cost, root)
        set_minutes(book, path.stem, minutes(cost.seconds), root)
        partial = path.with_suffix(".partial")
        nbformat.write(book, partial)
        partial.replace(path)
        print(f"{path.name}: {cost.seconds:.0f} s, {cost.peak_mb:.0f} MB", flush=True)
    return 1 if failed else 0


def execute(book: nbformat.NotebookNode, folder: Path, name: str) -> str:
    """Run every cell in a fresh kernel, with a progress bar; the error, or nothing.

    What is committed is what a reader gets: a ``SEED`` or the like of this shell is not seen.
    """
    ours = {"SEED", "DEVICE", "OUT", "CAUFVAE_CORNERS"}
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    environment["CAUFVAE_SLIDERS"] = "0"
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    with tqdm(total=len(code), desc=name, unit="cell", file=sys.stderr) as bar:
        client = NotebookClient(
            book,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            config=ENCRYPTED,
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            client.execute(env=environment)
        except (CellExecutionError, DeadKernelError, TimeoutError) as error:
            where = next((c.id for c in code if _failed(c)), "a cell that never ended")
            return f"cell {where!r} failed.\n{error}"
    return ""


def _failed(cell: nbformat.NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.outputs)


def clean(book: nbformat.NotebookNode) -> None:
    """Drop what differs from run to run or machine to machine, and progress bars.

    Warnings stay, to be seen and mended.
    """
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            merge_streams(cell)
            for output in cell.outputs:
                if _stream(output) == "stderr":
                    output.text = without_bars(output.text)
            cell.outputs = [o for o in cell.outputs if not _passing(o)]
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data.pop("text/html", None)  # the same picture, for JupyterLab
                    output.data["image/png"] = packed(output.data["image/png"])
            merge_streams(cell)
    book.metadata.pop("widgets", None)
    book.metadata["kernelspec"] = {
        "display_name": "Python 3", "language": "python", "name": "python3",
    }  # fmt: skip
    book.metadata["language_info"] = {"name": "python"}


def packed(picture: str) -> str:
    """An opaque PNG in base64, in fewer bytes if it can be.

    It is pixel for pixel the same, or, where that is large, in its best 256 colours.
    """
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA")
    if image.getchannel("A").getextrema() != (255, 255):
        return picture
    for rgb in (image.convert("RGB"), image.convert("RGB").quantize(256, kmeans=1)):
        smaller = io.BytesIO()
        rgb.save(smaller, "PNG", optimize=True)
        picture = min(picture, base64.b64encode(smaller.getvalue()).decode(), key=len)
        if len(picture) <= EXACT:
            break
    return picture


def without_bars(text: str) -> str:
    """The lines of ``text`` that are no state of a progress bar."""
    lines = [line for line in re.split(r"[\r\n]", text) if line.strip()]
    return "".join(f"{line}\n" for line in lines if not BAR.search(line))


def _stream(output: nbformat.NotebookNode) -> str:
    """``stdout`` or ``stderr``; nothing if it is no text stream."""
    return output.name if output.output_type == "stream" else ""


def _passing(output: nbformat.NotebookNode) -> bool:
    empty = bool(_stream(output)) and not output.text
    return empty or WIDGET_VIEW in output.get("data", {})


def merge_streams(cell: nbformat.NotebookNode) -> None:
    """Printed lines arrive in pieces that depend on timing; join neighbours."""
    merged: list[nbformat.NotebookNode] = []
    for output in cell.outputs:
        last = merged[-1] if merged else None
        if last and _stream(output) and _stream(output) == _stream(last):
            last.text += output.text
        else:
            merged.append(output)
    cell.outputs = merged


def set_install(book: nbformat.NotebookNode, root: Path = ROOT) -> None:
    """Give the install cell, where there is one, its one text."""
    for cell in book.cells:
        if cell.id == "install":
            cell.source = INSTALL.format(slug=current_slug(root))


def record(name: str, cost: Cost, root: Path = ROOT) -> None:
    """Note seconds and memory in ``notebooks/measured.json``."""
    path = root / "notebooks" / "measured.json"
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    known[name] = {"seconds": round(cost.seconds), "peak_mb": round(cost.peak_mb)}
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")


def set_minutes(book: nbformat.NotebookNode, name: str, text: str, root: Path = ROOT) -> None:
    """Write the minutes into the notebook's card and into the README's itinerary."""
    title = book.cells[0]  # its last line is the card's
    title.source = re.sub(r"\| [^|\n]* \|$", f"| {text} |", title.source)
    readme = root / "README.md"
    row = re.compile(rf"^(\|.*\(notebooks/{name}\.ipynb\).*\|)[^|\n]*\|$", re.MULTILINE)
    old = readme.read_text("utf-8")
    new = row.sub(rf"\g<1> {text} |", old)
    if new != old:
        readme.write_text(new, "utf-8")


# ----------------------------------------------------------------------------------- check


def solved(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Fill the blank of every exercise with the worked solution that is folded below it."""
    worked = {
        cell.id.removesuffix("-solution"): re.search(
            r"```python\n(.*?)\n```", cell.source, re.S
        )
        for cell in book.cells
        if cell.id.startswith("try-") and cell.id.endswith("-solution")
    }
    for cell in book.cells:
        if solution := worked.get(cell.id):
            cell.source = solution[1]
    return book


def unsolved(book: nbformat.NotebookNode) -> str:
    """Names the exercises whose own worked solution did not pass their check."""
    wrong = []
    for cell in book.cells:
        if re.fullmatch(r"try-.*-check", cell.id):
            printed = "".join(o.get("text", "") for o in cell.outputs)
            if not re.match(r"ok: ", printed):
                wrong.append(f"{cell.id} printed {printed!r}")
    return f"the worked solution does not pass: {'; '.join(wrong)}" if wrong else ""


def check(prefixes: list[str], seed: int, out: Path, root: Path = ROOT) -> int:
    """Execute copies with another seed and every exercise solved; 1 if one fails.

    Prints a table of costs.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ |= {"SEED": str(seed), "CAUFVAE_SLIDERS": "0", "CAUFVAE_CORNERS": "1"}
    report: dict[str, dict] = {}
    for path in named(prefixes, root):
        error = ""
        copy = out / path.name
        nbformat.write(solved(nbformat.read(path, as_version=4)), copy)
        with measured() as cost:
            try:
                papermill.execute_notebook(
                    copy,
                    copy,
                    parameters={"seed": seed},
                    kernel_name="python3",
                    config=ENCRYPTED,
                    cwd=path.parent,
                    execution_timeout=CELL_TIMEOUT,
                )
            except (PapermillExecutionError, DeadKernelError, TimeoutError) as failure:
                error = str(failure)
        error = error or unsolved(nbformat.read(copy, as_version=4))
        if not error and cost.seconds > STALL * BUDGET:
            error = f"took {cost.seconds:.0f} s, over {STALL} times its budget of {BUDGET} s"
        report[path.stem] = {
            "seconds": round(cost.seconds), "peak_mb": round(cost.peak_mb), "error": error,
        }  # fmt: skip
    (out / "report.json").write_text(json.dumps({"seed": seed, **report}, indent=2), "utf-8")
    print(f"\nseed {seed:<17} seconds  budget  peak MB")
    for name, row in report.items():
        verdict = "FAILED" if row["error"] else ""
        print(f"{name:<22} {row['seconds']:7}  {BUDGET:6}  {row['peak_mb']:7}  {verdict}")
    failures = {name: row["error"] for name, row in report.items() if row["error"]}
    for series, budget in SERIES_BUDGETS.items():
        last = series[-2:] if series != "all" else "99"
        total = sum(row["seconds"] for name, row in report.items() if name[:2] <= last)
        print(f"{series:<22} {total:7}  {budget:6}")
        if total > STALL * budget:
            failures[series] = f"took {total} s, over {STALL} times the budget of {budget} s"
    for name, error in failures.items():
        print(f"\n{name} with seed {seed}: {error}", file=sys.stderr)
    return 1 if failures else 0


# ------------------------------------------------------------------------------------ slug


def current_slug(root: Path = ROOT) -> str:
    """``owner/name``, from pyproject.toml: the one place where it is kept."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"].removeprefix("https://github.com/")


def texts(root: Path = ROOT) -> list[Path]:
    """The project's text files, without what was built, installed or is git's own."""
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [n for n in inner if n in OPEN or not n.startswith((".", "build", "dist"))]
        found += [Path(folder, name) for name in names if Path(name).suffix in TEXTS]
    return sorted(found)


def renamed(text: str, old: str, new: str) -> str:
    """``text`` with another slug in the addresses of GitHub, its pages, Colab and Binder."""
    text = re.sub(rf"(github(?:\.com)?/|/gh/){re.escape(old)}(?![\w-])", rf"\g<1>{new}", text)
    pages, ours = (slug.replace("/", ".github.io/") for slug in (old, new))
    return re.sub(rf"\b{re.escape(pages)}(?![\w-])", ours, text)


def rename(slug: str, root: Path = ROOT) -> list[Path]:
    """Replace the repository's slug wherever it stands; the files that changed.

    Raises:
        ValueError: ``slug`` is not of the form owner/name.
    """
    if not SLUG.fullmatch(slug):
        raise ValueError(f"A slug is owner/name, as in the repository's address; got {slug!r}.")
    old, changed = current_slug(root), []
    for path in texts(root):
        text = path.read_text("utf-8")
        if (new := renamed(text, old, slug)) != text:
            path.write_text(new, "utf-8")
            changed.append(path)
    return changed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run_ = commands.add_parser("run", help="execute and write back")
    check_ = commands.add_parser("check", help="execute copies with another seed")
    check_.add_argument("--seed", type=int, default=1)
    check_.add_argument("--out", type=Path, default=ROOT / "build" / "papermill")
    for command in (run_, check_):
        command.add_argument("notebooks", nargs="*", help="01, 03_vae_training, …; or all")
    slug = commands.add_parser("slug", help="rename the repository everywhere")
    slug.add_argument("slug", help="owner/name")
    options = parser.parse_args(arguments)
    try:
        if options.command == "run":
            return run(options.notebooks)
        if options.command == "check":
            return check(options.notebooks, options.seed, options.out)
        changed = rename(options.slug)
        for path in changed:
            print(f"renamed in {path.relative_to(ROOT)}")
        if not changed:
            print(f"It is {options.slug} everywhere already.")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
