r"""From a super-graph to the graph: which of the allowed edges does the data need?

1. *Gates.* Each edge j → i of the super-graph gets a gate g_ij ≥ 0 that multiplies what
   mechanism i reads of z_j. Flow and gates minimise −log p(z) + λ Σ g_ij, with λ rising
   from `PENALTIES`' first value to its last. An edge's *strength* is the λ that shuts its
   gate: a ranking, and no threshold (the path of Lemhadri et al., LassoNet, 2021).
2. *Held-out rows.* Given an order the likelihood is a sum over nodes, so each node chooses
   for itself. Its candidate parents are the k strongest, k = 0, 1, 2, …; each candidate is
   refitted without penalty and scored by log p(z_i | parents) of rows it did not see
   (5-fold). The smallest k is taken that is not significantly worse than the best: a
   one-sided 5 % test of the folds' mean differences, with the variance corrected for
   refits that share rows (Nadeau & Bengio 2003). So what a luckier fit would change is no
   evidence either. In the spirit of the one-standard-error rule (Breiman et al. 1984).

s is bounded so that no mechanism is sharper than a tenth of its factor's standard deviation:
where an effect has no noise, how finely a network traces its law is not evidence for an edge.

This is a comparison of candidates, not an estimate of their score: the ranking has seen all
rows, and each refit stops where its held-out score is best. Both favour larger sets, if
anything.

Nothing here knows the true graph: λ has a range and not a value, and the threshold is the
data's own. What the likelihood cannot see this cannot find: see `order_scores` for an
unknown order, and effects that are functions of their causes (no faithfulness: another
function of the same causes tells as much as a cause).

The data are standardised first, whatever their units.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn
from torch.nn.utils import parametrize

from caufvae_lite.flow import CausalFlow
from caufvae_lite.graph import CausalGraph
from caufvae_lite.mechanisms import Mechanism, RootMechanism, evaluate
from caufvae_lite.randomness import keyed_generator

PENALTIES = (1e-2, 3.0)  # λ, in nats a unit of gate: from "costs nothing" to "shuts all"
STARTS = 3  # fits whose strengths are averaged: where a weak gate shuts is partly luck
LOG_SCALE = (math.log(0.1), 1.0)
FOLDS = 5
STEPS = 150  # of a refit
LEVEL = 0.05  # one-sided
CRITICAL = float(stats.t.ppf(1 - LEVEL, FOLDS - 1))
LARGEST_FAMILY = 8  # parents of one node at most; a cost limit
HIDDEN = 16
AT_A_TIME = 2**20  # hidden units × rows worked on at once

Family = tuple[int, tuple[int, ...]]  # a node and its parents, as columns


class Gates(nn.Module):
    """A parametrisation of a mechanism's first layer: every parent's row times its gate."""

    def __init__(self, parents: int):
        super().__init__()
        self.open = nn.Parameter(torch.ones(parents))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.open.unsqueeze(-1)


class GatedFlow(CausalFlow):
    """A `CausalFlow` over a super-graph, with a gate on every edge (all start at 1)."""

    def __init__(
        self,
        graph: CausalGraph,
        hidden: Sequence[int] = (HIDDEN, HIDDEN),
        log_scale: tuple[float, float] = LOG_SCALE,
    ):
        super().__init__(graph, hidden, log_scale)
        self._gates: dict[int, Gates] = {}
        for i, mechanism in enumerate(self.mechanisms):
            if isinstance(mechanism, Mechanism):
                self._gates[i] = Gates(len(self._parents[i]))
                parametrize.register_parametrization(mechanism.weights, "0", self._gates[i])

    @property
    def gates(self) -> Tensor:
        """``(d, d)``; ``[j, i]`` is the gate of j → i, and 0 where the super-graph has none."""
        matrix = torch.zeros(len(self.graph), len(self.graph))
        for i, gate in self._gates.items():
            matrix[self._parents[i], i] = gate.open.detach().to(matrix)
        return matrix

    def gate_parameters(self) -> list[nn.Parameter]:
        """The gates, one ``(p,)`` parameter a node that has parents."""
        return [gate.open for gate in self._gates.values()]

    @torch.no_grad()
    def pruned(self, graph: CausalGraph) -> CausalFlow:
        """The plain flow over a sub-graph, its weights copied and its gates multiplied in.

        Where only shut gates are left out it is the same function.
        """
        extra = set(graph.edges) - set(self.graph.edges)
        if graph.nodes != self.graph.nodes or extra:
            raise ValueError(f"Not a sub-graph of the flow's: {sorted(extra) or graph.nodes}.")
        flow = CausalFlow(graph, self.hidden, self.log_scale)
        for i, name in enumerate(graph.nodes):
            ours, theirs = self.mechanisms[i], flow.mechanisms[name]
            if not isinstance(ours, Mechanism):
                theirs.load_state_dict(ours.state_dict())
            elif isinstance(theirs, Mechanism):
                kept = [self._parents[i].index(j) for j in flow._parents[i]]
                mine = [ours.weights[0][kept], *ours.weights[1:], *ours.biases]
                for its, value in zip([*theirs.weights, *theirs.biases], mine, strict=True):
                    its.copy_(value)
            elif isinstance(theirs, RootMechanism):  # reads nothing any more: two numbers
                nothing = ours.biases[0].new_zeros(1, len(self._parents[i]))
                raw_scale, shift = evaluate([ours], [nothing])[0, 0]
                theirs.raw_scale.copy_(raw_scale)
                theirs.shift.copy_(shift)
        return flow


@dataclass(frozen=True)
class Found:
    """What `find_graph` found.

    Attributes:
        graph: the chosen graph.
        strength: ``(d, d)``, the λ at which the gate of ``[j, i]`` shut, a geometric mean over
            `STARTS` fits.
        candidates: each node's nested parent sets with their held-out log-likelihood, and
            how much worse than the best they are, in nats a row and in standard errors.
    """

    graph: CausalGraph
    strength: Tensor
    candidates: dict[str, list[tuple[tuple[str, ...], float, float, float]]]


def find_graph(
    factors: Tensor, super_graph: CausalGraph, seed: int = 0, *, steps: int = STEPS
) -> Found:
    """Learn gates, then choose on held-out rows; see above.

    Args:
        factors: ``(n, d)``, columns in the order of ``super_graph.nodes``; NaN is missing.
        super_graph: every edge that is possible; ``graph.order_only()`` knows the order.
        seed: of folds and first weights.
        steps: of each refit.
    """
    paths = [learn_gates(factors, super_graph, seed + 1000 * k)[1] for k in range(STARTS)]
    strength = torch.stack(paths).clamp_min(1e-9).log().mean(0).exp()
    return choose_graph(factors, super_graph, strength, seed, steps=steps)


def learn_gates(
    factors: Tensor,
    super_graph: CausalGraph,
    seed: int = 0,
    *,
    warm_up: int = 150,
    steps: int = 400,
    lr: float = 1e-2,
    weight_decay: float = 0.1,
) -> tuple[GatedFlow, Tensor]:
    """Fit flow and gates to all rows while λ rises.

    Weight decay holds the other weights, which could make up for a small gate.

    Args:
        factors: ``(n, d)``; NaN is missing.
        super_graph: the edges that get a gate.
        seed: of the first weights.
        warm_up, steps: full-batch steps with λ = 0, and with λ rising.

    Returns:
        the flow at the last λ, and the strengths ``(d, d)``.
    """
    x = standardised(factors, super_graph)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = GatedFlow(super_graph)
    strength = torch.zeros(len(super_graph), len(super_graph))
    gates = flow.gate_parameters()
    if not gates:
        return flow, strength
    mine = {id(g) for g in gates}
    others = [p for p in flow.parameters() if id(p) not in mine]
    groups: list[dict[str, Any]] = [
        {"params": others, "weight_decay": weight_decay},
        {"params": gates},
    ]
    optimizer = torch.optim.AdamW(
        groups,
        lr=lr, betas=(0.9, 0.99), weight_decay=0.0,
    )  # fmt: skip
    low, high = PENALTIES
    for step in range(warm_up + steps):
        penalty = 0.0 if step < warm_up else low * (high / low) ** ((step - warm_up) / steps)
        loss = -flow.node_log_prob(x).sum() / len(x)
        loss = loss + penalty * torch.stack([g.sum() for g in gates]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for g in gates:
                g.clamp_(min=0)
        strength[flow.gates > 0] = penalty
    return flow, strength + low * 1e-3 * flow.gates


def choose_graph(
    factors: Tensor,
    super_graph: CausalGraph,
    strength: Tensor,
    seed: int = 0,
    *,
    steps: int = STEPS,
) -> Found:
    """For each node the sparsest nested parents that are not significantly worse; see above.

    Args:
        factors, super_graph: as for `find_graph`.
        strength: ``(d, d)``, which ranks the edges into each node.
        seed, steps: as for `find_graph`.
    """
    x = standardised(factors, super_graph)
    d = len(super_graph)
    if strength.shape != (d, d):
        raise ValueError(f"strength must be ({d}, {d}), got {tuple(strength.shape)}.")
    families: list[Family] = []
    for i, name in enumerate(super_graph.nodes):
        allowed = [super_graph.index(p) for p in super_graph.parents(name)]
        ranked = sorted(allowed, key=lambda j: -float(strength[j, i]))[:LARGEST_FAMILY]
        families += [(i, tuple(ranked[:k])) for k in range(len(ranked) + 1)]
    free = {i for i, name in enumerate(super_graph.nodes) if super_graph.parents(name)}
    families = [family for family in families if family[0] in free]
    scores = held_out_log_prob(x, families, seed, steps=steps)
    fold = folds(len(x), seed)
    edges: list[tuple[str, str]] = []
    table: dict[str, list[tuple[tuple[str, ...], float, float, float]]] = {}
    rows = iter(scores)
    for i, name in enumerate(super_graph.nodes):
        if i not in free:
            continue
        own = [parents for node, parents in families if node == i]
        losses = torch.stack([next(rows) for _ in own])
        means, error = _differences(losses, fold)
        best = means.max()
        worse = best - means
        chosen = own[int((worse <= CRITICAL * error).nonzero()[0])]
        edges += [(super_graph.nodes[j], name) for j in chosen]
        names = [tuple(super_graph.nodes[j] for j in parents) for parents in own]
        scaled = torch.where(worse > 0, worse / error, 0.0)
        numbers = torch.stack([means, worse, scaled], -1).tolist()
        table[name] = [(n, *row) for n, row in zip(names, numbers, strict=True)]
    return Found(CausalGraph(super_graph.nodes, edges), strength, table)


def folds(n: int, seed: int) -> Tensor:
    """``(n,)``, which of the `FOLDS` each row is held out in: as even as can be."""
    fold = torch.empty(n, dtype=torch.long)
    fold[torch.randperm(n, generator=keyed_generator(seed, 0))] = torch.arange(n) % FOLDS
    return fold


def _differences(log_prob: Tensor, fold: Tensor) -> tuple[Tensor, Tensor]:
    """Means ``(m,)`` of ``(m, n)`` scores, and the error of each one's gap to the best.

    The corrected resampled t-test's: σ of the folds' mean gaps times √(1/k + 1/(k − 1)).
    """
    seen = ~torch.isnan(log_prob[0])
    scores, fold = log_prob[:, seen], fold[seen]
    means = scores.mean(1)
    gaps = scores[means.argmax()] - scores
    by_fold = torch.stack([gaps[:, fold == k].mean(1) for k in range(FOLDS)], 1)
    return means, by_fold.std(1) * math.sqrt(1 / FOLDS + 1 / (FOLDS - 1))


def standardised(factors: Tensor, graph: CausalGraph) -> Tensor:
    """``(n, d)`` with mean 0 and variance 1 a column; NaN stays NaN."""
    x = torch.as_tensor(factors, dtype=torch.float32)
    if x.ndim != 2 or x.shape[1] != len(graph):
        raise ValueError(
            f"factors must have shape (n, {len(graph)}), one column for each of "
            f"{list(graph.nodes)}; got {tuple(x.shape)}."
        )
    if torch.isinf(x).any():
        raise ValueError("factors hold an infinite value; use NaN for a missing label.")
    seen = ~torch.isnan(x)
    if (seen.sum(0) < 2 * FOLDS).any():
        raise ValueError(f"Every factor needs {2 * FOLDS} labels or more.")
    mean = x.nanmean(0)
    std = (x - mean).square().nanmean(0).sqrt()
    return (x - mean) / std.clamp_min(1e-12)


def held_out_log_prob(
    x: Tensor,
    families: Sequence[Family],
    seed: int = 0,
    *,
    steps: int = STEPS,
    lr: float = 2e-2,
    weight_decay: float = 0.1,
) -> Tensor:
    """log p(z_i | parents) of every row, by a mechanism that was fitted without it.

    Full-batch AdamW on all families and folds side by side; each family stops at the step
    where its mean over all folds is best. All families of one node are compared on the
    same rows: those where the node and every parent in any of its families is observed.

    Args:
        x: ``(n, d)``, standardised.
        families: (node, parents) as columns; no parents is two numbers, as in the flow.

    Returns:
        ``(len(families), n)``; NaN where the row is not used.
    """
    n, d = x.shape
    needed: dict[int, set[int]] = {}
    for node, parents in families:
        needed.setdefault(node, {node}).update(parents)
    seen = ~torch.isnan(x)
    usable = {i: seen[:, sorted(columns)].all(1) for i, columns in needed.items()}
    filled = torch.where(seen, x, 0.0)
    held_out = folds(n, seed) == torch.arange(FOLDS)[:, None]
    group = max(1, AT_A_TIME // (n * HIDDEN * FOLDS))
    results = []
    for start in range(0, len(families), group):
        part = families[start : start + group]
        rows = torch.stack([usable[node] for node, _ in part])
        mask = torch.zeros(len(part), d)
        for k, (_, parents) in enumerate(part):
            mask[k, list(parents)] = 1.0
        target = filled[:, [node for node, _ in part]].T
        networks = _Networks(mask.repeat_interleave(FOLDS, 0), keyed_generator(seed, 1, start))
        targets = target.repeat_interleave(FOLDS, 0)
        out = held_out.repeat(len(part), 1) & rows.repeat_interleave(FOLDS, 0)
        training = (~held_out.repeat(len(part), 1) & rows.repeat_interleave(FOLDS, 0)).float()
        training /= training.sum(1, keepdim=True).clamp_min(1)
        optimizer = torch.optim.AdamW(
            networks.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay
        )
        best = torch.full((len(part), n), -math.inf)
        for step in range(steps + 1):
            progress = step / steps
            rise, fall = (
                0.1 + 4.5 * progress,
                (1 + math.cos(math.pi * (progress - 0.2) / 0.8)) / 2,
            )
            optimizer.param_groups[0]["lr"] = lr * (rise if progress < 0.2 else fall)
            log_prob = networks(filled, targets)
            if step % 10 == 0:
                now = (log_prob.detach() * out).view(len(part), FOLDS, n).sum(1)
                best[now.sum(1) > best.sum(1)] = now[now.sum(1) > best.sum(1)]
            if step < steps:
                optimizer.zero_grad()
                (-(log_prob * training).sum()).backward()
                optimizer.step()
        results.append(torch.where(rows, best, torch.nan))
    return torch.cat(results) if results else torch.zeros(0, n)


class _Networks(nn.Module):
    """m mechanisms that read different columns of the same rows, as batched products."""

    def __init__(self, mask: Tensor, generator: torch.Generator):
        super().__init__()
        m, d = mask.shape
        self.mask = mask.unsqueeze(-1)

        def uniform(*shape: int, bound: float | Tensor = 1.0) -> nn.Parameter:
            return nn.Parameter(bound * (2 * torch.rand(shape, generator=generator) - 1))

        fan_in = self.mask.sum(1, keepdim=True).clamp_min(1)
        self.w0 = uniform(m, d, HIDDEN, bound=1.7 / fan_in.sqrt())
        self.b0 = uniform(m, 1, HIDDEN)
        self.w1 = uniform(m, HIDDEN, HIDDEN, bound=1.7 / HIDDEN**0.5)
        self.b1 = nn.Parameter(torch.zeros(m, 1, HIDDEN))
        self.w2 = uniform(m, HIDDEN, 2, bound=0.1 / HIDDEN**0.5)
        self.b2 = nn.Parameter(torch.zeros(m, 1, 2))
        low, high = LOG_SCALE
        self.offset = math.log(-low / high)  # starts at s = 0

    def forward(self, x: Tensor, targets: Tensor) -> Tensor:
        """Log-density ``(m, n)`` of ``targets`` ``(m, n)`` given columns of ``x``."""
        low, high = LOG_SCALE
        hidden = F.silu(torch.matmul(x, self.w0 * self.mask) + self.b0)
        hidden = F.silu(torch.baddbmm(self.b1, hidden, self.w1))
        raw, shift = torch.baddbmm(self.b2, hidden, self.w2).unbind(-1)
        log_scale = low + (high - low) * torch.sigmoid(raw + self.offset)
        noise = (targets - shift) * torch.exp(-log_scale)
        return -0.5 * (noise.square() + math.log(2 * math.pi)) - log_scale


# ------------------------------------------------------------------- the order unknown


def order_scores(
    factors: Tensor, graph_nodes: Sequence[str], seed: int = 0
) -> dict[tuple[str, ...], float]:
    """Held-out log-likelihood of every order, in nats a row, best first; d ≤ 5.

    An order is scored by its complete graph; all of them are made of d · 2^(d−1)
    families, each fitted once.
    """
    empty = CausalGraph(graph_nodes)
    d = len(empty)
    if d > 5:
        raise ValueError(f"All orders of {d} factors are too many; 5 is the limit.")
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
