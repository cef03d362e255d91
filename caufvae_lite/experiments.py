"""The experiments behind the results tables: what is trained, on what, and how scored.

A *run* is one model, one world and one seed. Its scores go into a tidy CSV, columns
``model, world, seed, metric, value`` first, then where and how they came about. Runs whose
rows are there already are skipped, so a computation that was stopped goes on.
"""

from __future__ import annotations

import csv
import io
import platform
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from caufvae_lite.caufvae import CauFVAE
from caufvae_lite.data import FactorDataset
from caufvae_lite.evaluation import examine
from caufvae_lite.training import fit
from caufvae_lite.version import __version__
from caufvae_lite.worlds import Pendulum

NOISE = 1.5  # of the noisy pendulum, in axis units: see data/README.md for why
EPOCHS = 15
SUPERVISION = 60.0
SEEDS = range(5)

SWITCHES = {
    "label prior": {"prior": "label", "label_likelihood": 0.0},
    "label prior + likelihood": {"prior": "label", "label_likelihood": 5.0},
    "SCM prior": {"prior": "scm", "label_likelihood": 0.0},
    "SCM prior + likelihood": {"prior": "scm", "label_likelihood": 5.0},
}
MAIN = "SCM prior + likelihood"
WORLDS = ("pendulum", "pendulum-noisy", "pendulum-block")

COLUMNS = (
    "model", "world", "seed", "metric", "value",
    "version", "torch", "cpu", "threads", "seconds", "memory_mb", "gflops",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One model, one world, one seed; ``labels`` is the share of labelled rows."""

    switches: str
    world: str
    seed: int
    labels: float = 1.0

    @property
    def model(self) -> str:
        """The name in the results' column ``model``."""
        few = "" if self.labels == 1 else f", {self.labels:.0%} labels"
        return self.switches + few


def core_runs(seeds: Iterable[int] = SEEDS) -> list[Run]:
    """The runs of ``data/results/core.csv``, what matters most first."""
    seeds = list(seeds)
    main = [Run(MAIN, w, s) for w in ("pendulum", "pendulum-noisy") for s in seeds]
    others = [
        run
        for s in seeds
        for run in (
            *(Run(n, w, s) for w in WORLDS[:2] for n in SWITCHES if n != MAIN),
            Run(MAIN, "pendulum-block", s),
            *(Run(MAIN, "pendulum", s, labels) for labels in (0.1, 0.01)),
        )
    ]
    return [*main, *others]


def world_of(name: str, image_size: int = 64) -> Pendulum:
    """The world behind a name in the results' column ``world``."""
    if name not in WORLDS:
        raise ValueError(f"World {name!r} is not one of {WORLDS}.")
    return Pendulum(image_size, noise=NOISE if name == "pendulum-noisy" else 0.0)


def data_of(name: str, image_size: int = 64) -> tuple[Pendulum, FactorDataset, FactorDataset]:
    """The world, its training rows and its test rows."""
    world = world_of(name, image_size)
    train, test = world.grid().split("block" if name == "pendulum-block" else "published")
    return world, train, test


def build(switches: str, seed: int, image_size: int = 64) -> CauFVAE:
    """A model with fresh weights, the same for every run with this seed and shape."""
    torch.manual_seed(seed)
    return CauFVAE(
        Pendulum(image_size).graph,
        (3, image_size, image_size),
        supervision=SUPERVISION,
        **SWITCHES[switches],  # type: ignore[arg-type]
    )


def perform(
    run: Run, image_size: int = 64, progress: bool = True
) -> tuple[CauFVAE, list[dict]]:
    """Train and examine; the model, and its rows for the CSV."""
    world, train, test = data_of(run.world, image_size)
    model = build(run.switches, run.seed, image_size)

    def train_it() -> CauFVAE:
        fit(
            model, train, epochs=EPOCHS, seed=run.seed, device="cpu",
            label_fraction=run.labels, progress=progress,
        )  # fmt: skip
        return model

    _, circumstances = timed(train_it)
    scores = examine(model, world, test)
    return model, rows_of(run.model, run.world, run.seed, scores, circumstances)


def timed(train: Callable[[], CauFVAE]) -> tuple[CauFVAE, dict]:
    """Call ``train``; its model, and where and how fast that was, for the results file."""
    gflops = matrix_product_gflops()
    started = time.perf_counter()
    model = train()
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return model, {
        "version": __version__, "torch": torch.__version__, "cpu": cpu_name(),
        "threads": torch.get_num_threads(), "seconds": round(seconds, 1),
        "memory_mb": round(memory), "gflops": round(gflops, 1),
    }  # fmt: skip


def rows_of(
    model: str, world: str, seed: int, scores: dict[str, float], circumstances: dict
) -> list[dict]:
    """A run's rows for the results file, one a metric."""
    return [
        {
            "model": model, "world": world, "seed": seed,
            "metric": metric, "value": f"{value:.6g}", **circumstances,
        }
        for metric, value in scores.items()
    ]  # fmt: skip


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


def done(path: Path) -> set[tuple[str, str, int]]:
    """(model, world, seed) of the runs whose rows are in ``path``."""
    if not path.is_file():
        return set()
    with path.open(newline="") as file:
        return {(r["model"], r["world"], int(r["seed"])) for r in csv.DictReader(file)}


def append(path: Path, rows: list[dict]) -> None:
    """Add a run's rows, all or none: the file is replaced by a longer one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if not path.is_file():
        writer.writeheader()
    writer.writerows(rows)
    partial = path.with_suffix(".partial")
    partial.write_text((path.read_text() if path.is_file() else "") + text.getvalue())
    partial.replace(path)


def read_results(path: Path) -> list[dict]:
    """The rows of a results file, ``seed`` and ``value`` as numbers."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{**r, "seed": int(r["seed"]), "value": float(r["value"])} for r in rows]


def mean_and_interval(values: list[float]) -> tuple[float, float]:
    """Mean over seeds and the half width of its 95 % interval (Student's t)."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return float(array.mean()), float("nan")
    spread = stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean()), float(spread)


def summary(rows: list[dict]) -> str:
    """The results as text: one block a model and world, mean ± 95 % interval over seeds."""
    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    for r in rows:
        metrics = groups.setdefault((r["model"], r["world"]), {})
        metrics.setdefault(r["metric"], []).append(r["value"])
    lines = []
    for (model, world), metrics in groups.items():
        seeds = max(map(len, metrics.values()))
        lines.append(f"\n{model} on {world}, {seeds} seeds")
        for metric, values in metrics.items():
            mean, half = mean_and_interval(values)
            lines.append(f"  {metric:<60} {mean:9.4f} ± {half:.4f}")
    return "\n".join(lines)
