"""The structure study: from a super-graph to the graph, four methods beside each other.

Seeds start at 20, because those before were looked at while the method was being built. The
cases are labels of simulated scenes (all, or a tenth, or read off pictures), and random SCMs,
in the family that CAM assumes and in one where causes interact. The machine's eight factors are
both deep and interacting; there DAGMA is a fourth method, which finds an order of its own
(``shd of its own arrows``) before ours turns its arrows. ``ORDER_UNKNOWN`` scores every
order by held-out likelihood and then chooses edges as if the best one were known. Its control
draws angles from the normal law that the flow assumes of roots.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from caufvae_lite import discovery
from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import labelled_rows
from caufvae_lite.discovery.random_scm import RandomSCM
from caufvae_lite.discovery.rivals import DAGMA_STEPS, cam, dagma, oriented, pc
from caufvae_lite.graph import CausalGraph
from caufvae_lite.metrics.graphs import edge_scores, shd
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.studies.base import Key, Study
from caufvae_lite.studies.core import CORE_SUPERVISION, PENDULUM_NOISE, world_of
from caufvae_lite.training import fit
from caufvae_lite.worlds import Machine, Pendulum
from caufvae_lite.worlds.examination import Score

__all__ = [
    "CAM",
    "FEW_CASES",
    "GATES",
    "LABEL_WORLDS",
    "LARGE_CASES",
    "NOISES",
    "NORMAL_WORLDS",
]
__all__ += ["DAGMA", "MACHINE", "ORDER_UNKNOWN", "PC", "PENDULUM_NOISE", "ROWS", "SCM_CASES"]
__all__ += ["STUDY"]

FIRST_SEED = 20
FEW_SEEDS = 5  # of what takes long: few labels, unknown order, DAGMA
ROWS = 1000
GATES, CAM, PC, DAGMA = "gates", "CAM", "PC (Fisher z)", "DAGMA-MLP"
ORDER_UNKNOWN = "gates, order unknown"
MACHINE = "machine"

Data = tuple[Tensor, CausalGraph]  # factors (n, d) and their true graph


def labels_of_scenes(name: str, seed: int) -> Data:
    """All labels of random scenes of a world."""
    world = world_of(name, 16)
    return world.sample(ROWS, seed).factors, world.graph


def few_labels(name: str, source: str, seed: int) -> Data:
    """The labels of a tenth of the 32 × 32 training pictures, or all rows ("images").

    These are what a CauF-VAE over the complete graph, trained with these labels, infers from
    the pictures; a label where there is one.
    """
    world = world_of(name, 32)
    train, _ = world.grid(seed).split("published")
    known = labelled_rows(len(train), 0.1, seed)
    if source == "labels":
        return train.factors[known], world.graph
    torch.manual_seed(seed)
    model = CauFVAE(world.graph.order_only(), (3, 32, 32), supervision=CORE_SUPERVISION)
    fit(
        model, train, epochs=8, seed=seed, device="cpu", label_fraction=0.1, progress=False,
        calibrate=False,
    )  # fmt: skip
    inferred = model.factors(train.images).cpu()
    return torch.where(known[:, None], train.factors, inferred), world.graph


def normal_angles(noise: float, seed: int) -> Data:
    """Scenes whose angles are normal, with the uniform ones' means and deviations."""
    world, generator = Pendulum(16, noise=noise), keyed_generator(seed, 0)
    low, high = torch.tensor([world.ranges[name] for name in world.graph.roots]).T
    spread = (high - low) / 12**0.5
    angles = (low + high) / 2 + spread * torch.randn(ROWS, 2, generator=generator)
    angles = angles.clamp(torch.tensor([-60.0, 30.0]), torch.tensor([60.0, 150.0]))
    own = world.exogenous(angles, generator)
    factors = torch.cat([angles, torch.zeros(ROWS, 2)], 1)
    factors[:, 2:] = world.law(factors) + own
    return factors, world.graph


def random_scm(family: str, d: int, seed: int) -> Data:
    """Samples of a random SCM with d factors."""
    scm = RandomSCM(d, family, seed)
    return scm.sample(ROWS, seed + 1), scm.graph


