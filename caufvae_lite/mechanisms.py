r"""A factor's mechanism: how it follows from its causes and from noise of its own.

Every factor is an affine function of its noise, whose scale and shift are read off its
parents::

    z_i = ε_i · exp(s_i) + t_i,      (s_i, t_i) = mechanism of i, given pa(z)_i

That is a small network (`Mechanism`) for a factor with causes, and two numbers
(`RootMechanism`) for a factor without. The causal flow, the label prior and the search for a
graph are all made of these, and `evaluate` runs many of them side by side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CACHED = 2**18  # hidden units × rows that fit into a processor's cache, about 1 MiB


class RootMechanism(nn.Module):
    """The mechanism of a factor without causes: the scale before it is bounded, and t."""

    def __init__(self) -> None:
        super().__init__()
        self.raw_scale = nn.Parameter(torch.zeros(()))
        self.shift = nn.Parameter(torch.zeros(()))


class Mechanism(nn.Module):
    """The mechanism of a factor with causes: a small network from parents to (s, t).

    ``weights[k]`` has shape ``(fan_in, fan_out)`` and ``biases[k]`` ``(fan_out,)``. The last
    layer has two outputs, the scale before it is bounded and the shift. Every parent has a row
    of its own in ``weights[0]``, so no arrow of the graph can be masked away by mistake.
    """

    def __init__(self, parents: int, hidden: Sequence[int]):
        super().__init__()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in pairwise([parents, *hidden, 2]):
            bound = 1 / math.sqrt(fan_in)
            self.weights.append(torch.empty(fan_in, fan_out).uniform_(-bound, bound))
            self.biases.append(torch.empty(fan_out).uniform_(-bound, bound))
        with torch.no_grad():  # Start near the identity, z ≈ ε.
            self.weights[-1].mul_(0.1)
            self.biases[-1].zero_()


def evaluate(mechanisms: Sequence[Mechanism], inputs: Sequence[Tensor]) -> Tensor:
    """Run m mechanisms side by side, as one batched matrix product a layer.

    They have the same hidden widths, and ``inputs`` are the values ``(n, p_i)`` of each one's
    parents. Returns ``(m, n, 2)``: the scale before it is bounded, and the shift.

    Many mechanisms are taken a few at a time, so that what is worked on stays in the
    processor's cache. All at once would take three times as long (256 mechanisms, 1,000 rows).
    """
    width = max(len(bias) for bias in mechanisms[0].biases)
    few = max(1, CACHED // max(1, width * len(inputs[0])))
    starts = range(0, len(mechanisms), few)
    parts = [_evaluate_at_once(mechanisms[k : k + few], inputs[k : k + few]) for k in starts]
    return torch.cat(parts)


def _evaluate_at_once(mechanisms: Sequence[Mechanism], inputs: Sequence[Tensor]) -> Tensor:
    """Where parents are fewer, their values and their weights are padded with zeros."""
    widest = max(x.shape[-1] for x in inputs)
    hidden = torch.stack([F.pad(x, (0, widest - x.shape[-1])) for x in inputs])
    depth = len(mechanisms[0].weights)
    for k in range(depth):
        weights = [m.weights[k] for m in mechanisms]
        if k == 0:
            weights = [F.pad(w, (0, 0, 0, widest - len(w))) for w in weights]
        bias = torch.stack([m.biases[k] for m in mechanisms]).unsqueeze(1)
        hidden = torch.baddbmm(bias, hidden, torch.stack(weights))
        if k < depth - 1:
            hidden = F.silu(hidden)
    return hidden


@dataclass(frozen=True)
class ScaleBounds:
    """Bounds of the log-scale s, and the smooth map from an unbounded number into them.

    Without a lower bound, the likelihood of an effect that has no noise of its own has no
    maximum. Zero is mapped to s = 0, or half-way if 0 lies outside the bounds. Bounds that are
    not finite, or not in order, are a ValueError.

    >>> ScaleBounds(-4.0, 1.0)(torch.zeros(2)).tolist()
    [0.0, 0.0]
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            bounds = (self.low, self.high)
            raise ValueError(f"log_scale must be finite (low, high), got {bounds}.")

    def __call__(self, raw: Tensor) -> Tensor:
        low, high = self.low, self.high
        start = -low / (high - low) if low < 0 < high else 0.5
        return low + (high - low) * torch.sigmoid(raw + math.log(start / (1 - start)))


def log_density(noise: Tensor, log_scale: Tensor) -> Tensor:
    """log p of each factor whose noise is ε ~ N(0, 1): log N(ε; 0, 1) − s."""
    return -0.5 * (noise.square() + math.log(2 * math.pi)) - log_scale
