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

from importlib.util import find_spec

import numpy as np
from numpy.typing import ArrayLike

ALPHA, CLUMPS = 0.6, 15


def available() -> bool:
    """Is ``fast-mine`` installed?"""
    return find_spec("fast_mine") is not None


def mic_tic(x: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """MIC and TIC of two columns ``(n,)``; all are 0 where either is constant.

    They are symmetric and unchanged by increasing functions of x or y. A decreasing one
    changes them a little, because the approximation fills its bins from the left.

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
    try:
        import fast_mine as mine
    except ImportError as error:
        raise ImportError(
            'MIC and TIC need fast-mine: pip install "caufvae-lite[bench]". It is optional '
            "because its licence is the GPL-3, while this package's is MIT."
        ) from error
    settings = mine.MineParameter(alpha=ALPHA, c=CLUMPS, est=mine.EST_MIC_APPROX)
    score = mine.mine_compute_score(mine.MineProblem(x=a, y=b, n=len(a)), settings)
    return {
        "mic": float(mine.mine_mic(score)),
        "tic": float(mine.mine_tic(score, norm=False)),
        "tic_normalised": float(mine.mine_tic(score, norm=True)),
    }
