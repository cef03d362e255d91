"""The structure study: from a super-graph to the graph, method beside method.

Seeds start at 20: those before were looked at while the method was being built. The cases are
labels of simulated scenes (all, or a tenth, or read off pictures), and random SCMs, in the
family that CAM assumes and in one where causes interact. ``ORDER_UNKNOWN`` scores every
order by held-out likelihood and then chooses edges as if the best one were known; its
control draws angles from the normal law that the flow assumes of roots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.discovery import gates
from caufvae_lite.discovery.random_scm import RandomSCM
from caufvae_lite.discovery.rivals import cam, pc
from caufvae_lite.graph import CausalGraph
from caufvae_lite.metrics.structure import edge_scores, shd
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.studies.base import Scores, Study
from caufvae_lite.studies.core import NOISE, SUPERVISION
from caufvae_lite.studies.results import Key, timed
from caufvae_lite.training import fit, labelled_rows
from caufvae_lite.worlds import Pendulum

FIRST_SEED = 20
FEW_SEEDS = 5  # of what takes long: few labels, unknown order
ROWS = 1000
GATES, CAM, PC, ORDER_UNKNOWN = "gates", "CAM", "PC (Fisher z)", "gates, order unknown"
LABEL_WORLDS = ("pendulum", "pendulum-noisy")
NORMAL_WORLDS = tuple(f"{world}, normal angles" for world in LABEL_WORLDS)
FEW_CASES = tuple(f"{w} 10 % {what}" for what in ("labels", "images") for w in LABEL_WORLDS)
SCM_CASES = tuple(f"{f} d={d}" for d in (5, 10) for f in ("additive", "interacting"))
LARGE_CASES = tuple(f"{f} d=20" for f in ("additive", "interacting"))
CASES = (*LABEL_WORLDS, *NORMAL_WORLDS, *FEW_CASES, *SCM_CASES, *LARGE_CASES)


def keys(seeds: Sequence[int]) -> list[Key]:
    """Known order first, then the unknown one; what takes long has fewer seeds, and is last."""
    few = list(seeds)[:FEW_SEEDS]
    plan = (
        (seeds, (*LABEL_WORLDS, *SCM_CASES), (GATES, CAM, PC)),
        (few, (*LABEL_WORLDS, *NORMAL_WORLDS), (ORDER_UNKNOWN,)),
        (few, FEW_CASES, (GATES,)),
        (seeds, LARGE_CASES, (GATES, CAM, PC)),
    )
    return [
        (method, case, FIRST_SEED + seed)
        for some, cases, methods in plan
        for seed in some
        for case in cases
        for method in methods
    ]


def configuration(key: Key) -> dict[str, Any]:
    """Every setting of one run."""
    return {
        "method": key[0], "case": key[1], "seed": key[2], "rows": ROWS, "noise": NOISE,
        "penalties": gates.PENALTIES, "starts": gates.STARTS,
        "folds": gates.FOLDS, "steps": gates.STEPS, "level": gates.LEVEL,
        "hidden": gates.HIDDEN, "log_scale": gates.LOG_SCALE,
    }  # fmt: skip


def data_of(case: str, seed: int) -> tuple[Tensor, CausalGraph]:
    """A case's factors ``(n, d)`` and its true graph.

    ``"… 10 % labels"`` are the labels of a tenth of the 32 × 32 pictures, and ``"… 10 %
    images"`` the factors that a CauF-VAE over the complete graph, trained with only those
    labels, infers from all pictures (a label where there is one).
    """
    if case not in CASES:
        raise ValueError(f"case must be one of {CASES}, got {case!r}.")
    if case in (*SCM_CASES, *LARGE_CASES):
        family, d = case.split(" d=")
        scm = RandomSCM(int(d), family, seed)
        return scm.sample(ROWS, seed + 1), scm.graph
    noise = NOISE if "noisy" in case else 0.0
    if case in LABEL_WORLDS:
        world = Pendulum(16, noise=noise)
        return world.sample(ROWS, seed).factors, world.graph
    if case in NORMAL_WORLDS:
        return _normal_angles(Pendulum(16, noise=noise), seed)
    world = Pendulum(32, noise=noise)
    train, _ = world.grid(seed).split("published")
    known = labelled_rows(len(train), 0.1, seed)
    if case.endswith("labels"):
        return train.factors[known], world.graph
    torch.manual_seed(seed)
    model = CauFVAE(world.graph.order_only(), (3, 32, 32), supervision=SUPERVISION)
    fit(model, train, epochs=8, seed=seed, device="cpu", label_fraction=0.1, progress=False)
    inferred = model.factors(train.images).cpu()
    return torch.where(known[:, None], train.factors, inferred), world.graph


def _normal_angles(world: Pendulum, seed: int) -> tuple[Tensor, CausalGraph]:
    """Scenes whose angles are normal, with the uniform ones' means and deviations."""
    generator = keyed_generator(seed, 0)
    low, high = (torch.tensor([world.ranges[n][k] for n in world.graph.roots]) for k in (0, 1))
    spread = (high - low) / 12**0.5
    angles = (low + high) / 2 + spread * torch.randn(ROWS, 2, generator=generator)
    angles = angles.clamp(torch.tensor([-60.0, 30.0]), torch.tensor([60.0, 150.0]))
    noise = world.exogenous(angles, generator)
    factors = torch.cat([angles, torch.zeros(ROWS, 2)], 1)
    factors[:, 2:] = world.law(factors) + noise
    return factors, world.graph


def compute(key: Key) -> tuple[Scores, dict[str, Any]]:
    """One method on one case: SHD, precision, recall and F1 of its edges."""
    method, case, seed = key
    factors, graph = data_of(case, seed)
    if method == ORDER_UNKNOWN:
        (found, extra), circumstances = timed(lambda: _any_order(factors, graph, seed))
    else:
        found, circumstances = timed(lambda: find(method, factors, graph.order_only(), seed))
        extra = {}
    return {
        "shd": float(shd(graph, found)),
        **edge_scores(graph, found),
        **extra,
    }, circumstances


def find(method: str, factors: Tensor, super_graph: CausalGraph, seed: int) -> CausalGraph:
    """The graph that a method chooses from the edges of ``super_graph``."""
    if method == GATES:
        return gates.find_graph(factors, super_graph, seed).graph
    if method == CAM:
        return cam(factors, super_graph)
    if method == PC:
        return pc(factors, super_graph)
    raise ValueError(f"method must be {GATES!r}, {CAM!r} or {PC!r}, got {method!r}.")


def _any_order(
    factors: Tensor, graph: CausalGraph, seed: int
) -> tuple[CausalGraph, dict[str, float]]:
    """The graph of the likeliest order, the rank of the best right one, and its gap."""
    scores = gates.order_scores(factors, graph.nodes, seed)
    right = [
        rank
        for rank, order in enumerate(scores)
        if set(graph.edges) <= set(gates.complete(order, graph.nodes).edges)
    ]
    values = list(scores.values())
    best = next(iter(scores))
    found = find(GATES, factors, gates.complete(best, graph.nodes), seed)
    gap = values[0] - values[right[0]]
    return found, {"right order's rank": right[0] + 1.0, "right order's gap in nats": gap}


STUDY = Study("structure", keys, configuration, compute, seeds=10)
