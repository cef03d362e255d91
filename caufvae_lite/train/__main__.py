import sys

from caufvae_lite.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
