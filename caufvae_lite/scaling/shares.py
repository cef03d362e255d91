"""A share of a batch: what one process, or one round of accumulation, takes of it.

::

    loss(batch) = sum over its shares of loss(share)

A loss averages over the rows of the batch, and its label terms over the rows that have a
label. Which rows those are, each share can count for itself, since it holds the labels of
the whole batch. So the shares' losses and gradients *add up* to the batch's, however the
batch is cut: several processes, or several rounds on one, are a matter of speed and memory
and not of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Rows ``start``, ``start + 1``, … of a batch, as many as `FactorVAE.loss` is given.

    Attributes:
        start: the first of them.
        labels: ``(rows, d)`` of the *whole* batch, in the data's units, NaN where missing.
    """

    start: int
    labels: Tensor


def cut(rows: int, parts: int, start: int = 0, stop: int | None = None) -> list[slice]:
    """``range(rows)`` in ``parts`` nearly equal pieces; of these, pieces ``start`` to ``stop``.

    Empty pieces are left out, but one is kept if all are empty, so that a process without
    rows still takes part.

    >>> cut(10, 4)
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    >>> cut(3, 4, start=0, stop=1)
    [slice(0, 0, None)]
    """
    ends = [rows * k // parts for k in range(parts + 1)][
        start : None if stop is None else stop + 1
    ]
    pieces = [slice(a, b) for a, b in pairwise(ends)]
    return [p for p in pieces if p.stop > p.start] or pieces[:1]
