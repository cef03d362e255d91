"""Print lessons from the built site: ``python tools/pdf.py [03 …]`` fills ``build/pdf``.

Chromium prints what a reader sees: figures, formulas, and the solutions unfolded, since paper
cannot be clicked. ``make pdf`` builds the site first.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from notebooks import named

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "build" / "site" / "html" / "notebooks"
OUT = ROOT / "build" / "pdf"
BROWSERS = ("chromium", "google-chrome", "chrome")
PATIENCE = 300_000  # milliseconds; some lessons have a hundred formulas
MARGIN = dict.fromkeys(("top", "bottom", "left", "right"), "15mm")
PAPER = {"format": "A4", "scale": 0.75, "print_background": True, "margin": MARGIN}
UNFOLD = (
    "document.querySelectorAll('article details:not(.hide)').forEach(d => { d.open = true; })"
)
TYPESET = "!window.MathJax || MathJax.startup.promise.then(() => true)"


def main(words: list[str]) -> int:
    """One PDF a lesson."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        print(
            "There is no chromium here: apt install chromium, or set CHROMIUM.", file=sys.stderr
        )
        return 1
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        page.emulate_media(media="print")
        page.set_default_timeout(PATIENCE)
        for lesson in named(words):
            page.goto((HTML / f"{lesson.stem}.html").as_uri())
            page.evaluate(UNFOLD)
            page.wait_for_function(
                "!window.MathJax || MathJax.startup.promise.then(() => true)"
            )
            target = OUT / f"{lesson.stem}.pdf"
            page.pdf(path=target, **PAPER)
            print(
                f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e6:.1f} MB", flush=True
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
