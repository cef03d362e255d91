"""`setup`, `show`, `live` and `explore`."""

import base64
import io
import re
import warnings

import matplotlib
import pytest
import torch
from matplotlib import style
from matplotlib.figure import Figure
from PIL import Image

import caufvae_lite
from caufvae_lite import History
from caufvae_lite.notebook import explore, figures, live, setup, show
from caufvae_lite.notebook.setup import STYLE, TESTED
from caufvae_lite.plots import COLOURS


@pytest.fixture
def displayed(monkeypatch):
    """What the helpers display, in order."""
    things = []
    monkeypatch.setattr(figures, "display", lambda x, **_: things.append(x))
    return things


def size_of(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def draw(a: float, b: float) -> Figure:
    figure = Figure(figsize=(1, 0.75))
    figure.subplots().plot([0, a], [0, b])
    return figure


def test_the_package_offers_the_helpers_too():
    helpers = (caufvae_lite.explore, caufvae_lite.setup, caufvae_lite.show)
    assert helpers == (explore, setup, show)


def test_setup_seeds_and_says_where_it_runs(capsys):
    setup(seed=3, device="cpu")
    first = torch.rand(1)
    setup(seed=3, device="cpu")
    assert torch.equal(first, torch.rand(1))
    assert "device cpu" in capsys.readouterr().out


def test_show_publishes_png_with_its_sentence(displayed):
    show(draw(1, 2), alt="A line from the origin to the upper right.")
    assert displayed[0]["text/plain"] == "A line from the origin to the upper right."
    assert displayed[0]["image/png"].startswith(b"\x89PNG")


def test_the_page_gets_the_sentence_and_two_pixels_for_one(displayed, monkeypatch):
    kept = {}
    monkeypatch.setattr(figures, "display", lambda data, **more: kept.update(data, **more))
    show(draw(1, 2), alt='A line that says "up" & rises <steeply>.')
    html = kept["text/html"]
    assert 'alt="A line that says &quot;up&quot; &amp; rises &lt;steeply&gt;."' in html
    picture = base64.b64decode(re.search('base64,([^"]+)', html)[1])
    assert picture == kept["image/png"]
    said = kept["metadata"]["image/png"]
    assert (
        (110, 82) == (said["width"], said["height"]) == tuple(n // 2 for n in size_of(picture))
    )
    assert f'width="{said["width"]}"' in html and said["alt"] == kept["text/plain"]


@pytest.mark.parametrize("alt", ["a line", "", None])
def test_show_refuses_a_label_for_a_sentence(alt):
    with pytest.raises(ValueError, match="sentence"):
        show(draw(1, 2), alt=alt)


def test_explore_draws_small_multiples_and_sliders_redraw(displayed, monkeypatch):
    monkeypatch.delenv("CAUFVAE_SLIDERS", raising=False)
    seen = []

    def recording(a, b):
        seen.append((a, b))
        return draw(a, b)

    alt = "Lines with low, middle and high slopes, side by side."
    explore(recording, alt, a=[1, 2, 3], b=[4, 5, 6])
    assert {(1, 5), (2, 5), (3, 5), (2, 4), (2, 6)} <= set(seen)
    static, box = displayed
    assert static["text/plain"] == alt
    first, _, image = box.children
    before = bytes(image.value)
    first.value = 3
    assert seen[-1] == (3, 5)
    assert bytes(image.value) != before
    assert size_of(image.value)[0] == 2 * int(image.width)


def test_the_stills_are_folded_above_sliders_and_the_script_finds_its_box(
    displayed, monkeypatch
):
    monkeypatch.delenv("CAUFVAE_SLIDERS", raising=False)
    explore(draw, 'Lines of a "low" and a high </slope>.', a=[1, 2], b=[3, 4])
    html, box = displayed[0]["text/html"], displayed[1]
    assert html.startswith("<details>") and html.count("</script>") == 1
    assert f'("{box._dom_classes[-1]}", "Lines of a \\"low\\" and a high <\\/slope>.")' in html


def test_a_still_names_what_moves_and_in_brackets_what_is_held():
    assert figures._settings({"a": -1.0}, {"a": 0, "b": 2}) == "a = −1 (b = 2)"
    assert figures._settings({"a": 1}, {"a": 0}) == "a = 1"


def test_explore_without_sliders_is_still_a_picture(displayed, monkeypatch):
    monkeypatch.setenv("CAUFVAE_SLIDERS", "0")
    explore(draw, "Lines with low, middle and high slopes.", a=[1, 2], b=[3, 4])
    assert len(displayed) == 1


# ------------------------------------------------------------ versions, style and corners


@pytest.mark.parametrize("name", TESTED)
def test_versions_outside_the_tested_range_are_named(monkeypatch, name):
    versions = {name: first for name, (first, _) in TESTED.items()} | {"torch": "2.11.0+cu128"}
    monkeypatch.setattr("importlib.metadata.version", lambda name: versions[name])
    monkeypatch.setattr("platform.python_version", lambda: versions["Python"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        setup()
    for outside in (TESTED[name][1], "1.999.9+cu128"):
        versions[name] = outside
        with pytest.warns(UserWarning, match=f"{name} {re.escape(outside)} is outside"):
            setup()


def test_style_sheet_has_the_colours_of_the_roles():
    with style.context(STYLE):
        cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    assert {f"#{colour.lstrip('#')}".lower() for colour in cycle} == {
        c.lower() for c in COLOURS.values()
    }


def test_explore_tries_the_corners_when_asked_to(displayed, monkeypatch):
    monkeypatch.setenv("CAUFVAE_SLIDERS", "0")

    seen = []

    def fragile(a, b):
        seen.append((a, b))
        if (a, b) == (3, 6):
            raise ArithmeticError("only here")
        return draw(a, b)

    alt = "Lines with low, middle and high slopes, side by side."
    explore(fragile, alt, a=[1, 2, 3], b=[4, 5, 6])
    seen.clear()
    monkeypatch.setenv("CAUFVAE_CORNERS", "1")
    with pytest.raises(RuntimeError, match=r"\{'a': 3, 'b': 6\}.*only here"):
        explore(fragile, alt, a=[1, 2, 3], b=[4, 5, 6])
    assert seen == [(1, 4), (1, 6), (3, 4), (3, 6)]


def test_explore_says_what_it_needs(displayed):
    alt = "Lines with low, middle and high slopes, side by side."
    for few in ([], [1], 1, None):
        with pytest.raises(ValueError, match="a needs a list of two values"):
            explore(draw, alt, a=few, b=[1, 2])
    with pytest.raises(ValueError, match="sentence"):
        explore(draw, "a line", a=[1, 2], b=[1, 2])
    with pytest.raises(ValueError, match="needs a control"):
        explore(draw, alt)
    with pytest.raises(TypeError, match="returned NoneType"):
        explore(lambda a: None, alt, a=[1, 2])


def test_wide_figures_are_stacked():
    wide, square = Figure(figsize=(9, 2)), Figure(figsize=(3, 3))
    tall = figures.small_multiples([("a", wide)] * 3).get_size_inches()
    flat = figures.small_multiples([("a", square)] * 3).get_size_inches()
    assert tall[0] < tall[1] * 2 and flat[0] > flat[1] * 2


def test_live_draws_once_and_updates(monkeypatch):
    calls = []

    class Handle:
        def update(self, picture, raw, metadata):
            calls.append(("update", picture))

    def display(picture, raw, metadata, display_id):
        calls.append(("display", picture))
        return Handle()

    monkeypatch.setattr(figures, "display", display)
    with pytest.raises(ValueError, match="sentence"):
        live(alt="losses")
    redraw = live(alt="Four loss terms that fall over the epochs.")
    terms = dict.fromkeys(("reconstruction", "kl", "supervision", "label_likelihood"), 1.0)
    history = History([{**terms, "total": 4.0}], [{**terms, "total": 4.0}], [1.0], 0)
    for _ in range(2):
        redraw(history)
    assert [kind for kind, _ in calls] == ["display", "update"]
    assert calls[-1][1]["image/png"].startswith(b"\x89PNG")
    assert calls[-1][1]["text/plain"] == "Four loss terms that fall over the epochs."
