"""A study: a table of runs, each of which can be computed anywhere, by itself.

A run is named by (model, world, seed). This name is all that a worker is sent. The run's rows
are stored in ``data/results/<study>.csv``, and the file ``studies/<study>.py`` computes them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from caufvae_lite.checkpoints import data_folder
from caufvae_lite.studies.results import Key, done, rows_of, timed
from caufvae_lite.worlds.examination import Score


def seed_by_seed(world: str, models: Iterable[str]) -> Callable[[Sequence[int]], list[Key]]:
    """`Study.keys` of a study with one world: all models for the first seed, then the next."""
    return lambda seeds: [(model, world, seed) for seed in seeds for model in models]


@dataclass(frozen=True)
class Study:
    """What is computed, in which order, with which settings."""

    name: str  # of the study, of its table and of its file
    keys: Callable[[Sequence[int]], list[Key]]  # the runs of given seeds, in order
    configuration: Callable[[Key], Mapping[str, Any]]  # every setting of a run, ready for JSON
    compute: Callable[[Key], list[Score]]  # one run
    seeds: int = 5  # of the stored table

    @property
    def path(self) -> Path:
        """The stored table."""
        return data_folder() / "results" / f"{self.name}.csv"

    def digest(self, key: Key) -> str:
        """Twelve hexadecimal digits that change when any setting of the run changes."""
        text = json.dumps(self.configuration(key), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def rows(self, key: Key) -> pd.DataFrame:
        """Compute one run: its rows for the results table."""
        scores, circumstances = timed(lambda: self.compute(key))
        return rows_of(key, scores, circumstances, self.digest(key))

    def missing(self, path: Path, seeds: Sequence[int]) -> list[Key]:
        """The runs that ``path`` lacks, or holds with other settings."""
        have = done(path)
        return [key for key in self.keys(seeds) if have.get(key) != self.digest(key)]
