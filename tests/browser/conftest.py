"""A browser, and the built site on an address of its own. ``make browser`` runs these tests."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import jupyter_page
import pytest

ROOT = Path(__file__).parents[2]
HTML = ROOT / "build" / "site" / "html"
PICTURES = ROOT / "build" / "browser"
BROWSERS = ("chromium", "google-chrome", "chrome")
GRAVE = ("error", "warning")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.browser)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def site():
    """The site's address."""
    if not (HTML / "index.html").is_file():
        pytest.skip("the site is not built here: make site")
    handler = functools.partial(Quiet, directory=HTML)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="pip install '.[browser]'")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no chromium here: apt install chromium, or set CHROMIUM")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def opener(chromium, harmless=()):
    """Yields ``open_(address, **context)``; afterwards the pages' complaints fail the test."""
    contexts, complaints = [], []

    def complain(text):
        if not any(part in text for part in harmless):
            complaints.append(text)

    def open_(address, **options):
        size = {"width": 1400, "height": 900}
        options = {"viewport": size, "reduced_motion": "reduce"} | options
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("console", lambda m: m.type in GRAVE and complain(m.text))
        page.on("response", lambda r: r.status >= 400 and complain(f"{r.status} {r.url}"))
        if options.get("java_script_enabled", True):  # what is preloaded for scripts is dropped
            page.on("requestfailed", lambda request: complain(request.url))
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints, complaints


@pytest.fixture
def open_page(chromium):
    """``open_page(address, **context)``: a loaded page; its complaints fail the test."""
    yield from opener(chromium)


@pytest.fixture
def open_lab(chromium):
    """The same for a page of Jupyter, whose known harmless messages are passed by."""
    yield from opener(chromium, jupyter_page.HARMLESS)


@pytest.fixture(scope="module")
def open_one_lab(chromium):
    """The same for a page that a module's tests share."""
    yield from opener(chromium, jupyter_page.HARMLESS)


@pytest.fixture(scope="session")
def screenshot():
    """``screenshot(page, name)``: a picture in build/browser, to be looked at."""
    PICTURES.mkdir(parents=True, exist_ok=True)

    def take(page, name, **options):
        page.screenshot(path=PICTURES / f"{name}.png", **options)

    return take
