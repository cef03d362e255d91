"""`setup`, `show` and `explore`."""

import pytest
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure

from caufvae_lite.notebook import explore, setup, show


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


def test_show_publishes_png_with_its_sentence():
    with capture_output() as captured:
        show(draw(1, 2), alt="A line from the origin to the upper right.")
    data = captured.outputs[0].data
    assert data["text/plain"] == "A line from the origin to the upper right."
    assert data["image/png"]


def test_show_refuses_a_label_for_a_sentence():
    with pytest.raises(ValueError, match="sentence"):
        show(draw(1, 2), alt="a line")


def test_explore_draws_small_multiples_and_sliders_follow(monkeypatch):
    monkeypatch.delenv("CAUFVAE_SLIDERS", raising=False)
    seen = []

    def recording(a, b):
        seen.append((a, b))
        return draw(a, b)

    with capture_output() as captured:
        explore(recording, "Lines with low, middle and high slopes, side by side.",
                a=[1, 2, 3], b=[4, 5, 6])  # fmt: skip
    assert {(1, 5), (2, 5), (3, 5), (2, 4), (2, 6)} <= set(seen)
    assert "image/png" in captured.outputs[0].data


def test_explore_without_sliders_is_still_a_picture(monkeypatch):
    monkeypatch.setenv("CAUFVAE_SLIDERS", "0")
    with capture_output() as captured:
        explore(draw, "Lines with low, middle and high slopes.", a=[1, 2], b=[3, 4])
    assert len(captured.outputs) == 1
