"""Sphinx's settings for the site. ``make site`` lays the pages out first: tools/website.py."""

import re
import tomllib
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

import caufvae_lite

SETTINGS = tomllib.loads((Path(__file__).parent / "pyproject.toml").read_text())["project"]

project = "caufvae_lite"
author = copyright = "the caufvae_lite authors"
version = release = caufvae_lite.__version__
html_title = "caufvae_lite"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]

# Pages and notebooks. Nothing is executed: what readers see is what was committed.
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # no widget state is committed, and nothing is fetched
nb_merge_streams = True
nb_render_markdown_format = "myst"  # tables that a cell displays are tables
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]
exclude_patterns = ["_extra"]

# The reference. Docstrings name objects between single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures have them
autodoc_default_options = {"members": True, "inherited-members": False}
napoleon_use_rtype = False
napoleon_custom_sections = [("Returns", "params_style")]

# `make links` asks for each address outside. Our own are only there once they are published.
linkcheck_ignore = [re.escape(SETTINGS["urls"][key]) for key in ("Repository", "Documentation")]
linkcheck_ignore += [r"https://(colab|mybinder|kaggle)\b"]
linkcheck_anchors = False
linkcheck_timeout, linkcheck_retries, linkcheck_workers = 20, 2, 8

# Everything a page needs lies beside it: no font, script or picture comes from elsewhere.
html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_extra_path = ["_extra"]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_domain_indices = False
html_copy_source = True  # for the download button
html_sourcelink_suffix = ""
html_last_updated_fmt = None
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"options": {"enableMenu": False}}
html_theme_options = {
    "repository_url": SETTINGS["urls"]["Repository"],
    "repository_branch": "main",
    "path_to_docs": "",
    "use_repository_button": True,
    "launch_buttons": {
        "colab_url": "https://colab.research.google.com",
        "binderhub_url": "https://mybinder.org",
        "notebook_interface": "jupyterlab",
    },
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "secondary_sidebar_items": {
        "index": [],
        "scoreboard": [],
        "**": ["page-toc.html"],
    },
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-light",
    "pygments_dark_style": "a11y-dark",
}
SIDEBAR = ["navbar-logo.html", "search-button-field.html", "sbt-sidebar-nav.html"]
html_sidebars = {"**": SIDEBAR}


class SentencesAsAlt(SphinxPostTransform):
    """A figure's sentence is its output's text/plain; the picture gets it as alt text."""

    default_priority = 3  # before myst-nb keeps one kind of output only

    def run(self, **kwargs):
        for bundle in list(self.document.findall(nodes.container)):
            if bundle.get("nb_element") != "mime_bundle":
                continue
            kinds = {child["mime_type"]: child for child in bundle.children}
            if {"image/png", "text/plain"} <= set(kinds):
                for image in kinds["image/png"].findall(nodes.image):
                    image["alt"] = kinds["text/plain"].astext().strip()


def scrollable_code(app, pagename, templatename, context, doctree):
    """Code that may scroll sideways must be reachable by keyboard."""
    if body := context.get("body"):
        context["body"] = body.replace('<div class="highlight"><pre>',
                                       '<div class="highlight"><pre tabindex="0">')  # fmt: skip


def setup(app):
    app.add_post_transform(SentencesAsAlt)
    app.connect("html-page-context", scrollable_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
