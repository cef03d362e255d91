"""The tables in ``data/results``: one file each, named after its table."""
