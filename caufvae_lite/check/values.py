"""What travels between the grader and a student's process: plain values, never pickle.

A message is two lengths, a JSON tree, and the raw bytes of its arrays one after the other. The
reader checks every length, shape and dtype before it believes them, so a hostile sender can at
worst send a wrong answer. A graph and `Laws` (mechanisms drawn at random) are rebuilt from
their parameters on the other side.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.graph import CausalGraph

DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")
LARGEST = 64 * 2**20  # bytes of one message


class BrokenMessage(Exception):
    """The other side sent something that is no message, or nothing in time."""


@dataclass(frozen=True)
class Laws:
    """Mechanisms (s_i, t_i) of all factors of a graph, drawn at random, the same anywhere.

    ``laws(i, parents)`` takes the values ``(n, p)`` of factor i's parents in node order and
    returns log-scale and shift, each ``(n,)``. ``linear`` and ``bent`` are ``(d, d)``, and
    ``start`` is ``(d, 2)``.
    """

    graph: CausalGraph
    linear: np.ndarray
    bent: np.ndarray
    start: np.ndarray

    def __call__(self, i: int, parents: Tensor) -> tuple[Tensor, Tensor]:
        graph = self.graph
        rows = [graph.index(p) for p in graph.parents(graph.nodes[i])]
        if parents.shape[1:] != (len(rows),):
            raise ValueError(
                f"laws({i}, …): column {i} has {len(rows)} causes, and was given a tensor of "
                f"shape {list(parents.shape)} instead of (n, {len(rows)})"
            )
        linear, bent = (
            torch.as_tensor(table[rows, i], dtype=parents.dtype)
            for table in (self.linear, self.bent)
        )
        scale = float(self.start[i, 0]) + 0.5 * torch.tanh(parents @ bent)
        return scale, float(self.start[i, 1]) + torch.sin(parents) @ bent + parents @ linear

    @classmethod
    def draw(cls, graph: CausalGraph, rng: np.random.Generator) -> Laws:
        d = len(graph)
        tables = rng.uniform(0.4, 1.2, (2, d, d)) * rng.choice([-1.0, 1.0], (2, d, d))
        return cls(graph, tables[0], tables[1], rng.uniform(-0.6, 0.6, (d, 2)))


@dataclass(frozen=True)
class Net:
    """A small network with given weights: ``x @ into``, tanh, ``@ out``; in halves if split."""

    into: np.ndarray
    out: np.ndarray
    split: bool = False

    def __call__(self, x: Tensor) -> Any:
        into, out = (torch.as_tensor(w, dtype=x.dtype) for w in (self.into, self.out))
        y = torch.tanh(x.flatten(1) @ into) @ out
        return tuple(y.chunk(2, -1)) if self.split else y

    @classmethod
    def draw(
        cls, rng: np.random.Generator, inputs: int, outputs: int, split: bool = False
    ) -> Net:
        wide = rng.normal(size=(inputs, 5)) / inputs**0.5
        return cls(wide, 0.6 * rng.normal(size=(5, (1 + split) * outputs)), split)


def pack(value: Any) -> bytes:
    """The message that `receive` reads."""
    arrays: list[np.ndarray] = []
    tree = _flatten(value, arrays)
    kinds = [[str(a.dtype), list(a.shape)] for a in arrays]
    head = json.dumps({"tree": tree, "arrays": kinds}).encode()
    body = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)
    return struct.pack("<QQ", len(head), len(body)) + head + body


def _flatten(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float | np.integer | np.floating | np.bool_):
        plain = value.item() if isinstance(value, np.generic) else value
        return plain if math.isfinite(plain) else {"float": str(plain)}
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        if str(value.dtype) not in DTYPES:
            return {"other": f"array of {value.dtype}"}
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [_flatten(v, arrays) for v in items]
    if isinstance(value, dict):
        return {"dict": [[str(k), _flatten(v, arrays)] for k, v in value.items()]}
    if isinstance(value, CausalGraph):
        return {"graph": [list(value.nodes), [list(e) for e in value.edges]]}
    if isinstance(value, Laws):
        parts = (value.graph, value.linear, value.bent, value.start)
        return {"laws": [_flatten(v, arrays) for v in parts]}
    if isinstance(value, Net):
        return {"net": [_flatten(v, arrays) for v in (value.into, value.out, value.split)]}
    return {"other": type(value).__name__}


@dataclass(frozen=True)
class Other:
    """Stands for an answer of a kind that no exercise asks for."""

    kind: str


def unpack(head: bytes, body: bytes, tensors: bool) -> Any:
    """The value; arrays as tensors for the student's side, as NumPy arrays for the grader's.

    Raises:
        BrokenMessage: it is none.
    """
    try:
        found = json.loads(head)
        arrays, start = [], 0
        for kind, shape in found["arrays"]:
            if kind not in DTYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
                raise ValueError(f"an array of {kind} {shape}")
            end = start + np.dtype(kind).itemsize * math.prod(shape)
            array = np.frombuffer(body[start:end], kind).reshape(shape).copy()
            arrays.append(torch.from_numpy(array) if tensors else array)
            start = end
        return _build(found["tree"], arrays)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise BrokenMessage(f"{type(error).__name__}: {error}") from None


def _build(tree: Any, arrays: list) -> Any:
    if isinstance(tree, list):
        return tuple(_build(t, arrays) for t in tree)
    if not isinstance(tree, dict):
        return tree
    (kind, inner), *more = tree.items()
    if more:
        raise ValueError("a node with several kinds")
    if kind == "array":
        return arrays[inner]
    if kind == "float":
        return float(inner)
    if kind == "dict":
        return {k: _build(v, arrays) for k, v in inner}
    if kind == "graph":
        return CausalGraph(inner[0], [(a, b) for a, b in inner[1]])
    if kind == "laws":
        graph, *tables = (_build(v, arrays) for v in inner)
        return Laws(graph, *(np.asarray(t) for t in tables))
    if kind == "net":
        into, out, split = (_build(v, arrays) for v in inner)
        return Net(np.asarray(into), np.asarray(out), bool(split))
    return Other(str(inner))


def receive(
    connection: socket.socket, tensors: bool = False, seconds: float | None = None
) -> Any:
    """The next message, whole within so many seconds.

    Raises:
        BrokenMessage: there is none, or it is too large.
        TimeoutError: it is late.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    lengths = struct.unpack("<QQ", _exactly(connection, 16, deadline))
    if sum(lengths) > LARGEST:
        raise BrokenMessage(f"a message of {sum(lengths):,} bytes")
    head, body = (_exactly(connection, n, deadline) for n in lengths)
    return unpack(head, body, tensors)


def _exactly(connection: socket.socket, n: int, deadline: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < n:
        if deadline is not None:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(min(n - len(parts), 2**20))
        if not part:
            raise BrokenMessage("the process ended")
        parts += part
    return bytes(parts)
