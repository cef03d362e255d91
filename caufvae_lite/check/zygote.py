"""A process that has imported everything and only forks: one child for each submission.

Importing PyTorch takes about two seconds, a fork some milliseconds. ``python -m
caufvae_lite.check.zygote FD`` reads requests from the socket FD: a JSON of limits and a folder,
and with it a descriptor by which the grader and the child will talk. It never runs a student's
code itself, never touches autograd, and has one thread, as forks need.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

from caufvae_lite.check import child, limits

WARM = [
    "torch",
    "torch.distributions",
    "torch._dynamo",
    "numpy",
    "networkx",
    "pandas",
    "scipy.stats",
    "scipy.optimize",
    "sklearn.linear_model",
    "matplotlib.pyplot",
    "caufvae_lite",
    "caufvae_lite.notebook",
    "caufvae_lite.plots",
    "caufvae_lite.check.practice",
    "caufvae_lite.check.variants",
]


def main(descriptor: int) -> None:
    for name in WARM:
        importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)
    limits.prctl(limits.DUMPABLE, 0)
    limits.prctl(limits.SUBREAPER, 1)
    requests = socket.socket(fileno=descriptor)
    requests.sendall(b"ready")
    while True:
        text, fds, _, _ = socket.recv_fds(requests, 10_000, 1)
        if not text:
            return
        one = os.fork()
        if one == 0:
            requests.close()
            _wall_and_fork(json.loads(text), socket.socket(fileno=fds[0]))
        os.close(fds[0])
        os.waitpid(one, 0)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _wall_and_fork(request: dict, connection: socket.socket) -> None:
    """Leave the shared namespaces, fork the student's process, tell the grader its number."""
    try:
        walls = limits.wall_in()
        student = os.fork()
        if student == 0:
            _live(request, connection, walls)
        connection.sendall(json.dumps({"pid": student, "walls": walls}).encode() + b"\n")
    finally:
        os._exit(0)


def _live(request: dict, connection: socket.socket, walls: list[str]) -> None:
    try:
        os.setsid()
        folder = Path(request["folder"])
        if "processes" in walls:
            limits.wall_off_files(folder)
        os.chdir(folder)
        os.environ |= {"HOME": str(folder), "USER": "student", "TMPDIR": str(folder)}
        tempfile.tempdir = str(folder)
        output = os.open(folder / ".output", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        limits.become_nobody(folder)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file too large is an error, not death
        limits.apply(limits.Limits(**request["limits"]))
        child.guard()
        child.serve(connection)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
