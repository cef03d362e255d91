"""`playground` in a notebook: a widget of anywidget, or a frame without it."""

import html
import re
import sys

import pytest

from caufvae_lite.notebook import page, playground


def test_without_anywidget_it_is_a_frame_with_the_page_in_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    shown = playground("water").data
    inside = html.unescape(re.search('srcdoc="([^"]*)"', shown)[1])
    assert 'data-models="water"' in inside and inside.count("<script>") == 1 + len(page.SCRIPTS)
    assert 'title="' in shown


def test_with_anywidget_it_is_the_same_source():
    pytest.importorskip("anywidget", reason="pip install '.[widget]'")
    widget = playground("water")
    assert widget.names == ["water"] and list(widget.models) == ["water"]
    for name in page.SCRIPTS:
        assert (page.source() / name).read_text() in widget._esm
    assert widget._esm.count("export default") == 1


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="no-such"):
        playground("no-such")
