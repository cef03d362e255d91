"""The student's process: runs the cells of a submission, then answers what it is asked.

Nothing that happens here is trusted. It sends what the student's functions return, and says
which cell it is in and what went wrong; `grade` judges all that in another process.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import re
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import torch

from caufvae_lite.check.values import pack, receive

NOTEBOOK = re.compile(r"ipykernel_|<ipython-input|<stdin>")
MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


def plain_python(source: str) -> str:
    """A cell without its magics: ``%pip install`` and ``!ls`` become ``pass``."""
    source = re.sub(r"\A\s*%%.*\n?", "", source)
    return MAGIC.sub(r"\1pass", source)


def serve(connection: socket.socket) -> None:
    """Receive cells, run them, say what went wrong, and answer calls until the end."""
    cells, me = receive(connection), os.getpid()
    namespace: dict[str, Any] = {"__name__": "__main__", "get_ipython": lambda: None}
    namespace["display"] = lambda *args, **kwargs: None
    for name, source in cells:
        connection.sendall(pack(["start", name]))
        try:
            exec(compile(plain_python(source), f"<cell {name}>", "exec"), namespace)
        except BaseException as error:
            only(me)
            connection.sendall(pack(["failed", name, said(error)]))
        only(me)
        forget_output()
    connection.sendall(pack(["ready"]))
    while True:
        name, arguments, wanted = receive(connection, tensors=True)
        message = answer(namespace, name, arguments, wanted)
        only(me)
        connection.sendall(message)
        forget_output()


def only(process: int) -> None:
    """End what a cell has forked: one process speaks for a submission."""
    if os.getpid() != process:
        os._exit(1)


def answer(
    namespace: dict[str, Any], name: str, arguments: Any, wanted: Sequence[int] = ()
) -> bytes:
    """``["value", …]`` or ``["raised", text]`` or ``["undefined"]``, packed."""
    if name not in namespace:
        return pack(["undefined"])
    try:
        return pack(["value", call(namespace[name], arguments, wanted)])
    except BaseException as error:
        return pack(["raised", said(error)])


def call(found: Any, arguments: Any, wanted: Sequence[int]) -> Any:
    """What the student's name gives: its value, or what it returns for ``arguments``.

    With ``wanted`` also the gradients of the sum of all that it returned, by these arguments:
    None where no gradient arrives.
    """
    if arguments is None:
        return found
    if not wanted:
        return found(*arguments)
    arguments = list(arguments)
    asked = [arguments[k].clone().requires_grad_() for k in wanted]
    for k, leaf in zip(wanted, asked, strict=True):
        arguments[k] = leaf.clone()  # which, other than a leaf, may be changed in place
    value = found(*arguments)
    total = sum(v.sum() for v in tensors_in(value) if v.requires_grad)
    if not isinstance(total, torch.Tensor):
        return {"value": value, "gradients": [None] * len(asked)}
    gradients = torch.autograd.grad(total, asked, allow_unused=True)
    return {"value": value, "gradients": list(gradients)}


def tensors_in(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors_in(v)] if isinstance(value, list | tuple) else []


def said(error: BaseException) -> str:
    """An error in a line or two: where in which cell, and what."""
    try:
        where = ""
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith("<cell "):
                where = f"{frame.filename[1:-1]}, line {frame.lineno}: "
            elif NOTEBOOK.search(frame.filename):
                where = f"line {frame.lineno} of your cell, `{frame.line}`: "
        return f"{where}{type(error).__name__}: {error}"[:500]
    except Exception:  # an error whose text is itself an error
        return type(error).__name__


def forget_output() -> None:
    """Printed text goes to a file that may not grow; empty it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    try:
        if os.fstat(1).st_size:
            os.ftruncate(1, 0)
    except OSError:
        pass


def guard() -> None:
    """No questions to a keyboard, no practice checks, and no look at the right answers."""

    def no_keyboard(prompt: object = "") -> str:
        raise RuntimeError("input() waits for a keyboard, and the grader has none.")

    builtins.input = no_keyboard
    os.environ["CAUFVAE_GRADING"] = "1"
    sys.modules["caufvae_lite.check.tasks"] = None  # type: ignore[assignment]
