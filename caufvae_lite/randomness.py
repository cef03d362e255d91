"""Randomness by key: the same key gives the same draws, on any device and any day.

Draws are made on the generator's device, the CPU unless the caller brings another one, and
then moved: training on a GPU, or in another number of processes, does not change them.
"""

import numpy as np
import torch
from torch import Tensor

Seed = int | torch.Generator | None


def generator_from(seed: Seed) -> torch.Generator:
    """A generator: seeded by an int, fresh for None, or the given one as it is."""
    if isinstance(seed, torch.Generator):
        return seed
    generator = torch.Generator()
    return generator.manual_seed(generator.seed() if seed is None else int(seed))


def keyed_generator(seed: int, *key: int) -> torch.Generator:
    """A generator for one purpose: ``(seed, epoch, step)`` and the like never collide."""
    words = np.random.SeedSequence([seed, *key]).generate_state(2)
    return torch.Generator().manual_seed((int(words[0]) << 31) ^ int(words[1]))


def normal(*shape: int, seed: Seed, like: Tensor) -> Tensor:
    """Standard normal draws of ``shape``, with the dtype and device of ``like``."""
    generator = generator_from(seed)
    return torch.randn(*shape, generator=generator, device=generator.device).to(like)
