"""What every notebook uses: `setup`, `show`, `live`, `explore`, `tried`; and `playground`."""

from caufvae_lite.notebook.exercises import tried
from caufvae_lite.notebook.figures import explore, live, show
from caufvae_lite.notebook.playground import playground
from caufvae_lite.notebook.setup import setup

__all__ = ["explore", "live", "playground", "setup", "show", "tried"]
