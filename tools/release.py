"""Rehearse a release: ``python tools/release.py [--tag v0.1.0] [--full]``.

* Version, citation, changelog and tag must name the same release.
* The sdist is built from the repository, and the wheel from the sdist alone.
* Both must hold what they should, and nothing else.
* The wheel is installed in an empty environment, and used far from the repository: the package
  is imported, its shipped files are compared with their sums, and the tour trains one epoch.

The environment borrows the dependencies of the Python that runs this script; with ``--full``
pip installs them, which also proves that the wheel names all of them. The archives are left in
``build/release/dist``. Nothing but the standard library is needed here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
JUNK = re.compile(
    r"__pycache__|\.py[co]$|\.ipynb_checkpoints|\.lock$|\.partial$|celeba-64"
    r"|(^|/)(\.venv|\.git|build|dist)/"
)
PACKAGE = ("__init__.py", "__main__.py", "style.mplstyle", "py.typed")
BESIDE = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile", "README.md", "pyproject.toml")
FOLDERS = ("constraints", "docs", "notebooks", "tests", "tools")
USE = """
import hashlib, json, sys
from importlib import metadata
from pathlib import Path
import caufvae_lite as cl
from caufvae_lite.checkpoints import data_folder

assert Path(cl.__file__).is_relative_to(sys.prefix), cl.__file__
assert metadata.version("caufvae-lite") == cl.__version__ == sys.argv[1]
assert data_folder().is_relative_to(sys.prefix), data_folder()
for name, digest in json.loads((data_folder() / "manifest.json").read_text()).items():
    assert hashlib.sha256((data_folder() / name).read_bytes()).hexdigest() == digest, name
cl.load_pretrained("pendulum")
print(f"caufvae_lite {cl.__version__} is imported from the wheel, and its data are whole")
"""


def version(root: Path = ROOT) -> str:
    """The package's version, read off its source."""
    source = (root / "caufvae_lite" / "__init__.py").read_text("utf-8")
    return re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)[0]


def disagreements(root: Path = ROOT, tag: str = "") -> list[str]:
    """Where version, contract, citation, changelog and tag differ; with a tag, also a date."""
    ours, found = version(root), []
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    latest = re.search(r"^## (\S+) \((.+)\), contract (\S+)$", changelog, re.MULTILINE)
    if latest is None:
        return ["CHANGELOG.md has no heading '## 1.2.3 (date or unreleased), contract 1.0'"]
    named, date, contract = latest.groups()
    if named != ours:
        found.append(f"CHANGELOG.md begins with {named}, the package is {ours}")
    code = (root / "caufvae_lite" / "checkpoints.py").read_text("utf-8")
    if f'CONTRACT_VERSION = "{contract}"' not in code:
        found.append(f"CHANGELOG.md has contract {contract}, checkpoints.py another one")
    citation = (root / "CITATION.cff").read_text("utf-8")
    cited = dict(
        re.findall(r'^(version|date-released): "?([^"\n]+)"?$', citation, re.MULTILINE)
    )
    if cited.get("version") != ours:
        found.append(f"CITATION.cff has {cited.get('version')}, the package is {ours}")
    if cited.get("date-released", "unreleased") != date:
        found.append(f"CHANGELOG.md says {date}, CITATION.cff {cited.get('date-released')}")
    if tag and tag != f"v{ours}":
        found.append(f"the tag is {tag}, the package is {ours}")
    if tag and not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        found.append(f"CHANGELOG.md says {date}: a release has a date")
    return found


def data_files(root: Path = ROOT) -> list[str]:
    """What the manifest says is shipped, and the manifest."""
    manifest = json.loads((root / "data" / "manifest.json").read_text("utf-8"))
    return ["manifest.json", *manifest]


