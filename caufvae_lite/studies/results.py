"""A results file: tidy rows that two programs may add to, and how to read them.

One row a score, columns ``model, world, seed, metric, value`` first, then how and where it
came about. The rows of one run (model, world, seed) are added all or none: the file is
locked, read, and replaced by a longer one. So a reader never sees half a run, a computation
that is killed loses nothing that was written, and two that write at once lose nothing
either. ``configuration`` is a digest of the settings that the run's study lists: rows of a
run with other settings are stale, and give way to the new ones. (A change of the code is not
seen: delete the table's rows, or list the new constant.)
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock
from scipy import stats

from caufvae_lite.version import __version__

Key = tuple[str, str, int]  # model, world, seed
Rows = list[dict[str, Any]]
Result = TypeVar("Result")

COLUMNS = (
    "model", "world", "seed", "metric", "value",
    "version", "torch", "cpu", "threads", "seconds", "memory_mb", "gflops", "configuration",
)  # fmt: skip


def timed(work: Callable[[], Result]) -> tuple[Result, dict[str, Any]]:
    """Call ``work``; its result, and where, how fast and how large that was.

    Memory is the peak of the whole process while it worked (NaN where the system does not
    tell), libraries and what earlier work left behind included. ``gflops`` is the speed of a
    matrix product just before, to read the seconds by.
    """
    gflops = matrix_product_gflops()
    _forget_peak_memory()
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    return result, {
        "version": __version__, "torch": torch.__version__, "cpu": cpu_name(),
        "threads": torch.get_num_threads(), "seconds": round(seconds, 1),
        "memory_mb": f"{_peak_memory_mb():.0f}", "gflops": round(gflops, 1),
    }  # fmt: skip


def rows_of(
    key: Key, scores: Mapping[str, float], circumstances: dict, configuration: str = ""
) -> Rows:
    """A run's rows, one a metric."""
    model, world, seed = key
    return [
        {
            "model": model, "world": world, "seed": seed, "metric": metric,
            "value": f"{value:.6g}", **circumstances, "configuration": configuration,
        }
        for metric, value in scores.items()
    ]  # fmt: skip


def digest_of(configuration: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that change when any setting changes."""
    text = json.dumps(configuration, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# ---------------------------------------------------------------------- reading, writing


def done(path: Path) -> dict[Key, str]:
    """The runs whose rows are in ``path``, and their configuration's digest."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (r["model"], r["world"], int(r["seed"])): r.get("configuration", "")
            for r in csv.DictReader(file)
        }


def append(path: Path, rows: Rows) -> None:
    """Add a run's rows, all or none; older rows of the same run give way to them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = {(r["model"], r["world"], int(r["seed"])) for r in rows}
    with FileLock(path.with_suffix(".lock")):
        kept: Rows = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [
                    r
                    for r in csv.DictReader(file)
                    if (r["model"], r["world"], int(r["seed"])) not in keys
                ]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows([*kept, *rows])
        partial = path.with_suffix(".partial")
        partial.write_text(text.getvalue(), encoding="utf-8", newline="")
        partial.replace(path)


def read_results(path: Path) -> Rows:
    """The rows of a results file, ``seed`` and ``value`` as numbers."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{**r, "seed": int(r["seed"]), "value": float(r["value"])} for r in rows]


def table_of(rows: Iterable[dict], world: str, metric: str) -> dict[str, dict[int, float]]:
    """``{model: {seed: value}}`` of one metric in one world."""
    table: dict[str, dict[int, float]] = {}
    for r in rows:
        if r["world"] == world and r["metric"] == metric:
            table.setdefault(r["model"], {})[r["seed"]] = r["value"]
    return table


# -------------------------------------------------------------------- how sure are we?


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and the half width of its 95 % interval (Student's t)."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return float(array.mean()), float("nan")
    spread = stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean()), float(spread)


def tied_with_best(
    table: Mapping[str, Mapping[int, float]], higher: bool = True, level: float = 0.05
) -> set[str]:
    """The models with the best mean, and those that are not told apart from it.

    A paired t test over the seeds that two models share, each against the best, corrected
    for their number (Holm 1979): sorted p values p₁ ≤ p₂ ≤ … are told apart as long as
    p_k ≤ level / (m − k + 1). A model whose seeds all differ from the best's by the same
    non-zero amount is told apart, one that is equal is tied. Two cautions: the best is picked
    from the same seeds, which no correction here accounts for, and with few seeds or wide
    intervals a model that is much worse may not be told apart.
    """
    sign = 1 if higher else -1
    means = {model: sign * np.mean(list(values.values())) for model, values in table.items()}
    best = max(means, key=lambda model: means[model])
    p_values = {}
    for model, values in table.items():
        seeds = sorted(values.keys() & table[best].keys())
        gaps = np.array([sign * (table[best][s] - values[s]) for s in seeds])
        if model == best:
            continue
        if len(gaps) < 2 or np.ptp(gaps) < 1e-9 * np.abs(gaps).max(initial=1e-30):
            p_values[model] = 0.0 if len(gaps) > 1 and gaps[0] > 0 else 1.0
        else:
            p_values[model] = float(stats.ttest_1samp(gaps, 0.0).pvalue)
    worse: set[str] = set()
    for k, model in enumerate(sorted(p_values, key=lambda model: p_values[model])):
        if p_values[model] > level / (len(p_values) - k):
            break
        worse.add(model)
    return set(table) - worse


# ------------------------------------------------------------------------ the machine


def matrix_product_gflops(size: int = 1024, repeats: int = 20) -> float:
    """The machine's speed now, to read training times by: a float32 matrix product."""
    a = torch.randn(size, size)
    _ = a @ a
    started = time.perf_counter()
    for _ in range(repeats):
        _ = a @ a
    return 2e-9 * size**3 * repeats / (time.perf_counter() - started)


def cpu_name() -> str:
    """The processor's model, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _forget_peak_memory() -> None:
    """Start the peak anew, so that a worker's earlier runs do not count (Linux only)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_mb() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return float("nan")
