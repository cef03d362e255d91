"""Assignment 06: probes, groups, and few labels."""

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.tasks.a01 import draws
from caufvae_lite.check.variants import Variant


def worst_group(v: Variant, truth: Tensor, predicted: Tensor, groups: Tensor) -> float:
    right = (truth == predicted).double().numpy()
    return float(min(right[groups.numpy() == g].mean() for g in np.unique(groups)))


def group_weights(v: Variant, groups: Tensor) -> Tensor:
    _, where, counts = groups.unique(return_inverse=True, return_counts=True)
    return len(groups) / len(counts) / counts[where].double()


def chosen(v: Variant, features: Tensor, k: int) -> list[int]:
    """Farthest-point selection that starts with the year's row."""
    rows = [v["first_row"]]
    table = torch.cdist(features, features)
    while len(rows) < k:
        rows.append(int(table[:, rows].amin(1).argmax()))
    return rows


def moved_weights(v: Variant, mix: Tensor, weights: Tensor) -> Tensor:
    return torch.linalg.inv(mix).T @ weights


def shift_cost(v: Variant, read: Tensor, label: Tensor, read_do, label_do) -> list[float]:
    def accuracy(x: Tensor, y: Tensor) -> float:
        return ((x > cut) == (y > 0)).double().mean().item()

    options = read.unique()
    options = (options[1:] + options[:-1]) / 2
    right = [((read > o) == (label > 0)).double().mean().item() for o in options]
    cut = options[int(np.argmax(right))]
    return [accuracy(read, label), accuracy(read_do, label_do)]


def group_cases(v: Variant, rng: np.random.Generator):
    for n, many in ((40, 2), (90, 4), (60, 3)):
        groups = torch.from_numpy(
            rng.choice(
                many, n, p=np.arange(1, many + 1) ** 2.0 / (np.arange(1, many + 1) ** 2.0).sum()
            )
        )
        groups[:many] = torch.arange(many)
        truth = torch.from_numpy(rng.integers(0, 2, n))
        wrong = torch.from_numpy(rng.random(n)) < 0.1 + 0.4 * (groups == many - 1)
        wrong[groups == many - 1] |= torch.arange(int((groups == many - 1).sum())) % 2 == 0
        yield truth, torch.where(wrong, 1 - truth, truth), groups  # fmt: skip


def shift_cases(v: Variant, rng: np.random.Generator):
    for n in (31, 80):
        label, later = draws(rng, n), draws(rng, n)
        yield 0.8 * label + 0.5 * draws(rng, n) + 1, label, 0.2 * later + draws(rng, n), later


EXERCISES = [
    Exercise(
        "06-worst", "The group that pays", "worst_group", 2, (4, 8, "easy"),
        worst_group, "The accuracy within every group, then the smallest.", group_cases,
        {"This is the average over all rows, which hides the small group.":
             lambda v, t, p, g: (t == p).double().mean().item(),
         "The worst group is asked for, not the mean over groups.":
             lambda v, t, p, g: float(np.mean([(t == p)[g == k].double().mean()
                                               for k in g.unique()]))},
    ),
    Exercise(
        "06-weights", "Weights that make groups equal", "group_weights", 2, (4, 10, "medium"),
        group_weights, "n / (number of groups × size of the row's group).",
        lambda v, rng: [(case[2],) for case in group_cases(v, rng)],
        {"The weights should add up to the number of rows.":
             lambda v, g: group_weights(v, g) / len(g),
         "Large groups should weigh less per row, not more.":
             lambda v, g: 1 / group_weights(v, g)},
    ),
    Exercise(
        "06-labels", "Spending 55 labels well", "rows_to_label", 3, (6, 20, "hard"),
        chosen, "The next row is the one whose nearest chosen row is farthest away.",
        lambda v, rng: [(draws(rng, n, d), k) for n, d, k in ((60, 2, 6), (120, 4, 55))],
        {"This takes the first rows, whatever they look like.":
             lambda v, x, k: list(range(v["first_row"], v["first_row"] + k)),
         "Far from the first row is not far from all that were chosen.":
             lambda v, x, k: [v["first_row"], *(
                 (x - x[v["first_row"]]).norm(dim=1).argsort(descending=True)[: k - 1]
                 .tolist())]},
        varies=True,
    ),
    Exercise(
        "06-mix", "A probe does not mind a mix", "moved_weights", 2, (2, 12, "medium"),
        moved_weights, "z'·w' = z·w for all z, with z' = M z: so Mᵀ w' = w.",
        lambda v, rng: [(draws(rng, d, d) + 2 * torch.eye(d), draws(rng, d))
                        for d in (2, 4, 5)],
        {"That is right only where the mix is a rotation.": lambda v, m, w: m @ w,
         "The mix has to be undone, not applied once more.": lambda v, m, w: m.T @ w},
    ),
    Exercise(
        "06-shift", "A reading put to the test by do()", "shift_cost", 2, (6, 15, "medium"),
        shift_cost, "Find the cut on ordinary rows, and keep it for the others.", shift_cases,
        {"The cut was chosen anew after the intervention: nobody has those labels.":
             lambda v, a, b, c, d: [shift_cost(v, a, b, c, d)[0],
                                    shift_cost(v, c, d, a, b)[0]]},
    ),
]  # fmt: skip
