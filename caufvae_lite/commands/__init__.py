"""The command line, ``python -m caufvae_lite``: one file a command."""
