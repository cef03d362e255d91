"""From data to a graph: our search over a super-graph, and the established ways beside it.

Begin with `find_graph` in ``choice.py``. It ranks edges by gates (``gates.py``) and chooses on
held-out rows (``held_out.py``). ``rivals.py`` has CAM and PC, and ``random_scm.py`` makes
models whose graph is known.
"""

from caufvae_lite.discovery.choice import (
    CRITICAL,
    LEVEL,
    STARTS,
    complete,
    find_graph,
    order_scores,
)
from caufvae_lite.discovery.gates import PENALTIES, learn_gates
from caufvae_lite.discovery.held_out import FOLDS, HIDDEN, LOG_SCALE, STEPS, standardised
from caufvae_lite.discovery.random_scm import RandomSCM
from caufvae_lite.discovery.rivals import cam, pc

__all__ = ["CRITICAL", "FOLDS", "HIDDEN", "LEVEL", "LOG_SCALE", "PENALTIES", "STARTS", "STEPS"]
__all__ += ["RandomSCM", "cam", "complete", "find_graph", "learn_gates", "order_scores", "pc"]
__all__ += ["standardised"]
