"""Assignment 04: what data can tell, and one assumption broken by construction."""

from itertools import permutations

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from caufvae_lite.check.exercise import Exercise
from caufvae_lite.check.tasks.a01 import draws
from caufvae_lite.check.variants import Variant


def second_law(v: Variant, cause: Tensor, noise: Tensor) -> Tensor:
    a, b, c = v["law"]
    return a * cause + b * torch.where(cause < c, -noise, noise)


def same_rank(v: Variant, value: float, here: Tensor, there: Tensor) -> float:
    rank = int((here < value).sum())
    return there.sort(descending=v["rank"] == "mirrored").values[rank].item()


def correlations(v: Variant, found: Tensor, truth: Tensor) -> np.ndarray:
    if v["correlation"] == "Spearman":
        found, truth = (torch.from_numpy(rankdata(x.numpy(), axis=0)) for x in (found, truth))
    d = truth.shape[1]
    return np.corrcoef(found.numpy().T, truth.numpy().T)[:d, d:]


def mcc(v: Variant, found: Tensor, truth: Tensor) -> float:
    table = np.abs(correlations(v, found, truth))
    rows = np.arange(len(table))
    return float(max(table[list(p), rows].mean() for p in permutations(rows)))


def effect(v: Variant, cause: Tensor, outcome: Tensor, confounder: Tensor) -> float:
    """Frisch, Waugh and Lovell: regress what the confounder leaves of both, times the step."""

    def rest(y: Tensor) -> Tensor:
        x, y = confounder - confounder.mean(), y - y.mean()
        return y - x * (x @ y) / (x @ x)

    one, other = rest(cause), rest(outcome)
    return v["amount"] * ((one @ other) / (one @ one)).item()


def naive(v: Variant, cause: Tensor, outcome: Tensor, confounder: Tensor) -> float:
    one, other = cause - cause.mean(), outcome - outcome.mean()
    return v["amount"] * ((one @ other) / (one @ one)).item()


def rotation_cases(v: Variant, rng: np.random.Generator):
    unit = 180 / np.pi if "degrees" in v["turn"] else 1.0
    return [(draws(rng, 6, 2), unit * float(rng.uniform(0.3, 2.8))) for _ in range(3)]


def rank_cases(v: Variant, rng: np.random.Generator):
    for n in (7, 30, 51):
        here = draws(rng, n)
        there = 3 + torch.from_numpy(rng.exponential(size=n))
        yield here[int(rng.integers(n))].item(), here, there


def mixed_cases(v: Variant, rng: np.random.Generator):
    """Columns exchanged, one turned in sign; and one latent that two factors claim."""
    for d in (2, 3, 4):
        truth = draws(rng, 60, d)
        turned_ = truth.roll(1 + int(rng.integers(d - 1)), 1)
        signs = torch.from_numpy(rng.choice([-2.0, 3.0], d))
        signs[0] = -2.0
        yield turned_ * signs + 0.8 * draws(rng, 60, d), truth
    claimed = torch.stack([truth[:, 0] + truth[:, 1], 0.4 * truth[:, 1], truth[:, 2]], 1)
    yield claimed + 0.5 * draws(rng, 60, 3), truth[:, :3]
    truth = draws(rng, 200, 2)  # the largest correlation is no part of the best assignment
    mixed = torch.tensor([[0.8, 0.6], [0.55, 0.0]]).double()
    yield truth @ mixed.T + draws(rng, 200, 2) * torch.tensor([0.05, 0.83]), truth


def greedy(v: Variant, found: Tensor, truth: Tensor) -> float:
    """Always the largest correlation that is left."""
    table, taken = np.abs(correlations(v, found, truth)), []
    for _ in range(len(table)):
        i, j = np.unravel_index(table.argmax(), table.shape)
        taken.append(table[i, j])
        table[i], table[:, j] = -1, -1
    return float(np.mean(taken))


def hidden_cases(v: Variant, rng: np.random.Generator):
    for n in (40, 90):
        h = draws(rng, n)
        cause = 0.9 * h + draws(rng, n) + 2
        yield cause, 0.8 * cause - 1.5 * h + 0.3 * draws(rng, n) - 1, h


