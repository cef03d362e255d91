"""Assignment 02: a graph's mask, the walk through it, and the walk of do()."""

from typing import Any

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
        raw, t = laws(i, read)
        scales.append(v["gain"] * raw)
        found[name] = noise[:, i] * scales[-1].exp() + t
        if do and name in do:
            found[name] = torch.full_like(noise[:, i], do[name])
    return torch.stack([found[n] for n in graph.nodes], -1), sum(scales, noise.new_zeros(()))


def in_node_order(v: Variant, noise: Tensor, graph: CausalGraph, laws: Laws):
    """What comes of taking the columns as they stand: some causes are not there yet."""
    found, scales = torch.zeros_like(noise), []
    for i, name in enumerate(graph.nodes):
        raw, t = laws(i, found[:, [graph.index(p) for p in graph.parents(name)]])
        scales.append((v["gain"] * raw).expand(len(noise)))
        found[:, i] = noise[:, i] * scales[-1].exp() + t
    return found, torch.stack(scales).sum(0)


def abduct(v: Variant, factors: Tensor, graph: CausalGraph, laws: Laws):
    pairs = [
        laws(i, factors[:, [graph.index(p) for p in graph.parents(n)]])
        for i, n in enumerate(graph.nodes)
    ]
    raw, t = (torch.stack(x, -1) for x in zip(*pairs, strict=True))
    return (factors - t) / (v["gain"] * raw).exp(), -v["gain"] * raw.sum(-1)


def do_walk(v: Variant, noise: Tensor, graph: CausalGraph, laws: Laws, do: dict) -> Tensor:
    return walk(v, noise, graph, laws, do)[0]


def imagine(v: Variant, factors: Tensor, graph: CausalGraph, laws: Laws, do: dict) -> Tensor:
    return told(v, do_walk(v, abduct(v, factors, graph, laws)[0], graph, laws, do), factors)


def told(v: Variant, imagined: Tensor, factors: Tensor) -> Tensor:
    """Imagined factors as the year asks for them: values, or changes."""
    if v["imagined"] == "values":
        return imagined
    change = imagined - factors
    return change if v["imagined"] == "change" else change.mean(0)


def beside(v: Variant, arguments: tuple, got: Any) -> str:
    """What ``do`` cannot reach stays as it was."""
    before = arguments[0].numpy()
    if v["imagined"] == "values":
        return untouched(v, arguments, got)
    moved = before + np.broadcast_to(np.asarray(got), before.shape)
    return untouched(v, arguments, moved)


def mask_from(v: Variant, reads: np.ndarray) -> np.ndarray:
    """A table of who reads whom, as the year asks for it."""
    if v["mask"].endswith("itself"):
        reads = reads | np.eye(len(reads), dtype=bool)
    return ~reads if "not" in v["mask"] else reads


def parents_of(graph: CausalGraph) -> np.ndarray:
    return np.array([[q in graph.parents(p) for q in graph.nodes] for p in graph.nodes])


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


def without_noise(v: Variant) -> list[float]:
    graph, slopes = v["graph"], v["slopes"]
    done: dict[str, float] = {}
    for name in (n for generation in graph.generations for n in generation):
        parents = graph.parents(name)
        made = sum(slopes[p, name] * done[p] for p in parents) if parents else v["day"][name]
        done[name] = v["set_to"] if name == v["middle"] else made
    return [done[name] for name in graph.nodes]


def cases(rng: np.random.Generator, do: bool):
    for n, d in ((5, 4), (3, 6), (4, 3)):
        graph = random_graph(rng, d)
        laws, noise = Laws.draw(graph, rng), draws(rng, n, d)
        value = 0.0 if d == 6 else 0.7  # which is a value, too
        chosen = {graph.generations[1][0]: value, graph.generations[-1][0]: -1.1}
        some = {k: chosen[k] for k in list(chosen)[: 1 + n % 2]}
        yield (noise, graph, laws, some) if do else (noise, graph, laws)
    if not do:
        graph = random_graph(rng, 4)
        yield torch.from_numpy(nudged(rng, 4)), graph, Laws.draw(graph, rng)


def graphs(v: Variant, rng: np.random.Generator):
    return [(v["graph"],), *((random_graph(rng, d, 0.4),) for d in (3, 4, 6))]


