r"""How likely are held-out rows, if a factor is said to have these parents and no others?

A *family* is a factor together with a set of parents. Its mechanism is fitted to four fifths
of the rows and scored on the fifth that it did not see, five times over. So every row gets a
log-likelihood from a mechanism that was fitted without it.

The scale of a mechanism is bounded by `LOG_SCALE`: none is sharper than a tenth of its factor's
standard deviation. Where an effect has no noise, how finely a network traces its law is not
evidence for an edge.

A score is not an unbiased estimate, because each fit stops at the step where its held-out score
(the mean over all folds) is best. It serves to compare families.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from caufvae_lite.graph import CausalGraph
from caufvae_lite.mechanisms import Mechanism, ScaleBounds, evaluate, log_density
from caufvae_lite.randomness import keyed_generator

FOLDS = 5
HIDDEN = 16  # width of both hidden layers of a mechanism
LOG_SCALE = (math.log(0.1), 1.0)  # bounds of s, for factors with variance 1
STEPS = 150  # optimiser steps of a fit
SCORED_EVERY = 10  # steps from one look at the held-out rows to the next
PEAK_RATE, START_SHARE = 2e-2, 0.1  # the highest learning rate, and the share it starts from
WARM_UP = 0.2  # share of the steps in which the learning rate rises
WEIGHT_DECAY = 0.1
LARGEST_GROUP = 2**20  # hidden units × rows of the mechanisms that are fitted together

Family = tuple[int, tuple[int, ...]]  # a factor and its parents, as columns


def standardised(factors: Tensor, graph: CausalGraph) -> Tensor:
    """``(n, d)`` with mean 0 and variance 1 in every column; NaN stays NaN.

    Raises:
        ValueError: the shape is wrong, a value is infinite, or a column has too few labels.
    """
    x = torch.as_tensor(factors, dtype=torch.float32)
    if x.ndim != 2 or x.shape[1] != len(graph):
        raise ValueError(
            f"factors must have shape (n, {len(graph)}), one column for each of "
            f"{list(graph.nodes)}; got {tuple(x.shape)}."
        )
    if torch.isinf(x).any():
        raise ValueError("factors hold an infinite value; use NaN for a missing label.")
    labels = (~torch.isnan(x)).sum(0)
    few = [node for node, count in zip(graph.nodes, labels, strict=True) if count < 2 * FOLDS]
    if few:
        raise ValueError(
            f"Every factor needs {2 * FOLDS} labels or more; {few} have fewer. "
            "Label more rows, or leave these factors out."
        )
    centred = x - x.nanmean(0)
    return centred / centred.square().nanmean(0).sqrt().clamp_min(1e-12)


def folds(n: int, seed: int) -> Tensor:
    """``(n,)``, the fold in which each row is held out. The folds are as even as can be."""
    fold = torch.empty(n, dtype=torch.long)
    fold[torch.randperm(n, generator=keyed_generator(seed, 0))] = torch.arange(n) % FOLDS
    return fold


def held_out_log_prob(x: Tensor, families: Sequence[Family], seed: int = 0) -> Tensor:
    """log p(z_i | parents) of every row, by a mechanism that was fitted without it.

    All families of one factor are compared on the same rows: those where the factor and every
    parent in any of its families is observed.

    Args:
        x: ``(n, d)``, standardised; NaN is missing.
        families: (factor, parents) as columns.
        seed: of the folds and of the first weights.

    Returns:
        ``(len(families), n)``; NaN where the row is not used.
    """
    n = len(x)
    needed: dict[int, set[int]] = {}
    for node, parents in families:
        needed.setdefault(node, {node}).update(parents)
    seen = ~torch.isnan(x)
    usable = {node: seen[:, sorted(columns)].all(1) for node, columns in needed.items()}
    filled, held_out = torch.where(seen, x, 0.0), folds(n, seed) == torch.arange(FOLDS)[:, None]
    size = max(1, LARGEST_GROUP // (n * HIDDEN * FOLDS))
    scores = [torch.zeros(0, n)]
    for start in range(0, len(families), size):
        group = families[start : start + size]
        rows = torch.stack([usable[node] for node, _ in group])
        best = _fit_and_score(filled, group, rows, held_out, keyed_generator(seed, 1, start))
        scores.append(torch.where(rows, best, torch.nan))
    return torch.cat(scores)


def _fit_and_score(
    x: Tensor,  # (n, d), without NaN
    families: Sequence[Family],
    rows: Tensor,  # (len(families), n) booleans: the rows that each family may use
    held_out: Tensor,  # (FOLDS, n) booleans: the rows that each fold does not learn from
    generator: torch.Generator,  # of the first weights
) -> Tensor:
    """Each family's held-out log-density ``(len(families), n)`` at its best step.

    All families and folds are fitted side by side, by full-batch AdamW.
    """
    shape = (len(families), FOLDS, len(x))
    held_out = held_out & rows.unsqueeze(1)
    weight = (rows.unsqueeze(1) & ~held_out).float()
    weight /= weight.sum(-1, keepdim=True).clamp_min(1)
    # A family without parents reads a column of zeros, so that its outputs are constants.
    read = [list(parents) for _, parents in families for _ in range(FOLDS)]
    inputs = [x[:, columns] if columns else x.new_zeros(len(x), 1) for columns in read]
    target = x[:, [node for node, _ in families]].T.unsqueeze(1)
    bounded = ScaleBounds(*LOG_SCALE)
    mechanisms, vector = _first_mechanisms(read, x.shape[1], generator)
    optimizer = torch.optim.AdamW([vector], betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY)
    best = torch.full((len(families), len(x)), -math.inf)
    for step in range(STEPS + 1):
        raw, shift = evaluate(mechanisms, inputs).view(*shape, 2).unbind(-1)
        log_scale = bounded(raw)
        log_prob = log_density((target - shift) * torch.exp(-log_scale), log_scale)
        if step % SCORED_EVERY == 0:
            now = (log_prob.detach() * held_out).sum(1)
            better = now.sum(1) > best.sum(1)
            best[better] = now[better]
        if step < STEPS:
            optimizer.param_groups[0]["lr"] = _learning_rate(step / STEPS)
            optimizer.zero_grad(set_to_none=False)
            (-(log_prob * weight).sum()).backward()
            optimizer.step()
    return best


def _first_mechanisms(
    read: Sequence[list[int]], d: int, generator: torch.Generator
) -> tuple[list[Mechanism], nn.Parameter]:
    """Mechanisms that read the given columns, and all their weights as one vector.

    The weights of a layer are drawn at once, as if every mechanism read all d columns; each
    then keeps the rows of its parents. The mechanisms' weights and gradients are views of the
    vector's, so that the optimiser updates one tensor. Hundreds of small ones would cost a
    third more time.
    """

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(len(read), *shape, generator=generator) - 1

    first, first_bias = uniform(d, HIDDEN), uniform(HIDDEN)
    second = 1.7 / HIDDEN**0.5 * uniform(HIDDEN, HIDDEN)
    last = 0.1 / HIDDEN**0.5 * uniform(HIDDEN, 2)
    values = []
    inputs = [columns or [0] for columns in read]
    for k, columns in enumerate(inputs):
        values += [first[k, columns] * (1.7 / len(columns) ** 0.5), second[k], last[k]]
        values += [first_bias[k], torch.zeros(HIDDEN), torch.zeros(2)]
    vector = nn.Parameter(parameters_to_vector(values))
    vector.grad = torch.zeros_like(vector)
    with torch.random.fork_rng(devices=[]):
        mechanisms = [Mechanism(len(columns), (HIDDEN, HIDDEN)) for columns in inputs]
    weights = [p for mechanism in mechanisms for p in mechanism.parameters()]
    vector_to_parameters(vector.detach(), weights)
    gradients = vector.grad.split([p.numel() for p in weights])
    for own, gradient in zip(weights, gradients, strict=True):
        own.grad = gradient.view_as(own)
    return mechanisms, vector


def _learning_rate(progress: float) -> float:
    """One cycle: a straight rise to the peak, then half a cosine down to 0."""
    if progress < WARM_UP:
        return PEAK_RATE * (START_SHARE + (1 - START_SHARE) / WARM_UP * progress)
    return PEAK_RATE * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2
