"""Assignment 05: three questions, an answer in pictures, and how right it is."""

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.tasks.a01 import draws
from caufvae_lite.check.tasks.a02 import abduct, do_walk, overwritten, random_graph
from caufvae_lite.check.values import Laws, Net
from caufvae_lite.check.variants import Variant
from caufvae_lite.graph import CausalGraph


def three_answers(v: Variant) -> list[float]:
    """x = a·h + ε_x and y = b·x + c·h + ε_y, all noises N(0, 1)."""
    (a, b, c, value), (x, y) = v["ladder"], v["person"]
    return [b * value + c * a * value / (a * a + 1), b * value, y + b * (value - x)]


def seen_for_all(v: Variant) -> list[float]:
    return [three_answers(v)[0]] * 3


def h_from_x_alone(v: Variant) -> list[float]:
    a, b, c, value = v["ladder"]
    return [(b + c / a) * value, *three_answers(v)[1:]]


def pictured(v: Variant, images: Tensor, encode: Net, graph, laws, decode: Net, do) -> Tensor:
    return decode(do_walk(v, noise_of(v, images, encode, graph, laws), graph, laws, do))


def noise_of(v: Variant, images: Tensor, encode: Net, graph, laws) -> Tensor:
    found = encode(images)
    return found if v["encoder"] == "noise" else abduct(v, found, graph, laws)[0]


def forgotten(v: Variant, images, encode, graph, laws, decode, do) -> Tensor:
    noise = noise_of(v, images, encode, graph, laws)
    return decode(overwritten(do_walk(v, noise, graph, laws, {}), graph, do))


def picture_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((3, 4), (2, 5)):
        graph = random_graph(rng, d)
        do = {graph.generations[1][0]: 0.9}
        yield (torch.from_numpy(rng.random((n, 1, 4, 4))), Net.draw(rng, 16, d), graph,
               Laws.draw(graph, rng), Net.draw(rng, d, 16), do)  # fmt: skip


def leakage(v: Variant, before: Tensor, after: Tensor, graph: CausalGraph, do, std) -> float:
    reach = graph.affected(do)
    kept = [i for i, n in enumerate(graph.nodes) if n not in reach]
    return summed(v, ((after - before).abs() / std)[:, kept])


def summed(v: Variant, changes: Tensor) -> float:
    """Many changes in the year's one number."""
    if v["summary"] == "root mean square":
        return float(np.sqrt(np.mean(changes.numpy() ** 2)))
    means = changes.numpy().mean(0)
    return float(means.max() if v["summary"] == "largest" else means.mean())


def leakage_cases(v: Variant, rng: np.random.Generator):
    for d in (4, 6, 7):
        graph = random_graph(rng, d, 0.2)
        do = {graph.generations[-1][0]: 1.0}
        if d != 6:  # where several factors are out of reach
            do[graph.generations[1][0]] = 0.0
        z = draws(rng, 8, d)
        yield z, z + 0.3 * draws(rng, 8, d), graph, do, torch.from_numpy(rng.uniform(1, 4, d))


def r2(v: Variant, truth: Tensor, imagined: Tensor) -> Tensor:
    return 1 - (truth - imagined).square().mean(0) / truth.var(0, unbiased=False)


def covered(v: Variant, samples: Tensor, truth: Tensor) -> Tensor:
    outside = (1 - v["level"]) / 2
    low, high = samples.quantile(outside, 0), samples.quantile(1 - outside, 0)
    return ((low <= truth) & (truth <= high)).double().mean(0)


def r2_cases(v: Variant, rng: np.random.Generator):
    for n, d in ((30, 2), (50, 4)):
        truth = draws(rng, n, d) * torch.arange(1, d + 1) + 1
        yield truth, 0.7 * truth + 0.5 + 0.4 * draws(rng, n, d)


EXERCISES = [
    Exercise(
        "05-three", "Three questions, three answers", "three_answers", 3, (5, 18, "hard"),
        three_answers, "Seeing x tells about h; doing does not; imagining keeps this person's "
        "own noises.",
        suspects={"Seeing, doing and imagining are three questions with three answers.":
                  seen_for_all,
                  "Seeing and doing were exchanged.":
                  lambda v: [three_answers(v)[k] for k in (1, 0, 2)],
                  "h is not x / a: x has a noise of its own, so x tells only a part of h.":
                  h_from_x_alone},
        varies=True, tolerance=5e-4,
    ),
    Exercise(
        "05-picture", "What would the picture have been?", "counterfactual", 3,
        (3, 9, "medium"), pictured,
        "Images to noise, noise to factors under do(), factors to images.", picture_cases,
        {"The factor was overwritten at the end: its effects are the old ones.": forgotten,
         "Nothing was set: this is the reconstruction.":
             lambda v, x, e, g, f, dec, do: pictured(v, x, e, g, f, dec, {}),
         "What does this year's encoder read off a picture, noise or factors?":
             lambda v, *rest: pictured(
                 {**v, "encoder": "factors" if v["encoder"] == "noise" else "noise"}, *rest)},
        varies=True,
    ),
    Exercise(
        "05-leakage", "What may not move", "leakage", 2, (5, 11, "medium"),
        leakage, "Only factors that do() cannot reach count; changes are in standard "
        "deviations.", leakage_cases,
        {"Only what was set was left out: its descendants may move, too.":
             lambda v, a, b, g, do, s: summed(v, ((b - a).abs() / s)[:, [
                 i for i, n in enumerate(g.nodes) if n not in do]]),
         "Children of what was set were left out; their own children may move as well.":
             lambda v, a, b, g, do, s: summed(v, ((b - a).abs() / s)[:, [
                 i for i, n in enumerate(g.nodes)
                 if n not in do and not set(g.parents(n)) & set(do)]]),
         "Factors that do() may change are counted too.":
             lambda v, a, b, g, do, s: summed(v, (b - a).abs() / s),
         "Changes up and down cancel: take absolute values.":
             lambda v, a, b, g, do, s: summed(v, ((b - a) / s)[:, [
                 i for i, n in enumerate(g.nodes) if n not in g.affected(do)]]),
         **{f"This is the {one} of the changes; another summary is asked for.":
             lambda v, *rest, one=one: leakage({**v, "summary": one}, *rest)
            for one in ("mean", "largest", "root mean square")}},
        varies=True,
    ),
    Exercise(
        "05-r2", "R² without a second chance", "effect_r2", 2, (3, 5, "easy"),
        r2, "1 − MSE / variance of the truth, for every factor apart.", r2_cases,
        {"A squared correlation forgives a wrong scale and a wrong offset; R² does not.":
             lambda v, t, p: ((t - t.mean(0)) * (p - p.mean(0))).mean(0) ** 2
             / (t.var(0, unbiased=False) * p.var(0, unbiased=False)),
         "The variance was divided by n − 1; the mean squared error is divided by n.":
             lambda v, t, p: 1 - (t - p).square().mean(0) / t.var(0)},
    ),
    Exercise(
        "05-interval", "How often is the truth inside?", "coverage", 2, (4, 9, "medium"),
        covered, "Leave out (1 − level)/2 of the draws on either side.",
        lambda v, rng: [(draws(rng, 60, n, d), 1.1 * draws(rng, n, d))
                        for n, d in ((20, 3), (50, 2))],
        {"Everything outside was cut off on both sides: (1 − level)/2 goes on each.":
             lambda v, k, t: ((k.quantile(1 - v["level"], 0) <= t)
                              & (t <= k.quantile(v["level"], 0))).double().mean(0)},
        varies=True,
    ),
]  # fmt: skip
