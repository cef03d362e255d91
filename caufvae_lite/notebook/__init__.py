"""What every notebook uses: `setup`, `show`, `live` and `explore`."""

from caufvae_lite.notebook.figures import live, show
from caufvae_lite.notebook.setup import setup
from caufvae_lite.notebook.sliders import explore

__all__ = ["explore", "live", "setup", "show"]
