"""Assignment 07: from a super-graph to a graph, and how wrong it is."""

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.tasks.a01 import draws
from caufvae_lite.check.tasks.a02 import random_graph
from caufvae_lite.check.variants import Variant


def shd(v: Variant, true: Tensor, found: Tensor) -> int:
    d = len(true)
    pairs = [(i, j) for i in range(d) for j in range(i)]
    state = [[(bool(a[i, j]), bool(a[j, i])) for i, j in pairs] for a in (true, found)]
    each = 2 if v["turned"] == "twice" else 1
    return sum(
        each if sum(one) == sum(other) == 1 else 1
        for one, other in zip(*state, strict=True)
        if one != other
    )


def allowed(v: Variant, order: list[int]) -> np.ndarray:
    place = np.argsort(order if v["order"] == "causes first" else order[::-1])
    return place[:, None] < place[None, :]


def shut(v: Variant, gates: Tensor, step: float) -> Tensor:
    return torch.where(gates > step * v["price"], gates - step * v["price"], 0.0)


def choose(v: Variant, scores: Tensor) -> int:
    """The first set that is not worse than the best by more than the year's standard errors."""
    best = int(scores.mean(1).argmax())
    for k, row in enumerate(scores):
        gap = scores[best] - row
        if k == best or gap.mean() <= v["errors"] * gap.std() / len(gap) ** 0.5:
            return k
    raise AssertionError


def ancestors(v: Variant, adjacency: Tensor) -> np.ndarray:
    reach = np.asarray(adjacency, bool)
    for k in range(len(reach)):
        reach = reach | (reach[:, k : k + 1] & reach[k : k + 1])
    return as_asked(v, reach)


def as_asked(v: Variant, reach: np.ndarray) -> np.ndarray:
    """Who reaches whom, as a table in the year's way."""
    reach = reach.T if v["reach"].startswith("is reached by") else reach
    return reach | np.eye(len(reach), dtype=bool) if v["reach"].endswith("is") else reach


def unpaired(v: Variant, scores: Tensor) -> int:
    best = int(scores.mean(1).argmax())
    error = v["errors"] * scores[best].std() / scores.shape[1] ** 0.5
    return int((scores.mean(1) >= scores[best].mean() - error).double().argmax())


def graph_pairs(v: Variant, rng: np.random.Generator):
    for d in (3, 4, 6, 4):
        true = random_graph(rng, d, 0.4).adjacency
        found = random_graph(rng, d, 0.4).adjacency if d != 3 else true.T
        yield torch.tensor(true), torch.tensor(found)


def score_cases(v: Variant, rng: np.random.Generator):
    """Gaps just above and just below the year's number of standard errors."""
    above, below = v["errors"] + 0.05, v["errors"] - 0.05
    every = (
        (above + 4, above, below, 0),
        (above, 0, below),
        (below, above, 0),
        (9, above, 0, 2),
    )
    for ratios in every:
        n = 100
        shared, noise = 3 * draws(rng, n), draws(rng, len(ratios), n)
        noise = (noise - noise.mean(1, keepdim=True)) / noise.std(1, keepdim=True)
        gaps = noise + torch.tensor(ratios)[:, None] / n**0.5
        gaps[ratios.index(0)] = 0
        yield (shared - 0.3 * gaps,)


EXERCISES = [
    Exercise(
        "07-order", "All that an order allows", "allowed", 2, (5, 6, "easy"),
        allowed, "[i, j] is True where i is a cause of j, by their places in the order.",
        lambda v, rng: [(rng.permutation(d).tolist()[::-1],) for d in (3, 5, 6)],
        {"This is the order of the columns; the order that was given may differ.":
             lambda v, o: allowed(v, list(range(len(o)))),
         "The arrows point backwards: which end of the order are the causes?":
             lambda v, o: allowed(v, o).T,
         "The order lists columns; here it was read as the place of each column.":
             lambda v, o: allowed(v, np.argsort(o).tolist()),
         "Each factor causes all that come after it, not only the next.":
             lambda v, o: allowed(v, o) & (abs(
                 np.argsort(o)[:, None] - np.argsort(o)[None, :]) == 1)},
        varies=True,
    ),
    Exercise(
        "07-gates", "Gates that really shut", "shut", 2, (2, 4, "easy"),
        shut, "Subtract what the price takes, and stop at 0.",
        lambda v, rng: [(draws(rng, n).abs(), s) for n, s in ((9, 1.0), (20, 2.5), (30, 0.4))],
        {"A gate below 0 would open again with the sign turned.":
             lambda v, g, s: g - s * v["price"],
         "Gates that stay open pay the price, too.":
             lambda v, g, s: torch.where(g > s * v["price"], g, 0.0)},
        varies=True,
    ),
    Exercise(
        "07-choose", "The judge has not seen the rows", "choose_set", 3, (6, 15, "hard"),
        choose, "Rows are paired: the standard error is that of the differences, row by row.",
        score_cases,
        {"The best mean always wants one parent more; take the smallest set that is as good.":
             lambda v, s: int(s.mean(1).argmax()),
         "The rows are the same for all sets: take the error of their differences.": unpaired,
         "The error of a mean is the spread divided by √n.":
             lambda v, s: choose({**v, "errors": v["errors"] * s.shape[1] ** 0.5}, s)},
        varies=True,
    ),
    Exercise(
        "07-shd", "How wrong is a graph?", "shd", 2, (5, 7, "medium"),
        shd, "Compare pairs of factors, and mind what an arrow turned round costs.",
        graph_pairs,
        {"What does an arrow that was turned round cost this year?":
             lambda v, a, b: shd({**v, "turned": "once" if v["turned"] == "twice" else "twice"},
                                 a, b),
         "Directions count: an arrow that was turned round is a mistake, too.":
             lambda v, a, b: int(((a | a.T) != (b | b.T)).triu(1).sum()),
         "Both triangles of the table count, since arrows may point either way.":
             lambda v, a, b: int((a != b).triu(1).sum())},
        varies=True,
    ),
    Exercise(
        "07-ancestors", "Who reaches whom?", "reaches", 2, (5, 9, "medium"),
        ancestors, "Go on adding one more step until nothing is new.",
        lambda v, rng: [(torch.tensor(random_graph(rng, d, 0.1).adjacency),)
                        for d in (3, 5, 7)],
        {"These are arrows and ways of two steps; longer ways count too.":
             lambda v, a: as_asked(v, (a | ((a.double() @ a.double()) > 0)).numpy()),
         "The table is turned round.": lambda v, a: ancestors(v, a).T,
         "The diagonal is wrong: does a factor reach itself?":
             lambda v, a: ancestors(v, a) ^ np.eye(len(a), dtype=bool)},
        varies=True,
    ),
]  # fmt: skip
