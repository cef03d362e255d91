"""The processes that train one model together, and the device each of them has.

Whoever starts them (``accelerate launch``, ``torchrun``, `accelerate.notebook_launcher`, an
MPI launcher) sets environment variables that say how many there are and which one this is.
`join` reads them through Accelerate, which also picks the backend: NCCL between GPUs, gloo
between CPUs. A process that was started alone does not load Accelerate, whose process-wide
state would be in the way of a launcher that is called later.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True)
class Processes:
    """``count`` processes, of which this is number ``index``; one by default.

    Every method but ``is_main`` is collective: all processes call it, in the same order.
    """

    device: torch.device
    index: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.index == 0

    def __str__(self) -> str:
        """What the history calls the device: the same for all processes."""
        return str(self.device) if self.count == 1 else f"{self.device.type} × {self.count}"

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of everybody's ``tensor``, in place; the same bits for all."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def from_main(self, work: Callable[[], T]) -> T:
        """What ``work()`` returned in the main process, or the error it raised, for all."""
        if self.count == 1:
            return work()
        box: list[Any] = [None, None]
        error: BaseException | None = None
        if self.is_main:
            try:
                box[0] = work()
            except BaseException as caught:
                error, box[1] = caught, f"{type(caught).__name__}: {caught}"
        dist.broadcast_object_list(box, src=0, device=self.device)
        if error is not None:
            raise error
        if box[1] is not None:
            raise RuntimeError(f"The main process stopped: {box[1]}")
        return box[0]

    def agree(self, what: dict[str, Any]) -> None:
        """Raise for all processes if they differ in ``what``."""
        if self.count == 1:
            return
        everyone: list[Any] = [None] * self.count
        dist.all_gather_object(everyone, what)
        for index, other in enumerate(everyone):
            differing = sorted(k for k in what if other.get(k) != everyone[0].get(k))
            if differing:
                raise ValueError(
                    f"Process {index} differs from process 0 in {', '.join(differing)}. All "
                    "processes need the same arguments and the *whole* data set: fit shares "
                    "out the batches itself."
                )


def join(device: torch.device) -> Processes:
    """The processes that this one was started with, on ``device``'s kind of device.

    Raises:
        RuntimeError: the processes already talk through another kind of device.
    """
    started = max((int(os.environ.get(name, 1)) for name in SIZES), default=1)
    if started == 1 and not dist.is_initialized():
        return Processes(device)
    from accelerate.state import AcceleratorState, PartialState

    cpu = device.type == "cpu"
    if PartialState._shared_state and (PartialState().device.type == "cpu") != cpu:
        if dist.is_initialized():
            raise RuntimeError(
                f"These processes already work together on {PartialState().device.type}, "
                f"and device={str(device)!r} was asked for: use one kind of device a launch."
            )
        AcceleratorState._reset_state(reset_partial_state=True)
    if not dist.is_initialized():
        atexit.register(_leave)  # gloo's threads must not outlive the interpreter
    state = PartialState(cpu=cpu)
    return Processes(state.device, state.process_index, state.num_processes)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
