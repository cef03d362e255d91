"""Pictures with the factors that made them: what a world hands to a model.

Pictures may be more than the memory holds: give them as a NumPy memory map of uint8, and only
`FactorDataset.rows` with scattered rows copies any of them.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from caufvae_lite.graph import CausalGraph
from caufvae_lite.randomness import generator_from, keyed_generator

KINDS = ("continuous", "binary")
LABELS, HELD_OUT = 0, 1  # what the draws of such rows are keyed by, see `randomness`
ROWS_AT_A_TIME = 1024  # float pictures turned into bytes at a time


class FactorDataset(Dataset):
    """Images and their factors, row by row.

    Args:
        images: ``(n, c, h, w)``, uint8, or float in [0, 1] (stored as uint8). Bytes are
            not copied, so a memory map (``np.load(path, mmap_mode="r")``) stays on disk.
        factors: ``(n, d)`` in the data's own units; NaN means "no label".
        graph: names the d columns.
        units: a unit for each name, for axes and tables ("" where left out).
        kinds: ``"continuous"`` (where left out) or ``"binary"`` for each name.

    Raises:
        ValueError: shapes that do not fit together, values out of range, an unknown kind.
    """

    def __init__(
        self,
        images: Tensor | np.ndarray,
        factors: Tensor | np.ndarray,
        graph: CausalGraph,
        units: Mapping[str, str] | None = None,
        kinds: Mapping[str, str] | None = None,
    ):
        self.images = as_uint8(_as_tensor(images))
        self.factors = torch.as_tensor(factors, dtype=torch.float32)
        self.graph = graph
        self.units = {n: (units or {}).get(n, "") for n in graph.nodes}
        self.kinds = {n: (kinds or {}).get(n, "continuous") for n in graph.nodes}
        expected = (len(self.images), len(graph))
        if tuple(self.factors.shape) != expected:
            raise ValueError(
                f"factors must have shape {expected}: one row an image, one column for "
                f"each of {list(graph.nodes)}; got {tuple(self.factors.shape)}."
            )
        if torch.isinf(self.factors).any():
            raise ValueError("factors hold an infinite value; use NaN for a missing label.")
        for name in (*(units or {}), *(kinds or {})):
            graph.index(name)
        for name, kind in self.kinds.items():
            if kind not in KINDS:
                raise ValueError(f"kind of {name!r} must be one of {KINDS}, got {kind!r}.")
            labels = self.factors[:, graph.index(name)]
            known = labels[~torch.isnan(labels)]
            if kind == "binary" and not ((known == 0) | (known == 1)).all():
                raise ValueError(f"{name!r} is binary, so its labels must be 0, 1 or NaN.")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        """One ``(c, h, w)`` float32 image in [0, 1] and its ``(d,)`` factors."""
        return self.images[row].float() / 255, self.factors[row]

    def __repr__(self) -> str:
        c, h, w = self.images.shape[1:]
        kind, names = type(self).__name__, list(self.graph.nodes)
        return f"{kind}({len(self)} images {c}×{h}×{w}, {names})"

    def rows(self, rows: Tensor | np.ndarray | Sequence[int] | slice) -> "FactorDataset":
        """The data set of just these rows: integers, a boolean mask, or a slice.

        Rows that follow one another are a view of these pictures; others are copied.
        """
        index = torch.arange(len(self))[(rows,)]
        run = len(index) > 0 and bool((index.diff() == 1).all())
        chosen = slice(int(index[0]), int(index[-1]) + 1) if run else index
        images, factors = self.images[chosen], self.factors[chosen]
        return FactorDataset(images, factors, self.graph, self.units, self.kinds)

    def with_factors(self, factors: Tensor | np.ndarray) -> "FactorDataset":
        """The same pictures with other labels (NaN where you want none)."""
        return FactorDataset(self.images, factors, self.graph, self.units, self.kinds)

    def split(self, how: str | float, seed: int = 0) -> "tuple[FactorDataset, FactorDataset]":
        """Divide into ``(train, test)``.

        Args:
            how: ``"published"`` — rows 4, 8, 12, … (counted from 1) are test, as in
                CausalVAE's generator: of a grid, a new *pair* of angles, each of them known;
                ``"block"`` — test is the corner where every root factor is in the upper
                30 % of its range, which asks for extrapolation; or the fraction in (0, 1)
                of rows that are test, drawn with ``seed``.
        """
        n = len(self)
        if how == "published":
            test = (torch.arange(n) % 4) == 3
        elif how == "block":
            roots = self.factors[:, [self.graph.index(r) for r in self.graph.roots]]
            low, high = roots.amin(0), roots.amax(0)
            test = (roots > low + 0.7 * (high - low)).all(-1)
        elif isinstance(how, float) and 0 < how < 1:
            test = torch.zeros(n, dtype=torch.bool)
            order = torch.randperm(n, generator=generator_from(seed))
            test[order[: round(how * n)]] = True
        else:
            kinds = '"published", "block" or a test fraction between 0 and 1'
            raise ValueError(f"split() takes {kinds}, got {how!r}.")
        return self.rows(~test), self.rows(test)


def labelled_rows(n: int, fraction: float, seed: int) -> Tensor:
    """``(n,)`` booleans: the rows that keep their labels, the same for every model.

    Nested: the rows of 1 % are among the rows of 10 %.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"label_fraction must be between 0 and 1, got {fraction}.")
    order = torch.randperm(n, generator=keyed_generator(seed, LABELS))
    keep = torch.zeros(n, dtype=torch.bool)
    keep[order[: math.ceil(fraction * n - 1e-9)]] = True  # 100 / n of n rows are 100
    return keep


def held_out_rows(n: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Integers: the rows by which `fit` chooses the best epoch, and those it trains on."""
    order = torch.randperm(n, generator=keyed_generator(seed, HELD_OUT))
    held_out, rest = order.tensor_split([max(1, round(share * n))])
    return held_out, rest


def as_uint8(images: Tensor) -> Tensor:
    """``(n, c, h, w)`` images as uint8; float images must lie in [0, 1]."""
    if images.ndim != 4:
        raise ValueError(f"images must have shape (n, c, h, w), got {tuple(images.shape)}.")
    if images.dtype == torch.uint8:
        return images
    parts = (as_float(part) for part in images.split(ROWS_AT_A_TIME))
    return torch.cat([(part * 255).round().to(torch.uint8) for part in parts])


def as_float(images: Tensor) -> Tensor:
    """Images as floating point in [0, 1]: uint8 is divided by 255, floats are checked.

    A number outside [0, 1] or a NaN is a ValueError, another dtype a TypeError.
    """
    if images.dtype == torch.uint8:
        return images.float().div_(255)
    if not images.is_floating_point():
        raise TypeError(f"images must be uint8 or floating point, got {images.dtype}.")
    if not ((images >= 0) & (images <= 1)).all():
        low, high = images.min().item(), images.max().item()
        raise ValueError(
            "float images must lie in [0, 1] and hold no NaN; these range from "
            f"{low:.3g} to {high:.3g}. Divide by 255 if they are bytes."
        )
    return images


def _as_tensor(images: Tensor | np.ndarray) -> Tensor:
    """A tensor on the same memory; a read-only array is welcome, since nobody writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.as_tensor(images)
