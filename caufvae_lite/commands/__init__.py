"""The command line, ``python -m caufvae_lite tour | train | …``: one file a command."""

import argparse
from importlib import import_module

COMMANDS = {
    "tour": "train once, ask what if, and check the answers against the truth",
    "train": "one run on any data, in as many processes as were started",
    "export": "write counterfactuals as PNG and CSV, for any judge to score",
    "sweep": "compute what the tables in data/results lack",
    "pretrain": "train the shipped checkpoints anew",
}


def main(arguments: list[str] | None = None) -> int:
    """Hand over to the command's own file; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m caufvae_lite")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what, add_help=False)
    chosen, options = parser.parse_known_args(arguments)
    return import_module(f"caufvae_lite.commands.{chosen.command}").main(options)
