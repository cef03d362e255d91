"""`setup`, `show` and `explore`."""

import pytest
from matplotlib.figure import Figure

from caufvae_lite.notebook import explore, setup, show


@pytest.fixture
def displayed(monkeypatch):
    """What the helpers display, in order."""
    things = []
    monkeypatch.setattr("caufvae_lite.notebook.display", lambda x, **_: things.append(x))
    return things


def draw(a: float, b: float) -> Figure:
    figure = Figure()
    figure.subplots().plot([0, a], [0, b])
    return figure


def test_setup_seeds_and_says_where_it_runs(capsys):
    import torch

    setup(seed=3, device="cpu")
    first = torch.rand(1)
    setup(seed=3, device="cpu")
    assert torch.equal(first, torch.rand(1))
    assert "device cpu" in capsys.readouterr().out


def test_show_publishes_png_with_its_sentence(displayed):
    show(draw(1, 2), alt="A line from the origin to the upper right.")
    assert displayed[0]["text/plain"] == "A line from the origin to the upper right."
    assert displayed[0]["image/png"].startswith(b"\x89PNG")


def test_show_refuses_a_label_for_a_sentence():
    with pytest.raises(ValueError, match="sentence"):
        show(draw(1, 2), alt="a line")


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


def test_explore_without_sliders_is_still_a_picture(displayed, monkeypatch):
    monkeypatch.setenv("CAUFVAE_SLIDERS", "0")
    explore(draw, "Lines with low, middle and high slopes.", a=[1, 2], b=[3, 4])
    assert len(displayed) == 1
