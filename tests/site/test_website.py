"""The built site: no dead link, a sentence for each picture, small; and how pages are made."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import board
import glossary
import pytest
import website

ROOT = Path(__file__).parents[2]
HTML = ROOT / "build" / "site" / "html"
BUILT = (HTML / "index.html").is_file()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
WHOLE, FIRST_SCREEN = 25_000_000, 500_000  # bytes

needs_site = pytest.mark.skipif(not BUILT, reason="the site is not built here: make site")


class Page(HTMLParser):
    """Links, anchors, pictures, and what is loaded before the page is shown."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.pictures, self.files = [], set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            self.pictures.append(found)
        if tag in ("script", "img") and found.get("src"):
            self.files.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon"):
            self.files.append(found["href"])


@cache
def page(path):
    return Page(path)


def pages():
    """Those that Sphinx made, without the theme's templates and the one-file playground."""
    made = [p for p in HTML.rglob("*.html") if "_static" not in p.parts]
    return sorted(p for p in made if p.name != "playground.html")


def is_outside(link):
    return re.match(r"[a-z]+:|//", link) is not None


@needs_site
def test_every_internal_link_and_anchor_resolves():
    dead = []
    for path in pages():
        for link in page(path).links:
            if is_outside(link) or link == "#":
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            if not target.is_file():
                dead.append(f"{path.relative_to(HTML)}: {link}")
                continue
            known = page(target).anchors if target.suffix == ".html" else {unquote(anchor)}
            if anchor and unquote(anchor) not in known:
                dead.append(f"{path.relative_to(HTML)}: no anchor {link}")
    assert not dead, dead


@needs_site
def test_every_file_that_a_page_loads_lies_beside_it():
    for path in pages():
        for file in page(path).files:
            assert not is_outside(file), f"{path.name} fetches {file}"
            assert (path.parent / unquote(file.partition("?")[0])).resolve().is_file(), file


@needs_site
def test_every_picture_has_a_sentence():
    for path in pages():
        for picture in page(path).pictures:
            if "_static/images/logo" in picture["src"]:
                continue  # of the theme's launch buttons
            assert len(picture.get("alt", "").split()) >= 5, (path.name, picture["src"][-40:])


@needs_site
def test_every_notebook_is_a_page_with_its_figures():
    for notebook in NOTEBOOKS:
        built = page(HTML / "notebooks" / f"{notebook.stem}.html")
        assert built.pictures, notebook.stem
        colab = [link for link in built.links if "colab.research.google.com" in link]
        assert colab and all(link.endswith(f"notebooks/{notebook.name}") for link in colab)


@needs_site
def test_a_table_that_a_cell_displays_is_a_table():
    for path in HTML.glob("notebooks/*.html"):
        assert not re.search(r"<p>\s*\|", path.read_text()), path.name


@needs_site
def test_the_site_and_its_first_screen_are_small():
    size = sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file())
    assert size <= WHOLE
    landing = HTML / "index.html"
    loaded = {file.partition("?")[0] for file in page(landing).files}
    first = landing.stat().st_size + sum((HTML / file).stat().st_size for file in loaded)
    # The fonts are named by a style sheet; the weights come after the page is shown.
    first += sum(path.stat().st_size for path in HTML.glob("_static/vendor/**/*.woff2"))
    assert first <= FIRST_SCREEN, first


@needs_site
def test_the_landing_page_says_what_it_is_without_javascript():
    text = (HTML / "index.html").read_text()
    assert "strip-pendulum-noisy.png" in text and "what the picture would have been" in text
    assert text.index("strip-pendulum-noisy.png") < text.index("<h2>What this is")


@pytest.mark.parametrize(
    ("text", "page_of", "expected"),
    [
        ("[a](04_x.ipynb#part)", "notebooks/03_y.ipynb", "[a](04_x.ipynb#part)"),
        ("[a](../LICENSE)", "docs/b.md", "[a](https://github.com/{slug}/blob/main/LICENSE)"),
        ("[a](docs)", "b.md", "[a](https://github.com/{slug}/tree/main/docs)"),
        ("[a](https://arxiv.org/abs/1)", "b.md", "[a](https://arxiv.org/abs/1)"),
        ("[a](#here)", "b.md", "[a](#here)"),
        ("![a](picture.png)", "b.md", "![a](picture.png)"),
    ],
)
def test_links_that_leave_the_site_lead_to_the_repository(text, page_of, expected):
    pages = {"notebooks/04_x.ipynb"}
    assert website.relinked(text, Path(page_of), pages) == expected.format(slug=website.slug())


def test_the_scoreboard_has_every_model_and_world():
    table, stored = board.table(), board.results.read_results(board.study.STUDY.path)
    assert table.count("<tr>") - 1 == len(stored.drop_duplicates(["model", "world"]))
    assert table.count('scope="row"') == table.count("<tr>") - 1


def test_every_number_of_the_scoreboard_leads_to_the_seeds_it_is_the_mean_of():
    page, table = board.computed(), board.table()
    cells = re.findall(r'data-value="([^"]+)"><a href="computed.html#([^"]+)"', table)
    assert len(cells) > 100 and len({anchor for _, anchor in cells}) == len(cells)
    for value, anchor in cells:
        (line,) = re.findall(rf'<tr id="{anchor}">(.*?)</tr>', page)
        seeds = [float(x) for x in re.findall(r"<td>([^–<]+)</td>", line)]
        assert sum(seeds) / len(seeds) == pytest.approx(float(value), abs=2e-3, rel=2e-3)


def test_the_first_use_of_a_word_is_linked_and_nothing_else():
    text = "# A factor\n\nThe `factor` $factor$ [factor](a.md) of **factors** and a factor."
    expected = text.replace("**factors**", "**{term}`factors <factor>`**")
    assert glossary.with_link(text, "factor") == expected
    assert glossary.with_link("It lends support.", "support") == "It lends support."
    assert "{term}`support <support>`" in glossary.with_link("Its *support*", "support")
    assert {"SCM", "exogenous noise", "abduction"} <= set(glossary.terms())


def test_all_public_names_are_in_the_reference():
    import caufvae_lite as cl

    listed = (ROOT / "docs" / "site" / "reference.md").read_text()
    modules = {"baselines", "metrics", "explore", "setup", "show", "__version__"}
    for name in set(cl.__all__) - modules:
        assert re.search(rf":: {name}$", listed, re.MULTILINE), name
