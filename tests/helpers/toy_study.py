"""A study for the tests of the sweep; Dask's workers load it with ``--preload``.

Its runs leave a file in the folder ``TOY_STUDY`` that says which process took them, and
behave as their name says.
"""

import os
import time
from pathlib import Path

from caufvae_lite.studies.base import Study
from caufvae_lite.studies.registry import STUDIES
from caufvae_lite.worlds.examination import Score

NAMES = ("quick", "fails once", "fails always", "slow")


def compute(key):
    model, _, seed = key
    folder = Path(os.environ["TOY_STUDY"])
    tries = len(list(folder.glob(f"{model}-{seed}-*")))
    (folder / f"{model}-{seed}-{tries}").write_text(str(os.getpid()))
    if model == "slow" and tries == 0:
        time.sleep(10)
    if model == "fails always" or (model == "fails once" and tries == 0):
        raise RuntimeError("as its name says")
    time.sleep(0.2)
    return [Score("", "score", "", float(seed)), Score("", "other", "", 2.0)]


STUDY = Study(
    "toy",
    lambda seeds: [(name, "nowhere", s) for s in seeds for name in NAMES],
    lambda key: {"key": key},
    compute,
)


def dask_setup(_):
    """What a Dask worker calls when it has loaded this file."""
    STUDIES["toy"] = STUDY
