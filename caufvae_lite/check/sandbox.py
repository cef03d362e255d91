"""The grader's side of a student's process: start it, ask it, stop it, start it again.

A cell or a call that does not end in time, or ends the process, costs what it was asked for
and nothing else: the process is killed with all that it started, a fresh one takes its place,
and the guilty cell is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from caufvae_lite.check.limits import Limits
from caufvae_lite.check.values import BrokenMessage, pack, receive

START_SECONDS = 600  # on a machine that has much else to do


class Zygote:
    """The warm process that forks; started when first needed, and anew should it be gone."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None

    def fork(self, limits: Limits, folder: Path) -> tuple[socket.socket, int, list[str]]:
        """A new student's process: how to talk with it, its number, and the walls it has."""
        for last in (False, True):
            try:
                if self.process is None or self.process.poll() is not None:
                    self._start()
                return self._ask(limits, folder)
            except (OSError, ValueError):
                self.close()
                if last:
                    raise
        raise AssertionError

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        number = str(theirs.fileno())
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
        environment["MKL_NUM_THREADS"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "caufvae_lite.check.zygote", number],
            pass_fds=[theirs.fileno()], env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        ours.settimeout(START_SECONDS)
        if ours.recv(5) != b"ready":
            raise OSError("the process that forks did not start")
        self.requests = ours

    def _ask(self, limits: Limits, folder: Path) -> tuple[socket.socket, int, list[str]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        request = json.dumps({"limits": limits.as_dict(), "folder": str(folder)}).encode()
        socket.send_fds(self.requests, [request], [theirs.fileno()])
        theirs.close()
        ours.settimeout(20)
        line = b""
        while not line.endswith(b"\n"):
            part = ours.recv(1)
            if not part:
                raise OSError("no process was forked")
            line += part
        told = json.loads(line)
        return ours, told["pid"], told["walls"]

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.requests.close()
            self.process = None


class Died(Exception):
    """The student's process is gone; the text says why."""


class Student:
    """A submission at work: its cells have been run, and its names can be asked.

    ``errors`` maps a cell's id to what went wrong in it; ``walls`` says what the process was
    kept from. Use it in a ``with``.
    """

    def __init__(self, zygote: Zygote, cells: Sequence[tuple[str, str]], limits: Limits):
        self.zygote, self.limits = zygote, limits
        self.cells = list(cells)
        self.errors: dict[str, str] = {}
        self.walls: list[str] = []
        self.starts = 0
        self.own_seconds = 0.0  # in which the student's code ran
        self.connection: socket.socket | None = None

    def __enter__(self) -> Student:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, name: str, arguments: Any, wanted: Sequence[int] = ()) -> tuple:
        """``("value", …)``, ``("raised", text)`` or ``("undefined",)``.

        Raises:
            Died: the process ended, hung, or sent nonsense. The next call starts another.
        """
        if self.connection is None:
            self._start()
        assert self.connection is not None
        began = time.perf_counter()
        try:
            self.connection.settimeout(self.limits.call_seconds)
            self.connection.sendall(pack([name, arguments, wanted]))
            found = receive(self.connection, seconds=self.limits.call_seconds)
            if not isinstance(found, tuple) or not found or found[0] not in (
                "value", "raised", "undefined"
            ):  # fmt: skip
                raise BrokenMessage("an answer that is none")
            return found
        except (BrokenMessage, OSError) as error:
            self.stop()
            raise Died(f"{name}: {_why(error, self.limits.call_seconds)}") from None
        finally:
            self.own_seconds += time.perf_counter() - began

    def _start(self) -> None:
        """Run all cells but those that ended the process before, as often as it takes."""
        while self.starts <= self.limits.restarts:
            self.starts += 1
            self.folder = Path(tempfile.mkdtemp(prefix="submission-"))
            self.connection, self.pid, self.walls = self.zygote.fork(self.limits, self.folder)
            began = time.perf_counter()
            guilty = self._run_cells()
            self.own_seconds += time.perf_counter() - began
            if guilty is None:
                return
            self.stop()
            self.cells = [c for c in self.cells if c[0] != guilty]
        raise Died(f"given up after {self.starts} processes that died")

    def _run_cells(self) -> str | None:
        """The cell that ended the process or would not end; None if all is well."""
        assert self.connection is not None
        current = self.cells[0][0] if self.cells else ""
        try:
            self.connection.settimeout(self.limits.cell_seconds)
            self.connection.sendall(pack(self.cells))
            for _ in range(2 * len(self.cells) + 1):
                kind, *rest = receive(self.connection, seconds=self.limits.cell_seconds)
                if kind == "ready":
                    return None
                if kind == "start":
                    current = str(rest[0])
                elif kind == "failed":
                    self.errors[str(rest[0])] = str(rest[1])
            raise BrokenMessage("it says more than its cells have to say")
        except (BrokenMessage, OSError, ValueError, TypeError, IndexError) as error:
            self.errors[current] = _why(error, self.limits.cell_seconds)
            return current

    def stop(self) -> None:
        """Kill the process and everything that it started."""
        if self.connection is None:
            return
        self.connection.close()
        self.connection = None
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def _why(error: BaseException, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"did not end within {seconds:g} s and was stopped"
    if isinstance(error, BrokenMessage) and "ended" in str(error):
        return "ended the whole process (os._exit, a crash, or a limit of memory or time)"
    return f"broke the connection to the grader ({type(error).__name__})"
