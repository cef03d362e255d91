"""The sweep, on a real scheduler with two worker processes, one of them killed."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import toy_study

from caufvae_lite.commands import sweep
from caufvae_lite.studies.registry import STUDIES
from caufvae_lite.studies.results import append, done, read_results, rows_of
from caufvae_lite.worlds.examination import Score

pytest.importorskip("distributed", reason='pip install "caufvae-lite[bench]"')
TOY = Path(toy_study.__file__)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.fixture(scope="module")
def toy():
    """The toy study, known here as it is to the workers."""
    STUDIES["toy"] = toy_study.STUDY
    yield toy_study.STUDY
    del STUDIES["toy"]


class Cluster:
    """A scheduler and two workers, each a process of its own without a nanny."""

    def __init__(self, folder: Path):
        self.address_file = folder / "scheduler.json"
        self.env = {**os.environ, "TOY_STUDY": str(folder / "taken"), "OMP_NUM_THREADS": "1"}
        (folder / "taken").mkdir()
        self.processes = [
            self._start("scheduler", "--port", "0", "--no-dashboard",
                        "--scheduler-file", str(self.address_file)),
        ]  # fmt: skip
        wait_for(self.address_file.exists)
        for _ in range(2):
            self.processes.append(
                self._start(
                    "worker", "--scheduler-file", str(self.address_file), "--nthreads", "1",
                    "--no-nanny", "--no-dashboard", "--memory-limit", "0",
                    "--local-directory", str(folder), "--preload", str(TOY),
                )
            )  # fmt: skip

    def _start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def address(self) -> str:
        return json.loads(self.address_file.read_text())["address"]

    def stop(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path, toy):
    found = Cluster(tmp_path)
    try:
        with sweep.cluster(found.address) as client:
            client.wait_for_workers(2, timeout=60)
            yield found, client, tmp_path
    finally:
        found.stop()


def test_a_killed_worker_costs_only_what_it_was_doing(cluster, toy):
    _, client, folder = cluster
    keys = [("slow", "nowhere", 0), *(("quick", "nowhere", s) for s in range(8))]
    taken = folder / "taken"

    killed = []

    def killer():
        note = taken / "slow-0-0"
        wait_for(lambda: note.exists() and note.read_text())
        wait_for(lambda: len(list(taken.glob("quick-*"))) >= 2)
        killed.append(int(note.read_text()))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    failed = sweep.sweep(client, "toy", folder / "toy.csv", keys, progress=False)
    thread.join()
    assert failed == []
    assert set(done(folder / "toy.csv")) == set(keys)
    survivor = int((taken / "slow-0-1").read_text())
    assert survivor != killed[0]
    once = [p.name for p in taken.glob("quick-*-1")]
    assert once == []  # what was finished was not computed again
    rows = read_results(folder / "toy.csv")
    assert len(rows) == 2 * len(keys)


def test_a_failure_is_tried_once_more_reported_and_stops_nothing(cluster, toy, capsys):
    _, client, folder = cluster
    keys = [
        ("fails always", "nowhere", 0), ("fails once", "nowhere", 1), ("quick", "nowhere", 2),
    ]  # fmt: skip
    failed = sweep.sweep(client, "toy", folder / "toy.csv", keys, progress=True)
    assert [key for key, _ in failed] == [keys[0]]
    assert "as its name says" in failed[0][1]
    assert set(done(folder / "toy.csv")) == set(keys[1:])
    assert len(list((folder / "taken").glob("fails always-0-*"))) == 2
    assert "".join(capsys.readouterr()).count("failed twice") == 1


def test_a_sweep_that_is_killed_goes_on_where_it_was(cluster, toy):
    running, client, folder = cluster
    table = folder / "out" / "toy.csv"
    command = [
        sys.executable, "-c",
        f"import runpy; runpy.run_path({str(TOY)!r})['dask_setup'](None)\n"
        "from caufvae_lite.commands import sweep\n"
        f"sweep.main(['toy', '--scheduler', {running.address!r}, '--seeds', '4',"
        f" '--out', {str(table.parent)!r}])",
    ]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": running.env}
    first = subprocess.Popen(command, **quiet)
    wait_for(lambda: len(done(table)) >= 1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = done(table)
    study = STUDIES["toy"]
    keys = [k for k in study.keys(range(4)) if k[0] == "quick" or k in before]
    missing = [k for k in study.missing(table, range(4)) if k in keys]
    assert set(missing) == set(keys) - set(before)
    failed = sweep.sweep(client, "toy", table, missing, progress=False)
    assert failed == [] and set(keys) <= set(done(table))
    assert len(read_results(table)) == 2 * len(done(table))


def test_runs_that_are_in_the_table_by_now_are_not_computed(cluster, toy):
    _, client, folder = cluster
    key = ("quick", "nowhere", 5)
    table = folder / "toy.csv"
    append(table, rows_of(key, [Score("", "score", "", 1.0)], {}, toy.digest(key)))
    assert sweep.sweep(client, "toy", table, [key], progress=False) == []
    assert not list((folder / "taken").glob("*"))


def test_rows_of_a_worker_with_other_settings_are_not_kept(cluster, toy, monkeypatch):
    _, client, folder = cluster
    other = dataclasses.replace(toy, configuration=lambda key: {"key": key, "new": 1})
    monkeypatch.setitem(STUDIES, "toy", other)  # here, and not in the workers
    key = ("quick", "nowhere", 1)
    failed = sweep.sweep(client, "toy", folder / "toy.csv", [key], progress=False)
    assert failed[0][0] == key and "other settings" in failed[0][1]
    assert done(folder / "toy.csv") == {}


def test_workers_with_several_threads_are_refused(toy, tmp_path):
    class Crowded:
        def nthreads(self):
            return {"tcp://a": 1, "tcp://b": 4}

    with pytest.raises(ValueError, match="--nthreads 1"):
        sweep.sweep(Crowded(), "toy", tmp_path / "t.csv", [("quick", "nowhere", 0)])


def test_an_unknown_study_is_named(capsys):
    with pytest.raises(SystemExit):
        sweep.main(["nothing"])
    assert "core" in capsys.readouterr().err


def test_without_dask_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ImportError, match=r"caufvae-lite\[bench\]"), sweep.cluster():
        pass


def test_a_scheduler_that_is_not_there_is_an_error():
    with pytest.raises(OSError), sweep.cluster("tcp://127.0.0.1:9", timeout="1s"):
        pass
