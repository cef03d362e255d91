"""What every notebook uses: `setup`, `show`, `live`, `explore` and `tried`."""

from caufvae_lite.notebook.exercises import tried
from caufvae_lite.notebook.figures import explore, live, show
from caufvae_lite.notebook.setup import setup

__all__ = ["explore", "live", "setup", "show", "tried"]
