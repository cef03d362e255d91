"""If the causal order is unknown: how likely are held-out rows under every possible order?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor

from caufvae_lite.discovery.held_out import held_out_log_prob, standardised
from caufvae_lite.graph import CausalGraph

__all__ = ["complete", "order_scores"]

MOST_FACTORS = 5  # all their orders are scored


def order_scores(
    factors: Tensor, nodes: Sequence[str], seed: int = 0
) -> dict[tuple[str, ...], float]:
    """Held-out log-likelihood of every order, in nats a row, best first.

    An order is scored by its complete graph; all of them are made of d · 2^(d−1)
    families, each fitted once.

    Raises:
        ValueError: there are more than `MOST_FACTORS` factors.
    """
    empty = CausalGraph(nodes)
    d = len(empty)
    if d > MOST_FACTORS:
        raise ValueError(
            f"All orders of {d} factors are too many; {MOST_FACTORS} is the limit. "
            "Give find_graph an order that you know."
        )
    x = standardised(factors, empty)
    families = [
        (i, parents)
        for i in range(d)
        for k in range(d)
        for parents in itertools.combinations([j for j in range(d) if j != i], k)
    ]
    means = held_out_log_prob(x, families, seed).nanmean(1).tolist()
    score = dict(zip(families, means, strict=True))
    totals = {
        tuple(empty.nodes[i] for i in order): sum(
            score[i, tuple(sorted(order[:k]))] for k, i in enumerate(order)
        )
        for order in itertools.permutations(range(d))
    }
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def complete(order: Sequence[str], nodes: Sequence[str]) -> CausalGraph:
    """Every edge that ``order`` allows, columns in the order of ``nodes``."""
    return CausalGraph(nodes, [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]])
