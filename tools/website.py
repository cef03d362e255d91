"""Build the site: ``python tools/website.py [--out FOLDER] [--skip-sphinx | --links]``.

The pages are laid out below ``build/site/source`` as the repository has them, so that their
links to each other hold, and Sphinx turns them into ``build/site/html``:

* ``docs/site/*.md``, written for the site, and ``docs/*.md``;
* the notebooks (and, where there are any, assignments) with their committed outputs;
* README's neighbours, the data card, and what is made here of what the project knows: the list
  of notebooks, the scoreboard (``board.py``), the references of every notebook. Lessons link
  their words to the glossary (``glossary.py``).

Nothing is fetched and no notebook is executed. A link to a file that is no page of the site
leads to the repository. With ``--links`` no page is built: Sphinx asks every external address
whether it is there, and lists them in ``build/site/links/output.txt``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import board
import glossary
import lighter
import nbformat
import playground

from caufvae_lite.notebook.page import widget

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "site"
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
BADGE = re.compile(r"\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)\n*")
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
COPIED = ("CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")
FOLDED = {"install", "parameters", "setup"}  # cells whose code starts hidden
FONTS = "output/chtml/fonts/woff-v2"


def slug() -> str:
    """``owner/name`` of the repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return "/".join(project["urls"]["Repository"].rsplit("/", 2)[1:])


def relinked(text: str, page: Path, pages: set[str]) -> str:
    """Links that leave the site's pages lead to the repository instead."""

    def replace(match: re.Match[str]) -> str:
        words, target = match.groups()
        file, hash_sign, part = target.partition("#")
        if not file or re.match(r"[a-z]+:", file):
            return match[0]
        place = os.path.normpath(page.parent / file)
        if place in pages:
            return match[0]
        kind = "tree" if (ROOT / place).is_dir() else "blob"
        return f"[{words}](https://github.com/{slug()}/{kind}/main/{place}{hash_sign}{part})"

    return LINK.sub(replace, text)


def sources() -> dict[str, Path]:
    """Where each page of the site comes from, by its place in the site."""
    found = {path.name: path for path in PAGES.glob("*.md")}
    found |= {f"docs/{path.name}": path for path in (ROOT / "docs").glob("*.md")}
    found |= {name: ROOT / name for name in COPIED}
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        own = path.relative_to(ROOT).parts  # `source` is what the assignments are made from
        if not any(part.startswith(".") or part == "source" for part in own):
            found[path.relative_to(ROOT).as_posix()] = path
    return found


def notebook_for_site(path: Path, name: str, pages: set[str]) -> nbformat.NotebookNode:
    """A copy without Colab's badge (the theme has a button), its housekeeping cells folded."""
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(BADGE.sub("", cell.source), Path(name), pages)
        elif cell.get("id") in FOLDED or cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
        for output in cell.get("outputs", []):
            if width := output.get("metadata", {}).get("image/png", {}).get("width"):
                cell.metadata["mystnb"] = {"image": {"width": f"{width}px"}}
    return book


def title_of(path: Path) -> str:
    """The first heading of a page or a notebook."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        text = next(c.source for c in cells if c.cell_type == "markdown")
    else:
        text = path.read_text()
    found = TITLE.search(text)
    return found[1] if found else path.stem


# ----------------------------------------------------------- pages that are made here


def contents(found: dict[str, Path]) -> dict[str, str]:
    """What the landing page's blanks are filled with: toctrees and the list of notebooks."""
    notebooks = [n for n in found if re.fullmatch(r"notebooks/\d\d_\w+\.ipynb", n)]
    others = [n for n in found if n.startswith("notebooks/") and n not in notebooks]
    rows = readme_rows()
    listed = [
        "| notebook | afterwards you can | needs | minutes |",
        "| --- | --- | --- | --- |",
    ]
    for name in notebooks:
        able, needs, minutes = rows.get(name, ("", "", ""))
        listed.append(f"| [{title_of(found[name])}]({name}) | {able} | {needs} | {minutes} |")
    course = [name for name in ("docs/course.md",) if name in found] + others
    return {
        "NOTEBOOKS": "\n".join(listed),
        "TREE-NOTEBOOKS": "\n".join(notebooks),
        "TREE-DOCS": "\n".join(n for n in found if re.match(r"docs/(?!course)", n)),
        "TREE-COURSE": toctree("The course", course) if course else "",
    }


