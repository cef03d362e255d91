"""The playground of the site in a notebook: one source, computed in the browser in both."""

from __future__ import annotations

from html import escape
from typing import Any

from IPython.display import HTML

HEIGHT = 900  # pixels of the frame, where there is no anywidget

# What JupyterLab and Colab call with the widget's model and its place in the page.
RENDER = """
export default {
  render({ model, el }) {
    Object.assign(caufvae.models, model.get("models"));
    const root = document.createElement("div");
    root.className = "playground";
    root.dataset.models = model.get("names").join(" ");
    el.append(root);
    caufvae.start(root);
  },
};
"""


def playground(*names: str) -> Any:
    """A picture to hold: drag lamp, rod or shadow, and see the answer beside the truth.

    The trained decoder and flow run in the browser, as on the site, so it moves without a
    kernel. With ``pip install "caufvae-lite[widget]"`` (in Colab it is there) it is a widget
    of anywidget; without, a frame with the site's page in it.

    Args:
        names: of shipped models, ``"pendulum-noisy"``, ``"pendulum"`` or ``"water"``; the
            first is shown first. All of them where none is named.

    Raises:
        ValueError: no model of such a name.
    """
    from caufvae_lite.notebook import page  # the worlds and models, only for those who play

    chosen = names or ("pendulum-noisy", "pendulum", "water")
    models = {name: page.exported(name) for name in chosen}
    try:
        import anywidget
    except ImportError:
        return _frame(models)
    import traitlets

    class Playground(anywidget.AnyWidget):
        _esm = (
            "\n".join((page.source() / name).read_text("utf-8") for name in page.SCRIPTS)
            + RENDER
        )
        _css = (page.source() / "playground.css").read_text("utf-8")
        names: Any = traitlets.List().tag(sync=True)
        models: Any = traitlets.Dict().tag(sync=True)

    return Playground(names=list(chosen), models=models)


def _frame(models: dict[str, Any]) -> HTML:
    from caufvae_lite.notebook import page

    place = f'<div class="playground" data-models="{" ".join(models)}"></div>'
    text = page.single_page([page.script_of(data) for data in models.values()], place)
    return HTML(  # not an IFrame of IPython's: that one needs an address
        f'<div><iframe title="A playground for counterfactuals" srcdoc="{escape(text)}" '
        f'style="width: 100%; height: {HEIGHT}px; border: 0"></iframe></div>'
    )
