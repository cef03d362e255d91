"""Assignment 06: probes, groups, and few labels."""

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.tasks.a01 import draws
from caufvae_lite.check.variants import Variant


def worst_group(v: Variant, truth: Tensor, predicted: Tensor, groups: Tensor) -> float:
    return worst_of(truth, predicted, groups, v["few"])


def worst_of(truth: Tensor, predicted: Tensor, groups: Tensor, few: int) -> float:
    right, numbers = (truth == predicted).double().numpy(), groups.numpy()
    sizes = zip(*np.unique(numbers, return_counts=True), strict=True)
    return float(min(right[numbers == g].mean() for g, size in sizes if size >= few))


def group_weights(v: Variant, groups: Tensor) -> Tensor:
    _, where, counts = groups.unique(return_inverse=True, return_counts=True)
    total = counts.double() ** v["power"]
    return (len(groups) * total / total.sum() / counts)[where]


def chosen(v: Variant, features: Tensor, k: int) -> list[int]:
    """Farthest-point selection that starts with the year's row."""
    rows = [v["first_row"]]
    table = torch.cdist(features, features)
    while len(rows) < k:
        rows.append(int(table[:, rows].amin(1).argmax()))
    return rows


def moved_weights(v: Variant, mix: Tensor, weights: Tensor) -> Tensor:
    return torch.linalg.inv(moved_by(v, mix).T) @ weights


def moved_by(v: Variant, mix: Tensor) -> Tensor:
    """The matrix that stands before a column z."""
    return mix.T if v["mix"] == "z M" else mix


def shift_cost(v: Variant, read: Tensor, factor: Tensor, read_do, factor_do) -> list[float]:
    def accuracy(x: Tensor, y: Tensor) -> float:
        return ((x > cut) == (y > v["threshold"])).double().mean().item()

    cut = best_cut(v, read, factor)
    return [accuracy(read, factor), accuracy(read_do, factor_do)]


def best_cut(v: Variant, read: Tensor, factor: Tensor) -> Tensor:
    options = read.unique()
    options = (options[1:] + options[:-1]) / 2
    right = ((read > options[:, None]) == (factor > v["threshold"])).double().mean(1)
    return options[int(np.argmax(right.numpy()))]  # the first of the largest


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
    yield small_groups(v["few"], rng)


def small_groups(few: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """All wrong in a group that is too small, nearly all in one that is just large enough."""
    sizes = (30, few - 1, few, 2 * few + 5)
    groups = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))
    truth = torch.from_numpy(rng.integers(0, 2, len(groups)))
    wrong = torch.from_numpy(rng.random(len(groups)) < 0.2) | (groups == 1) | (groups == 2)
    wrong[groups == 3] = False
    wrong[sizes[0] + sizes[1]] = False
    order = torch.from_numpy(rng.permutation(len(groups)))
    numbers = 3 * groups + 2  # a group's number need not be its place
    return truth[order], torch.where(wrong, 1 - truth, truth)[order], numbers[order]


def shift_cases(v: Variant, rng: np.random.Generator):
    """The lowest reading beyond the cut is doubled, a second cut is as good, and after do()
    some readings lie where either would show."""
    for n in (31, 80):
        factor, later = draws(rng, n), draws(rng, n)
        read = 0.8 * factor + 0.5 * draws(rng, n) + 1
        read_do = 0.2 * later + draws(rng, n)
        cut = best_cut(v, read, factor)
        below, above = read[read < cut].max(), read[read > cut].min()
        wide, yes, no = above - below, v["threshold"] + 1, v["threshold"] - 1
        more = torch.stack([below, below + 0.5 * wide, below + 0.7 * wide])
        between = below + wide * torch.tensor([0.1, 0.15, 0.2, 0.4, 0.55, 0.6])
        yield (
            torch.cat([read, more]), torch.cat([factor, torch.tensor([no, yes, no])]),
            torch.cat([read_do, between]), torch.cat([later, torch.full((6,), yes)]),
        )  # fmt: skip


EXERCISES = [
    Exercise(
        "06-worst", "The group that pays", "worst_group", 2, (4, 6, "easy"),
        worst_group, "The accuracy within every group that is large enough, then the smallest.",
        group_cases,
        {"This is the average over all rows, which hides the small group.":
             lambda v, t, p, g: (t == p).double().mean().item(),
         "The worst group is asked for, not the mean over groups.":
             lambda v, t, p, g: float(np.mean([(t == p)[g == k].double().mean()
                                               for k in g.unique()])),
         "A group that is too small was counted.":
             lambda v, t, p, g: worst_of(t, p, g, 1),
         "A group that is just large enough was left out.":
             lambda v, t, p, g: worst_of(t, p, g, v["few"] + 1)},
        varies=True,
    ),
    Exercise(
        "06-weights", "Weights that help small groups", "group_weights", 2, (4, 8, "medium"),
        group_weights, "A group's total is n · sizeᵖ / Σ sizeᵖ; its rows share it equally.",
        lambda v, rng: [(case[2],) for case in group_cases(v, rng)],
        {"The weights should add up to the number of rows.":
             lambda v, g: group_weights(v, g) / len(g),
         "Large groups should weigh less per row, not more.":
             lambda v, g: 1 / group_weights(v, g),
         "All groups have the same total here; the totals were to be softened by the power.":
             lambda v, g: group_weights({**v, "power": 0.0}, g),
         "A row has its group's whole total: the rows of a group share it.":
             lambda v, g: group_weights({**v, "power": 1 + v["power"]}, g)},
        varies=True,
    ),
    Exercise(
        "06-labels", "Spending 55 labels well", "rows_to_label", 3, (6, 11, "hard"),
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
        "06-mix", "A probe does not mind a mix", "moved_weights", 2, (2, 8, "medium"),
        moved_weights, "z'·w' = z·w for all z: put in z', and collect what stands before z.",
        lambda v, rng: [(draws(rng, d, d) + 2 * torch.eye(d), draws(rng, d))
                        for d in (2, 4, 5)],
        {"Here the transpose went wrong: rows times M, or M times columns?":
             lambda v, m, w: moved_weights(v, m.T, w),
         "That is right only where the mix is a rotation.":
             lambda v, m, w: torch.linalg.inv(moved_by(v, m)).T @ w,
         "The mix has to be undone, not applied once more.":
             lambda v, m, w: moved_by(v, m).T @ w},
        varies=True,
    ),
    Exercise(
        "06-shift", "A reading put to the test by do()", "shift_cost", 2, (6, 15, "medium"),
        shift_cost, "Find the cut on ordinary rows, and keep it for the others.", shift_cases,
        {"The cut was chosen anew after the intervention: nobody has those labels.":
             lambda v, a, b, c, d: [shift_cost(v, a, b, c, d)[0],
                                    shift_cost(v, c, d, a, b)[0]],
         "Of several equally good cuts the lowest is asked for.":
             lambda v, a, b, c, d: shift_cost(v, -a, 2 * v["threshold"] - b, -c,
                                              2 * v["threshold"] - d),
         "The factor's threshold is not 0 this year.":
             lambda v, *rest: shift_cost({**v, "threshold": 0.0}, *rest)},
        varies=True,
    ),
]  # fmt: skip
