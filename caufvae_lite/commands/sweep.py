"""Compute whole studies, many runs at a time: ``python -m caufvae_lite sweep``.

Every missing run is a Dask task: on a cluster of this machine's cores, or with
``--scheduler ADDRESS`` on one that is running already. A finished run is written at once,
all its rows or none, by this process alone. So the sweep may be killed at any moment, and
started again it computes what is missing, or was computed with other settings. A run that
fails is reported and tried once more; the rest goes on. A worker that dies loses only what
it was doing: Dask gives that to another.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from caufvae_lite.checkpoints import data_folder, write_manifest
from caufvae_lite.studies.registry import STUDIES
from caufvae_lite.studies.results import Key, Rows, append, done

MISSING_DASK = (
    'A sweep needs Dask, which the package does not install by itself: pip install "'
    'caufvae-lite[bench]".'
)


def compute_run(study: str, key: Key) -> Rows:
    """One run of a study, on one thread: what a worker does."""
    import torch

    torch.set_num_threads(1)
    return STUDIES[study].rows(key)


@contextmanager
def cluster(
    scheduler: str | None = None, workers: int | None = None, timeout: str = "20s"
) -> Iterator[Any]:
    """A Dask client: of the scheduler at this address, or of a cluster of our own."""
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError(MISSING_DASK) from error
    if scheduler is not None:
        with Client(scheduler, timeout=timeout) as client:
            yield client
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers inherit it
    with (
        LocalCluster(
            n_workers=workers or os.cpu_count(), threads_per_worker=1, memory_limit=0,
            dashboard_address=None,
        ) as local,
        Client(local) as client,
    ):  # fmt: skip
        yield client


def sweep(
    client: Any, study: str, path: Path, keys: Sequence[Key], progress: bool = True
) -> list[tuple[Key, str]]:
    """Compute ``keys`` and add their rows to ``path``; what failed twice, and why.

    One run more than there are workers is in flight; before one is handed out, the file is
    looked at again, and what another sweep has finished meanwhile is left out. (What it is
    still computing is not known here, and may be computed twice.)

    Raises:
        ValueError: a worker has several threads.
    """
    from dask.distributed import as_completed

    crowded = [name for name, threads in client.nthreads().items() if threads > 1]
    if crowded:
        raise ValueError(
            f"{len(crowded)} of the cluster's workers have several threads, and runs use the "
            "process's random state: start them with dask worker ADDRESS --nthreads 1."
        )
    digests = {key: STUDIES[study].digest(key) for key in keys}
    waiting, tries, failed = deque(keys), dict.fromkeys(keys, 0), []
    running: dict[Any, Key] = {}
    pool = as_completed()
    bar = tqdm(total=len(keys), desc=study, unit="run", disable=not progress, smoothing=0.05)

    def hand_out() -> None:
        slots = max(1, sum(client.nthreads().values()))
        have = done(path)
        while waiting and len(running) < slots + 1:
            key = waiting.popleft()
            if have.get(key) == digests[key]:
                bar.update()
                continue
            tries[key] += 1
            future = client.submit(compute_run, study, key, pure=False)
            running[future] = key
            pool.add(future)

    hand_out()
    while running:
        future = next(pool)
        key = running.pop(future)
        name = f"{key[0]} on {key[1]}, seed {key[2]}"
        rows = future.result() if future.status == "finished" else []
        if any(row["configuration"] == digests[key] for row in rows):
            append(path, rows)
            bar.update()
            bar.set_postfix_str(f"{name}: {rows[0]['seconds']} s")
        else:
            error = future.exception()
            reason = (
                f"{type(error).__name__}: {error}" if error is not None
                else "the worker's version of the package has other settings" if rows
                else "it gave no scores"
            )  # fmt: skip
            again = tries[key] < 2
            bar.write(f"{name} failed, {'trying again' if again else 'twice'}: {reason}")
            if again:
                waiting.append(key)
            else:
                failed.append((key, reason))
                bar.update()
        future.release()
        hand_out()
    bar.close()
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if a run failed twice."""
    parser = argparse.ArgumentParser(prog="python -m caufvae_lite sweep", description=__doc__)
    parser.add_argument("studies", nargs="*", help=f"of {', '.join(STUDIES)}; default: all")
    parser.add_argument("--scheduler", help="address of a running Dask scheduler")
    parser.add_argument("--workers", type=int, help="of the local cluster; default: cores")
    parser.add_argument("--seeds", type=int, help="seeds 0 … n − 1; default: the study's own")
    parser.add_argument("--out", type=Path, help="folder of the tables; default: data/results")
    parser.add_argument("--dry-run", action="store_true", help="say what is missing, and stop")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.studies if name not in STUDIES]
    if unknown:
        parser.error(f"no study {unknown}; there are {list(STUDIES)}")
    folder = options.out or data_folder() / "results"
    plan = {}
    for name in options.studies or STUDIES:
        study = STUDIES[name]
        plan[name] = study.missing(folder / f"{name}.csv", range(options.seeds or study.seeds))
        print(f"{name}: {len(plan[name])} runs are missing", flush=True)
    if options.dry_run:
        return 0
    plan = {name: keys for name, keys in plan.items() if keys}
    if not plan:
        return _finish(options.out, [])
    failed = []
    with cluster(options.scheduler, options.workers) as client:
        for name, keys in plan.items():
            failed += sweep(client, name, folder / f"{name}.csv", keys)
    return _finish(options.out, failed)


def _finish(out: Path | None, failed: list[tuple[Key, str]]) -> int:
    """Note the shipped tables' new sums, and say what failed."""
    if out is None:
        write_manifest(data_folder())
    for key, reason in failed:
        print(f"failed twice: {key}: {reason}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
