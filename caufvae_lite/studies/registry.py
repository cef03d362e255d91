"""All studies, by the name of their table in ``data/results``."""

from caufvae_lite.studies import (
    core,
    cost,
    digits,
    downstream,
    few_labels,
    identifiability,
    intervals,
    noise,
    scoreboard,
    search,
    starts,
    structure,
)
from caufvae_lite.studies.base import Study

_IN_ORDER = (
    core, identifiability, search, scoreboard, few_labels, intervals, noise, starts, cost,
    downstream, structure, digits,
)  # fmt: skip
STUDIES: dict[str, Study] = {module.STUDY.name: module.STUDY for module in _IN_ORDER}
