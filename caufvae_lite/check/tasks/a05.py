"""Assignment 05: three questions, an answer in pictures, and how right it is."""

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.tasks.a01 import draws
from caufvae_lite.check.tasks.a02 import do_walk, overwritten, random_graph
from caufvae_lite.check.values import Laws, Net
from caufvae_lite.check.variants import Variant
from caufvae_lite.graph import CausalGraph


def three_answers(v: Variant) -> list[float]:
    """x = a·h + ε_x and y = b·x + c·h + ε_y, all noises N(0, 1)."""
    (a, b, c, value, _), (x, y) = v["ladder"], v["person"]
    return [b * value + c * a * value / (a * a + 1), b * value, y + b * (value - x)]


def seen_for_all(v: Variant) -> list[float]:
    return [three_answers(v)[0]] * 3


def pictured(v: Variant, images: Tensor, encode: Net, graph, laws, decode: Net, do) -> Tensor:
    noise = encode(images)
    return decode(do_walk(v, noise, graph, laws, do))


def forgotten(v: Variant, images, encode, graph, laws, decode, do) -> Tensor:
    return decode(overwritten(do_walk(v, encode(images), graph, laws, {}), graph, do))


def picture_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((3, 4), (2, 5)):
        graph = random_graph(rng, d)
        do = {graph.generations[1][0]: 0.9}
        yield (torch.from_numpy(rng.random((n, 1, 4, 4))), Net.draw(rng, 16, d), graph,
               Laws.draw(graph, rng), Net.draw(rng, d, 16), do)  # fmt: skip


def leakage(v: Variant, before: Tensor, after: Tensor, graph: CausalGraph, do, std) -> float:
    reach = graph.affected(do)
    kept = [i for i, n in enumerate(graph.nodes) if n not in reach]
    return (((after - before).abs() / std)[:, kept]).mean().item()


def leakage_cases(v: Variant, rng: np.random.Generator):
    for d in (4, 6):
        graph = random_graph(rng, d, 0.2)
        do = {graph.generations[-1][0]: 1.0, graph.generations[1][0]: 0.0}
        z = draws(rng, 8, d)
        yield z, z + 0.3 * draws(rng, 8, d), graph, do, torch.from_numpy(rng.uniform(1, 4, d))


def r2(v: Variant, truth: Tensor, imagined: Tensor) -> Tensor:
    return 1 - (truth - imagined).square().mean(0) / truth.var(0, unbiased=False)


def covered(v: Variant, draws_: Tensor, truth: Tensor) -> Tensor:
    outside = (1 - v["level"]) / 2
    low, high = draws_.quantile(outside, 0), draws_.quantile(1 - outside, 0)
    return ((low <= truth) & (truth <= high)).double().mean(0)


def r2_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((30, 2), (50, 4)):
        truth = draws(rng, n, d) * torch.arange(1, d + 1) + 1
        yield truth, 0.7 * truth + 0.5 + 0.4 * draws(rng, n, d)


EXERCISES = [
    Exercise(
        "05-three", "Three questions, three answers", "three_answers", 3, (5, 20, "hard"),
        three_answers, "Seeing x tells about h; doing does not; imagining keeps this person's "
        "own noises.",
        suspects={"Seeing, doing and imagining are three questions with three answers.":
                  seen_for_all},
        varies=True, tolerance=2e-3,
    ),
    Exercise(
        "05-picture", "What would the picture have been?", "counterfactual", 3,
        (3, 12, "medium"), pictured,
        "Images to noise, noise to factors under do(), factors to images.", picture_cases,
        {"The factor was overwritten at the end: its effects are the old ones.": forgotten,
         "Nothing was set: this is the reconstruction.":
             lambda v, x, e, g, f, dec, do: dec(do_walk(v, e(x), g, f, {}))},
    ),
    Exercise(
        "05-leakage", "What may not move", "leakage", 2, (5, 12, "medium"),
        leakage, "Only factors that do() cannot reach count; changes are in standard "
        "deviations.", leakage_cases,
        {"Factors that do() may change are counted too.":
             lambda v, a, b, g, do, s: ((b - a).abs() / s).mean().item(),
         "Changes up and down cancel: take absolute values.":
             lambda v, a, b, g, do, s: leakage(v, a, b, g, do, s)
             if (b < a).sum() == 0 else ((b - a) / s)[:, [
                 i for i, n in enumerate(g.nodes) if n not in g.affected(do)]].mean().item()},
    ),
    Exercise(
        "05-r2", "R² without a second chance", "effect_r2", 2, (3, 8, "easy"),
        r2, "1 − MSE / variance of the truth, for every factor apart.", r2_cases,
        {"A squared correlation forgives a wrong scale and a wrong offset; R² does not.":
             lambda v, t, p: ((t - t.mean(0)) * (p - p.mean(0))).mean(0) ** 2
             / (t.var(0, unbiased=False) * p.var(0, unbiased=False))},
    ),
    Exercise(
        "05-interval", "How often is the truth inside?", "coverage", 2, (4, 12, "medium"),
        covered, "Leave out (1 − level)/2 of the draws on either side.",
        lambda v, rng: [(draws(rng, 60, n, d), 1.1 * draws(rng, n, d))
                        for n, d in ((20, 3), (50, 2))],
        {"Everything outside was cut off on both sides: (1 − level)/2 goes on each.":
             lambda v, k, t: ((k.quantile(1 - v["level"], 0) <= t)
                              & (t <= k.quantile(v["level"], 0))).double().mean(0)},
        varies=True,
    ),
]  # fmt: skip
