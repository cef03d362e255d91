"""The grammar of ``do``, shared by worlds, flows and models.

An intervention is a mapping ``{name: value}``: the factor's name, and what it is set to, one
value for all rows or one for each row. `FactorModel` is what can be asked with it, and
`Decoded` is what comes back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.graph import CausalGraph, class_of
from caufvae_lite.randomness import Seed

Value = float | Sequence[float] | np.ndarray | Tensor
Intervention = Mapping[str, Value]


def columns(do: Intervention | None, nodes: Sequence[str], like: Tensor) -> dict[int, Tensor]:
    """Translate ``{name: value}`` into ``{column: (n,) values}``.

    ``None`` and ``{}`` mean that nothing is set. ``nodes`` are the factors' names in column
    order; ``like``, ``(n, ...)``, gives the number of rows, dtype and device. A categorical
    factor (`graph.class_nodes`) is set by its class, ``{"digit": 7}``.

    Raises:
        ValueError: an unknown factor or class, a value that is not finite, or one whose
            length is neither 1 nor the number of rows.
        TypeError: ``do`` is not a mapping.
    """
    if do is None:
        return {}
    if not isinstance(do, Mapping):
        raise TypeError(f"do must be a mapping like {{{nodes[0]!r}: 1.0}}, got {do!r}.")
    names, rows = list(nodes), len(like)
    found: dict[int, Tensor] = {}
    for name, value in do.items():
        coded = [(class_of(node, name), k) for k, node in enumerate(names)]
        classes = {label: k for label, k in coded if label is not None}
        if name not in names and not classes:
            raise ValueError(f"do() names {name!r}, which is none of the factors {names}.")
        column = torch.as_tensor(value, dtype=like.dtype, device=like.device)
        if column.ndim == 0:
            column = column.expand(rows)
        if column.shape != (rows,):
            raise ValueError(
                f"do({name}) needs one value, or one for each of the {rows} rows; "
                f"got shape {tuple(column.shape)}."
            )
        if not torch.isfinite(column).all():
            raise ValueError(
                f"do({name}) holds a NaN or an infinite value; to leave it alone, leave it out."
            )
        if name in names:
            found[names.index(name)] = column
        elif set(column.tolist()) <= classes.keys():
            found |= {k: (column == label).to(column) for label, k in classes.items()}
        else:
            wrong = next(label for label in column.tolist() if label not in classes)
            raise ValueError(f"do({name}) takes a class of {[*classes]}, got {wrong:g}.")
    return found


@dataclass(frozen=True)
class Decoded:
    """Pictures and the factors they show, row by row.

    ``images`` ``(…, c, h, w)`` in [0, 1] and ``factors`` ``(…, d)`` in the data's units, where
    … is ``n``, or ``k, n`` when k draws were asked for. ``calibrated`` says whether labelled
    rows have set the spread of such draws.
    """

    images: Tensor
    factors: Tensor
    calibrated: bool = False

    def interval(self, level: float = 0.9) -> tuple[Tensor, Tensor]:
        """Low and high ``(n, d)``: the middle ``level`` of the draws of every factor.

        Raises:
            ValueError: there are no draws, or nothing that says how wrong they are.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must be a share between 0 and 1, got {level}.")
        if self.factors.ndim != 3:
            raise ValueError("An interval needs draws: ask with samples=k, say 200.")
        if not self.calibrated:
            raise ValueError(
                "These draws spread as the encoder believes, and no labelled row has said how "
                "wrong it is: there is no honest interval. Let fit() hold out at least 40 rows "
                "with labels, or call model.calibrate() with rows that it was not trained on."
            )
        outside = (1 - level) / 2
        return self.factors.quantile(outside, 0), self.factors.quantile(1 - outside, 0)


@runtime_checkable
class FactorModel(Protocol):
    """What every model here can do; the counterpart of a `World`."""

    graph: CausalGraph

    def factors(self, images: Tensor) -> Tensor: ...
    def reconstruct(self, images: Tensor) -> Tensor: ...
    def counterfactual(self, images: Tensor, do: Intervention) -> Decoded: ...
    def sample(self, n: int, do: Intervention | None = None, seed: Seed = None) -> Decoded: ...
    def loss(
        self, images: Tensor, factors: Tensor, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]: ...
