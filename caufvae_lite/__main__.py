import sys

from caufvae_lite.commands import main

sys.exit(main())