def readme_rows() -> dict[str, tuple[str, str, str]]:
    """Of each notebook in README's table: what one can do then, what it needs, minutes."""
    found = {}
    for line in (ROOT / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        link = re.match(r"\[.*?\]\((notebooks/\w+\.ipynb)\)", cells[0])
        if link and len(cells) > 5:
            found[link[1]] = (cells[2], cells[3], cells[5])
    return found


def toctree(caption: str, names: Sequence[str]) -> str:
    """A section of the sidebar."""
    lines = "\n".join(names)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```"


def references(found: dict[str, Path]) -> str:
    """Every notebook's own references, under its title."""
    parts = []
    for name, path in found.items():
        if not name.endswith(".ipynb"):
            continue
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.get("id") == "references":
                text = re.sub(r"^#+ .*\n", "", cell.source)
                kept = [p for p in text.split("\n\n") if not re.match(r"\*\*(Next|Back)", p)]
                body = LINK.sub(partial(from_root, name), "\n\n".join(kept).strip())
                parts.append(f"## [{title_of(path)}]({name})\n\n{body}")
    return "\n\n".join(parts)


def from_root(name: str, match: re.Match[str]) -> str:
    """A link of a page, as it reads from the site's root."""
    words, target = match.groups()
    if re.match(r"[a-z]+:", target):
        return match[0]
    file, hash_sign, part = target.partition("#")
    place = os.path.normpath(Path(name).parent / file) if file else name
    return f"[{words}]({place}{hash_sign}{part})"


def notation() -> str:
    """README's table of symbols."""
    _, _, after = (ROOT / "README.md").read_text().partition("## Notation\n\n")
    return after.partition("\n\n")[0]


# ------------------------------------------------------------------------ the build


def lay_out(folder: Path) -> None:
    """Write all pages, and what they are shown with, below ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    found = sources()
    pages = set(found)
    made = contents(found) | {
        "PLAYGROUND": widget("_static/playground/"),
        "REFERENCES": relinked(references(found), Path("bibliography.md"), pages),
        "NOTATION": notation(),
        "SCOREBOARD": board.table(),
        "COMPUTED": board.computed(),
    }
    for name, path in found.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            book = notebook_for_site(path, name, pages)
            nbformat.write(glossary.linked(book), page)
            continue
        text = relinked(path.read_text(), Path(name), pages)
        for blank, filling in made.items():
            text = text.replace(f"<!-- {blank} -->", filling)
        page.write_text(text)
    shutil.copyfile(ROOT / "docs" / "conf.py", folder / "conf.py")
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    static = folder / "_static"
    playground.main([str(static / "playground")])
    (folder / "_extra").mkdir()
    shutil.move(static / "playground" / "playground.html", folder / "_extra")
    for path in (p for p in PAGES.iterdir() if p.suffix != ".md"):
        shutil.copyfile(path, static / path.name)
    copy_mathjax(static / "mathjax")


def copy_mathjax(folder: Path) -> None:
    """One script and the fonts it asks for, from the package that ships them."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise SystemExit("Formulas need sphinx-mathjax-offline: pip install '.[docs]'.")
    source = Path(spec.origin).parent / "static" / "mathjax"
    shutil.copytree(source / FONTS, folder / FONTS)
    shutil.copyfile(source / "tex-chtml.js", folder / "tex-chtml.js")


def main(arguments: Sequence[str] | None = None) -> int:
    """Lay the pages out and let Sphinx build them; a warning of Sphinx is an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--skip-sphinx", action="store_true", help="only lay the pages out")
    parser.add_argument("--links", action="store_true", help="ask whether outside links live")
    options = parser.parse_args(arguments)
    source, html = options.out / "source", options.out / "html"
    lay_out(source)
    if options.skip_sphinx:
        return 0
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    if options.links:
        links = options.out / "links"
        return subprocess.run([*sphinx, "-b", "linkcheck", source, links]).returncode
    shutil.rmtree(html, ignore_errors=True)
    command = [*sphinx, "-b", "html", "-d", options.out / "doctrees", source, html]
    status = subprocess.run(command).returncode
    if status == 0:
        lighter.lighten(html)
        size = sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
        print(f"{html / 'index.html'}: the site has {size / 1e6:.1f} MB")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
