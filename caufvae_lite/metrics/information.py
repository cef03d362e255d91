"""How much do two columns tell of each other, whatever the shape of their relation?

The maximal information coefficient (MIC; Reshef et al. 2011) is the largest mutual
information of any grid laid over the two columns, divided by the largest that such a grid
allows. It is near 1 for a noiseless function, and small but not 0 for independent columns
(0.22 at n = 200, 0.11 at n = 2000). The total information coefficient (TIC; Reshef et al.
2016) sums over the grids' sizes instead. CausalVAE (Yang et al. 2021) reports both.

They need the package ``fast-mine``, a port of minepy (Albanese et al. 2013) with the same
defaults: grids of at most n^0.6 cells, clumps 15, ``mic_approx``. Its licence is the GPL-3
and ours MIT, so it is optional and loads only when asked for. The first call compiles for
some seconds.
"""

from __future__ import annotations

from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["available", "mic_matrix", "mic_tic"]

ALPHA, CLUMPS = 0.6, 15
Statistic = Literal["mic", "tic", "tic_normalised"]


def available() -> bool:
    """Can ``fast-mine``, and the Numba that it needs, be imported here?"""
    try:
        _fast_mine()
    except ImportError:
        return False
    return True


def mic_tic(x: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """MIC and TIC of two columns.

    Both are symmetric and unchanged by increasing functions of x or y. A decreasing one
    changes them a little, because the approximation fills its bins from the left.

    Args:
        x, y: ``(n,)``. Where either is constant, both scores are 0.

    Returns:
        ``mic`` in [0, 1]; ``tic``, which grows with n; and ``tic_normalised`` in [0, 1],
        which is ``tic`` divided by the number of grid sizes.

    Raises:
        ValueError: not two equally long columns of two values or more, or one is not finite.
        ImportError: ``fast-mine`` is not installed.
    """
    a, b = np.asarray(x, float), np.asarray(y, float)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"x {a.shape} and y {b.shape} must both be (n,), with n ≥ 2.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):  # a NaN would hang fast-mine
        raise ValueError("x and y must be finite; a NaN or an infinity is among them.")
    mine = _fast_mine()
    settings = mine.MineParameter(alpha=ALPHA, c=CLUMPS, est=mine.EST_MIC_APPROX)
    score = mine.mine_compute_score(mine.MineProblem(x=a, y=b, n=len(a)), settings)
    return {
        "mic": float(mine.mine_mic(score)),
        "tic": float(mine.mine_tic(score, norm=False)),
        "tic_normalised": float(mine.mine_tic(score, norm=True)),
    }


def mic_matrix(
    factors: ArrayLike, codes: ArrayLike, statistic: Statistic = "mic"
) -> NDArray[np.float64]:
    """One of ``mic_tic``'s scores, ``(d_factors, d_codes)``, of every factor and code.

    Takes factors ``(n, d_factors)`` and codes ``(n, d_codes)``, and raises as ``mic_tic``.
    """
    f, c = np.asarray(factors, float), np.asarray(codes, float)
    if f.ndim != 2 or c.ndim != 2:
        raise ValueError(f"factors {f.shape} and codes {c.shape} must both be (n, d).")
    return np.array([[mic_tic(x, y)[statistic] for y in c.T] for x in f.T])


def _fast_mine() -> ModuleType:
    try:
        import fast_mine
    except ImportError as error:
        raise ImportError(
            'MIC and TIC need fast-mine: pip install "caufvae-lite[bench]". It is optional '
            "because its licence is the GPL-3, while this package's is MIT."
        ) from error
    return fast_mine