# Each case's data, as a function of the seed.
NOISES = {"pendulum": 0.0, "pendulum-noisy": PENDULUM_NOISE}
LABEL_WORLDS = {name: partial(labels_of_scenes, name) for name in (*NOISES, MACHINE)}
NORMAL_WORLDS = {f"{k}, normal angles": partial(normal_angles, v) for k, v in NOISES.items()}
FEW_CASES = {
    f"{name} 10 % {source}": partial(few_labels, name, source)
    for source in ("labels", "images")
    for name in (*NOISES, MACHINE)
}
FAMILIES = ("additive", "interacting")
SCM_CASES = {f"{k} d={d}": partial(random_scm, k, d) for d in (5, 10) for k in FAMILIES}
LARGE_CASES = {f"{family} d=20": partial(random_scm, family, 20) for family in FAMILIES}
CASES: dict[str, Callable[[int], Data]] = {
    **LABEL_WORLDS, **NORMAL_WORLDS, **FEW_CASES, **SCM_CASES, **LARGE_CASES
}  # fmt: skip


def keys(seeds: Sequence[int]) -> list[Key]:
    """Known order first, then the unknown one; what takes long has fewer seeds, and is last."""
    few = seeds[:FEW_SEEDS]
    plan = (
        (seeds, (*LABEL_WORLDS, *SCM_CASES), (GATES, CAM, PC)),
        (few, (*NOISES, *NORMAL_WORLDS), (ORDER_UNKNOWN,)),
        (few, tuple(FEW_CASES), (GATES,)),
        (seeds, tuple(LARGE_CASES), (GATES, CAM, PC)),
        (few, (MACHINE,), (DAGMA,)),
    )
    return [
        (method, case, FIRST_SEED + seed)
        for some, cases, methods in plan
        for seed in some
        for case in cases
        for method in methods
    ]


def configuration(key: Key) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if MACHINE in key[1]:
        own["machine"] = Machine.settings[MACHINE].noise
    if key[0] == DAGMA:
        own["dagma"] = DAGMA_STEPS
    return {
        **own,
        "method": key[0], "case": key[1], "seed": key[2], "rows": ROWS, "noise": PENDULUM_NOISE,
        "penalties": discovery.PENALTIES, "starts": discovery.STARTS,
        "folds": discovery.FOLDS, "steps": discovery.STEPS, "level": discovery.LEVEL,
        "hidden": discovery.HIDDEN, "log_scale": discovery.LOG_SCALE,
    }  # fmt: skip


def compute(key: Key) -> list[Score]:
    method, case, seed = key
    factors, graph = CASES[case](seed)
    extra: dict[str, float] = {}
    if method == ORDER_UNKNOWN:
        found, extra = any_order(factors, graph, seed)
    elif method == DAGMA:
        arrows = dagma(factors, graph, seed)
        found = oriented(arrows, graph.order_only())
        extra = {"shd of its own arrows": float(shd(graph.adjacency, arrows))}
    else:
        found = find(method, factors, graph.order_only(), seed)
    scores = {"shd": float(shd(graph, found)), **edge_scores(graph, found), **extra}
    return [Score("", measure, "", value) for measure, value in scores.items()]


def find(method: str, factors: Tensor, super_graph: CausalGraph, seed: int) -> CausalGraph:
    """The graph that a method chooses from the edges of ``super_graph``."""
    if method == GATES:
        return discovery.find_graph(factors, super_graph, seed).graph
    return {CAM: cam, PC: pc}[method](factors, super_graph)


def any_order(
    factors: Tensor, graph: CausalGraph, seed: int
) -> tuple[CausalGraph, dict[str, float]]:
    """The graph of the likeliest order, the rank of the best right one, and its gap."""
    scores = discovery.order_scores(factors, graph.nodes, seed)
    graphs = [discovery.complete(order, graph.nodes) for order in scores]
    right = [k for k, g in enumerate(graphs) if set(graph.edges) <= set(g.edges)]
    values = list(scores.values())
    found = find(GATES, factors, graphs[0], seed)
    gap = values[0] - values[right[0]]
    return found, {"right order's rank": right[0] + 1.0, "right order's gap in nats": gap}


STUDY = Study("structure", keys, configuration, compute, seeds=10)
