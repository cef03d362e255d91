"""A silent cell says that it works, and one with a bar of its own is left alone."""

import time
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from caufvae_lite.notebook import waiting


@pytest.fixture
def said(monkeypatch):
    """What stands below the cell, one after the other."""
    words = []

    def update(data, raw):
        words.append(data["text/plain"])

    def display(data, raw, display_id):
        update(data, raw)
        return SimpleNamespace(update=update)

    monkeypatch.setattr(waiting, "display", display)
    monkeypatch.setattr(waiting, "PULSE", 0.02)
    monkeypatch.setattr(waiting, "FIRST", 0.1)
    return words


def run_cell(seconds):
    heart = waiting.Heartbeat()
    heart.start()
    time.sleep(seconds)
    heart.stop()


def test_a_long_cell_is_counted_and_a_short_one_is_not(said):
    run_cell(0.01)
    assert not said
    run_cell(0.4)
    assert said[0].startswith("still working") and said[-1].startswith("took")
    assert len(said) > 3


def test_a_cell_with_a_bar_is_left_alone(said, capsys):
    with tqdm(total=3):
        run_cell(0.4)
    assert not said


def test_it_is_registered_once_and_in_a_notebook_only(monkeypatch):
    registered = []
    events = SimpleNamespace(register=lambda when, what: registered.append(when))
    shell = SimpleNamespace(kernel=None, events=events)
    monkeypatch.setattr(waiting, "get_ipython", lambda: shell)
    waiting.keep_company()
    assert not registered
    shell.kernel = object()
    for _ in range(2):
        waiting.keep_company()
    assert registered == ["pre_run_cell", "post_run_cell"]
