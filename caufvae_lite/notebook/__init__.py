"""What every notebook uses: `setup`, `show`, `live` and `explore`."""

from caufvae_lite.notebook.figures import explore, live, show
from caufvae_lite.notebook.setup import setup

__all__ = ["explore", "live", "setup", "show"]
