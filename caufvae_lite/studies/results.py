"""A results table: tidy rows that two programs may add to, and how sure its means are.

One row a score: ``model, world, seed`` name the run; ``cause, measure, factor, value`` say
what was set, what was measured, and on which factor (``cause`` is "" where nothing was set,
"a+b" where two factors were; ``factor`` is "" where the score is of no single one). The other
columns say how and where the run was computed. (In the rows stored so far, ``seconds`` and
``memory_mb`` are of the training alone.)

The rows of a run are added together or not at all, so a reader never sees half a run, and a
computation that is killed loses nothing that was written. ``configuration`` is a digest of the
settings that the run's study lists. A run with other settings is stale, and its rows are
replaced when it is computed again. A change of the code is not noticed: delete the table's
rows, or list the new constant.
"""

import contextlib
import hashlib
import json
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from scipy import stats

from caufvae_lite import __version__
from caufvae_lite.worlds.examination import Score

__all__ = ["matrix_product_gflops", "mean_and_interval", "over_seeds", "read_results"]
__all__ += ["tied_with_best"]

Key = tuple[str, str, int]  # model, world, seed
Result = TypeVar("Result")

RUN = ["model", "world", "seed"]
COLUMNS = (
    *RUN, *Score._fields,
    "version", "torch", "cpu", "threads", "seconds", "memory_mb", "gflops", "configuration",
)  # fmt: skip


def timed(work: Callable[[], Result]) -> tuple[Result, dict[str, Any]]:
    """Call ``work``; return its result, and where, how fast and how large that was.

    ``memory_mb`` is the peak of the whole process while it worked, and NaN if this is not
    Linux. ``gflops`` is measured just before, to compare the seconds with.
    """
    gflops = matrix_product_gflops()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of earlier work
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    kilobytes, *_ = _from_proc("self/status", "VmHWM", "nan kB").split()
    return result, {
        "version": __version__, "torch": torch.__version__,
        "cpu": _from_proc("cpuinfo", "model name", platform.processor()),
        "threads": torch.get_num_threads(), "seconds": round(seconds, 1),
        "memory_mb": f"{float(kilobytes) / 1024:.0f}", "gflops": round(gflops, 1),
    }  # fmt: skip


def matrix_product_gflops() -> float:
    """The machine's speed now, in GFLOP/s of a float32 matrix product."""
    size, repeats = 1024, 20
    a = torch.randn(size, size)
    _ = a @ a
    started = time.perf_counter()
    for _ in range(repeats):
        _ = a @ a
    return 2e-9 * size**3 * repeats / (time.perf_counter() - started)


def _from_proc(file: str, name: str, default: str) -> str:
    """What stands after ``name:`` in one of Linux' own files."""
    with contextlib.suppress(OSError):
        text = Path("/proc", file).read_text()
        if found := re.search(rf"^{name}\s*:(.*)", text, re.MULTILINE):
            return found[1].strip()
    return default


def rows_of(
    key: Key, scores: Iterable[Score], circumstances: Mapping[str, Any], configuration: str = ""
) -> pd.DataFrame:
    """A run's rows as text, one a score, ready for `append`."""
    table = pd.DataFrame(list(scores), columns=list(Score._fields))
    table["value"] = [f"{value:.6g}" for value in table["value"]]
    run = dict(zip(RUN, key, strict=True))
    table = table.assign(**run, **circumstances, configuration=configuration)
    return table.reindex(columns=list(COLUMNS), fill_value="").astype(str)


def append(path: Path, rows: pd.DataFrame) -> None:
    """Add runs' rows, all or none; rows that the table has of the same runs are dropped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            old = _as_text(path)
            stale = old.set_index(RUN).index.isin(rows.set_index(RUN).index)
            rows = pd.concat([old[~stale], rows])
        partial = path.with_suffix(".partial")
        rows.to_csv(partial, columns=list(COLUMNS), index=False, lineterminator="\n")
        partial.replace(path)


def read_results(path: Path) -> pd.DataFrame:
    """The rows of a results table; ``seed`` and ``value`` are numbers, all else is text."""
    return _as_text(path).astype({"seed": int, "value": float})


def done(path: Path) -> dict[Key, str]:
    """The runs whose rows are in ``path``, and their configuration's digest."""
    if not path.is_file():
        return {}
    runs = read_results(path).drop_duplicates(RUN)
    keys = runs[RUN].itertuples(index=False, name=None)
    return dict(zip(keys, runs["configuration"], strict=True))


def _as_text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")


def write_manifest(folder: Path) -> None:
    """Note the sha256 of every checkpoint and result below ``folder``."""
    files = sorted([*folder.glob("checkpoints/*.safetensors"), *folder.glob("results/*.csv")])
    sums = {
        f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in files
    }
    (folder / "manifest.json").write_text(json.dumps(sums, indent=2) + "\n")


def over_seeds(rows: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """One score of every run, seeds below each other and models side by side.

    ``where`` says which value a column must have, such as ``measure="r2"``; it is a ValueError
    if this leaves several rows of one run.
    """
    for column, value in where.items():
        rows = rows[rows[column] == value]
    wide = rows.pivot(index="seed", columns="model", values="value")
    return wide[list(rows["model"].unique())]


def mean_and_interval(values: Sequence[float] | pd.Series) -> tuple[float, float]:
    """Mean over seeds and the half width of its 95 % interval (Student's t)."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return float(array.mean()), float("nan")
    spread = stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean()), float(spread)


def tied_with_best(table: pd.DataFrame, higher: bool = True) -> set[str]:
    """The model with the best mean, and those that cannot be told apart from it.

    A paired t test over the seeds that a model shares with the best one, at the level .05,
    corrected for the number m of models that are tested (Holm 1979): with sorted p values
    p₁ ≤ p₂ ≤ …, models are told apart as long as p_k ≤ .05 / (m − k + 1). A model whose seeds
    all differ from the best's by the same non-zero amount is told apart, one that is equal is
    tied. Two cautions: the best is picked from the same seeds, for which no correction here
    accounts, and with few seeds or wide intervals a much worse model may not be told apart.
    ``table`` has one number a run, seeds below each other and models side by side.
    """
    signed = table if higher else -table
    best = signed.mean().idxmax()
    p_values = pd.Series(dtype=float)
    for model in signed.columns.drop(best):
        gaps = (signed[best] - signed[model]).dropna().to_numpy()
        if len(gaps) < 2 or np.ptp(gaps) < 1e-9 * np.abs(gaps).max(initial=1e-30):
            p_values[model] = 0.0 if len(gaps) > 1 and gaps[0] > 0 else 1.0
        else:
            p_values[model] = stats.ttest_1samp(gaps, 0.0).pvalue
    p_values = p_values.sort_values()
    tied = (p_values > 0.05 / np.arange(len(p_values), 0, -1)).cummax()
    return {best, *p_values.index[tied]}