def turned(v: Variant, z: Tensor, angle: float) -> Tensor:
    angle *= np.pi / 180 if "degrees" in v["turn"] else 1.0
    angle *= -1 if v["turn"].startswith("clockwise") else 1
    pairs = torch.view_as_complex(z.contiguous()) * torch.polar(
        torch.ones((), dtype=z.dtype), torch.tensor(angle, dtype=z.dtype)
    )
    return torch.view_as_real(pairs)


EXERCISES = [
    Exercise(
        "04-turn", "Another model with the same pictures", "turned", 1, (3, 5, "easy"),
        turned, "Write down the two formulas column by column; mind the signs and the unit.",
        rotation_cases,
        {"This turns the other way round.": lambda v, z, a: turned(v, z, -a),
         "Radians and degrees were mixed up.": lambda v, z, a: turned(
             v, z, a * (180 / np.pi) ** (1 if "degrees" in v["turn"] else -1)),
         "Both columns have the same sign of the sine: this mirrors as well as turns.":
             lambda v, z, a: turned(v, z, a) * torch.tensor([1.0, -1.0])},
        varies=True,
    ),
    Exercise(
        "04-law", "A law that no data tell from the first", "second_law", 2, (3, 6, "easy"),
        second_law, "Where the cause lies below the threshold, the noise acts with its sign "
        "turned; a normal noise looks the same.",
        lambda v, rng: [(2 * draws(rng, 30), draws(rng, 30)) for _ in range(2)],
        {"This is the first law: it is increasing in the noise everywhere.":
             lambda v, c, e: v["law"][0] * c + v["law"][1] * e,
         "The noise's sign is turned on the wrong side.":
             lambda v, c, e: second_law(v, c, -e),
         "The sign turns at 0 here, and should turn at the threshold.":
             lambda v, c, e: second_law({**v, "law": (*v["law"][:2], 0.0)}, c, e),
         "The whole effect was turned; the noise alone was to be.":
             lambda v, c, e: torch.where(c < v["law"][2], -1, 1) * (
                 v["law"][0] * c + v["law"][1] * e)},
        varies=True,
    ),
    Exercise(
        "04-rank", "A counterfactual by rank", "same_rank", 3, (3, 10, "medium"),
        same_rank, "Count how many of here lie below the value; that many of there lie below "
        "the answer.", rank_cases,
        {"The shift of the means is right only if the two differ by nothing else.":
             lambda v, x, h, t: x + (t.mean() - h.mean()).item(),
         "The ranks are turned round: which end of there is as good as the small end of here?":
             lambda v, x, h, t: same_rank(v, -x, -h, t),
         "A quantile interpolates; the number with the very same rank is asked for.":
             lambda v, x, h, t: t.quantile(
                 ((h > x) if v["rank"] == "mirrored" else (h < x)).double().mean()).item(),
         "One rank off: how many numbers lie before the value, itself not counted?":
             lambda v, x, h, t: t.sort(descending=v["rank"] == "mirrored").values[
                 int((h <= x).sum())].item()},
        varies=True,
    ),
    Exercise(
        "04-mcc", "A score that forgives order and sign", "mcc", 2, (6, 12, "medium"),
        mcc, "|correlation| of every latent with every factor, then the best assignment.",
        mixed_cases,
        {"Latent i need not belong to factor i: look for the best assignment.":
             lambda v, f, t: float(np.abs(np.diag(correlations(v, f, t))).mean()),
         "Two factors may not claim the same latent.":
             lambda v, f, t: float(np.abs(correlations(v, f, t)).max(0).mean()),
         "Taking the largest correlation first need not give the best assignment.": greedy,
         "Another correlation is asked for: that of the numbers, or that of their ranks?":
             lambda v, f, t: mcc({**v, "correlation": "Pearson" if v["correlation"] ==
                                  "Spearman" else "Spearman"}, f, t)},
        varies=True,
    ),
    Exercise(
        "04-hidden", "A hidden cause, and what it costs", "effect_of", 2, (5, 9, "medium"),
        effect, "A regression on both, with a constant: the cause's coefficient, times the "
        "step.", hidden_cases,
        {"The hidden cause was left out: this is what is seen, and not what do() would do.":
             naive,
         "This is the effect of raising the cause by 1.":
             lambda v, c, o, h: effect(v, c, o, h) / v["amount"]},
        varies=True,
    ),
]  # fmt: skip
