"""Does every code hold one factor, and is every factor in one code?

Factors are ``(n, d_factors)`` and codes ``(n, d_codes)``. Nothing here knows which code was
meant for which factor, so these scores suit models that learnt without labels. They do not
change with a code's shift, scale and sign (DCI: with any monotone bend); where these must
count, use ``r2``. Scikit-learn and SciPy load when a score is asked for.

Every function raises a `ValueError` unless both are tables of equally many (two or more) rows,
all values are finite, and every factor varies.

Factors that cause one another are a trap: a code that is the sun alone predicts the shadow.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caufvae_lite.metrics.accuracy import r2

TREES, ROWS_IN_A_LEAF = 100, 5  # of the forest in ``dci``


def r2_matrix(factors: ArrayLike, codes: ArrayLike) -> NDArray[np.float64]:
    """R² ``(d_factors, d_codes)`` of the least-squares line from each code to each factor.

    That is their squared correlation; a constant code scores 0.
    """
    return np.square(_correlations(factors, codes))


def assignment(factors: ArrayLike, codes: ArrayLike) -> tuple[int, ...]:
    """Which code stands for which factor: one code index per factor, none twice.

    It is the assignment with the largest sum of absolute correlations (Kuhn 1955; SciPy's
    solver). Codes left over are in no pair; fewer codes than factors are a `ValueError`.
    """
    from scipy.optimize import linear_sum_assignment

    similarity = np.abs(_correlations(factors, codes))
    n_factors, n_codes = similarity.shape
    if n_codes < n_factors:
        raise ValueError(f"{n_factors} factors need as many codes, got {n_codes}.")
    return tuple(int(i) for i in linear_sum_assignment(similarity, maximize=True)[1])


def mcc(factors: ArrayLike, codes: ArrayLike) -> float:
    """Mean absolute correlation of the factors with the codes that ``assignment`` finds.

    The score of nonlinear ICA (Hyvärinen and Morioka 2016; Khemakhem et al. 2020): 1 iff
    every factor has a code of its own that is it up to shift, scale and sign.

    >>> mcc([[0, 1], [1, 0], [2, 5]], [[1, 0], [0, -1], [5, -2]])
    1.0
    """
    chosen = assignment(factors, codes)
    similarity = np.abs(_correlations(factors, codes))
    return float(similarity[np.arange(len(chosen)), chosen].mean())


def dci(factors: ArrayLike, codes: ArrayLike, *, seed: int = 0) -> dict[str, float]:
    """Disentanglement, completeness and informativeness (Eastwood and Williams 2018).

    A forest predicts each factor from all codes, on a random half of the rows that ``seed``
    draws. Column j of the importances R ``(d_codes, d_factors)`` is how much each code lowered
    its squared error. D and C are as in ``disentanglement_completeness``. I is the mean R² on
    the other half, where the paper has an error; codes that say nothing make it negative.

    The forest is one of the paper's two choices. It averages trees, so two equal codes share
    the importance (0.45 to 0.54 for the first in ten seeds; 0.35 to 0.72 with boosting).
    Every split may use every code: with √d of them, D of a perfect copy fell to 0.83.
    """
    from sklearn.ensemble import RandomForestRegressor

    f, c = _tables(factors, codes)
    fit, held = np.split(np.random.default_rng(seed).permutation(len(f)), [len(f) // 2])
    _must_vary(f[fit])
    _must_vary(f[held])
    c = _standardised(c)  # trees work in float32, where a large offset would drown a code
    importance, prediction = np.zeros((c.shape[1], f.shape[1])), np.zeros_like(f[held])
    for j in range(f.shape[1]):
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=ROWS_IN_A_LEAF, random_state=seed, n_jobs=1
        ).fit(c[fit], f[fit, j])
        importance[:, j] = forest.feature_importances_
        prediction[:, j] = forest.predict(c[held])
    disentanglement, completeness = disentanglement_completeness(importance)
    return {
        "disentanglement": disentanglement,
        "completeness": completeness,
        "informativeness": float(np.mean(r2(f[held], prediction))),
    }


def disentanglement_completeness(importance: ArrayLike) -> tuple[float, float]:
    """D and C of an importance matrix R ``(d_codes, d_factors)``, not negative.

    Code i scores 1 − H(R_i· / Σ_j R_ij), with the logarithm to base d_factors. D is the mean,
    weighted by each code's share of all importance, so a code without any does not count.
    Factor j scores 1 − H(R_·j / Σ_i R_ij), to base d_codes, and C is the mean; a factor that
    no code tells of scores 0. A single factor cannot be confused and a single code cannot be
    spread over others: the score is then 1.

    >>> disentanglement_completeness([[2, 0], [0, 1], [0, 0]])
    (1.0, 1.0)
    """
    matrix = np.asarray(importance, float)
    weight = matrix.sum(1)
    per_code, per_factor = _concentration(matrix), _concentration(matrix.T)
    disentanglement = per_code @ weight / weight.sum() if weight.any() else 0.0
    return float(disentanglement), float(per_factor.mean())


def _concentration(matrix: NDArray) -> NDArray:
    """1 − the entropy of each row's shares, in units of its largest value; 0 if all are 0."""
    total = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(1)
    return np.where(total[:, 0] > 0, 1 - entropy / np.log(max(matrix.shape[1], 2)), 0.0)


def _correlations(factors: ArrayLike, codes: ArrayLike) -> NDArray:
    f, c = _tables(factors, codes)
    return _standardised(f).T @ _standardised(c) / len(f)


def _standardised(values: NDArray) -> NDArray:
    """Mean 0 and variance 1; a constant column becomes 0."""
    spread = np.where(np.ptp(values, 0) > 0, values.std(0), np.inf)
    return (values - values.mean(0)) / spread


def _tables(factors: ArrayLike, codes: ArrayLike) -> tuple[NDArray, NDArray]:
    f, c = np.asarray(factors, float), np.asarray(codes, float)
    for name, table in (("factors", f), ("codes", c)):
        if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 1:
            raise ValueError(f"{name} must be (n, d) with n ≥ 2 and d ≥ 1, got {table.shape}.")
        if not np.isfinite(table).all():
            raise ValueError(f"{name} must be finite; a NaN or an infinity is among them.")
    if len(f) != len(c):
        raise ValueError(f"factors {f.shape} and codes {c.shape} differ in rows.")
    _must_vary(f)
    return f, c


def _must_vary(factors: NDArray) -> None:
    constant = np.flatnonzero(np.ptp(factors, 0) == 0).tolist()
    if constant:
        raise ValueError(f"Factors must vary; these columns are constant: {constant}.")