EXERCISES = [
    Exercise(
        "02-mask", "The mask of a graph", "mask_of", 2, (3, 6, "easy"),
        lambda v, graph: mask_from(v, parents_of(graph)),
        "Row i says which factors i reads: adjacency[j, i] is True where j → i.", graphs,
        {"This is the adjacency, row i of which says whom i causes. A mask says whom i reads.":
             lambda v, g: mask_from(v, g.adjacency),
         "The diagonal is wrong: may a factor read itself?":
             lambda v, g: mask_from(v, parents_of(g)) ^ np.eye(len(g), dtype=bool),
         "True and False are exchanged: what does True mean this year?":
             lambda v, g: ~mask_from(v, parents_of(g)),
         "These are all ancestors; a factor reads its parents only.":
             lambda v, g: mask_from(v, np.array([[q in g.ancestors(p) for q in g.nodes]
                                                 for p in g.nodes]))},
        varies=True,
    ),
    Exercise(
        "02-walk", "From noise to factors", "walk", 3, (10, 18, "medium"),
        walk, "Take the generations in turn, and read the parents' finished values.",
        lambda v, rng: cases(rng, do=False),
        {"A factor was made before its causes: take the generations in turn.": in_node_order,
         "The parents' values are read after they were made, not their noises.":
             lambda v, e, g, f: (lambda r_t: (e * (v["gain"] * r_t[0]).exp() + r_t[1],
                                              v["gain"] * r_t[0].sum(-1)))(
                 [torch.stack(x, -1) for x in zip(*(
                     f(i, e[:, [g.index(p) for p in g.parents(n)]])
                     for i, n in enumerate(g.nodes)), strict=True)])},
        (log_det_of_differences(),), gradient=(0,), varies=True,
    ),
    Exercise(
        "02-abduct", "From factors to noise", "abduct", 2, (6, 9, "medium"),
        abduct, "All factors are known, so every factor's parents can be read at once.",
        lambda v, rng: cases(rng, do=False),
        {"The log-determinant of the way back has the other sign.":
             lambda v, z, g, f: (abduct(v, z, g, f)[0], -abduct(v, z, g, f)[1]),
         "The shift has to go before the scale is undone.":
             lambda v, z, g, f: (lambda r_t: (
                 z * (-v["gain"] * r_t[0]).exp() - r_t[1], -v["gain"] * r_t[0].sum(-1)))(
                 [torch.stack(x, -1) for x in zip(*(
                     f(i, z[:, [g.index(p) for p in g.parents(n)]])
                     for i, n in enumerate(g.nodes)), strict=True)])},
        (log_det_of_differences(),), varies=True,
    ),
    Exercise(
        "02-do", "The walk of do()", "do_walk", 3, (10, 9, "medium"),
        do_walk, "Overwrite during the walk, before the children are made.",
        lambda v, rng: cases(rng, do=True),
        {"The values were overwritten at the end: the descendants never heard of it.":
             lambda v, e, g, f, do: overwritten(walk(v, e, g, f)[0], g, do),
         "do() sets the factor; this sets its noise.":
             lambda v, e, g, f, do: walk(v, overwritten(e, g, do), g, f)[0],
         "A value of 0 is a value, too: ask whether the name is in do.":
             lambda v, e, g, f, do: walk(v, e, g, f, {k: x for k, x in do.items() if x})[0],
         "Nothing was set: this is the walk without do().":
             lambda v, e, g, f, do: walk(v, e, g, f)[0]},
        varies=True,
    ),
    Exercise(
        "02-imagine", "Abduction, action, prediction", "imagine", 3, (3, 5, "medium"),
        imagine, "First the noise behind these factors, then the walk of do() with it.",
        lambda v, rng: cases(rng, do=True),
        {"The factors were taken for noise: abduction is missing.":
             lambda v, z, g, f, do: told(v, do_walk(v, z, g, f, do), z),
         "What is asked for this year: the values themselves, or how they change?":
             lambda v, z, g, f, do: imagine(
                 {**v, "imagined": "change" if v["imagined"] == "values" else "values"},
                 z, g, f, do),
         "Only what was set has changed: its effects follow it.":
             lambda v, z, g, f, do: told(v, overwritten(z, g, do), z),
         "The change was turned round: it is imagined minus actual.":
             lambda v, z, g, f, do: -imagine(v, z, g, f, do)},
        (beside,), uses=("02-abduct", "02-do"), varies=True,
    ),
    Exercise(
        "02-day", "A day by hand", "imagined_day", 2, (6, 10, "easy"),
        imagined_day, "Find each ε from the day, set one factor, and compute what follows.",
        suspects={
            "Only the factor that was set has changed: its effects follow it.":
                lambda v: [v["set_to"] if n == v["middle"] else v["day"][n]
                           for n in v["graph"].nodes],
            "The numbers are right, and their order is not that of graph.nodes.":
                lambda v: [dict(zip(v["graph"].nodes, imagined_day(v), strict=True))[n]
                           for g in v["graph"].generations for n in g],
            "The day's own noises are missing: they stay what they were.":
                without_noise},
        varies=True, tolerance=5e-4,
    ),
]  # fmt: skip