def complaints_of_wheel(names: Iterable[str], shipped: Sequence[str]) -> list[str]:
    """What a wheel of these files lacks, and what it should not have."""
    names = set(names)
    (info,) = {n.partition("/")[0] for n in names if ".dist-info/" in n}
    wanted = {f"caufvae_lite/{n}" for n in (*PACKAGE, *(f"_data/{d}" for d in shipped))}
    wanted |= {f"{info}/{n}" for n in ("METADATA", "RECORD", "licenses/LICENSE")}
    strange = {n for n in names if n.partition("/")[0] not in ("caufvae_lite", info)}
    return _said("wheel", wanted - names, strange | {n for n in names if JUNK.search(n)})


def complaints_of_sdist(names: Iterable[str], shipped: Sequence[str]) -> list[str]:
    """The same of an sdist, whose files lie in one folder."""
    names = {n.partition("/")[2] for n in names}
    wanted = {f"caufvae_lite/{n}" for n in PACKAGE} | {f"data/{d}" for d in shipped}
    tops = {n.partition("/")[0] for n in names}
    missing = (wanted - names) | ({*BESIDE, *FOLDERS} - tops)
    return _said("sdist", missing, {n for n in names if JUNK.search(n)})


def _said(what: str, missing: set[str], strange: set[str]) -> list[str]:
    lacks = [f"the {what} lacks {name}" for name in sorted(missing)]
    return lacks + [f"the {what} should not hold {name}" for name in sorted(strange)]


def run(*command: object, **options) -> None:
    """Run a command; one that fails ends the rehearsal."""
    if subprocess.run(list(map(str, command)), **options).returncode:
        raise SystemExit(f"The release is not ready: {' '.join(map(str, command[:6]))} failed.")


def build(folder: Path) -> tuple[Path, Path]:
    """The sdist of the repository, and the wheel that pip makes of it."""
    shutil.rmtree(folder, ignore_errors=True)
    dist, tools = folder / "dist", folder / "tools"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "install", "--target", tools, "hatchling>=1.24")
    ours = {**os.environ, "PYTHONPATH": str(tools)}
    hatch = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", dist]
    run(*hatch, cwd=ROOT, env=ours, stdout=subprocess.DEVNULL)
    (sdist,) = dist.glob("*.tar.gz")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", dist, sdist, env=ours)
    (wheel,) = dist.glob("*.whl")
    return sdist, wheel


def install(wheel: Path, folder: Path, full: bool) -> Path:
    """The Python of an empty environment that has the wheel."""
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    windows = os.name == "nt"
    python = folder / ("Scripts/python.exe" if windows else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", *([] if full else ["--no-deps"]), wheel)
    if not full:  # a path in a .pth file is added; the .pth files below it are not read
        within = next(folder.glob("Lib/site-packages" if windows else "lib/*/site-packages"))
        (within / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def use(python: Path, tour: bool) -> None:
    """Import the package, far from the repository, and take the tour's short form."""
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as elsewhere:
        run(python, "-c", USE, version(), cwd=elsewhere, env=alone)
        if tour:
            command = [python, "-m", "caufvae_lite", "tour", "--epochs", "1"]
            run(*command, cwd=elsewhere, env=alone)
            assert (Path(elsewhere) / "build/tour/counterfactuals.png").is_file()


def main(arguments: Sequence[str] | None = None) -> int:
    """The rehearsal; 1 where something is not ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", default="", help="the tag that a person pushed")
    parser.add_argument("--full", action="store_true", help="let pip install what it needs")
    parser.add_argument("--no-tour", action="store_true", help="only import the package")
    options = parser.parse_args(arguments)
    found = disagreements(tag=options.tag)
    sdist, wheel = build(BUILD)
    with tarfile.open(sdist) as archive:
        found += complaints_of_sdist(archive.getnames(), data_files())
    with zipfile.ZipFile(wheel) as archive:
        found += complaints_of_wheel(archive.namelist(), data_files())
    for complaint in found:
        print(f"The release is not ready: {complaint}.", file=sys.stderr)
    if found:
        return 1
    use(install(wheel, BUILD / "venv", options.full), tour=not options.no_tour)
    for path in (sdist, wheel):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
