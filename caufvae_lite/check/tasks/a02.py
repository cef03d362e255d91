"""Assignment 02: a graph's mask, the walk through it, and the walk of do()."""

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.properties import (
    log_det_of_differences,
    nudged,
    untouched,
)
from caufvae_lite.check.tasks.a01 import draws
from caufvae_lite.check.values import Laws
from caufvae_lite.check.variants import Variant
from caufvae_lite.graph import CausalGraph


def random_graph(rng: np.random.Generator, d: int, chance: float = 0.6) -> CausalGraph:
    """At least one arrow backwards in node order, so that the order alone misleads."""
    order = rng.permutation(d)
    if (order == np.arange(d)).all():
        order = order[::-1]
    a = np.zeros((d, d), bool)
    for i in range(d):
        for j in range(i + 1, d):
            a[order[i], order[j]] = j == i + 1 or rng.random() < chance
    return CausalGraph.from_adjacency(a)


def walk(v: Variant, noise: Tensor, graph: CausalGraph, laws: Laws, do: dict | None = None):
    """The textbook's loop, one factor after another."""
    found: dict[str, Tensor] = {}
    scales = []
    for name in nx.topological_sort(nx.DiGraph(graph.digraph)):
        i = graph.index(name)
        parents = [found[p] for p in graph.parents(name)]
        read = torch.stack(parents, -1) if parents else noise[:, :0]
        s, t = laws(i, read)
        found[name] = noise[:, i] * s.exp() + t
        scales.append(s)
        if do and name in do:
            found[name] = torch.full_like(noise[:, i], do[name])
    return torch.stack([found[n] for n in graph.nodes], -1), sum(scales, noise.new_zeros(()))


def abduct(v: Variant, factors: Tensor, graph: CausalGraph, laws: Laws):
    pairs = [
        laws(i, factors[:, [graph.index(p) for p in graph.parents(n)]])
        for i, n in enumerate(graph.nodes)
    ]
    s, t = (torch.stack(x, -1) for x in zip(*pairs, strict=True))
    return (factors - t) / s.exp(), -s.sum(-1)


def do_walk(v: Variant, noise: Tensor, graph: CausalGraph, laws: Laws, do: dict) -> Tensor:
    return walk(v, noise, graph, laws, do)[0]


def imagine(v: Variant, factors: Tensor, graph: CausalGraph, laws: Laws, do: dict) -> Tensor:
    return do_walk(v, abduct(v, factors, graph, laws)[0], graph, laws, do)


def overwritten(values: Tensor, graph: CausalGraph, do: dict) -> Tensor:
    values = values.clone()
    for name, value in do.items():
        values[:, graph.index(name)] = value
    return values


def imagined_day(v: Variant) -> list[float]:
    graph, slopes, day = v["graph"], v["slopes"], v["day"]
    done: dict[str, float] = {}
    for name in (n for generation in graph.generations for n in generation):
        change = sum(slopes[p, name] * (done[p] - day[p]) for p in graph.parents(name))
        done[name] = v["set_to"] if name == v["middle"] else day[name] + change
    return [done[name] for name in graph.nodes]


def cases(rng: np.random.Generator, do: bool):
    for n, d in ((5, 4), (3, 6), (4, 3)):
        graph = random_graph(rng, d)
        laws, noise = Laws.draw(graph, rng), draws(rng, n, d)
        chosen = {graph.generations[1][0]: 0.7, graph.generations[-1][0]: -1.1}
        some = {k: chosen[k] for k in list(chosen)[: 1 + n % 2]}
        yield (noise, graph, laws, some) if do else (noise, graph, laws)
    if not do:
        graph = random_graph(rng, 4)
        yield torch.from_numpy(nudged(rng, 4)), graph, Laws.draw(graph, rng)


def graphs(v: Variant, rng: np.random.Generator):
    return [(v["graph"],), *((random_graph(rng, d, 0.4),) for d in (3, 4, 6))]


EXERCISES = [
    Exercise(
        "02-mask", "The mask of a graph", "mask_of", 2, (3, 8, "easy"),
        lambda v, g: np.array([[q in g.parents(p) for q in g.nodes] for p in g.nodes]),
        "Row i says which factors i reads: adjacency[j, i] is True where j → i.", graphs,
        {"This is the adjacency, row i of which says whom i causes. A mask says whom i reads.":
             lambda v, g: g.adjacency,
         "No factor reads itself: the diagonal is False.":
             lambda v, g: g.adjacency.T | np.eye(len(g), dtype=bool),
         "These are all ancestors; a factor reads its parents only.":
             lambda v, g: np.array([[q in g.ancestors(p) for q in g.nodes] for p in g.nodes])},
    ),
    Exercise(
        "02-walk", "From noise to factors", "walk", 3, (9, 20, "medium"),
        walk, "Take the generations in turn, and read the parents' finished values.",
        lambda v, rng: cases(rng, do=False),
        {"The parents' values are read after they were made, not their noises.":
             lambda v, e, g, f: (lambda s_t: (e * s_t[0].exp() + s_t[1], s_t[0].sum(-1)))(
                 [torch.stack(x, -1) for x in zip(*(
                     f(i, e[:, [g.index(p) for p in g.parents(n)]])
                     for i, n in enumerate(g.nodes)), strict=True)])},
        (log_det_of_differences(),), gradient=0,
    ),
    Exercise(
        "02-abduct", "From factors to noise", "abduct", 2, (5, 12, "medium"),
        abduct, "All factors are known, so every factor's parents can be read at once.",
        lambda v, rng: cases(rng, do=False),
        {"The log-determinant of the way back has the other sign.":
             lambda v, z, g, f: (abduct(v, z, g, f)[0], -abduct(v, z, g, f)[1])},
        (log_det_of_differences(),),
    ),
    Exercise(
        "02-do", "The walk of do()", "do_walk", 3, (9, 15, "medium"),
        do_walk, "Overwrite during the walk, before the children are made.",
        lambda v, rng: cases(rng, do=True),
        {"The values were overwritten at the end: the descendants never heard of it.":
             lambda v, e, g, f, do: overwritten(walk(v, e, g, f)[0], g, do),
         "do() sets the factor; this sets its noise.":
             lambda v, e, g, f, do: walk(v, overwritten(e, g, do), g, f)[0]},
    ),
    Exercise(
        "02-imagine", "Abduction, action, prediction", "imagine", 3, (3, 10, "medium"),
        imagine, "First the noise behind these factors, then the walk of do() with it.",
        lambda v, rng: cases(rng, do=True),
        {"The factors were taken for noise: abduction is missing.": do_walk},
        (untouched,), uses=("02-abduct", "02-do"),
    ),
    Exercise(
        "02-day", "A day by hand", "imagined_day", 2, (6, 12, "easy"),
        imagined_day, "Find each ε from the day, set one factor, and compute what follows.",
        suspects={
            "Only the factor that was set has changed: its effects follow it.":
                lambda v: [v["set_to"] if n == v["middle"] else v["day"][n]
                           for n in v["graph"].nodes]},
        varies=True, tolerance=2e-3,
    ),
]  # fmt: skip
