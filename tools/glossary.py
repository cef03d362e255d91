"""Link each lesson's first use of a word to the glossary, on the site only.

The words are the entries of ``docs/site/glossary.md``. Code, formulas, headings, tables and
links are left as they are. Words that also have an everyday meaning are linked only where the
text sets them in italics or bold, as it does when it explains them.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

GLOSSARY = Path(__file__).resolve().parent.parent / "docs" / "site" / "glossary.md"
ENTRY = re.compile(r"^(?=\S)(?!```|#)(.+)\n  \S", re.MULTILINE)
EVERYDAY = {"action", "prediction", "seeing", "support"}
KEPT = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]+\$"  # code and formulas
    r"|!?\[(?:[^\[\]]|\[[^\]]*\])*\]\([^)]*\)"  # links and pictures
    r"|<summary>.*?</summary>|<[^>]+>|https?://\S+"
    r"|^\#.*?$|^\|.*?$",  # headings and tables
    re.MULTILINE | re.DOTALL,
)


def terms(path: Path = GLOSSARY) -> list[str]:
    """The glossary's entries, long ones first, so that none hides within another."""
    _, _, text = path.read_text("utf-8").partition("```{glossary}\n")
    return sorted(ENTRY.findall(text), key=len, reverse=True)


def linked(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``book`` with a link from the first use of every entry; its title cell is left alone."""
    missing = terms()
    for cell in book.cells:
        if cell.cell_type == "markdown" and cell.get("id") not in ("title", "references"):
            for term in list(missing):
                text = with_link(cell.source, term)
                if text != cell.source:
                    cell.source = text
                    missing.remove(term)
    return book


def with_link(text: str, term: str) -> str:
    """``text`` with a link to the glossary (MyST's role) at the first use of ``term``."""
    around = r"\*" if term in EVERYDAY else r"\b"
    word = re.compile(rf"(?<!-){around}({re.escape(term)}s?){around}(?!-)", re.IGNORECASE)
    start = 0
    for kept in [*KEPT.finditer(text), None]:
        end = kept.start() if kept else len(text)
        if found := word.search(text, start, end):
            role = f"{{term}}`{found[1]} <{term}>`"
            return text[: found.start(1)] + role + text[found.end(1) :]
        start = kept.end() if kept else end
    return text
