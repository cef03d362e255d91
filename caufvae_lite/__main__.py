"""The command line: ``python -m caufvae_lite tour | train | sweep | pretrain``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "tour": "train once, ask what if, and check the answers against the truth",
    "train": "one run on any data, in as many processes as were started",
    "sweep": "compute what the tables in data/results lack",
    "pretrain": "train the shipped checkpoints anew",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand over to the command's own file; its exit status."""
    every = "\n".join(f"  {name:<10}{what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m caufvae_lite", epilog=f"commands:\n{every}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("command", choices=COMMANDS, metavar="command")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="COMMAND --help lists them")
    chosen = parser.parse_args(arguments)
    command = import_module(f"caufvae_lite.commands.{chosen.command}")
    return command.main(chosen.options)


if __name__ == "__main__":
    sys.exit(main())
