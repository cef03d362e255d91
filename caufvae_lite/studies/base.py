"""A study: a table of runs, each of which can be computed anywhere, by itself.

A run is named by (model, world, seed). This name is all that a worker is sent. The run's rows
are stored in ``data/results/<study>.csv``, and the file ``studies/<study>.py`` computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from caufvae_lite.checkpoints import data_folder
from caufvae_lite.studies.results import Key, digest_of, done, rows_of
from caufvae_lite.worlds.examination import Score


def seed_by_seed(world: str, models: Callable[[], Iterable[str]]):
    """`Study.keys` of a study with one world: all models for the first seed, then the next."""
    return lambda seeds: [(model, world, seed) for seed in seeds for model in models()]


@dataclass(frozen=True)
class Study:
    """What is computed, in which order, with which settings.

    Args:
        name: of the study and of its file.
        keys: the runs for given seeds, what matters most first.
        configuration: the settings of a run that make it this run, ready for JSON.
        compute: a run's scores, and the circumstances that `results.timed` reports.
        seeds: how many seeds the stored table has.
    """

    name: str
    keys: Callable[[Sequence[int]], list[Key]]
    configuration: Callable[[Key], Mapping[str, Any]]
    compute: Callable[[Key], tuple[list[Score], dict[str, Any]]]
    seeds: int = 5

    @property
    def path(self) -> Path:
        """The stored table."""
        return data_folder() / "results" / f"{self.name}.csv"

    def digest(self, key: Key) -> str:
        """What stands in the column ``configuration``."""
        return digest_of(self.configuration(key))

    def rows(self, key: Key) -> pd.DataFrame:
        """Compute one run: its rows for the results table."""
        scores, circumstances = self.compute(key)
        return rows_of(key, scores, circumstances, self.digest(key))

    def missing(self, path: Path, seeds: Sequence[int]) -> list[Key]:
        """The runs that ``path`` lacks, or holds with other settings."""
        have = done(path)
        return [key for key in self.keys(seeds) if have.get(key) != self.digest(key)]
