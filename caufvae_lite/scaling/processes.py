"""The processes that train one model together, and the device each of them has.

Whoever starts them (``torchrun``, ``accelerate launch`` or `accelerate.notebook_launcher`, an
MPI launcher) sets environment variables that say how many there are and which one this is.
`join` reads them through Accelerate, which also picks the backend: NCCL between GPUs, gloo
between CPUs. A process that was started alone makes no `PartialState`: it is one for the whole
process, and would be in the way of a launcher that is called later.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True)
class Processes:
    """``count`` processes, of which this is number ``index``; one by default."""

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

    def from_main(self, work: Callable[[], Any]) -> Any:
        """What ``work()`` returns in the main process, for all; its error is one in all."""
        if self.count == 1:
            return work()
        if self.is_main:
            try:
                found = work()
            except BaseException as error:
                broadcast_object_list([None, f"{type(error).__name__}: {error}"])
                raise
            broadcast_object_list([found, None])
            return found
        found, problem = broadcast_object_list([None, None])
        if problem is not None:
            raise RuntimeError(f"The main process stopped: {problem}")
        return found

    def agree(self, settings: Mapping[str, Any]) -> None:
        """Raise a ValueError in all processes if they differ in their ``settings``."""
        everyone = [settings] if self.count == 1 else gather_object([settings])
        for index, other in enumerate(everyone):
            if names := differing(other, everyone[0]):
                raise ValueError(
                    f"Process {index} differs from process 0 in {names}. All processes need "
                    "the same arguments and the *whole* data set: fit shares out the batches "
                    "itself."
                )


def join(device: torch.device) -> Processes:
    """The processes that this one was started with, on ``device``'s kind of device.

    Raises:
        RuntimeError: they already work together on another kind of device.
    """
    started = max(int(os.environ.get(name, 1)) for name in SIZES)
    if started == 1 and not dist.is_initialized():
        return Processes(device)
    state = PartialState(cpu=device.type == "cpu")
    atexit.register(state.destroy_process_group)  # gloo's threads must not outlive Python
    if state.device.type != device.type:
        raise RuntimeError(
            f"These processes already work together on {state.device.type}, and "
            f"device={str(device)!r} was asked for: use one kind of device a launch."
        )
    return Processes(state.device, state.process_index, state.num_processes)


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The names of the settings in which the two differ, for an error message."""
    return ", ".join(sorted(k for k in {*one, *other} if one.get(k, ...) != other.get(k, ...)))
