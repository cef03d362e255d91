"""From data to a graph: gates over a super-graph, and the established ways beside them."""

from caufvae_lite.discovery.gates import (
    CRITICAL,
    LOG_SCALE,
    complete,
    find_graph,
    learn_gates,
    order_scores,
    standardised,
)
from caufvae_lite.discovery.random_scm import RandomSCM
from caufvae_lite.discovery.rivals import cam, pc

__all__ = [
    "CRITICAL",
    "LOG_SCALE",
    "RandomSCM",
    "cam",
    "complete",
    "find_graph",
    "learn_gates",
    "order_scores",
    "pc",
    "standardised",
]
