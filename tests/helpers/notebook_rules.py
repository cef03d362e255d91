"""The house rules of a notebook: each a function from a notebook to a list of complaints."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parents[2]
TAGS = {"parameters", "skip-execution", "nbval-skip"}
OPENING = ["title", "install", "parameters", "setup"]
CLOSING = {"recap": "## Recap", "questions": "## Test yourself", "references": "## References"}
CARD = "| you will learn | you need | minutes on 2 CPU cores |"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
COLAB = "https://colab.research.google.com/github/{slug}/blob/main/notebooks/{name}.ipynb"
NETWORK = re.compile(r"\b(urllib|urlopen|urlretrieve|requests|httpx?|wget|curl|socket)\b")
MACHINE = re.compile(r"(?<![\w.])/(root|home|tmp|Users|usr|work|opt|var)/|\b[A-Z]:\\\w")
LARGEST = 1_500_000  # bytes
ADDRESSES = [
    r"arxiv\.org/abs/\d{4}\.\d{4,5}(v\d+)?",
    r"doi\.org/10\.\d{4,}/[\w./()-]+",
    r"openreview\.net/forum\?id=[\w-]+",
    r"proceedings\.mlr\.press/v\d+/\w+\.html",
    r"(www\.)?jmlr\.org/papers/v\d+/[\w-]+\.html",
    r"github\.com/[\w.-]+/[\w.-]+(/[\w./-]+)?",
    r"colab\.research\.google\.com/(assets|github)/[\w./-]+",
    r"(docs\.)?pytorch\.org/[\w./#-]*",
    r"huggingface\.co/docs/[\w./#-]+",
]


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


def asserts(cell) -> bool:
    """By the statement, or by a function such as ``torch.testing.assert_close``."""
    nodes = list(ast.walk(tree(cell)))
    names = [n.func.attr for n in nodes if isinstance(n, ast.Call) and hasattr(n.func, "attr")]
    statement = any(isinstance(n, ast.Assert) for n in nodes)
    return statement or any(name.startswith("assert_") for name in names)


def texts(output) -> list[str]:
    """What a reader of an output reads."""
    data = output.get("data", {}).items()
    return [output.get("text", "")] + [v for kind, v in data if kind.startswith("text/")]


def titles(path: Path) -> list[tuple[int, str]]:
    """Level and text of the headings of a notebook or of a Markdown file."""
    if path.suffix != ".ipynb":
        return levels(path.read_text("utf-8"))
    return [title for cell in prose(read(path)) for title in levels(cell.source)]


def levels(source: str) -> list[tuple[int, str]]:
    text = re.sub(r"```.*?```", "", source, flags=re.DOTALL)
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", text, re.M)]


def anchor(title: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def ids(book, name, slug, install):
    """Stable readable ids, unique, the opening and closing ones in place."""
    have = [cell.id for cell in book.cells]
    yield from (f"{i}: not readable" for i in have if not re.fullmatch(r"[a-z][a-z0-9-]*", i))
    yield from (f"{i}: twice" for i in set(have) if have.count(i) > 1)
    if have[:4] != OPENING:
        yield f"opens with {have[:4]}, not {OPENING}"
    if have[-3:] != list(CLOSING):
        yield f"closes with {have[-3:]}, not {list(CLOSING)}"


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
    """Cells that fit in a head: 25 lines of 88 columns, 40 for a class, 200 words."""
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
            if cell.id != "title" and len(text.split()) > 200:
                yield f"{cell.id}: {len(text.split())} words, more than 200"


def one_thing(book, name, slug, install):
    """No cell both defines and draws, and compared cells assert."""
    for cell in code(book):
        drawing = calls(cell) & {"show", "explore"}
        if drawing and defines(cell, ast.FunctionDef, ast.ClassDef):
            yield f"{cell.id}: defines and draws"
        if "NBVAL_CHECK_OUTPUT" in cell.source:
            printed = "".join(o.get("text", "") for o in cell.outputs)
            if not asserts(cell):
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
            if not any(kind.startswith("image/") for kind in output.get("data", {})):
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
    size = len(nbformat.writes(book).encode())
    if size > LARGEST:
        yield f"{size:,} bytes, more than {LARGEST:,}"
    for cell in book.cells:
        words = [cell.source, *(text for o in cell.get("outputs", []) for text in texts(o))]
        if any(MACHINE.search(text) for text in words):
            yield f"{cell.id}: a path of a machine"
        if cell.cell_type == "code" and cell.id != "install" and NETWORK.search(cell.source):
            yield f"{cell.id}: touches the network"


def headings(book, name, slug, install):
    """One title, then levels without a jump."""
    depths = [depth for cell in prose(book) for depth, _ in levels(cell.source)]
    if depths[:1] != [1] or 1 in depths[1:]:
        yield "not one title"
    if any(b - a > 1 for a, b in zip(depths, depths[1:])):  # noqa: B905, RUF007
        yield f"headings jump: {depths}"


def links(book, name, slug, install):
    """Every link leads to a file and heading that are there, or to a well-formed address."""
    own = [title for cell in prose(book) for _, title in levels(cell.source)]
    for cell in prose(book):
        for address in re.findall(r"https?://[^\s<>\]\"']*[^\s<>\]\"'.,;:)]", cell.source):
            if not any(re.fullmatch(f"https://{form}", address) for form in ADDRESSES):
                yield f"{cell.id}: {address} has none of the forms in ADDRESSES"
        targets = re.findall(r"\]\(([^)\s]*)\)", cell.source)
        targets += re.findall(r"(?:src|href)=[\"']([^\"']*)", cell.source)
        for target in targets:
            if re.match(r"https?:", target):
                continue
            file, _, part = target.partition("#")
            path = ROOT / "notebooks" / file
            if file and not path.is_file():
                yield f"{cell.id}: {target} is not there"
            elif part and part not in map(
                anchor, [t for _, t in titles(path)] if file else own
            ):
                yield f"{cell.id}: no heading makes the anchor of {target!r}"
            elif not file and not part:
                yield f"{cell.id}: a link without a target"


def references(book, name, slug, install):
    """Notebooks and sections that the prose names by number exist."""
    own = {t.split(" ·")[0] for c in prose(book) for d, t in levels(c.source) if d == 2}
    for cell in prose(book):
        for numbers in re.findall(
            r"[Nn]otebooks? (\d\d(?:(?:, | and | to )\d\d)*)", cell.source
        ):
            for number in re.findall(r"\d\d", numbers):
                if not list((ROOT / "notebooks").glob(f"{number}_*.ipynb")):
                    yield f"{cell.id}: there is no notebook {number}"
        for number in re.findall(r"[Ss]ection (\d+)(?! of)", cell.source):
            if number not in own:
                yield f"{cell.id}: there is no section {number}"


def ending(book, name, slug, install):
    """Five bullets, three to five questions with folded answers, references."""
    by_id = {cell.id: cell.source for cell in book.cells}
    for i, heading in CLOSING.items():
        first, _, rest = by_id.get(i, "").partition("\n")
        if not first.startswith(heading) or not rest.strip():
            yield f"{i}: is not headed {heading!r}, or is empty"
    recap = re.findall(r"^[*-] \S", by_id.get("recap", ""), re.MULTILINE)
    if len(recap) != 5:
        yield f"recap: {len(recap)} bullets, not 5"
    questions = by_id.get("questions", "")
    marks = [questions.count(m) for m in ("<details>", "</details>", "<summary>", "</summary>")]
    if len(set(marks)) != 1 or not 3 <= marks[0] <= 5:
        yield f"questions: {marks[0]} answers, or tags that do not pair: {marks}"
    for part in questions.split("<details>")[1:]:
        if not re.search(r"<summary>\s*\S[^<]*</summary>", part):
            yield "questions: a summary that asks nothing"
        if not re.search(r"</summary>\n\n.+\n</details>", part, re.DOTALL):
            yield "questions: an answer needs a blank line before it, or GitHub shows it raw"


def exercises(book, name, slug, install):
    """A blank, its check, and a folded solution; what is committed has not been tried."""
    order = [cell.id for cell in book.cells]
    by_id = {cell.id: cell for cell in book.cells}
    blanks = [i for i in order if i.startswith("try-") and by_id[i].cell_type == "code"]
    for blank in (i for i in blanks if not i.endswith("-check")):
        here = order.index(blank)
        wanted = [f"{blank}-check", f"{blank}-solution"]
        if order[here + 1 : here + 3] != wanted:
            yield f"{blank}: is not followed by {wanted}"
            continue
        check, solution = (by_id[i] for i in wanted)
        if not re.search(r"(^|\s)\.\.\.", by_id[blank].source, re.MULTILINE):
            yield f"{blank}: has no blank"
        if "tried" not in calls(check) or not asserts(check):
            yield f"{check.id}: does not call tried, or asserts nothing"
        if not re.match("not tried yet: ", "".join(o.get("text", "") for o in check.outputs)):
            yield f"{check.id}: was committed tried"
        opened, closed = r"<details>\n<summary>Solution</summary>\n\n", r"\n</details>"
        form = rf"{opened}.*```python\n.+\n```\n\n\S.*{closed}"
        if not re.fullmatch(form, solution.source.strip(), re.DOTALL):
            yield f"{solution.id}: no folded Solution with its code and the reason for it"


RULES = [
    exercises, ids, tags, badge, install_cell, card, length, one_thing, figures, outputs,
    portable, headings, links, references, ending,
]  # fmt: skip


def read(path: Path):
    return nbformat.read(path, as_version=4)
