"""All studies, by the name of their table in ``data/results``."""

from caufvae_lite import (
    assumptions,
    board,
    cost,
    digits_study,
    downstream,
    experiments,
    search,
    structure_study,
)
from caufvae_lite.study import Study

_MODULES = (
    experiments,
    assumptions,
    search,
    board,
    cost,
    downstream,
    structure_study,
    digits_study,
)
STUDIES: dict[str, Study] = {module.STUDY.name: module.STUDY for module in _MODULES}
