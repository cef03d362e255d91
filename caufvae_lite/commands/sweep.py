"""Compute whole studies, many runs at a time: ``python -m caufvae_lite sweep``.

Every missing run is a Dask task: on a cluster of this machine's cores, or with
``--scheduler ADDRESS`` on one that is running already. A finished run is written at once, all
its rows or none, by this process alone. The sweep may therefore be killed at any moment.
Started again, it computes what is missing, or was computed with other settings. Dask tries a
run that fails once more, and gives the runs of a worker that dies to another one.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from caufvae_lite.checkpoints import data_folder
from caufvae_lite.studies.registry import STUDIES
from caufvae_lite.studies.results import Key, append, done, write_manifest


def compute_run(study: str, key: Key, digest: str) -> pd.DataFrame:
    """What a worker does: one run of a study, on one thread."""
    if STUDIES[study].digest(key) != digest:
        raise RuntimeError("The worker's version of the package has other settings.")
    torch.set_num_threads(1)
    return STUDIES[study].rows(key)


def cluster(
    scheduler: str | None = None, workers: int | None = None, timeout: str = "20s"
) -> Any:
    """A Dask client: of the scheduler at this address, or of a cluster of our own."""
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ImportError('A sweep needs Dask: pip install "caufvae-lite[bench]".') from error
    if scheduler is not None:
        return Client(scheduler, timeout=timeout)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers inherit it
    one_thread = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
    return Client(n_workers=workers or os.cpu_count(), **one_thread)


def sweep(
    client: Any, study: str, path: Path, keys: Sequence[Key], progress: bool = True
) -> list[tuple[Key, str]]:
    """Compute ``keys`` and add their rows to ``path``; return what failed twice, and why.

    Runs that are in the file by now are left out. (What another sweep is still computing is
    not known here, and may be computed twice.)

    Raises:
        ValueError: a worker has several threads.
    """
    from dask.distributed import as_completed

    crowded = sum(threads > 1 for threads in client.nthreads().values())
    if crowded:
        raise ValueError(
            f"{crowded} of the cluster's workers have several threads, and runs use the "
            "process's random state: start them with dask worker ADDRESS --nthreads 1."
        )
    have, futures, failed = done(path), {}, []
    for key in keys:
        digest = STUDIES[study].digest(key)
        if have.get(key) != digest:
            task = client.submit(compute_run, study, key, digest, pure=False, retries=1)
            futures[task] = key
    with tqdm(total=len(futures), desc=study, unit="run", disable=not progress) as bar:
        for future in as_completed(futures):
            key, error = futures.pop(future), future.exception()
            if error is None:
                append(path, future.result())
            else:
                failed.append((key, f"{type(error).__name__}: {error}"))
                bar.write(f"{key} failed twice: {failed[-1][1]}")
            future.release()
            bar.update()
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
    if unknown := set(options.studies) - set(STUDIES):
        parser.error(f"no study {sorted(unknown)}; there are {list(STUDIES)}")
    folder = options.out or data_folder() / "results"
    plan = {}
    for name in options.studies or STUDIES:
        study = STUDIES[name]
        plan[name] = study.missing(folder / f"{name}.csv", range(options.seeds or study.seeds))
        print(f"{name}: {len(plan[name])} runs are missing", flush=True)
    if options.dry_run:
        return 0
    failed = []
    if any(plan.values()):
        with cluster(options.scheduler, options.workers) as client:
            for name, keys in plan.items():
                failed += sweep(client, name, folder / f"{name}.csv", keys)
    if options.out is None:
        write_manifest(data_folder())
    for key, reason in failed:
        print(f"failed twice: {key}: {reason}", file=sys.stderr)
    return 1 if failed else 0
