r"""From a super-graph to the graph: which of the allowed edges does the data need?

1. *Gates* (`gates.py`) rank the edges into each factor by their strength.
2. *Held-out rows* (`held_out.py`). Given an order the likelihood is a sum over factors, so each
   factor chooses for itself. Its candidate parents are the k strongest, k = 0, 1, 2, …. Each
   candidate is refitted without penalty and scored by log p(z_i | parents) of rows that it did
   not see. The smallest k is taken that is not significantly worse than the best. The test is a
   one-sided one at 5 % of the folds' mean differences, with the variance corrected for refits
   that share rows (Nadeau & Bengio 2003). It is in the spirit of the one-standard-error rule
   (Breiman et al. 1984).

The ranking has seen all rows, and each refit stops where its held-out score is best. Both
favour larger parent sets, if anything.

Nothing here knows the true graph: λ has a range and not a value, and the threshold is the
data's own. What the likelihood cannot see, this search cannot find. One example is the order:
`order_scores` says how likely held-out rows are under every possible one. Another is an effect
that is a function of its causes without noise: another function of the same causes tells as
much as a cause (no faithfulness).
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from caufvae_lite.discovery.gates import learn_gates
from caufvae_lite.discovery.held_out import FOLDS, folds, held_out_log_prob, standardised
from caufvae_lite.graph import CausalGraph

STARTS = 3  # fits whose strengths are averaged, since where a weak gate shuts is partly luck
LEVEL = 0.05  # of the one-sided test
CRITICAL = float(stats.t.ppf(1 - LEVEL, FOLDS - 1))  # of the test, in standard errors
LARGEST_FAMILY = 8  # parents of one factor at most, to limit the cost
MOST_FACTORS = 5  # all their orders are scored


class Candidate(NamedTuple):
    """A parent set that was tried for a factor."""

    parents: tuple[str, ...]
    log_prob: float  # held-out log-likelihood, in nats per row
    worse: float  # how much less that is than the best candidate's
    errors: float  # the same in standard errors


class Found(NamedTuple):
    """What `find_graph` found."""

    graph: CausalGraph
    strength: Tensor  # (d, d): [j, i] is the λ that shut the gate of j → i, a geometric mean
    candidates: dict[str, list[Candidate]]  # nested, of each factor that may have parents


def find_graph(factors: Tensor, super_graph: CausalGraph, seed: int = 0) -> Found:
    """Learn gates, then choose each factor's parents on held-out rows; see above.

    Args:
        factors: ``(n, d)``, columns in the order of ``super_graph.nodes``; NaN is missing.
        super_graph: every edge that is possible; ``graph.order_only()`` knows the order.
        seed: of folds and first weights.
    """
    paths = [learn_gates(factors, super_graph, seed + 1000 * k)[1] for k in range(STARTS)]
    strength = torch.stack(paths).clamp_min(1e-9).log().mean(0).exp()
    return choose_graph(factors, super_graph, strength, seed)


def choose_graph(
    factors: Tensor, super_graph: CausalGraph, strength: Tensor, seed: int = 0
) -> Found:
    """For each factor the fewest strongest parents that are not significantly worse."""
    x, nodes = standardised(factors, super_graph), super_graph.nodes
    families: dict[str, list[tuple[int, tuple[int, ...]]]] = {}  # (factor, parents), as columns
    for i, node in enumerate(nodes):
        if allowed := [super_graph.index(parent) for parent in super_graph.parents(node)]:
            ranked = sorted(allowed, key=lambda j: -float(strength[j, i]))[:LARGEST_FAMILY]
            families[node] = [(i, tuple(ranked[:k])) for k in range(len(ranked) + 1)]
    every = [family for own in families.values() for family in own]
    scores = held_out_log_prob(x, every, seed)
    fold = folds(len(x), seed)
    edges: list[tuple[str, str]] = []
    candidates: dict[str, list[Candidate]] = {}
    for node, own in families.items():
        means, error = _means_and_errors(scores[: len(own)], fold)
        scores = scores[len(own) :]
        worse = means.max() - means
        chosen = int((worse <= CRITICAL * error).nonzero()[0])
        errors = torch.where(worse > 0, worse / error, 0.0)
        names = [tuple(nodes[j] for j in parents) for _, parents in own]
        numbers = torch.stack([means, worse, errors], -1).tolist()
        candidates[node] = [Candidate(n, *row) for n, row in zip(names, numbers, strict=True)]
        edges += [(parent, node) for parent in names[chosen]]
    return Found(CausalGraph(nodes, edges), strength, candidates)


def _means_and_errors(log_prob: Tensor, fold: Tensor) -> tuple[Tensor, Tensor]:
    """Means ``(m,)`` of ``(m, n)`` scores, and the error of each one's gap to the best.

    This is the error of the corrected resampled t-test (Nadeau & Bengio 2003): the standard
    deviation of the folds' mean gaps times √(1/k + 1/(k − 1)).
    """
    seen = ~torch.isnan(log_prob[0])
    scores, fold = log_prob[:, seen], fold[seen]
    means = scores.mean(1)
    gaps = scores[means.argmax()] - scores
    by_fold = torch.stack([gaps[:, fold == k].mean(1) for k in range(FOLDS)], 1)
    return means, by_fold.std(1) * math.sqrt(1 / FOLDS + 1 / (FOLDS - 1))


def order_scores(
    factors: Tensor, nodes: Sequence[str], seed: int = 0
) -> dict[tuple[str, ...], float]:
    """Held-out log-likelihood of every order's complete graph, in nats per row, best first.

    They are all made of d · 2^(d−1) families, each fitted once. More than `MOST_FACTORS`
    factors are a `ValueError`.
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
    return CausalGraph(nodes, itertools.combinations(order, 2))
