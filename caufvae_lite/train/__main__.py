import sys

from caufvae_lite.train import main

sys.exit(main())
