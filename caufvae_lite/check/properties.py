"""How answers are compared, and properties that hold whatever the right numbers are.

A comparison returns what is wrong in a sentence, or "". It knows what goes wrong most often: a
shape, a sign, a factor, a transpose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from caufvae_lite.check.values import Laws, Net, Other
from caufvae_lite.check.variants import Variant
from caufvae_lite.graph import CausalGraph


def short(value: Any) -> str:
    """A value in few characters: a small array's numbers, a large one's shape."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        shown = [f"{x:.4g}" if value.dtype.kind == "f" else str(x) for x in value.ravel()[:12]]
        if value.size > 12:
            shown[3:] = ["…"]
        return f"{value.dtype}{list(value.shape)} ({', '.join(shown)})"
    if isinstance(value, tuple | list):
        return f"({', '.join(short(v) for v in value)})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {short(v)}' for k, v in value.items())}}}"
    if isinstance(value, CausalGraph):
        arrows = ", ".join(f"{a}→{b}" for a, b in value.edges) or "no arrows"
        return f"graph of {', '.join(value.nodes)} with {arrows}"
    if isinstance(value, Laws | Net):
        return type(value).__name__.lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:80]


def difference(got: Any, wanted: Any, tolerance: float, shapes: bool = False) -> str:
    """What tells ``got`` from ``wanted``, or "" if nothing does.

    With ``shapes`` only whether they are equal matters, and a wrong shape is said shortly.
    """
    if isinstance(got, Other):
        return f"it gave a {got.kind}, which is no number, tensor or list of these"
    if isinstance(wanted, dict):
        if not isinstance(got, dict) or set(got) != set(wanted):
            return f"expected a dict with the keys {sorted(wanted)}, got {short(got)}"
        found = (difference(got[k], wanted[k], tolerance, shapes) for k in wanted)
        return next((f"at {k!r}: {f}" for k, f in zip(wanted, found, strict=True) if f), "")
    if isinstance(wanted, tuple) and not all(_scalar(w) for w in wanted):
        if not isinstance(got, tuple) or len(got) != len(wanted):
            return f"expected {len(wanted)} results, got {short(got)}"
        for k, (one, other) in enumerate(zip(got, wanted, strict=True)):
            found_here = difference(one, other, tolerance, shapes)
            if found_here:
                return f"result {k + 1} of {len(wanted)}: {found_here}"
        return ""
    return _numbers(got, wanted, tolerance)


def _scalar(value: Any) -> bool:
    return isinstance(value, int | float | bool | np.generic)


def _numbers(got: Any, wanted: Any, tolerance: float) -> str:
    if isinstance(wanted, str):
        return "" if got == wanted else f"expected {wanted!r}, got {short(got)}"
    try:
        one = np.asarray(got)
        if one.dtype.kind not in "biuf":
            raise ValueError
    except ValueError:
        return f"expected numbers, got {short(got)}"
    other = np.asarray(wanted)
    if one.shape != other.shape and not (one.size == other.size == 1):
        return f"expected the shape {list(other.shape)}, got {list(one.shape)}"
    one, other = one.astype(float).ravel(), other.astype(float).ravel()
    if not np.isfinite(one).all() and np.isfinite(other).all():
        return "it holds a NaN or an infinite value"
    if np.allclose(one, other, rtol=tolerance, atol=tolerance):
        return ""
    return _guess(one, other, tolerance)


def _guess(one: np.ndarray, other: np.ndarray, tolerance: float) -> str:
    if np.allclose(one, -other, rtol=tolerance, atol=tolerance):
        return "the sign is wrong"
    with np.errstate(all="ignore"):
        ratio = one / other
    steady = np.allclose(ratio, ratio[0], rtol=tolerance) and abs(other).min() > 0
    if steady and one.size > 1 and ratio[0] != 0:
        return f"every number is {ratio[0]:.4g} times the right one"
    k = int(np.argmin(np.isclose(one, other, rtol=tolerance, atol=tolerance)))  # the first
    return f"number {k + 1} of {one.size} is {one[k]:.5g} and should be {other[k]:.5g}"


STEP = 1e-4


def nudged(rng: np.random.Generator, d: int) -> np.ndarray:
    """A point ``(1 + 2d, d)`` and its neighbours, from which a Jacobian can be measured."""
    point = rng.normal(size=d)
    steps = STEP * np.eye(d)
    return np.concatenate([point[None], point + steps, point - steps])


def jacobian(values: np.ndarray) -> np.ndarray:
    """``(d, d)``: the Jacobian at `nudged`'s point, by central differences."""
    d = values.shape[1]
    return ((values[1 : d + 1] - values[d + 1 :]) / (2 * STEP)).T


def log_det_of_differences(which: int = 0) -> Callable[[Variant, tuple, Any], str]:
    """The second result is log|det| of the first one's Jacobian, measured by differences.

    Only where argument ``which`` was made by `nudged`, so has 1 + 2d rows.
    """

    def test(v: Variant, arguments: tuple, got: Any) -> str:
        n, d = arguments[which].shape
        if n != 1 + 2 * d:
            return ""
        measured = np.linalg.slogdet(jacobian(np.asarray(got[0], float)))[1]
        said = float(np.asarray(got[1])[0])
        if abs(measured - said) < 1e-3:
            return ""
        return f"the log-determinant is {measured:.4f} by differences, and {said:.4f} was given"

    return test


def untouched(v: Variant, arguments: tuple, got: Any) -> str:
    """What ``do``, the last argument, cannot reach stays bit by bit as it was."""
    before, graph, do = np.asarray(arguments[0]), arguments[1], arguments[-1]
    reach = graph.affected(do)
    for i, name in enumerate(graph.nodes):
        if name not in reach and not np.allclose(np.asarray(got)[:, i], before[:, i]):
            return f"{name} changed, and do({', '.join(do)}) cannot reach it"
    return ""
