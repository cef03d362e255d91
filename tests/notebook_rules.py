"""The house rules of a notebook: each a function from a notebook to a list of complaints."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parent.parent
TAGS = {"parameters", "skip-execution", "nbval-skip"}
OPENING = ["title", "install", "parameters", "setup"]
CLOSING = ["recap", "questions", "references"]
CARD = "| you will learn | you need | minutes on 2 CPU cores |"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
COLAB = "https://colab.research.google.com/github/{slug}/blob/main/notebooks/{name}.ipynb"
NETWORK = re.compile(r"\b(urllib|urlopen|urlretrieve|requests|httpx?|wget|curl|socket)\b")
MACHINE = re.compile(r"(?<![\w.])/(root|home|tmp|Users|usr|work|opt|var)/|[A-Z]:\\\\")
LARGEST = 1_500_000  # bytes


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def prose(book):
    return [cell for cell in book.cells if cell.cell_type == "markdown"]


def tree(cell) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(cell.source))


def defines(cell, *kinds) -> bool:
    return any(isinstance(node, kinds) for node in tree(cell).body)


def calls(cell) -> set[str]:
    found = [n.func for n in ast.walk(tree(cell)) if isinstance(n, ast.Call)]
    return {f.id for f in found if isinstance(f, ast.Name)}


def ids(book, name, slug, install):
    """Stable readable ids, unique, the opening and closing ones in place."""
    have = [cell.id for cell in book.cells]
    yield from (f"{i}: not readable" for i in have if not re.fullmatch(r"[a-z][a-z0-9-]*", i))
    yield from (f"{i}: twice" for i in set(have) if have.count(i) > 1)
    if have[:4] != OPENING:
        yield f"opens with {have[:4]}, not {OPENING}"
    if [i for i in have if i in CLOSING] != CLOSING:
        yield f"does not close with {CLOSING}"


def tags(book, name, slug, install):
    """Only known tags; the parameters cell has its own."""
    for cell in book.cells:
        unknown = set(cell.metadata.get("tags", [])) - TAGS
        if unknown:
            yield f"{cell.id}: unknown tags {unknown}"
        if (cell.id == "parameters") != ("parameters" in cell.metadata.get("tags", [])):
            yield f"{cell.id}: the tag parameters belongs to the cell of that name"


def badge(book, name, slug, install):
    """The badge opens this very file."""
    wanted = f"[![Open in Colab]({BADGE})]({COLAB.format(slug=slug, name=name)})"
    if wanted not in book.cells[0].source:
        yield f"title: the badge is not {wanted}"


def install_cell(book, name, slug, install):
    """All notebooks install in the same words."""
    if next((c.source for c in book.cells if c.id == "install"), None) != install:
        yield "install: differs from tools/notebooks.py"


def card(book, name, slug, install):
    """A promise in bold, and a card with whole minutes."""
    source = book.cells[0].source
    if not re.match(r"# \d\d · .+\?\n", source):
        yield "title: its first line is not '# NN · Question?'"
    if not re.search(r"^\*\*.+\.\*\*$", source, re.MULTILINE):
        yield "title: no promise in bold"
    if CARD not in source or not re.search(r"\| (under 1|about \d+) \|$", source):
        yield "title: no card, or no minutes in it"


def length(book, name, slug, install):
    """Cells that fit in a head: 25 lines of 88 columns, 40 for a class, 150 words."""
    for cell in code(book):
        lines = cell.source.splitlines()
        most = 40 if defines(cell, ast.ClassDef) else 25
        if len(lines) > most:
            yield f"{cell.id}: {len(lines)} lines, more than {most}"
        if any(len(line) > 88 for line in lines):
            yield f"{cell.id}: a line of more than 88 columns"
    for cell in prose(book):
        for part in re.split(r"<details>", cell.source):
            text = re.sub(r"\$\$.*?\$\$|</?\w+>|[|*`$\\-]", " ", part, flags=re.DOTALL)
            if cell.id != "title" and len(text.split()) > 150:
                yield f"{cell.id}: {len(text.split())} words, more than 150"


def one_thing(book, name, slug, install):
    """No cell both defines and draws, and compared cells assert."""
    for cell in code(book):
        drawing = calls(cell) & {"show", "explore"}
        if drawing and defines(cell, ast.FunctionDef, ast.ClassDef):
            yield f"{cell.id}: defines and draws"
        if "NBVAL_CHECK_OUTPUT" in cell.source:
            printed = "".join(o.get("text", "") for o in cell.outputs)
            if not any(isinstance(n, ast.Assert) for n in ast.walk(tree(cell))):
                yield f"{cell.id}: is compared and asserts nothing"
            if not re.fullmatch(r"ok: .+\n", printed):
                yield f"{cell.id}: does not print one line 'ok: …'"
    if not any("NBVAL_CHECK_OUTPUT" in cell.source for cell in code(book)):
        yield "no cell is compared"


def figures(book, name, slug, install):
    """Every picture has its own sentence that says what to see."""
    seen = set()
    for cell in code(book):
        for output in cell.outputs:
            if "image/png" not in output.get("data", {}):
                continue
            alt = output["data"].get("text/plain", "")
            if len(alt.split()) < 8 or not re.match(r"[A-Z0-9].*\.$", alt, re.DOTALL):
                yield f"{cell.id}: {alt!r} is no sentence"
            if alt in seen:
                yield f"{cell.id}: the same sentence as another figure"
            seen.add(alt)


def outputs(book, name, slug, install):
    """From one run, top to bottom, without an error or a warning; no widget state."""
    counts = [cell.execution_count for cell in code(book)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts {counts} are not those of one run"
    for cell in code(book):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"{cell.id}: an error"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"{cell.id}: a warning"
            if any("widget" in kind for kind in output.get("data", {})):
                yield f"{cell.id}: a widget"
    if "widgets" in book.metadata:
        yield "metadata.widgets"


def portable(book, name, slug, install):
    """No path of a machine, no network, and small."""
    text = json.dumps(book, ensure_ascii=False)
    if len(text) > LARGEST:
        yield f"{len(text):,} bytes, more than {LARGEST:,}"
    for cell in book.cells:
        words = cell.source + "".join(o.get("text", "") for o in cell.get("outputs", []))
        if MACHINE.search(words):
            yield f"{cell.id}: a path of a machine"
        if cell.cell_type == "code" and cell.id != "install" and NETWORK.search(cell.source):
            yield f"{cell.id}: touches the network"


def headings(book, name, slug, install):
    """One title, then levels without a jump."""
    levels = []
    for cell in prose(book):
        text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
        levels += [len(mark) for mark in re.findall(r"^(#+) ", text, re.MULTILINE)]
    if levels[:1] != [1] or 1 in levels[1:]:
        yield "not one title"
    if any(b - a > 1 for a, b in zip(levels, levels[1:])):  # noqa: B905, RUF007
        yield f"headings jump: {levels}"


def links(book, name, slug, install):
    """Every link leads to a file that is there, or is a well-formed address."""
    for cell in prose(book):
        for target in re.findall(r"\]\(([^)\s]+)\)", cell.source):
            if re.match(r"https?:", target):
                if not re.fullmatch(r"https://[\w.-]+\.\w+(/[\w./%()#?=&-]*)?", target):
                    yield f"{cell.id}: {target} is no address"
            elif not (ROOT / "notebooks" / target.partition("#")[0]).is_file():
                yield f"{cell.id}: {target} is not there"
        for number in re.findall(r"[Nn]otebooks? (\d\d)", cell.source):
            if not list((ROOT / "notebooks").glob(f"{number}_*.ipynb")):
                yield f"{cell.id}: there is no notebook {number}"


def ending(book, name, slug, install):
    """Five bullets, three to five questions with folded answers, references."""
    by_id = {cell.id: cell.source for cell in book.cells}
    recap = re.findall(r"^\* ", by_id.get("recap", ""), re.MULTILINE)
    if len(recap) != 5:
        yield f"recap: {len(recap)} bullets, not 5"
    questions = by_id.get("questions", "")
    marks = [questions.count(m) for m in ("<details>", "</details>", "<summary>", "</summary>")]
    if len(set(marks)) != 1 or not 3 <= marks[0] <= 5:
        yield f"questions: {marks[0]} answers, or tags that do not pair: {marks}"
    for part in questions.split("<details>")[1:]:
        if not re.search(r"</summary>\n\n.+\n</details>", part, re.DOTALL):
            yield "questions: an answer needs a blank line before it, or GitHub shows it raw"


RULES = [
    ids, tags, badge, install_cell, card, length, one_thing, figures, outputs, portable,
    headings, links, ending,
]  # fmt: skip


def read(path: Path):
    return nbformat.read(path, as_version=4)
