"""Pages in chromium: no complaint in the console, accessible in light and dark, legible."""

from pathlib import Path

import pytest

PAGES = {
    "landing": "index.html",
    "notebook": "notebooks/05_interventions.html",
    "scoreboard": "scoreboard.html",
    "computed": "computed.html",
    "glossary": "glossary.html",
    "reference": "reference.html",
}
GRAVE = ("serious", "critical")


def axe():
    package = pytest.importorskip("axe_playwright_python", reason="pip install '.[browser]'")
    return (Path(package.__file__).parent / "axe.min.js").read_text()


def load(open_page, site, name, scheme, width=1400):
    viewport = {"width": width, "height": 900}
    page = open_page(f"{site}/{PAGES[name]}", color_scheme=scheme, viewport=viewport)
    if name == "landing":
        page.wait_for_selector(".pg-ready")
    page.wait_for_function("!window.MathJax?.startup?.promise || document.fonts.ready")
    page.wait_for_timeout(800)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_grave_finding_of_axe(name, scheme, open_page, site):
    page = load(open_page, site, name, scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.evaluate(axe())
    found = page.evaluate("axe.run({preload: false})")["violations"]
    grave = [
        f"{v['id']} ({v['impact']}): {v['help']} at {v['nodes'][0]['target']} "
        f"and {len(v['nodes']) - 1} more"
        for v in found
        if v["impact"] in GRAVE
    ]
    assert not grave, grave


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_their_width(name, width, scheme, open_page, site, screenshot):
    page = load(open_page, site, name, scheme, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    screenshot(page, f"{name}-{width}-{scheme}")


def test_formulas_are_set_with_what_lies_beside_the_page(open_page, site):
    page = load(open_page, site, "notebook", "light")
    page.goto(f"{site}/notebooks/01_flows.html")
    page.wait_for_selector("mjx-container", state="attached")
    assert page.locator("mjx-merror").count() == 0


def test_figures_reach_the_page_with_their_sentences(open_page, site):
    page = load(open_page, site, "notebook", "light")
    for image in page.locator(".cell_output img").all():
        assert len(image.get_attribute("alt").split()) >= 5


def test_the_scoreboard_sorts_and_filters(open_page, site):
    page = load(open_page, site, "scoreboard", "light")
    column = page.locator("thead th").nth(3)
    column.get_by_role("button").click()
    assert column.get_attribute("aria-sort") == "descending"
    read = "cells => cells.map(c => Number(c.dataset.value)).filter(v => !Number.isNaN(v))"
    shown = "tbody tr:not([hidden]) td:nth-child(4)[data-value]"
    values = page.eval_on_selector_all(shown, read)
    assert len(values) > 10 and values == sorted(values, reverse=True)
    column.get_by_role("button").click()
    assert column.get_attribute("aria-sort") == "ascending"
    assert page.eval_on_selector_all(shown, read) == sorted(values)
    page.get_by_label("World").select_option("water")
    page.get_by_label("Model's name holds").fill("causalvae")
    names = page.locator("tbody tr:not([hidden]) th").all_inner_texts()
    assert names and all("causalvae" in name.lower() for name in names)
    assert page.get_by_text(f"{len(names)} rows shown").is_visible()


def test_search_finds(open_page, site):
    page = load(open_page, site, "landing", "light")
    page.goto(f"{site}/search.html?q=abduction")
    page.wait_for_selector("#search-results li")
    assert page.locator("#search-results li").count() > 1
