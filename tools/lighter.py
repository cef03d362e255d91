"""Make a built site lighter: what no page uses is taken out of the theme's files.

The theme brings every icon of Font Awesome three times: as a script of 1.6 MB, as fonts, and as
rules of its style sheet. Its fonts are enough, and of them the icons that some page names. Its
style sheet has all of Bootstrap, and rules stay whose classes some page or script names. The
search's index is asked for by the search page only.
"""

from __future__ import annotations

import re
from pathlib import Path

from fontTools import subset

ICON = re.compile(r"\bfa-[a-z0-9-]+")
RULE = re.compile(r'((?:\.fa-[a-z0-9-]+,?)+)\{--fa:"(\\?[^"]*)"[^}]*\}')
TOOLS = "searchtools|language_data|searchindex"
SEARCH = re.compile(rf'\s*<script src="[^"]*({TOOLS})\.js[^>]*></script>')
CLASS = re.compile(r"\.(-?[a-zA-Z_][\w-]*)")
STEP = re.compile(r"\s*(from|to|[\d.%,\s]+)")  # of an animation
PLAIN = re.compile(r"([^{}]+)(\{[^{}]*\})")  # a rule that holds no other
FONTS = "_static/vendor/fontawesome/webfonts"
STYLE = "_static/styles/pydata-sphinx-theme.css"
SCRIPT = "_static/scripts/fontawesome.js"


def lighten(html: Path) -> None:
    """Rewrite the theme's icon files below the built site ``html``."""
    named = {
        icon
        for path in (*html.rglob("*.html"), *html.glob("_static/**/*theme*.js"))
        for icon in ICON.findall(path.read_text())
    }
    letters: set[str] = set()

    def keep(rule: re.Match[str]) -> str:
        shown = [s for s in rule[1].split(",") if s.removeprefix(".") in named]
        if not shown:
            return ""
        letters.add(decoded(rule[2]))
        return rule[0].replace(rule[1], ",".join(shown))

    style = html / STYLE
    text = RULE.sub(keep, style.read_text())
    for code in re.findall(r'(?:content|--pst-icon-[\w-]+):"(\\f[0-9a-f]+)"', text):
        letters.add(decoded(code))
    style.write_text(purged(text, words_of(html)))
    for page in html.rglob("*.html"):
        if page.name != "search.html":
            page.write_text(SEARCH.sub("", page.read_text()))
    for font in (html / FONTS).glob("*.woff2"):
        shrink(font, letters)
    (html / SCRIPT).write_text("/* The icons are fonts: see tools/lighter.py. */\n")
    for path in html.rglob("*.map"):
        path.unlink()


def words_of(html: Path) -> set[str]:
    """Everything in pages and scripts that could be the name of a class."""
    files = [*html.rglob("*.html"), *html.glob("_static/**/*.js")]
    return {word for path in files for word in re.findall(r"[\w-]+", path.read_text())}


def purged(style: str, words: set[str]) -> str:
    """A style sheet without the rules whose every selector names a class that is no word."""

    def keep(rule: re.Match[str]) -> str:
        selector, body = rule.groups()
        if selector.lstrip().startswith("@") or STEP.fullmatch(selector):
            return rule[0]
        kept = [s for s in split(selector) if words.issuperset(CLASS.findall(s))]
        return ",".join(kept) + body if kept else ""

    return PLAIN.sub(keep, style)


def split(selector: str) -> list[str]:
    """A list of selectors at its commas, but not at those within brackets."""
    parts, depth = [""], 0
    for letter in selector:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def decoded(code: str) -> str:
    r"""The character of a style sheet's ``\f002``."""
    return chr(int(code[1:], 16)) if code.startswith("\\") else code


def shrink(font: Path, letters: set[str]) -> None:
    """Keep only some characters of a woff2 font."""
    options = subset.Options(flavor="woff2", layout_features=[], notdef_outline=True)
    loaded = subset.load_font(str(font), options)
    cutter = subset.Subsetter(options)
    cutter.populate(text="".join(letters))
    cutter.subset(loaded)
    subset.save_font(loaded, str(font), options)
